"""A client that ends its side of the connection after its request: it may have left, and it may read on."""

import json
import socket
import struct
import time

from raw import CLOSE, connect, length, request, status_of, until_closed
from stand import FakeSlack, Proxy, eventually

LIST = b"POST /@bot;max-wait=50s/api/conversations.list HTTP/1.1"
ROOM = 20  # tier 2


def ask(proxy: Proxy, headers: bytes = b"", line: bytes = b"POST /api/auth.test HTTP/1.1") -> socket.socket:
    """A connection with one whole request on it."""
    connection = connect(proxy)
    connection.sendall(request(headers + length(b""), line=line))
    return connection


def fill(proxy: Proxy) -> None:
    for _ in range(ROOM):
        with ask(proxy, CLOSE, LIST) as connection:
            assert status_of(until_closed(connection)) == 200


def body_of(answer: bytes) -> dict:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def test_whoever_half_closes_gets_the_answer_of_a_call_that_was_sent():
    slack = FakeSlack(latency="500ms")
    proxy = Proxy(("/api/", slack.url))
    for headers in (b"", CLOSE):
        with ask(proxy, headers) as connection:
            connection.shutdown(socket.SHUT_WR)
            answer = until_closed(connection)
        assert status_of(answer) == 200 and body_of(answer)["ok"], answer
    assert len(slack.calls("auth.test")) == 2, "one for each"


def test_a_held_call_is_not_held_for_whoever_may_have_left():
    slack = FakeSlack(latency="0ms")
    proxy = Proxy(("/api/", slack.url))
    fill(proxy)
    left, half = ask(proxy, line=LIST), ask(proxy, line=LIST)
    with ask(proxy, line=LIST) as reset, half:
        eventually("all are held", lambda: proxy.held("conversations.list") == 3)
        # It leaves without a word: its kernel says that the connection is no more.
        reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        reset.close()
        eventually("it is noticed", lambda: proxy.held("conversations.list") == 2, 1)
        left.close()
        eventually("it is noticed", lambda: proxy.held("conversations.list") == 1, 1)
        half.shutdown(socket.SHUT_WR)
        began = time.monotonic()
        answer = until_closed(half)
        assert time.monotonic() - began < 1, "it is told at once"
    assert status_of(answer) == 400 and body_of(answer)["error"] == "client_closed", answer
    assert "the call was not sent" in body_of(answer)["message"]
    assert proxy.held("conversations.list") == 0
    assert len(slack.calls("conversations.list")) == ROOM, "no call of theirs was sent"


def test_requests_one_behind_the_other_are_all_answered():
    slack = FakeSlack(latency="200ms")
    proxy = Proxy(("/api/", slack.url))
    with connect(proxy) as connection:
        connection.sendall(request(length(b"")) * 3)
        time.sleep(0.1)  # within the first call
        connection.sendall(request(length(b"")) * 2)
        connection.shutdown(socket.SHUT_WR)
        answer = until_closed(connection)
    assert answer.count(b"HTTP/1.1 200 OK") == 5, answer
    assert len(slack.calls("auth.test")) == 5
