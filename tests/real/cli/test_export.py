"""`slackwater export`, killed, stopped and refused: every item of the list, once, in Slack's order.

`SLACKWATER_KILLS=200 pytest test_export.py -k killed` kills it so often.
"""

import json
import os
import random
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from stand import BINARY, ENVIRONMENT, FakeSlack, Process, Proxy, eventually, http_get, strike

KILLS = int(os.environ.get("SLACKWATER_KILLS", "10"))
TOKEN = "xoxb-T1-A1-export"
# A minute of Slack's, short enough that many pages come in a test.
MINUTE = 1.0


def command(*words) -> list:
    return [BINARY, "export", *words]


def export(*words, token=TOKEN, seconds=60, **more) -> subprocess.CompletedProcess:
    variables = {"SLACK_BOT_TOKEN": token} if token else {}
    return subprocess.run(command(*words), env=ENVIRONMENT | variables | more, text=True, capture_output=True,
                          timeout=seconds)


def via(proxy: Proxy) -> tuple[str, str]:
    return "--via", f"http://{proxy.listen}"


def stand(items: int, **more) -> tuple[FakeSlack, Proxy]:
    slack = FakeSlack(minute=MINUTE, items=items, **more)
    return slack, Proxy(("/api/", slack.url), minute=MINUTE)


def lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def state(file: Path) -> dict:
    return json.loads(Path(f"{file}.cursor").read_text())


def pages_of(file: Path) -> int:
    return state(file)["pages"] if Path(f"{file}.cursor").exists() else 0


class Flood:
    """A job that calls the same method with the same token, as fast as it is let."""

    def __init__(self, proxy: Proxy, threads: int = 4):
        self.url = f"{proxy.base_url('/@flood;max-wait=30s')}conversations.list?token={TOKEN}&limit=1"
        self.answers, self.over = [], threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.over.is_set():
            self.answers.append(http_get(self.url, seconds=40, data=b"")[0])

    def end(self) -> list[int]:
        self.over.set()
        for thread in self.threads:
            thread.join(45)
        return self.answers


@pytest.mark.timeout(90 + 4 * KILLS)
def test_killed_at_any_moment_beside_a_flood_it_has_every_item_once(tmp_path):
    pages = 4 * KILLS
    slack, proxy = stand(items=5 * pages - 2, latency="1ms..20ms")
    out = tmp_path / "dms.ndjson"
    words = ("conversations.list", "--arg", "types=mpim,im", "--arg", "limit=5", "--out", out, *via(proxy))
    flood = Flood(proxy)
    chance = random.Random(7)
    kills, between, torn, there = 0, 0, 0, 0
    while kills < KILLS:
        # However slow the machine is, most come among pages.
        if not strike(command(*words), {"SLACK_BOT_TOKEN": TOKEN}, chance, begins=(0.05, 1.2),
                      goes_on=lambda: pages_of(out) > there, seconds=40, then=0.6):
            break
        kills += 1
        before, there = there, pages_of(out)
        between += there > before
        assert there == 0 or out.stat().st_size >= state(out)["length"], "what the state counts is on the disk"
        # Hardly ever is a page torn, so it is brought about.
        if there and chance.random() < 0.4:
            with out.open("a") as file:
                file.write('{"id":"G0000')
            torn += 1
    done = export(*words, seconds=120)
    assert done.returncode == 0, done.stdout + done.stderr
    answers = flood.end()
    ids = [item["id"] for item in lines(out)]
    assert ids == [f"{'D' if n % 2 else 'G'}{n:08}" for n in range(1, 5 * pages - 1)], "each once, in order"
    ledger = slack.ledger()
    assert ledger["violations"] == [] and ledger["totals"]["refused"] == 0
    assert set(answers) == {200} and len(answers) > pages, "and the flood went on"
    print(f"{kills} kills, {between} of them after more pages, {torn} pages torn, {len(answers)} calls of the flood")
    assert kills >= 0.9 * KILLS and between >= kills / 2, (kills, between)
    asked = ledger["totals"]["by_method"]["conversations.list"]["calls"] - len(answers)
    assert pages <= asked <= pages + kills, "a page is asked for again only where a kill met it"
    assert proxy.metric("slackwater_requests_total", method="conversations.list", **{"class": "background"}) >= pages
    assert proxy.metric("slackwater_caller_requests_total", caller="export") >= pages
    again = export(*words[:-1], "http://127.0.0.1:1", token=None)
    assert again.returncode == 0 and "is finished already" in again.stdout, "no proxy and no token is asked"


def test_an_item_is_written_as_slack_gave_it(tmp_path):
    slack, proxy = stand(items=7)
    out = tmp_path / "users.ndjson"
    done = export("users.list", "--out", out, *via(proxy))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 page, 7 items: all of it is in" in done.stdout
    _, body = http_get(f"{slack.url}/api/users.list?token={TOKEN}", data=b"")
    raw = [json.dumps(item, separators=(",", ":")) for item in json.loads(body)["members"]]
    assert out.read_text().splitlines() == raw


