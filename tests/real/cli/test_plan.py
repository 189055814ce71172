"""`slackwater plan` against what really happens: a drain, a flooded proxy, a loop that goes straight."""

import json
import re
import resource
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from stand import BINARY, ENVIRONMENT, FakeSlack, Proxy, eventually, http_get

CLOSE = ("--method", "conversations.close")
# The tests' minute lasts six seconds, and the fake Slack is as far away as the plan assumes.
SCALE = ("--minute", "6s", "--round-trip", "20ms")


def plan(*words, code=0) -> subprocess.CompletedProcess:
    done = subprocess.run([BINARY, "plan", *map(str, words)], env=ENVIRONMENT, text=True, capture_output=True,
                          timeout=20)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def planned(*words) -> dict:
    return json.loads(plan(*words, "--json").stdout)


def test_a_drain_takes_as_long_as_was_planned(tmp_path):
    """Red where the plan has another share, period or order than the proxy."""
    slack = FakeSlack(latency="20ms")
    proxy = Proxy(("/api/", slack.url))
    file = tmp_path / "closes.ndjson"
    file.write_text("".join(
        json.dumps({"method": "conversations.close", "args": {"channel": f"G{n:08}"}}) + "\n" for n in range(30)
    ))
    said = planned(*CLOSE, "--count", 30, "--class", "background", *SCALE)["done"]["seconds"]
    began = time.monotonic()
    done = subprocess.run([BINARY, "drain", file, "--via", f"http://{proxy.listen}"], text=True, capture_output=True,
                          env=ENVIRONMENT | {"SLACK_BOT_TOKEN": "xoxb-T1-A1-drain"}, timeout=60)
    took = time.monotonic() - began
    assert done.returncode == 0, done.stdout + done.stderr
    assert slack.ledger()["violations"] == []
    # Never sooner; later by what a process and a busy machine take.
    assert 0.98 * said <= took <= 1.1 * said + 2, f"{took:.2f} s, and the plan said {said:.2f} s"


def test_who_waits_in_the_running_proxy_is_before_it():
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url))
    admin = ("--admin", f"http://{proxy.admin}")
    idle = planned(*CLOSE, "--count", 1, *SCALE, *admin)
    assert idle["done"]["seconds"] < 0.1 and idle["proxy"]["waiting_before"] == 0
    url = f"{proxy.base_url('/@flood;max-wait=50s')}conversations.close"

    def full() -> bool:
        return any(bucket["limit"] == "tier2" and bucket["used"] == 20 for bucket in proxy.status()["buckets"])

    with ThreadPoolExecutor(60) as flood:
        calls = [flood.submit(http_get, url, 50, f"token=xoxb-T1-A1-flood&channel=G{n}".encode()) for n in range(60)]
        eventually("the window is full, and calls are held", full, seconds=20)
        busy = planned(*CLOSE, "--count", 1, "--class", "background", *SCALE, *admin)
        text = plan(*CLOSE, "--count", 1, *SCALE, *admin).stdout
        assert [call.result()[0] for call in calls] == [200] * 60
    assert 20 < busy["proxy"]["waiting_before"] <= 40, busy
    assert busy["proxy"]["workspaces"][0].endswith("/T1"), busy
    # The window is full, and more than another one is before it: two of six seconds, but for its floor.
    assert busy["done"]["seconds"] > 6, busy
    assert re.search(r"  proxy     \S+, as in \S+/T1: \d+ calls of one caller wait before it, \d+ slots", text), text


def test_a_pause_of_the_running_proxy_is_told():
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url))
    admin = ("--admin", f"http://{proxy.admin}")
    pause = subprocess.run([BINARY, "pause", *CLOSE, *admin], env=ENVIRONMENT, text=True, capture_output=True, timeout=20)
    assert pause.returncode == 0, pause.stderr
    done = plan(*CLOSE, "--count", 1, *admin, code=1)
    assert "never goes: the method conversations.close is paused" in done.stdout
    assert json.loads(plan(*CLOSE, "--count", 1, *admin, "--json", code=1).stdout)["never"] != []


def test_going_straight_costs_what_was_planned():
    """A loop that sleeps as it is told, without a proxy. Red where its 429s are not the judge's."""
    slack = FakeSlack(latency="20ms")
    count, refused = 50, 0
    token = "token=xoxb-T1-A1-straight"
    for n in range(count):
        while True:
            status, _ = http_get(f"{slack.url}/api/conversations.list", data=f"{token}&cursor={n}".encode())
            if status == 200:
                break
            assert status == 429
            refused += 1
            retry_after = slack.ledger()["violations"][-1]["retry_after"]
            time.sleep(retry_after)
    straight = planned("--method", "conversations.list", "--count", count, *SCALE)["straight"]["heeding_retry_after"]
    assert slack.ledger()["totals"]["refused"] == refused
    # A real loop is a little slower than its round trips, so at its end it may have waited once less.
    assert refused >= 1 and abs(straight["refused"] - refused) <= 1, (straight, refused)


def test_what_cannot_be_planned_is_told_with_a_remedy():
    nowhere = plan(*CLOSE, "--count", 1, "--admin", "http://127.0.0.1:1", code=2)
    assert nowhere.stderr.startswith("error: cannot ask http://127.0.0.1:1; ") and "--admin URL" in nowhere.stderr
    elsewhere = plan(*CLOSE, "--count", 1, "--via", "http://127.0.0.1:1", code=2)
    assert "the configuration has its proxy at 127.0.0.1:8080" in elsewhere.stderr and "--admin URL" in elsewhere.stderr
    assert "0 is not in 1.." in plan(*CLOSE, "--count", 0, code=2).stderr
    secret = plan("--method", "xoxb-1-secret", "--count", 1, code=2)
    assert "secret" not in secret.stdout + secret.stderr
    unknown = plan("--method", "conversation.close", "--count", 100)
    assert "warning: conversation.close is not in the catalogue" in unknown.stdout
    assert "like it: conversations.close" in unknown.stdout and "tier2" in unknown.stdout


def test_a_million_calls_are_planned_at_once():
    """By its processor's time, since a machine may be busy. Red where all of them are simulated."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    million = planned(*CLOSE, "--count", 1_000_000, "--class", "background")
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 2
    assert million["done"]["about"] and 1100 < million["done"]["seconds"] / 3600 < 1130
    assert million["held_by"][0]["limit"]["name"] == "tier2"
