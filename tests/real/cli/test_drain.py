"""`slackwater drain`, killed, stopped and refused: every call is done, and none is recorded twice.

`SLACKWATER_KILLS=200 pytest test_drain.py -k killed` kills it so often.
"""

import json
import os
import random
import re
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from stand import BINARY, ENVIRONMENT, FakeSlack, Process, Proxy, eventually, strike

KILLS = int(os.environ.get("SLACKWATER_KILLS", "10"))
TOKEN = "xoxb-T1-A1-drain"
# Plenty, so that a kill meets calls in each of their stages.
PLENTY = ("reactions.add=100000", "api.test=100000")
# So many calls are under way at most.
AT_ONCE = 4
RULES = "methods: { reactions.add: { tier: none, limits: [] } }\n"


def close(channel: int, **more) -> dict:
    return {"id": f"dm-{channel}", "method": "conversations.close", "args": {"channel": f"G{channel:08}"}} | more


def react(channel: int) -> dict:
    return close(channel, method="reactions.add")


def write(path: Path, calls: list[dict]) -> Path:
    path.write_text("".join(json.dumps(call) + "\n" for call in calls))
    return path


def command(*words) -> list:
    return [BINARY, "drain", *words]


def drain(*words, token=TOKEN, seconds=60, **more) -> subprocess.CompletedProcess:
    variables = {"SLACK_BOT_TOKEN": token} if token else {}
    return subprocess.run(command(*words), env=ENVIRONMENT | variables | more, text=True, capture_output=True,
                          timeout=seconds)


def entries(journal: Path) -> list[dict]:
    header, *lines = journal.read_text().splitlines()
    assert json.loads(header)["journal"] == "slackwater drain"
    return [json.loads(line) for line in lines]


def results(journal: Path) -> list[dict]:
    return [entry for entry in entries(journal) if entry["result"] != "sent"]


def whole_results(journal: Path) -> int:
    """How many results are in it, but for one that has broken off."""
    whole = journal.read_bytes().splitlines(keepends=True) if journal.exists() else []
    return sum(b'"result"' in line and line.endswith(b"\n") for line in whole)


@pytest.fixture
def stage():
    slack = FakeSlack(limits=PLENTY, latency="5ms..30ms")
    return slack, Proxy(("/api/", slack.url), more=RULES)


def arrived_at(slack: FakeSlack) -> int:
    return slack.ledger()["totals"]["by_method"].get("reactions.add", {"calls": 0})["calls"]


def via(proxy: Proxy) -> tuple[str, str]:
    return "--via", f"http://{proxy.listen}"


@pytest.mark.timeout(120 + 6 * KILLS)
def test_killed_at_any_moment_it_goes_on_where_it_was(stage, tmp_path):
    slack, proxy = stage
    # More than all the runs can do before they are killed, so that no kill comes after the end.
    count = 40 * KILLS
    file = write(tmp_path / "closes.ndjson", [react(n) for n in range(count)])
    journal = Path(f"{file}.journal")
    chance = random.Random(11)
    kills, at_work, torn = 0, 0, 0
    recorded, arrived = 0, 0
    while kills < KILLS:
        there = whole_results(journal)
        # However slow the machine is, most come among calls.
        if not strike(command(file, *via(proxy)), {"SLACK_BOT_TOKEN": TOKEN}, chance, begins=(0.02, 0.4),
                      goes_on=lambda: whole_results(journal) > there, seconds=30, then=0.15):
            break
        kills += 1
        if not journal.exists():
            continue
        # What is under way at Slack arrives all the same.
        eventually("nothing is under way", lambda: proxy.metric("slackwater_in_flight") == 0)
        seen, arrived = arrived, arrived_at(slack)
        at_work += arrived > seen
        recorded += whole_results(journal) - there
        assert arrived <= recorded + AT_ONCE * (at_work + 1), "a result is recorded before its place is taken"
        # A line that breaks off is rare, so it is broken off.
        if chance.random() < 0.3:
            text = journal.read_bytes()
            whole = text.splitlines(keepends=True)
            if len(whole) > 1:
                journal.write_bytes(text[: len(text) - chance.randrange(1, len(whole[-1]))])
                torn += 1
    print(f"{kills} kills, {at_work} of them among calls, {torn} lines torn")
    assert kills >= 0.9 * KILLS and at_work >= kills / 2, (kills, at_work)
    done = drain(file, *via(proxy), seconds=120 + 3 * KILLS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count} of {count} done" in done.stdout
    counted = Counter(entry["line"] for entry in results(journal))
    assert counted == Counter(range(1, count + 1)), "each once"
    assert {entry["id"] for entry in results(journal)} == {f"dm-{n}" for n in range(count)}
    # At least once: what was under way at a kill is sent again, and a result that was torn off.
    assert count <= arrived_at(slack) <= count + AT_ONCE * kills + torn, (kills, torn)
    assert drain(file, "--via", "http://127.0.0.1:1").returncode == 0, "all is done, so no proxy is asked"


