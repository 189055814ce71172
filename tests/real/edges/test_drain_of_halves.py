"""SIGTERM while a client is in the middle of a request: the drain does not wait for what may never come."""

import json
import signal
import socket
import time

import pytest
from raw import CHUNKED, chunk, connect, request, status_of, until_closed
from stand import FakeSlack, Proxy, eventually

HALVES = {
    "line": b"POST /api/auth.te",
    "headers": b"POST /api/auth.test HTTP/1.1\r\nHost: proxy\r\nX-",
    "body": request(b"Content-Length: 100\r\n", b"channel=C1"),
    "chunk": request(CHUNKED, b"a\r\nchann"),
    "chunks": request(CHUNKED, chunk(b"channel=C1")),
    "large": request(b"Content-Length: 3000000\r\n", b"x" * 2_000_000),
}


@pytest.mark.parametrize("half", HALVES)
def test_half_a_request_does_not_hold_up_the_drain(half):
    slack = FakeSlack(latency="0ms")
    proxy = Proxy(("/api/", slack.url))
    with connect(proxy) as connection:
        connection.settimeout(20)
        connection.sendall(HALVES[half])
        time.sleep(0.3)  # it is read
        proxy.process.signal(signal.SIGTERM)
        began = time.monotonic()
        answer = until_closed(connection)
        took = time.monotonic() - began
    assert proxy.process.exit_code(seconds=10) == 0
    assert took < 10 and time.monotonic() - began < 12, took
    if half in ("line", "headers"):
        assert answer == b"", "nobody knows what it was to be"
    else:
        assert status_of(answer) == 429 and b"slackwater-reason: draining" in answer, answer
        assert b"retry-after: 1\r\n" in answer and json.loads(answer.partition(b"\r\n\r\n")[2])["ok"] is False
    assert slack.calls("auth.test") == []


def test_a_body_that_moves_is_not_cut():
    slack = FakeSlack(latency="0ms")
    proxy = Proxy(("/api/", slack.url))
    with connect(proxy) as connection:
        connection.settimeout(20)
        connection.sendall(request(b"Content-Length: 8\r\n"))
        time.sleep(0.3)
        proxy.process.signal(signal.SIGTERM)
        # Longer than any standstill may be.
        for _ in range(8):
            time.sleep(1)
            connection.sendall(b"x")
        answer = until_closed(connection)
    assert status_of(answer) == 200 and len(slack.calls("auth.test")) == 1, answer
    assert proxy.process.exit_code(seconds=10) == 0


def test_a_call_in_flight_is_answered_though_its_client_says_no_more():
    """Nor is whoever only waits for its answer taken for one that stands still."""
    slack = FakeSlack(latency="8s..8s")
    proxy = Proxy(("/api/", slack.url))
    with connect(proxy) as waits, connect(proxy) as ended:
        for connection in (waits, ended):
            connection.settimeout(20)
            connection.sendall(request(b"Content-Length: 0\r\n"))
        ended.shutdown(socket.SHUT_WR)
        eventually("both are in flight", lambda: proxy.metric("slackwater_in_flight") == 2)
        proxy.process.signal(signal.SIGTERM)
        assert [status_of(until_closed(connection)) for connection in (waits, ended)] == [200, 200]
    assert proxy.process.exit_code(seconds=10) == 0
