"""HTTP/1.1 written by hand, byte by byte, at both ends of the proxy: a client, and an upstream."""

import contextlib
import socket
import threading

from stand import Proxy

SECONDS = 5.0
TOKEN = b"Authorization: Bearer xoxb-T1-A1-secret\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"


def connect(proxy: Proxy) -> socket.socket:
    host, port = proxy.listen.split(":")
    return socket.create_connection((host, int(port)), timeout=SECONDS)


def until_closed(connection: socket.socket) -> bytes:
    """All that the server says until it closes; an error if it does not."""
    said = b""
    try:
        while piece := connection.recv(65536):
            said += piece
    except ConnectionResetError:
        pass  # closed with bytes of ours unread
    except TimeoutError:
        raise AssertionError(f"still open after {SECONDS} s; it said {said!r}") from None
    return said


def say(proxy: Proxy, *pieces: bytes, hang_up: bool = False) -> bytes:
    """What the server answers to these bytes before it closes."""
    with connect(proxy) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            if hang_up:
                connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has seen enough
        return until_closed(connection)


def status_of(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer
    return int(answer.split(b" ", 2)[1])


def request(headers: bytes = b"", body: bytes = b"", line: bytes = b"POST /api/auth.test HTTP/1.1") -> bytes:
    return line + b"\r\nHost: proxy\r\n" + TOKEN + FORM + headers + b"\r\n" + body


def length(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n" % len(body)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


CLOSE = b"Connection: close\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


class Upstream:
    """An upstream that a test plays: each connection is given to `plays`, with its number from 1."""

    def __init__(self, plays):
        self.requests: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.serve, args=(plays,), daemon=True).start()

    def serve(self, plays) -> None:
        number = 0
        while True:
            connection, _ = self.listener.accept()
            number += 1
            threading.Thread(target=self.play, args=(plays, connection, number), daemon=True).start()

    def play(self, plays, connection: socket.socket, number: int) -> None:
        connection.settimeout(30)
        with connection, contextlib.suppress(OSError):
            plays(self, connection, number)

    def hear(self, connection: socket.socket) -> bytes:
        """One whole request, of those whose body has a length; nothing at the connection's end."""
        heard = b""
        while b"\r\n\r\n" not in heard:
            if not (piece := connection.recv(65536)):
                return b""
            heard += piece
        head, _, body = heard.partition(b"\r\n\r\n")
        lengths = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        while len(body) < sum(lengths):
            body += connection.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]