def test_limits_are_waited_for_and_nothing_is_refused_by_slack(tmp_path):
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url))
    table = tmp_path / "dms.csv"
    table.write_text("name,id\n" + "".join(f'"a, b",G{n:08}\n' for n in range(30)))
    done = drain("--csv", table, "--method", "conversations.close", "--arg", "channel=id", *via(proxy))
    assert done.returncode == 0, done.stdout + done.stderr
    calls = slack.calls("conversations.close")
    assert len(calls) == 30 and slack.ledger()["violations"] == []
    assert proxy.metric("slackwater_caller_requests_total", caller="drain") >= 30
    assert proxy.metric("slackwater_requests_total", method="conversations.close", **{"class": "background"}) >= 30


# Posts are kept in order by the proxy as well; others by drain alone.
@pytest.mark.parametrize("method", ["chat.postMessage", "reactions.add"])
def test_calls_for_one_channel_arrive_in_the_order_of_the_file(method, tmp_path):
    slack = FakeSlack(limits=(f"{method}=100000",), latency="1ms..60ms")
    proxy = Proxy(("/api/", slack.url), more=f"methods: {{ {method}: {{ tier: none, limits: [] }} }}\n")
    calls = [{"method": method, "args": {"channel": f"C{n % 3}", "text": str(n)}} for n in range(60)]
    file = write(tmp_path / "calls.ndjson", calls)
    done = drain(file, *via(proxy))
    assert done.returncode == 0, done.stdout + done.stderr
    assert [entry["id"] for entry in sorted(results(Path(f"{file}.journal")), key=lambda it: it["line"])] \
        == list(range(1, 61)), "without an id it is the line"
    channels = {}
    for call in slack.calls(method):
        channels.setdefault(call["channel"], []).append(int(call["text"]))
    assert len(channels) == 3 and all(len(texts) == 20 for texts in channels.values())
    assert all(texts == sorted(texts) for texts in channels.values()), channels


def test_a_cap_holds_over_restarts(stage, tmp_path):
    slack, proxy = stage
    file = write(tmp_path / "closes.ndjson", [react(n) for n in range(14)])
    cap = ("--per-cycle", "4", "--every", "2s")
    for _ in range(3):
        child = subprocess.Popen(command(file, *cap, *via(proxy)), env=ENVIRONMENT | {"SLACK_BOT_TOKEN": TOKEN},
                                 stdout=subprocess.DEVNULL)
        try:
            child.wait(0.9)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    done = drain(file, *cap, *via(proxy))
    assert done.returncode == 0, done.stdout + done.stderr
    sent = sorted(entry["at"] for entry in entries(Path(f"{file}.journal")) if entry["result"] == "sent")
    assert len(sent) >= 14
    assert all(later - earlier >= 1.999 for earlier, later in zip(sent, sent[4:])), sent
    arrived = len(slack.calls("reactions.add"))
    assert 14 <= arrived <= len(sent), "none goes that was not noted"


def test_what_fails_is_kept_and_can_be_drained_again(stage, tmp_path):
    _, proxy = stage
    errors = ["channel_not_found", "channel_not_found", "is_archived"]
    calls = [{"method": "api.test", "args": {"error": error}} for error in errors]
    file = write(tmp_path / "mixed.ndjson", [close(1), *calls, close(2, method="reactions.add")])
    done = drain(file, *via(proxy))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 of 5 done, 3 failed\n       2  channel_not_found\n       1  is_archived\n" in done.stdout
    failed = Path(f"{file}.failed")
    kept = [json.loads(line) for line in failed.read_text().splitlines()]
    assert [(call["id"], call["error"]) for call in kept] == [(2, errors[0]), (3, errors[1]), (4, errors[2])]
    again = drain(failed, *via(proxy), "--done-on", "channel_not_found")
    assert again.returncode == 1
    assert "2 of 3 done (2 of them were so already), 1 failed" in again.stdout
    assert drain(file, *via(proxy)).returncode == 1, "the failed calls of the first are not tried by themselves"


