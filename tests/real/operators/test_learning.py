"""Slack allows less than it documents, and the proxy keeps to that: seen, kept over a restart, written as
a configuration, and forgotten on request.

Slack's minute lasts four seconds here.
"""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from stand import BINARY, ENVIRONMENT, FakeSlack, Process, Proxy, eventually, http_get

MINUTE = 4.0
METHOD = "conversations.list"
BELIEVED = 20


def call(proxy: Proxy, token: str = "xoxb-T1-x") -> int:
    """One call. It is held for as long as a flood of ninety takes at half the limit, and longer."""
    url = proxy.base_url(lane="/@job;max-wait=50s") + METHOD
    status, _ = http_get(url, seconds=55, data=f"token={token}".encode())
    return status


def flood(proxy: Proxy, calls: int) -> None:
    with ThreadPoolExecutor(calls) as pool:
        assert list(pool.map(lambda _: call(proxy), range(calls))) == [200] * calls


def learnt(proxy: Proxy) -> dict | None:
    """What was learnt of the method, if it is something."""
    status, body = proxy.admin_get("/learnt")
    assert status == 200, body
    lessons = [it for it in json.loads(body)["lessons"] if it["method"] == METHOD]
    return lessons[0] if lessons else None


def refused(slack: FakeSlack) -> int:
    return slack.ledger()["totals"]["refused"]


def command(*words: str) -> str:
    done = subprocess.run([BINARY, *words], env=ENVIRONMENT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def restarted(tmp_path):
    """A fake Slack that allows half of what is documented, and a proxy before it that keeps its state."""
    slack = FakeSlack(limits=[f"{METHOD}={BELIEVED // 2}"], minute=MINUTE)
    more = f"state_file: {tmp_path / 'state'}\n"
    return slack, lambda: Proxy(("/api/", slack.url), minute=MINUTE, more=more), tmp_path


def test_a_learnt_limit_is_shown_kept_written_and_forgotten(restarted):
    """Red when a restart forgets, when the configuration is not accepted, and when nothing is forgotten."""
    slack, start, folder = restarted
    proxy = start()
    flood(proxy, 45)
    first = refused(slack)
    assert first >= 1
    lesson = learnt(proxy)
    assert lesson["configured"] == BELIEVED
    assert 8 <= lesson["lowest"] <= BELIEVED // 2 + 1, lesson
    assert proxy.metric("slackwater_learnt_configured_quota", method=METHOD) == BELIEVED
    assert proxy.metric("slackwater_learnt_quota", method=METHOD) == learnt(proxy)["lowest"]
    assert proxy.metric("slackwater_learnt_buckets", method=METHOD, why="fewer_calls") == 1

    proxy.kill()
    proxy = start()
    assert learnt(proxy)["lowest"] <= BELIEVED // 2 + 1
    flood(proxy, 25)
    assert refused(slack) - first <= 3, "the restart costs no more than a trial"

    text = command("limits", "--learnt", "--admin", f"http://{proxy.admin}")
    overlay = folder / "learnt.yaml"
    overlay.write_text(text)
    assert "ok" in command("check", str(overlay))
    limits = json.loads(command("limits", METHOD, "--json", "--config", str(overlay)))["limits"]
    assert [it["limit"] for it in limits] == [learnt(proxy)["quota"]], text

    said = command("limits", "--forget", METHOD, "--admin", f"http://{proxy.admin}")
    assert said == f"what 1 bucket of {METHOD} had learnt is forgotten\n"
    assert learnt(proxy) is None
    assert command("limits", "--learnt", "--admin", f"http://{proxy.admin}").endswith("{}\n")


@pytest.mark.parametrize("window", ["sliding", "fixed", "fixed-clock", "bucket"])
def test_a_flood_at_a_lower_limit_is_refused_seldom(window):
    """Seven windows at seven tenths. Red when nothing is learnt: six calls are refused in each window."""
    slack = FakeSlack(limits=[f"{METHOD}={BELIEVED * 7 // 10}"], minute=MINUTE, window=window)
    proxy = Proxy(("/api/", slack.url), minute=MINUTE)
    flood(proxy, 90)
    flights = proxy.metric("slackwater_upstream_429_total", method=METHOD, surprise="true")
    assert 1 <= flights <= 4, flights
    # The first flight is as large as the burst that met it.
    assert refused(slack) <= BELIEVED + 4
