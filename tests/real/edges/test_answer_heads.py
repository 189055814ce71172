"""Heads of answers that are unusual: many headers, folded ones, and too much of either."""

import socket

import pytest
from raw import CLOSE, Upstream, length, request, say, status_of
from stand import Proxy

OK = b'{"ok":true}'


def answered(headers: bytes) -> bytes:
    """What a client is told of an answer with these headers."""

    def plays(upstream: Upstream, connection: socket.socket, _: int) -> None:
        if upstream.hear(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + headers + length(OK) + b"\r\n" + OK)

    upstream = Upstream(plays)
    proxy = Proxy(("/api/", upstream.url), more="identity: { resolve: false }\n")
    answer = say(proxy, request(CLOSE + length(b""), line=b"POST /api/chat.postMessage HTTP/1.1"))
    assert len(upstream.requests) == 1
    return answer


def test_two_hundred_headers_pass():
    answer = answered(b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(200)))
    assert status_of(answer) == 200 and answer.endswith(OK)
    assert all(b"\r\nx-%d: %d\r\n" % (n, n) in answer for n in range(200))


def test_a_large_head_passes():
    answer = answered(b"".join(b"X-%d: %s\r\n" % (n, b"x" * 8_000) for n in range(8)))
    assert status_of(answer) == 200 and answer.endswith(OK)


@pytest.mark.parametrize("fold", [b"\r\n ", b"\r\n\t", b" \r\n  \t"], ids=["space", "tab", "several"])
def test_a_folded_header_is_one_line(fold):
    """RFC 9112, 5.2: a gateway replaces each fold by spaces."""
    answer = answered(b"X-Folded: one," + fold + b"two\r\nX-After: 1\r\n")
    assert status_of(answer) == 200 and answer.endswith(OK), answer
    head = answer.partition(b"\r\n\r\n")[0]
    (folded,) = (line for line in head.split(b"\r\n") if line.startswith(b"x-folded:"))
    assert folded.split() == [b"x-folded:", b"one,", b"two"] and b"\r\nx-after: 1" in head, head


@pytest.mark.parametrize(
    "headers",
    [b"".join(b"X-%d: 1\r\n" % n for n in range(300)), b"X-Huge: " + b"x" * 1_000_000 + b"\r\n"],
    ids=["number", "bytes"],
)
def test_too_much_is_told(headers):
    answer = answered(headers)
    assert status_of(answer) == 502 and b"upstream_broken" in answer, answer
    assert b"too large" in answer, answer