def test_strings_and_numbered_pages_are_lists_too(tmp_path):
    _, proxy = stand(items=23)
    members = tmp_path / "members.ndjson"
    words = ("--arg", "channel=C1", "--arg", "limit=9", "--call", "users.info", "--with", "user=.")
    done = export("conversations.members", *words, "--out", members, *via(proxy))
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines(members)[0] == {"id": "U00000001", "method": "users.info", "args": {"user": "U00000001"}}
    assert len(lines(members)) == 23
    files = tmp_path / "files.ndjson"
    done = export("files.list", "--arg", "count=10", "--out", files, *via(proxy))
    assert done.returncode == 0, done.stdout + done.stderr
    assert [item["id"] for item in lines(files)] == [f"F{n:08}" for n in range(1, 24)]


def test_the_incident_takes_three_commands(tmp_path):
    """The list, what it would take, and the calls: what docs/drain.md tells."""
    slack, proxy = stand(items=30, latency="1ms..10ms")
    closes = tmp_path / "closes.ndjson"
    listed = export("conversations.list", "--arg", "types=mpim,im", "--where", "is_mpim=true", "--call",
                    "conversations.close", "--with", "channel=id", "--out", closes, *via(proxy))
    assert listed.returncode == 0, listed.stdout + listed.stderr
    assert "1 page, 15 of 30 items" in listed.stdout and f"slackwater drain {closes}" in listed.stdout
    groups = [f"G{n:08}" for n in range(2, 31, 2)]
    assert lines(closes) == [{"id": group, "method": "conversations.close", "args": {"channel": group}}
                             for group in groups]
    drained = subprocess.run([BINARY, "drain", closes, *via(proxy)], env=ENVIRONMENT | {"SLACK_BOT_TOKEN": TOKEN},
                             text=True, capture_output=True, timeout=60)
    assert drained.returncode == 0 and "15 of 15 done" in drained.stdout, drained.stdout + drained.stderr
    assert sorted(call["channel"] for call in slack.calls("conversations.close")) == groups
    assert slack.ledger()["violations"] == []


def test_ctrl_c_finishes_the_page_and_the_same_command_goes_on(tmp_path):
    _, proxy = stand(items=100)
    out = tmp_path / "users.ndjson"
    words = ("users.list", "--arg", "limit=1", "--out", out, *via(proxy))
    process = Process("export", command(*words), variables={"SLACK_BOT_TOKEN": TOKEN})
    eventually("some pages", lambda: out.exists() and out.read_text().count("\n") >= 3)
    process.signal(signal.SIGINT)
    assert process.exit_code(10) == 130
    assert any("The same command goes on from here" in line for line in process.said())
    there = len(lines(out))
    assert 3 <= there == state(out)["pages"] < 100
    done = export(*words)
    assert done.returncode == 0 and f"goes on after {there} pages, {there} items" in done.stdout, done.stdout
    assert [item["id"] for item in lines(out)] == [f"U{n:08}" for n in range(1, 101)]


def test_one_at_a_time_and_of_one_list_only(tmp_path):
    _, proxy = stand(items=500)
    out = tmp_path / "users.ndjson"
    words = ("users.list", "--arg", "limit=1", "--out", out, *via(proxy))
    process = Process("export", command(*words), variables={"SLACK_BOT_TOKEN": TOKEN})
    eventually("some pages", lambda: out.exists() and out.read_text().count("\n") >= 3)
    second = export(*words)
    assert second.returncode == 2 and "another export is at work" in second.stderr
    process.signal(signal.SIGTERM)
    assert process.exit_code(10) == 130
    before = out.read_bytes()
    for other, what in (
        (("users.list", "--arg", "limit=2"), "--arg"),
        (("conversations.list", "--arg", "limit=1"), "METHOD"),
        (("users.list", "--arg", "limit=1", "--where", "deleted=false"), "--where"),
    ):
        refused = export(*other, "--out", out, *via(proxy))
        assert refused.returncode == 2 and f"of another export: {what}" in refused.stderr, refused.stderr
        assert "--again" in refused.stderr and out.read_bytes() == before
    again = export("users.list", "--out", out, "--again", *via(proxy))
    assert again.returncode == 0 and len(lines(out)) == 500, again.stderr


def test_a_cursor_that_is_too_old_is_told(tmp_path):
    _, proxy = stand(items=20)
    out = tmp_path / "users.ndjson"
    words = ("users.list", "--arg", "limit=9", "--out", out, *via(proxy))
    assert export(*words).returncode == 0
    cursor = Path(f"{out}.cursor")
    cursor.write_text(json.dumps(state(out) | {"finished": False, "next": {"cursor": "old"}}))
    old = export(*words)
    assert old.returncode == 2 and "invalid_cursor" in old.stderr and "--again" in old.stderr, old.stderr
    assert len(lines(out)) == 20, "what is there stays"
    assert export(*words, "--again").returncode == 0 and len(lines(out)) == 20