def test_ctrl_c_finishes_what_is_under_way(stage, tmp_path):
    slack, proxy = stage
    file = write(tmp_path / "closes.ndjson", [react(n) for n in range(2000)])
    journal = Path(f"{file}.journal")
    process = Process("drain", command(file, *via(proxy)), variables={"SLACK_BOT_TOKEN": TOKEN})
    eventually("some are done", lambda: journal.exists() and len(journal.read_text().splitlines()) > 20)
    process.signal(signal.SIGINT)
    assert process.exit_code(10) == 130
    assert any("The same command goes on from here" in line for line in process.said())
    assert 20 <= len(results(journal)) == arrived_at(slack) < 2000, "each that arrived has its result"


def test_one_drain_at_a_time(stage, tmp_path):
    _, proxy = stage
    file = write(tmp_path / "closes.ndjson", [react(n) for n in range(5000)])
    journal = Path(f"{file}.journal")
    Process("drain", command(file, *via(proxy)), variables={"SLACK_BOT_TOKEN": TOKEN})
    eventually("it is at work", lambda: journal.exists() and len(journal.read_text().splitlines()) > 2)
    second = drain(file, *via(proxy), seconds=20)
    assert second.returncode == 2 and "another drain is at work" in second.stderr


def test_a_proxy_that_comes_back_is_waited_for(stage, tmp_path):
    slack, proxy = stage
    count = 300
    file = write(tmp_path / "closes.ndjson", [react(n) for n in range(count)])
    journal = Path(f"{file}.journal")
    process = Process("drain", command(file, *via(proxy)), variables={"SLACK_BOT_TOKEN": TOKEN})
    eventually("some are done", lambda: journal.exists() and len(journal.read_text().splitlines()) > 20)
    proxy.kill()
    process.wait_for("that nobody answers", lambda line: "nothing answers at" in line)
    config = proxy.config.read_text().replace("listen: 127.0.0.1:0", f"listen: {proxy.listen}", 1)
    proxy.config.write_text(config)
    Process("slackwater", [BINARY, "run", "--config", proxy.config])
    assert process.exit_code(40) == 0, process.tail()
    assert Counter(entry["line"] for entry in results(journal)) == Counter(range(1, count + 1))


def test_without_a_proxy_it_starts_its_own(tmp_path):
    slack = FakeSlack()
    config = tmp_path / "slackwater.yaml"
    config.write_text(f"upstreams: [{{ prefix: /api/, url: '{slack.url}/api/', kind: web_api }}]\n")
    file = write(tmp_path / "closes.ndjson", [close(n) for n in range(3)])
    done = drain(file, "--config", config)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "through a proxy of its own" in done.stdout and len(slack.calls("conversations.close")) == 3


def test_a_wrong_token_stops_it_before_the_rest_fails(stage, tmp_path):
    slack, proxy = stage
    file = write(tmp_path / "closes.ndjson",
                 [close(1), {"method": "api.test", "args": {"error": "token_revoked"}}, close(2), close(3)])
    done = drain(file, *via(proxy))
    assert done.returncode == 2
    # The calls that wait are answered at once as well, so any of them may be the first to say so.
    assert re.search("line [234]: Slack says token_revoked of the token", done.stderr), done.stderr
    assert {entry["line"] for entry in results(Path(f"{file}.journal"))} <= {1}


def test_bad_input_is_told_before_the_first_call(stage, tmp_path):
    slack, proxy = stage
    file = tmp_path / "bad.ndjson"
    file.write_text(json.dumps(close(1)) + "\nnope\n" + json.dumps(close(2, method="conversation.close")) + "\n[]\n")
    done = drain(file, *via(proxy))
    assert done.returncode == 2
    assert f"{file}:2: is no JSON object" in done.stdout and f"{file}:4: " in done.stdout
    assert "conversation.close is not in the catalogue" in done.stdout and "conversations.close" in done.stdout
    missing = drain(write(tmp_path / "two.ndjson", [close(1), close(2, token_env="OTHER")]), *via(proxy), token=None)
    assert missing.returncode == 2
    assert "SLACK_BOT_TOKEN (or name another with --token-env), OTHER (of line 2)" in missing.stderr
    table = tmp_path / "dms.csv"
    table.write_text("channel_id\nG1\n")
    column = drain("--csv", table, "--method", "conversations.close", "--arg", "channel=channel", *via(proxy))
    assert column.returncode == 2 and "has no column channel; is it channel_id?" in column.stderr
    nowhere = drain(tmp_path / "nowhere", *via(proxy))
    assert nowhere.returncode == 2 and "cannot read" in nowhere.stderr
    good = write(tmp_path / "good.ndjson", [close(1)])
    wrong = drain(good, "--via", slack.url)
    assert wrong.returncode == 2 and "is no slackwater" in wrong.stderr, wrong.stderr
    assert slack.ledger()["totals"]["calls"] == 0, "nothing was sent"
    skip = drain(file, *via(proxy), "--on-bad-line", "skip")
    assert skip.returncode == 1 and "2 lines were no calls and were skipped" in skip.stdout
    good.write_text(json.dumps(close(7)) + "\n")
    journal = Path(f"{good}.journal")
    assert drain(good, *via(proxy)).returncode == 0
    good.write_text(json.dumps(close(8)) + "\n")
    other = drain(good, *via(proxy))
    assert other.returncode == 2 and "is of another input" in other.stderr
    assert len(results(journal)) == 1


