"""Whoever floods the operators' listener stops no call and no health check, and costs little memory."""

import contextlib
import resource
import socket
import time
from pathlib import Path

import pytest
from stand import FakeSlack, Proxy, eventually, http_get

SECONDS = 5.0
HALF = b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n"
WHOLE = HALF + b"\r\n"
NO_BODY = (b"POST /pause HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
           b"Content-Length: 9\r\n\r\n")


@pytest.fixture
def slack():
    return FakeSlack(latency="0ms")


def files(number: int) -> dict:
    """So many files for the proxy."""
    return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))}


@contextlib.contextmanager
def connected(proxy: Proxy, address: str, number: int, says: bytes = b""):
    """So many connections that say that and read nothing."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    host, port = address.split(":")
    with contextlib.ExitStack() as all_of_them:
        for _ in range(number):
            one = all_of_them.enter_context(socket.socket())
            # What nobody reads stays with the proxy.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.settimeout(SECONDS)
            one.connect((host, int(port)))
            with contextlib.suppress(ConnectionError):
                one.sendall(says)
        yield


def resident(proxy: Proxy) -> float:
    """Its memory, in MiB."""
    status = Path(f"/proc/{proxy.process.child.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def assert_serves(proxy: Proxy, seconds: float = 1.0) -> None:
    """Calls and health checks are answered, as quickly as a kubelet wants them."""
    for url in (f"http://{proxy.admin}/readyz", f"http://{proxy.admin}/healthz"):
        assert http_get(url, seconds) == (200, "ready\n" if url.endswith("readyz") else "ok\n")
    status, _ = http_get(proxy.base_url() + "auth.test", seconds, b"token=xoxb-T1-A1-secret")
    assert status == 200


@pytest.mark.parametrize("says", [b"", HALF, NO_BODY], ids=["nothing", "half", "no body"])
def test_half_requests_take_nobody_elses_files(slack, says):
    """Red when the operators' connections have no bound: they take every file that the process has."""
    proxy = Proxy(("/api/", slack.url), popen=files(1024))
    with connected(proxy, proxy.admin, 1100, says):
        assert_serves(proxy)
        open_files = len(list(Path(f"/proc/{proxy.process.child.pid}/fd").iterdir()))
        assert open_files < 200, "64 connections, as many files kept, and its own"


def test_operators_have_files_when_bots_have_taken_theirs(slack):
    """Red when no file is kept for operators: what the bots leave, connections to Slack may take."""
    proxy = Proxy(("/api/", slack.url), popen=files(256))
    pid = proxy.process.child.pid
    with connected(proxy, proxy.listen, 192):
        eventually("the bots have theirs", lambda: len(list(Path(f"/proc/{pid}/fd").iterdir())) >= 192)
        # All others are gone, too: the limit is at what is open.
        taken = max(int(fd.name) for fd in Path(f"/proc/{pid}/fd").iterdir()) + 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (taken, taken))
        # Those that were closed meanwhile are taken, too.
        for _ in range(20):
            assert http_get(f"http://{proxy.admin}/readyz", 1.0) == (200, "ready\n")


def test_readers_that_do_not_read_cost_little():
    """Red when an answer is as long as there are buckets, and when each of many readers has one."""
    slack = FakeSlack(latency="0ms", limits=["chat.update=100000"])
    proxy = Proxy(("/api/", slack.url), minute=60, more="identity: { resolve: false }\n"
                  "methods: { chat.update: { tier: none, limits: [ { name: by_channel, limit: 100, per: 10m, "
                  "scope: [app, workspace, channel] } ] } }\n")
    many_buckets(proxy, 3000)
    page = proxy.status()
    assert len(page["buckets"]) == 1000 and page["left_out"]["buckets"] >= 2000
    assert page["totals"]["buckets"] == 1000 + page["left_out"]["buckets"]
    before = resident(proxy)
    with connected(proxy, proxy.admin, 300, WHOLE):
        begun = time.monotonic()
        while time.monotonic() < begun + 3:
            assert_serves(proxy)
            # Its calls keep to a limit of their own.
            time.sleep(0.05)
        assert resident(proxy) < before + 64


def many_buckets(proxy: Proxy, number: int) -> None:
    """So many buckets are in use, one for each channel."""
    host, port = proxy.listen.split(":")
    with socket.create_connection((host, int(port)), SECONDS) as calls:
        said = calls.makefile("rb")
        for n in range(number):
            body = b"channel=C%05d&ts=1&text=x" % n
            calls.sendall(
                b"POST /api/chat.update HTTP/1.1\r\nHost: proxy\r\nAuthorization: Bearer xoxb-T1-A1-secret\r\n"
                b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            length = 0
            while (line := said.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            said.read(length)
