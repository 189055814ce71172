"""What no client sends by accident: each is refused or closed, and nothing of it reaches Slack.

Requests written by hand, byte by byte, to a real socket. Most hide a second request where another
server on the way might find one; it posts a text that must never arrive. After each of them the
proxy still serves.
"""

import time

import pytest
from raw import CHUNKED, CLOSE, chunk, connect, length, request, say, status_of
from stand import FakeSlack, Proxy, eventually

SHARED_PROCESSES = []


@pytest.fixture(scope="module")
def stand():
    slack = FakeSlack(latency="0ms")
    proxy = Proxy(("/api/", slack.url))
    SHARED_PROCESSES[:] = [slack.process, proxy.process]
    yield slack, proxy
    proxy.kill()
    slack.kill()


POST = b"channel=C1&text=smuggled"
# Complete by itself, wherever somebody takes it for a request.
HIDDEN = request(length(POST) + CLOSE, POST, b"POST /api/chat.postMessage HTTP/1.1")


def assert_goes_on(slack: FakeSlack, proxy: Proxy, before: int, at_most: int) -> None:
    """The proxy serves, Slack saw at most so many calls more, and never the hidden one."""
    assert status_of(say(proxy, request(CLOSE + length(b"")))) == 200
    ledger = slack.ledger()
    assert before + 1 <= ledger["totals"]["calls"] <= before + 1 + at_most, ledger["calls"][before:]
    assert [c for c in ledger["calls"] if c["method"] != "auth.test"] == []


