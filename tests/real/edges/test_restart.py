"""`state_file`: windows outlive the process, however it ends.

The long form kills the proxy five hundred times, in some three minutes:

    SLACKWATER_KILLS=500 tests/run edges  (or pytest -c tests/real/pytest.ini tests/real/edges/test_restart.py)
"""

import json
import os
import random
import resource
import signal
import threading
import time
import urllib.error
import urllib.request

import pytest
from stand import FakeSlack, Process, Proxy, eventually, free_port

KILLS = int(os.environ.get("SLACKWATER_KILLS", "10"))
MINUTE = 3.0
ROOM = 20  # tier 2
SEED = 20261122


class Restarted:
    """A proxy that is started again and again, at one address and with one state file."""

    def __init__(self, slack: FakeSlack, more: str = "", minute: float = MINUTE):
        Process.log_dir.mkdir(parents=True, exist_ok=True)
        self.slack, self.minute = slack, minute
        self.state = Process.log_dir / f"{len(Process.register):02}-{time.monotonic_ns()}.state"
        self.address = f"127.0.0.1:{free_port()}"
        self.more = f"listen: {self.address}\nstate_file: {self.state}\n{more}"

    def start(self) -> Proxy:
        return Proxy(("/api/", self.slack.url), minute=self.minute, more=self.more, listen=None)

    def call(self, method: str, token: str, wait: str = "1h", seconds: float = 30) -> int:
        """The status of the answer; 0 where there is none."""
        url = f"http://{self.address}/@flood;max-wait={wait}/api/{method}"
        request = urllib.request.Request(url, data=b"", headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                answer.read()
                return answer.status
        except urllib.error.HTTPError as error:
            error.read()
            return error.code
        except OSError:
            return 0
        except Exception:  # the process ended in the middle of an answer
            return 0


class Flood:
    """Callers that never stop: whoever is cut off calls again."""

    def __init__(self, proxy: Restarted, each: int = 6):
        self.proxy, self.over, self.answered = proxy, threading.Event(), 0
        work = [("conversations.list", "xoxb-T1-A1-x"), ("conversations.list", "xoxb-T2-A1-x"),
                ("users.info", "xoxb-T1-A1-x"), ("conversations.close", "xoxb-T1-A1-x")]
        self.threads = [threading.Thread(target=self.run, args=one) for one in work for _ in range(each)]
        for thread in self.threads:
            thread.start()

    def run(self, method: str, token: str) -> None:
        while not self.over.is_set():
            if self.proxy.call(method, token, seconds=2) == 200:
                self.answered += 1
            else:
                time.sleep(0.01)

    def stop(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()


@pytest.mark.parametrize("window", ["sliding", "fixed"])
@pytest.mark.timeout(900)
def test_no_window_is_overrun_however_often_the_proxy_is_killed(window):
    """Red when a call is sent before its grant is written, and without `state_file`."""
    chance = random.Random(SEED)
    kills = KILLS if window == "sliding" else 10
    slack = FakeSlack(minute=MINUTE, window=window, latency="2ms..30ms")
    proxy = Restarted(slack)
    flood = Flood(proxy)
    try:
        for _ in range(kills):
            process = proxy.start()
            time.sleep(chance.uniform(0, 0.6))
            process.process.signal(signal.SIGKILL)
            process.process.child.wait()
        process = proxy.start()
        time.sleep(MINUTE)
    finally:
        flood.stop()
    ledger = slack.ledger()
    assert ledger["violations"] == []
    assert flood.answered > kills, "they were not only killed"
    refused = [call for call in ledger["calls"] if call["outcome"] == "refused"]
    assert refused == []


def test_a_full_window_is_full_after_a_stop_and_after_a_kill():
    slack = FakeSlack(minute=60.0)
    proxy = Restarted(slack)
    for end in (signal.SIGTERM, signal.SIGKILL):
        process = proxy.start()
        token = f"xoxb-T{end}-A1-x"
        assert [proxy.call("conversations.list", token) for _ in range(2)] == [200] * 2
        process.process.signal(end)
        process.process.child.wait(20)
        process = proxy.start()
        left = [bucket for bucket in process.status()["buckets"] if bucket["limit"] == "tier2"]
        assert any(bucket["used"] == 2 for bucket in left), left
        # Whose the token is was kept too, so Slack is not asked again.
        questions = len(slack.calls("auth.test"))
        assert proxy.call("conversations.list", token) == 200
        assert len(slack.calls("auth.test")) == questions
        process.kill()


def test_a_pause_outlives_the_process():
    slack = FakeSlack(minute=MINUTE)
    proxy = Restarted(slack, "identity: { resolve: false }\n")
    process = proxy.start()
    assert change(process, "pause", {"method": "conversations.list"}) == 200
    eventually("it is written", lambda: "conversations.list" in proxy.state.read_text())
    process.kill()
    process = proxy.start()
    assert proxy.call("conversations.list", "xoxb-T1-A1-x", wait="300ms") == 429
    assert change(process, "resume", {"method": "conversations.list"}) == 200
    assert proxy.call("conversations.list", "xoxb-T1-A1-x") == 200


def change(process: Proxy, what: str, of: dict) -> int:
    """The status of a change through the admin listener."""
    request = urllib.request.Request(
        f"http://{process.admin}/{what}", data=json.dumps(of).encode(), headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.status


def test_a_second_process_is_refused_and_so_is_another_file():
    slack = FakeSlack(minute=MINUTE)
    proxy = Restarted(slack)
    first = proxy.start()
    again = Restarted(slack)
    again.state, again.more = proxy.state, f"listen: {again.address}\nstate_file: {proxy.state}\n"
    with pytest.raises(AssertionError):
        again.start()
    assert "is in use by another process" in Process.register[-1].tail()
    first.kill()

    proxy.state.write_text("listen: 127.0.0.1:80\n")
    with pytest.raises(AssertionError):
        proxy.start()
    assert "is not a state file of slackwater's" in Process.register[-1].tail()
    assert proxy.state.read_text() == "listen: 127.0.0.1:80\n", "it is left as it is"


def test_after_damage_every_limit_counts_as_used_up():
    slack = FakeSlack(minute=MINUTE)
    proxy = Restarted(slack, "identity: { resolve: false }\n")
    process = proxy.start()
    assert proxy.call("conversations.list", "xoxb-T1-A1-x") == 200
    process.kill()
    proxy.state.write_bytes(proxy.state.read_bytes()[:-3])
    process = proxy.start()
    assert "is not to be believed" in "\n".join(process.process.said())
    assert proxy.call("conversations.list", "xoxb-T9-A1-x", wait="500ms") == 429
    before = time.monotonic()
    assert proxy.call("conversations.list", "xoxb-T9-A1-x") == 200
    assert time.monotonic() - before < MINUTE + 1
    eventually("they count as free after that", lambda: proxy.call("users.info", "xoxb-T9-A1-x", wait="0s") == 200)


def test_a_file_that_is_removed_comes_back_and_no_second_process_takes_it():
    """Red when it is not noticed that the file is gone, and when the lock is all that keeps others away."""
    slack = FakeSlack(minute=60)
    proxy = Restarted(slack, "identity: { resolve: false }\n", minute=60)
    process = proxy.start()
    lock = proxy.state.with_name(proxy.state.name + ".lock")
    for _ in range(20):
        assert proxy.call("conversations.list", "xoxb-T1-A1-x") == 200
    lock.unlink()
    # At once, before it is put back.
    again = Restarted(slack)
    again.state, again.more = proxy.state, f"listen: {again.address}\nstate_file: {proxy.state}\n"
    with pytest.raises(AssertionError):
        again.start()
    assert "is in use by another process" in Process.register[-1].tail()
    proxy.state.unlink()
    eventually("it is written anew", proxy.state.exists)
    assert "the state file was removed or replaced" in "\n".join(process.process.said())
    process.kill()
    proxy.start()
    assert proxy.call("conversations.list", "xoxb-T1-A1-x", wait="500ms") == 429, "the window is full still"


def test_a_file_that_may_not_grow_ends_nothing():
    """Red when the signal that comes with it ends the process."""
    slack = FakeSlack(minute=MINUTE)
    proxy = Restarted(slack, "identity: { resolve: false }\n")
    process = proxy.start()
    size = proxy.state.stat().st_size
    resource.prlimit(process.process.child.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    assert proxy.call("conversations.list", "xoxb-T1-A1-x") == 200
    eventually("it is told", lambda: process.metric("slackwater_store_degraded") == 1)
    resource.prlimit(process.process.child.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)

    def mended() -> bool:
        assert proxy.call("users.info", "xoxb-T1-A1-x") == 200
        return process.metric("slackwater_store_degraded") == 0

    eventually("it is written again", mended, 15)


@pytest.mark.parametrize("head", [b"\0" * 30, b"sl\xe1"], ids=["zeros", "a bit"])
def test_a_damaged_head_stops_no_start(head):
    """Red when it takes a person to start again."""
    slack = FakeSlack(minute=MINUTE)
    proxy = Restarted(slack, "identity: { resolve: false }\n")
    process = proxy.start()
    assert proxy.call("conversations.list", "xoxb-T1-A1-x") == 200
    process.kill()
    proxy.state.write_bytes(head + proxy.state.read_bytes()[len(head):])
    assert "is not to be believed" in "\n".join(proxy.start().process.said())
    assert proxy.call("conversations.list", "xoxb-T9-A1-x", wait="500ms") == 429