def test_a_dry_run_sends_nothing_and_writes_nothing(tmp_path):
    file = write(tmp_path / "closes.ndjson", [close(n) for n in range(4812)])
    done = drain(file, "--dry-run", "--per-cycle", "10", "--every", "30m", token=None)
    assert done.returncode == 0, done.stderr
    assert "4812 calls:\n    4812  conversations.close\n" in done.stdout
    assert "  done      in 240h31m, at " in done.stdout and "  held by   --per-cycle: 10 in 30m" in done.stdout
    assert "SLACK_BOT_TOKEN" in done.stdout
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.timeout(180)
def test_a_million_lines_take_no_more_memory_than_few(tmp_path):
    """All but the last are done by the journal, and while that one is under way the peak is read."""
    slack = FakeSlack(limits=PLENTY, latency="500ms")
    proxy = Proxy(("/api/", slack.url), more=RULES)

    def peak(lines: int) -> int:
        file = tmp_path / f"{lines}.ndjson"
        with file.open("w") as out:
            for n in range(lines):
                out.write(f'{{"method":"reactions.add","args":{{"channel":"G{n:08}"}}}}\n')
        journal = Path(f"{file}.journal")
        # Begun by the program itself, for its header.
        child = Process("drain", command(file, *via(proxy)), variables={"SLACK_BOT_TOKEN": TOKEN})
        eventually("it has begun", lambda: journal.exists() and journal.stat().st_size > 0, seconds=60)
        child.kill()
        header = journal.read_text().splitlines()[0]
        with journal.open("w") as out:
            out.write(header + "\n")
            for n in range(1, lines):
                out.write(f'{{"line":{n},"id":{n},"result":"ok","at":1774000000.0}}\n')
        before = arrived_at(slack) if lines > 1000 else 0
        rest = Process("drain", command(file, *via(proxy)), variables={"SLACK_BOT_TOKEN": TOKEN})
        rest.wait_for("it goes on", lambda line: f"{lines - 1} of {lines} calls have their result" in line, seconds=60)
        memory = Path(f"/proc/{rest.child.pid}/status").read_text()
        assert rest.exit_code(20) == 0
        assert any(f"{lines} of {lines} done" in line for line in rest.said())
        assert arrived_at(slack) > before
        return int(re.search(r"VmHWM:\s+(\d+) kB", memory)[1])

    few, many = peak(1_000), peak(1_000_000)
    print(f"peak of 1,000 lines {few} KiB, of 1,000,000 lines {many} KiB")
    assert many < few + 4096, (few, many)


def test_a_token_that_slack_refuses_is_named_by_its_variable(tmp_path):
    """Red when a flag is named that nobody gave, and when the proxy warns of the command's own probe."""
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url))
    file = write(tmp_path / "closes.ndjson", [close(1)])
    refused = drain(file, *via(proxy), token="nonsense")
    assert refused.returncode == 2 and "of the token in SLACK_BOT_TOKEN;" in refused.stderr, refused.stderr
    named = drain(file, *via(proxy), "--token-env", "OTHER", OTHER="nonsense")
    assert named.returncode == 2 and "of the token in OTHER;" in named.stderr, named.stderr
    assert not any("calls go nowhere" in line for line in proxy.process.said())


def test_two_calls_of_one_id_are_refused_before_anything_is_sent(tmp_path):
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url))
    file = write(tmp_path / "closes.ndjson", [close(1), close(2), close(1)])
    for words in ((), ("--on-bad-line", "skip"), ("--dry-run",)):
        refused = drain(file, *via(proxy), *words)
        assert refused.returncode == 2 and "lines 1 and 3 have the same id" in refused.stderr, refused.stderr
    assert slack.calls("conversations.close") == [] and list(tmp_path.iterdir()) == [file]
