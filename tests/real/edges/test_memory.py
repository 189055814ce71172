"""A process whose memory is set stays within it, whatever comes: each flood takes several times as much without it."""

import contextlib
import resource
import socket
import threading
import time
from pathlib import Path

import pytest
from frames import headers, hello
from stand import FakeSlack, Proxy, eventually

MIB = 128
REST = "identity: { resolve: false }\n"


@pytest.fixture
def proxy(request):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    slack = FakeSlack(latency="0ms", minute=60)
    mib = getattr(request, "param", MIB)
    yield Proxy(("/api/", slack.url), minute=60, more=f"memory: {mib}MiB\n{REST}", beside=slack.url)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def peak(proxy: Proxy) -> float:
    """The most memory that it had, in MiB."""
    status = Path(f"/proc/{proxy.process.child.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def resident(proxy: Proxy) -> float:
    """How much memory it has, in MiB."""
    status = Path(f"/proc/{proxy.process.child.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def accepted(port: int) -> int:
    """How many connections to that port the kernel has handed over: they have a file."""
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    # The table may change while it is read, and then has a line twice.
    files = {line[9] for line in lines if line[1].endswith(f":{port:04X}") and line[3] == "01"}
    return len(files - {"0"})


def request(stream: int, token: str, padding: int, ends: bool) -> bytes:
    """HEADERS and CONTINUATION of a call that has to wait."""
    fields = [
        (b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"proxy"),
        (b":path", b"/@bot;max-wait=30m/api/conversations.list"), (b"authorization", f"Bearer {token}".encode()),
        *([] if ends else [(b"content-length", b"10")]),
        *((b"x-padding-%d" % at, b"y" * min(4000, padding - at)) for at in range(0, padding, 4000)),
    ]
    return headers(stream, fields, ends)


def drain(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while connection.recv(65536):
            pass


@pytest.mark.parametrize(("padding", "ends"), [(56_000, True), (32_000, False), (0, False)],
                         ids=["headers", "headers, no body", "no body"])
def test_calls_of_http2_fit(proxy, padding, ends):
    """Turned red by: headers that do not count; calls that count when their body is there."""
    with contextlib.ExitStack() as stack:
        for number in range(20):
            host, port = proxy.listen.split(":")
            connection = stack.enter_context(socket.create_connection((host, int(port)), 20))
            connection.sendall(hello())
            threading.Thread(target=drain, args=(connection,), daemon=True).start()
            for stream in range(200 if padding else 1000):
                connection.sendall(request(1 + 2 * stream, f"xoxb-T{number}-A1-secret", padding, ends))
        eventually("some are refused", lambda: proxy.status()["totals"]["shed"].get("memory", 0) > 1000, 20)
        print(f"{peak(proxy):.0f} MiB of {MIB}")
        assert peak(proxy) < MIB


def test_connections_fit(proxy):
    """Turned red by: connections that cost nothing."""
    host, port = proxy.listen.split(":")
    with contextlib.ExitStack() as stack:
        # The last are not accepted: they wait in the backlog.
        for number in range(1450):
            connection = stack.enter_context(socket.create_connection((host, int(port)), 20))
            connection.sendall((
                f"POST /@bot{number % 40};max-wait=30m/api/conversations.list HTTP/1.1\r\nHost: proxy\r\n"
                f"Authorization: Bearer xoxb-T{number % 2}-A1-secret\r\nContent-Length: 0\r\n\r\n").encode())
        eventually("many are held", lambda: proxy.status()["totals"]["held"] > 900, 20)
        assert accepted(int(port)) <= 1365, "half of what it does not need itself, 36 KiB each"
        print(f"{peak(proxy):.0f} MiB of {MIB}")
        assert peak(proxy) < MIB


@pytest.mark.parametrize("proxy", [256], indirect=True)
def test_what_a_flood_took_goes_back_to_the_system(proxy):
    """Turned red by: nobody who has the allocator give back what is free."""
    host, port = proxy.listen.split(":")
    rest, calls, body = resident(proxy), 1_000, "text=" + 20_000 * "x"
    head = ("POST /@bot;max-wait=30m/api/conversations.list HTTP/1.1\r\nHost: proxy\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n")
    with contextlib.ExitStack() as stack:
        for number in range(calls):
            call = f"{head}Authorization: Bearer xoxb-T{number % 4}-A1-x\r\n\r\n{body}".encode()
            stack.enter_context(socket.create_connection((host, int(port)), 20)).sendall(call)
        eventually("they are held", lambda: proxy.held("conversations.list") > calls - 100, 30)
        # The thread that answers looks at what is taken every five seconds.
        seen = time.monotonic() + 8
        eventually("the flood is seen", lambda: proxy.status() and time.monotonic() > seen, 20)
        flood = resident(proxy)
    assert flood > rest + 40, (rest, flood)
    eventually("it is back", lambda: resident(proxy) < rest + (flood - rest) / 5, 20)
    print(f"{rest:.1f} MiB at rest, {flood:.1f} in the flood, {resident(proxy):.1f} after it")


@pytest.mark.parametrize("proxy", [32], indirect=True)
def test_made_up_names_share_buckets(proxy):
    """Turned red by: buckets without a bound."""
    host, port = proxy.listen.split(":")
    many, at_once, own = 4000, 50, 3072
    with socket.create_connection((host, int(port)), 60) as connection:
        threading.Thread(target=drain, args=(connection,), daemon=True).start()
        for first in range(0, many, at_once):
            connection.sendall(b"".join(
                b"POST /@bot;max-wait=0s/actions/T1/%d/secret HTTP/1.1\r\nHost: proxy\r\nContent-Length: 2\r\n\r\n{}"
                % number for number in range(first, first + at_once)))

        def all_done() -> bool:
            totals = proxy.status()["totals"]
            return totals["answered"] + sum(totals["shed"].values()) >= many

        eventually("all are answered", all_done, 40)
        assert own < proxy.status()["totals"]["buckets"] < many - 100
