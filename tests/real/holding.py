"""Thousands of calls that are held, each on a connection of its own or many on one, and what they take of memory."""

import contextlib
import re
import socket
import subprocess
from pathlib import Path

from frames import DATA, END_STREAM, frame, headers, hello
from stand import BINARY, ENVIRONMENT, FakeSlack, Proxy, eventually

METHOD = b"conversations.list"
BODY = b"limit=200&exclude_archived=true&types=public_channel%2Cprivate_channel"
# What Slack's SDK for Node sends.
HEAD = [
    (b"accept", b"application/json, text/plain, */*"),
    (b"content-type", b"application/x-www-form-urlencoded"),
    (b"user-agent", b"@slack:web-api/7.9.1 node/22.14.0 linux/6.1.0"),
    (b"content-length", b"%d" % len(BODY)),
    (b"accept-encoding", b"gzip, compress, deflate, br"),
]
WORKSPACES = 40
# As long as a call may be held, whatever the client.
LANE = b"/@bench;max-wait=1h"
MORE = "identity: { resolve: false }\nqueue: { max_depth: 100000 }\n"


def resident(proxy: Proxy) -> float:
    """What a process has of memory, in MiB."""
    status = Path(f"/proc/{proxy.process.child.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def fields(number: int) -> list[tuple[bytes, bytes]]:
    """The headers of a call. Whoever is far behind in a line is not held, so there is one for each workspace."""
    return [*HEAD, (b"authorization", b"Bearer xoxb-T%d-A1-secret" % (number % WORKSPACES))]


def request(number: int = 0, path: bytes = LANE + b"/api/" + METHOD) -> tuple[bytes, bytes]:
    """Head and body of a call of HTTP/1.1."""
    lines = b"".join(b"%s: %s\r\n" % header for header in fields(number))
    return b"POST %s HTTP/1.1\r\nhost: proxy\r\n%s\r\n" % (path, lines), BODY


class Held:
    """A proxy, and the clients that it keeps waiting."""

    def __init__(self, more: str = "", variables=()):
        self.slack = FakeSlack(latency="0ms", minute=60)
        self.proxy = Proxy(("/api/", self.slack.url), minute=60, more=MORE + more, variables=variables)
        host, port = self.proxy.listen.split(":")
        self.address = host, int(port)
        self.sockets: list[socket.socket] = []
        # Whatever is done once and for all at the first calls.
        first = self.connect()
        for _ in range(20):
            self.answered(first, b"".join(request()))
        first.close()
        # From now on they wait, for nothing.
        subprocess.run([BINARY, "pause", "--admin", self.proxy.admin, "--method", METHOD], check=True, env=ENVIRONMENT,
                       stdout=subprocess.DEVNULL)
        self.rest = resident(self.proxy)

    def connect(self) -> socket.socket:
        one = socket.create_connection(self.address, 20)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return one

    def answered(self, connection: socket.socket, request: bytes) -> None:
        """A request that is not held."""
        connection.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = connection.recv(65536)
            assert piece, answer
            answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), answer
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
        while len(body) < length:
            body += connection.recv(65536)

    def idle(self, connections: int) -> None:
        """Connections that have had a request each, which had no upstream."""
        for _ in range(connections):
            self.sockets.append(self.connect())
            self.answered(self.sockets[-1], request(path=b"/nothing")[0] + BODY)

    def begun(self, connections: int) -> None:
        """Connections whose request does not come to its end."""
        for _ in range(connections):
            self.sockets.append(self.connect())
            self.sockets[-1].sendall(request()[0][:-2])

    def hold(self, connections: int, *, apart: bool = False, used: bool = False) -> None:
        """A call on each of so many connections. The body may come apart from its head, as Python's clients send it,
        and the connection may have been used before."""
        before = self.held()
        if used:
            self.idle(connections)
        else:
            self.sockets.extend(self.connect() for _ in range(connections))
        for number, one in enumerate(self.sockets[-connections:]):
            head, body = request(number)
            one.sendall(head if apart else head + body)
        if apart:
            # One thread serves all, so with the answer to what comes now it has read the heads.
            self.idle(1)
            for one in self.sockets[-connections - 1 : -1]:
                one.sendall(BODY)
        eventually("all are held", lambda: self.held() == before + connections, 60)

    def hold_http2(self, connections: int, calls: int) -> None:
        """So many calls on each of so many connections of HTTP/2."""
        before = self.held()
        begin = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"proxy"),
                 (b":path", LANE + b"/api/" + METHOD)]  # fmt: skip
        for number in range(connections):
            one = self.connect()
            self.sockets.append(one)
            one.sendall(hello())
            for stream in range(1, 2 * calls, 2):
                one.sendall(headers(stream, begin + fields(number + stream // 2), False) + frame(DATA, END_STREAM, stream, BODY))
        eventually("all are held", lambda: self.held() == before + connections * calls, 60)

    def held(self) -> int:
        return self.proxy.status()["totals"]["held"]

    def go(self) -> None:
        """All clients end their connections."""
        for one in self.sockets:
            with contextlib.suppress(OSError):
                one.close()
        self.sockets.clear()
        eventually("none is held", lambda: self.held() == 0, 60)

    def kill(self) -> None:
        self.go()
        self.proxy.kill()
        self.slack.kill()