# What is wrong, and all bytes of it. Every one ends with a 4xx or without a word.
REFUSED = {
    # === two lengths, of which two servers may each believe another ===
    "two lengths": request(b"Content-Length: 0\r\n" + length(HIDDEN), HIDDEN),
    "two lengths, the greater first": request(length(HIDDEN) + b"Content-Length: 0\r\n", HIDDEN),
    "two lengths in one line": request(b"Content-Length: 0, %d\r\n" % len(HIDDEN), HIDDEN),
    "a length with a sign": request(b"Content-Length: +0\r\n", HIDDEN),
    "a negative length": request(b"Content-Length: -1\r\n", HIDDEN),
    "a hexadecimal length": request(b"Content-Length: 0x0\r\n", HIDDEN),
    "an empty length": request(b"Content-Length:\r\n", HIDDEN),
    "a length beyond all numbers": request(b"Content-Length: 99999999999999999999999\r\n", HIDDEN),
    # === a transfer coding that one sees and another does not ===
    "chunked, but not at last": request(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n" + HIDDEN),
    "chunked, then another": request(CHUNKED + b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n" + HIDDEN),
    "a coding like chunked": request(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n" + HIDDEN),
    "a coding before the colon's space": request(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n" + HIDDEN),
    "a coding after a vertical tab": request(b"Transfer-Encoding:\x0bchunked\r\n", b"0\r\n\r\n" + HIDDEN),
    "chunked in HTTP/1.0": request(CHUNKED, b"0\r\n\r\n" + HIDDEN, b"POST /api/auth.test HTTP/1.0"),
    # === chunks ===
    "a chunk of no number": request(CHUNKED, b"zz\r\n\r\n" + HIDDEN),
    "a chunk of no size": request(CHUNKED, b"\r\n\r\n" + HIDDEN),
    "a chunk with a prefix": request(CHUNKED, b"0x0\r\n\r\n" + HIDDEN),
    "a negative chunk": request(CHUNKED, b"-1\r\n\r\n" + HIDDEN),
    "a chunk beyond all numbers": request(CHUNKED, b"fffffffffffffffff\r\nx\r\n0\r\n\r\n" + HIDDEN),
    "a chunk longer than it says": request(CHUNKED, b"1\r\nab\r\n0\r\n\r\n" + HIDDEN),
    "a chunk's line ends in LF": request(CHUNKED, b"1\na\r\n0\r\n\r\n" + HIDDEN),
    "an extension's line ends in LF": request(CHUNKED, b"1;x\n\r\na\r\n0\r\n\r\n" + HIDDEN),
    "a chunk's data ends in LF": request(CHUNKED, b"1\r\na\n0\r\n\r\n" + HIDDEN),
    # === lines ===
    "a folded header": request(b"X-One: 1\r\n Content-Length: 0\r\n", HIDDEN),
    "a folded coding": request(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n" + HIDDEN),
    "a header without a colon": request(b"Content-Length\r\n", HIDDEN),
    "a header with a bare CR": request(b"X-One: 1\rContent-Length: 0\r\n", HIDDEN),
    "a header with a NUL": request(b"X-One: 1\x00\r\n", HIDDEN),
    "a header without a name": request(b": 1\r\n", HIDDEN),
    "a space in the verb": request(line=b"PO ST /api/auth.test HTTP/1.1"),
    "no version": b"POST /api/auth.test\r\n\r\n" + HIDDEN,
    "another version": request(line=b"POST /api/auth.test HTTP/3.0"),
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(192),
    # === too much ===
    "a huge header": request(b"X-Huge: " + b"x" * 200_000 + b"\r\n"),
    "a huge path": request(line=b"POST /api/auth.test?" + b"x" * 200_000 + b" HTTP/1.1"),
    "a thousand headers": request(b"".join(b"X-%d: 1\r\n" % n for n in range(1000))),
    # === another host, another place ===
    "a whole URL": request(CLOSE, line=b"GET http://slack.com/api/auth.test HTTP/1.1"),
    "a whole URL with our name": request(CLOSE, line=b"GET http://127.0.0.1@slack.com/api/auth.test HTTP/1.1"),
    "a tunnel": request(CLOSE, line=b"CONNECT slack.com:443 HTTP/1.1"),
    "a tunnel to what is upstream": request(CLOSE, line=b"CONNECT 127.0.0.1:80 HTTP/1.1"),
    "out of the prefix": request(CLOSE, line=b"GET /api/../ledger HTTP/1.1"),
    "out of the prefix, encoded": request(CLOSE, line=b"GET /api/%2e%2e/ledger HTTP/1.1"),
    "out of the prefix, behind a lane": request(CLOSE, line=b"GET /@job/api/..%2fledger HTTP/1.1"),
    "a line break in the path": request(CLOSE, line=b"GET /api/auth.test%0d%0aX:1 HTTP/1.1"),
    "a path of another host": request(CLOSE, line=b"GET //slack.com/api/auth.test HTTP/1.1"),
}


def test_the_hidden_request_is_a_real_one():
    """Were it taken for a request, the other tests would see it."""
    slack = FakeSlack()
    assert status_of(say(Proxy(("/api/", slack.url)), HIDDEN)) == 200
    assert [c["text"] for c in slack.calls("chat.postMessage")] == ["smuggled"]


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused(stand, what):
    slack, proxy = stand
    before = slack.ledger()["totals"]["calls"]
    answer = say(proxy, REFUSED[what])
    assert answer == b"" or 400 <= status_of(answer) < 500, answer
    assert answer.count(b"HTTP/1.1 ") <= 1, "nothing behind it is taken for a request"
    assert_goes_on(slack, proxy, before, at_most=0)


# One request by the standard, whoever reads it; what hides in it is data or is dropped.
ONE_REQUEST = {
    "length before chunks": request(length(b"0\r\n\r\n" + HIDDEN) + CHUNKED, b"0\r\n\r\n" + HIDDEN),
    "chunks before length": request(CHUNKED + b"Content-Length: 4\r\n", chunk(HIDDEN) + b"0\r\n\r\n"),
    "chunks before a length that ends early": request(CHUNKED + length(b""), b"0\r\n\r\n" + HIDDEN),
    "lines that end in LF": request(length(HIDDEN) + CLOSE, HIDDEN).replace(b"\r\n", b"\n", 7),
    "a request in a body": request(length(HIDDEN) + CLOSE, HIDDEN),
    "a request in a trailer": request(CHUNKED + CLOSE, b"0\r\nX-One: 1\r\n\r\n" + HIDDEN),
    "a request after the last one": request(CLOSE + length(b""), HIDDEN),
}


@pytest.mark.parametrize("what", ONE_REQUEST)
def test_it_is_one_request_at_most(stand, what):
    slack, proxy = stand
    before = slack.ledger()["totals"]["calls"]
    answer = say(proxy, ONE_REQUEST[what])
    assert answer.count(b"HTTP/1.1 ") <= 1, answer
    assert_goes_on(slack, proxy, before, at_most=1)


@pytest.mark.parametrize(
    "unfinished",
    [
        b"POST /api/auth.te",
        b"POST /api/auth.test HTTP/1.1\r\nHost: proxy\r\nX-",
        request(b"Content-Length: 100\r\n", b"channel=C1"),
        request(CHUNKED, b"a\r\nchann"),
        request(CHUNKED, chunk(b"channel=C1")),
    ],
    ids=["line", "headers", "body", "chunk", "chunks"],
)
def test_what_breaks_off_is_not_sent(stand, unfinished):
    slack, proxy = stand
    before = slack.ledger()["totals"]["calls"]
    say(proxy, unfinished, hang_up=True)
    assert_goes_on(slack, proxy, before, at_most=0)


def test_clients_that_are_stuck_hold_up_nobody(stand):
    slack, proxy = stand
    before = slack.ledger()["totals"]["calls"]
    stuck = []
    try:
        for beginning in (
            b"", b"P", b"PRI * HT", b"POST /api/auth.test HTTP/1.1\r\nHost: proxy\r\n",
            request(b"Content-Length: 100\r\n", b"channel=C1"), request(CHUNKED, b"a\r\nchann"),
        ) * 10:
            stuck.append(connect(proxy))
            stuck[-1].sendall(beginning)
        for _ in range(20):
            started = time.monotonic()
            assert status_of(say(proxy, request(CLOSE + length(b"")))) == 200
            assert time.monotonic() - started < 1
        assert slack.ledger()["totals"]["calls"] == before + 20
    finally:
        for connection in stuck:
            connection.close()
    assert_goes_on(slack, proxy, before + 20, at_most=0)


def test_a_client_that_dribbles_is_served_in_the_end(stand):
    slack, proxy = stand
    before = slack.ledger()["totals"]["calls"]
    pieces = [bytes([byte]) for byte in request(CLOSE + length(b"limit=1"), b"limit=1")]
    assert status_of(say(proxy, *pieces)) == 200
    assert_goes_on(slack, proxy, before + 1, at_most=0)


def test_requests_sent_without_waiting_are_answered_in_order(stand):
    slack, proxy = stand
    before = slack.ledger()["totals"]["calls"]
    bodies = [b"limit=%d" % n for n in range(8)]
    requests = [request(length(body) + (CLOSE if body is bodies[-1] else b""), body) for body in bodies]
    lost = request(line=b"GET /nowhere HTTP/1.1")
    answer = say(proxy, b"".join([*requests[:4], lost, *requests[4:]]))
    statuses = [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200] * 4 + [404] + [200] * 4
    assert_goes_on(slack, proxy, before + len(bodies), at_most=0)


def test_a_large_body_that_breaks_off_is_no_call(stand):
    """It streams through, so Slack sees its beginning; that must not look like all of it."""
    slack, proxy = stand
    before = slack.ledger()["totals"]["calls"]
    say(proxy, request(b"Content-Length: 3000000\r\n"), b"x" * 2_000_000, hang_up=True)
    assert_goes_on(slack, proxy, before, at_most=0)
    eventually("nothing waits", lambda: proxy.held("auth.test") == 0)
