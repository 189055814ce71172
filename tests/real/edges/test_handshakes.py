"""TLS handshakes that are not completed, at either end: each is bounded, and nobody beside notices."""

import socket
import ssl
import threading
import time

from authority import Authority
from raw import CLOSE, connect, length, request, say, status_of, until_closed
from stand import FakeSlack, Proxy, eventually

HALVES = 200


def hello(tls: ssl.SSLContext) -> bytes:
    """The first bytes of a client's handshake."""
    said = ssl.MemoryBIO()
    try:
        tls.wrap_bio(ssl.MemoryBIO(), said, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return said.read()


def test_clients_that_do_not_complete_theirs_hold_up_nobody_and_are_given_up(tmp_path):
    authority = Authority(tmp_path, "bots")
    key, cert = authority.sign("localhost", "own")
    slack = FakeSlack(latency="0ms")
    proxy = Proxy(("/api/", slack.url), more=f"listen_tls: {{ cert: {cert}, key: {key} }}\n")
    tls = ssl.create_default_context(cafile=authority.pem)
    whole = hello(tls)
    stuck = []
    began = time.monotonic()
    for beginning in (b"", whole[:1], whole[: len(whole) // 2], whole) * (HALVES // 4):
        stuck.append(connect(proxy))
        stuck[-1].sendall(beginning)
    for _ in range(20):
        at = time.monotonic()
        with tls.wrap_socket(connect(proxy), server_hostname="localhost") as client:
            client.sendall(request(CLOSE + length(b"")))
            assert status_of(until_closed(client)) == 200
        assert time.monotonic() - at < 2
    for connection in stuck:
        connection.settimeout(15)
        until_closed(connection)
        connection.close()
    assert 8 < time.monotonic() - began < 20, "each has ten seconds"
    assert len(slack.calls("auth.test")) == 20


def test_an_upstream_that_does_not_complete_its_own_is_given_up_and_not_stormed(tmp_path):
    authority = Authority(tmp_path, "slack")
    at_once, most, silent = 0, 0, []
    lock = threading.Lock()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1000)

    def serve() -> None:
        nonlocal at_once, most
        while True:
            connection, _ = listener.accept()
            with lock:
                at_once += 1
                most = max(most, at_once)
            silent.append(connection)
            threading.Thread(target=hear, args=(connection,), daemon=True).start()

    def hear(connection: socket.socket) -> None:
        nonlocal at_once
        try:
            while connection.recv(65536):
                pass
        except OSError:
            pass
        with lock:
            at_once -= 1

    threading.Thread(target=serve, daemon=True).start()
    url = "https://localhost:%d" % listener.getsockname()[1]
    proxy = Proxy(("/api/", url), more=f"tls: {{ ca: {authority.pem} }}\ntimeouts: {{ connect: 2s }}\nidentity: {{ resolve: false }}\n")
    # No limit stands in their way: each is a method of its own, or of its own channel.
    calls = [b"POST /api/chat.postMessage?channel=C%d HTTP/1.1" % n for n in range(400)]
    began = time.monotonic()
    connections = []
    for line in calls:
        connections.append(connect(proxy))
        connections[-1].settimeout(30)
        connections[-1].sendall(request(CLOSE + length(b""), line=line))
    eventually("they are as many as may be", lambda: most >= 256, 2)
    time.sleep(0.5)
    assert most == 256, most
    answers = [until_closed(connection) for connection in connections]
    assert all(status_of(answer) == 502 and b"upstream_unreachable" in answer for answer in answers), answers
    assert time.monotonic() - began < 20, "2 s for a connection, and 10 s in which it is tried again"
    assert len(silent) < 300, "one attempt at a time, once it is known that it is down"