def test_limits_and_lost_answers_are_waited_for(tmp_path):
    slack, proxy = stand(items=60)
    slack.fault("users.list", "503", calls=1)
    slack.fault("users.list", "429-no-body", calls=1)
    slack.fault("users.list", "reset", calls=1)
    out = tmp_path / "users.ndjson"
    done = export("users.list", "--arg", "limit=20", "--out", out, *via(proxy))
    assert done.returncode == 0, done.stdout + done.stderr
    assert [item["id"] for item in lines(out)] == [f"U{n:08}" for n in range(1, 61)]


def test_what_is_wrong_is_told_before_anything_is_asked(tmp_path):
    slack, proxy = stand(items=5)
    out = tmp_path / "out.ndjson"
    for words, part in (
        (("conversations.close",), "more than read"),
        (("users.list", "--arg", f"token={TOKEN}"), "--token-env"),
        (("users.list", "--arg", "cursor=x"), "the export's own"),
        (("users.list", "--where", "updated<1"), "use jq"),
        (("users.list", "--call", "conversations.close"), "--with"),
        (("users.list", "--via", slack.url), "is no slackwater"),
        (("users.list", "--token-env", "NOWHERE"), "NOWHERE (or name another with --token-env)"),
    ):
        where = () if "--via" in words else via(proxy)
        wrong = export(*words, "--out", out, *where)
        assert wrong.returncode == 2 and part in wrong.stderr, (words, wrong.stderr)
        assert TOKEN not in wrong.stderr + wrong.stdout
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    foreign = export("users.list", "--out", mine, "--again", *via(proxy))
    assert foreign.returncode == 2 and "no export has begun it" in foreign.stderr and mine.read_text() == "mine"
    assert slack.ledger()["totals"]["calls"] == 0, "nothing was sent"
    unknown = export("user.list", "--out", tmp_path / "unknown", *via(proxy))
    assert "user.list is not in the catalogue" in unknown.stdout and "users.list" in unknown.stdout
    assert unknown.returncode == 2 and "no list at its top" in unknown.stderr, unknown.stderr
    field = export("users.list", "--call", "a.b", "--with", "x=nosuch", "--out", tmp_path / "field", *via(proxy))
    assert field.returncode == 2 and "page 1 of users.list: item 1: it has no field nosuch" in field.stderr
    revoked = export("users.list", "--out", tmp_path / "revoked", *via(proxy), token="not-a-token")
    assert revoked.returncode == 2 and "of the token in SLACK_BOT_TOKEN" in revoked.stderr, revoked.stderr
    assert not any("calls go nowhere" in line for line in proxy.process.said()), "the probe is no call"


def test_a_proxy_of_its_own_leaves_a_running_ones_state_file_alone(tmp_path):
    slack = FakeSlack(minute=MINUTE, items=5)
    kept = f"state_file: {tmp_path / 'state'}\n"
    proxy = Proxy(("/api/", slack.url), minute=MINUTE, more=kept)
    config = proxy.config.read_text().replace("listen: 127.0.0.1:0", f"listen: {proxy.listen}", 1)
    proxy.config.write_text(config)
    out = tmp_path / "users.ndjson"
    words = ("users.list", "--out", out, "--config", proxy.config)
    beside = export(*words)
    assert beside.returncode == 2 and f"--via http://{proxy.listen}" in beside.stderr, beside.stderr
    proxy.kill()
    alone = export(*words)
    assert alone.returncode == 0 and "through a proxy of its own" in alone.stdout, alone.stderr
    assert len(lines(out)) == 5


@pytest.mark.timeout(180)
def test_a_long_list_takes_no_more_memory_than_a_short_one(tmp_path):
    def peak(items: int) -> int:
        slack = FakeSlack(minute=0.02, items=items, latency="0ms")
        proxy = Proxy(("/api/", slack.url), more="methods: { users.list: { tier: none, limits: [] } }\n")
        out = tmp_path / f"{items}.ndjson"
        process = Process("export", command("users.list", "--out", out, *via(proxy)),
                          variables={"SLACK_BOT_TOKEN": TOKEN})
        memory = 0
        while process.child.poll() is None:
            try:
                status = Path(f"/proc/{process.child.pid}/status").read_text()
            except OSError:
                break
            memory = max(memory, int((re.search(r"VmHWM:\s+(\d+) kB", status) or [0, 0])[1]))
            time.sleep(0.01)
        assert process.exit_code(60) == 0, process.tail()
        assert sum(1 for _ in out.open()) == items
        return memory

    few, many = peak(10_000), peak(200_000)
    print(f"peak of 10,000 items {few} KiB, of 200,000 items {many} KiB")
    assert 0 < many < few + 8192, (few, many)
