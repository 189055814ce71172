"""Connections to Slack that end, or that cannot be trusted: what is sent again on another one, and what is not."""

import socket
import struct
import threading

import pytest
from raw import CHUNKED, CLOSE, Upstream, chunk, length, request, say, status_of
from stand import Proxy

READ = b"POST /api/users.info HTTP/1.1"
POST = b"POST /api/chat.postMessage HTTP/1.1"
OK = b'{"ok":true}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + length(OK) + b"\r\n" + OK


def proxy_before(upstream: Upstream) -> Proxy:
    return Proxy(("/api/", upstream.url), more="identity: { resolve: false }\n")


def call(proxy: Proxy, line: bytes) -> bytes:
    return say(proxy, request(CLOSE + length(b""), line=line))


def break_off(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_a_read_that_met_a_dead_connection_does_not_meet_the_next_one():
    """Of a server that restarts, all connections are dead at once."""
    together = threading.Barrier(3)

    def plays(upstream: Upstream, connection: socket.socket, number: int) -> None:
        if upstream.hear(connection) and number <= 3:
            together.wait(10)  # so that there are three
        connection.sendall(ANSWER)
        if upstream.hear(connection):
            break_off(connection)

    upstream = Upstream(plays)
    proxy = proxy_before(upstream)
    threads = [threading.Thread(target=call, args=(proxy, READ)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answer = call(proxy, READ)
    assert status_of(answer) == 200 and b"slackwater-attempts: 2" in answer, answer
    # A post may have been done, and is not sent again.
    before = len(upstream.requests)
    answer = call(proxy, POST)
    assert status_of(answer) == 502 and b"upstream_broken" in answer, answer
    assert len(upstream.requests) == before + 1


def both(sent: int) -> bytes:
    """An answer in chunks, and with a length of so many bytes."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % sent
    return head + CHUNKED + b"\r\n" + chunk(OK) + b"0\r\n\r\n"


@pytest.mark.parametrize("line", [READ, POST], ids=["read", "post"])
@pytest.mark.parametrize("says", [0, len(OK) - 1, len(OK), 5000])
def test_an_answer_with_two_lengths_is_the_last_of_its_connection(line, says):
    heard_on = []

    def plays(upstream: Upstream, connection: socket.socket, number: int) -> None:
        while upstream.hear(connection):
            heard_on.append(number)
            connection.sendall(both(says))

    upstream = Upstream(plays)
    proxy = proxy_before(upstream)
    for _ in range(3):
        answer = call(proxy, line)
        assert status_of(answer) == 200, answer
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"content-length" not in head and b"transfer-encoding: chunked" in head, head
        assert body.lower() == chunk(OK) + b"0\r\n\r\n"
        assert b"slackwater-attempts: 1" in head, "what was not sent is no attempt"
    assert sorted(heard_on) == [1, 2, 3], "each has its own, and none was sent twice"
