"""A real Redis or Valkey, for slackwaters that share their limits.

It has a folder of its own and writes nothing that it is not told to. It is killed, stopped, emptied and promoted as
operators and machines do it.
"""

import contextlib
import signal
import socket
import ssl
import time
from pathlib import Path

from stand import REPO, Process, eventually, free_port

# Debian's, and those that tests/run takes out of wheels.
DEBIAN = REPO / "target/tests/bin/redis-server"
OTHERS = {name: REPO / "target/tests/servers" / name for name in ("redis-6.2", "redis-8.2", "valkey-8.1", "valkey-9.1")}


class Refused(Exception):
    """An error that the server answered with."""


class Client:
    """A connection that speaks RESP, as much of it as tests need."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None, seconds: float = 5.0):
        self.socket = socket.create_connection(("127.0.0.1", port), seconds)
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")

    def call(self, *words):
        """The answer to a command, bulk strings as bytes."""
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
        return self.answer()

    def answer(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("the server has closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise Refused(rest.decode())
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        assert kind == b"*", line
        return [self.answer() for _ in range(int(rest))]

    def close(self) -> None:
        self.file.close()
        self.socket.close()


class RedisServer:
    """One server at one port, however often it is started."""

    def __init__(
        self, binary: Path = DEBIAN, *, aof: bool = False, password: str | None = None, user: str | None = None,
        may: str = "~* &* +@all", authority=None, replica_of: int | None = None, options=(),
    ):  # fmt: skip
        """`user` is one beside the default one, which then may do nothing; `may` is what it may do. `authority`
        signs a certificate for localhost, and the server then speaks TLS only."""
        assert binary.exists(), f"there is no {binary}: run `tests/run replicas`, or it installs it"
        self.binary, self.port, self.password, self.user = binary, free_port(), password, user
        self.folder = Process.log_dir / f"{len(Process.register):02}-{time.monotonic_ns()}-redis"
        self.folder.mkdir(parents=True)
        self.aof, self.context = aof, None
        self.words = ["--bind", "127.0.0.1", "--dir", self.folder, "--save", "", "--appendonly", "yes" if aof else "no",
                      "--appendfsync", "always", "--repl-diskless-sync-delay", 0, "--loglevel", "notice"]  # fmt: skip
        if authority:
            key, certificate = authority.sign("localhost", f"redis-{self.port}", "127.0.0.1")
            self.context = ssl.create_default_context(cafile=str(authority.pem))
            self.words += ["--port", 0, "--tls-port", self.port, "--tls-cert-file", certificate, "--tls-key-file", key,
                           "--tls-ca-cert-file", authority.pem, "--tls-auth-clients", "no"]  # fmt: skip
        else:
            self.words += ["--port", self.port]
        if user:
            self.words += ["--user", "default", "off", "--user", *f"{user} on >{password} {may}".split()]
        elif password:
            self.words += ["--requirepass", password]
        if replica_of:
            self.words += ["--replicaof", "127.0.0.1", replica_of]
        self.words += options
        self.process: Process | None = None
        self.start()

    # === how to reach it ===

    def url(self, port: int | None = None, database: int = 0, password: str | None = None) -> str:
        """As in the configuration; `port` is that of a line to it."""
        scheme = "rediss" if self.context else "redis"
        password = password or self.password
        login = f"{self.user or ''}:{password}@" if password else ""
        return f"{scheme}://{login}{'localhost' if self.context else '127.0.0.1'}:{port or self.port}/{database}"

    def client(self) -> Client:
        client = Client(self.port, self.context)
        if self.password:
            client.call("AUTH", *([self.user] if self.user else []), self.password)
        return client

    def call(self, *words, database: int = 0):
        """The answer to one command on a connection of its own."""
        client = self.client()
        try:
            if database:
                client.call("SELECT", database)
            return client.call(*words)
        finally:
            client.close()

    def info(self, field: str) -> str:
        """A field of INFO; empty if there is none."""
        lines = self.call("INFO", "everything").decode().splitlines()
        return next((line.split(":", 1)[1] for line in lines if line.startswith(f"{field}:")), "")

    # === what befalls it ===

    def start(self) -> None:
        self.process = Process("redis", [self.binary, *self.words])

        def answers() -> bool:
            assert self.process.child.poll() is None, f"it has ended: {self.process.tail()}"
            try:
                self.call("EXISTS", "x")
            except (OSError, Refused) as error:
                # It still reads what it had written.
                return isinstance(error, Refused) and not str(error).startswith("LOADING")
            return True

        eventually("the server answers", answers, seconds=15)

    def kill(self) -> None:
        """As `kill -9` does it."""
        self.process.kill()

    def restart(self, empty: bool = False) -> None:
        """Another process at the same port, with what was written to the file (`aof`), or with nothing."""
        self.kill()
        if empty:
            for file in sorted(self.folder.rglob("*"), reverse=True):
                file.rmdir() if file.is_dir() else file.unlink()
        self.start()

    def stop(self) -> None:
        self.process.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.signal(signal.SIGCONT)

    @contextlib.contextmanager
    def is_stopped(self):
        self.stop()
        yield
        self.go_on()

    def flush(self) -> None:
        self.call("FLUSHALL")

    def promote(self) -> None:
        self.call("REPLICAOF", "NO", "ONE")

    # === what it holds ===

    def everything(self) -> dict[bytes, list[bytes]]:
        """All keys of all databases, and what is in each."""
        client, found = self.client(), {}
        try:
            databases = int(client.call("CONFIG", "GET", "databases")[1])
            for database in range(databases):
                client.call("SELECT", database)
                for key in client.call("KEYS", "*"):
                    found[key] = self.content(client, key)
        finally:
            client.close()
        return found

    @staticmethod
    def content(client: Client, key: bytes) -> list[bytes]:
        read = {
            b"string": ("GET", key), b"hash": ("HGETALL", key), b"list": ("LRANGE", key, 0, -1),
            b"set": ("SMEMBERS", key), b"zset": ("ZRANGE", key, 0, -1, "WITHSCORES"), b"stream": ("XRANGE", key, "-", "+"),
        }  # fmt: skip
        kind = client.call("TYPE", key)
        if kind == b"none":
            return []
        content = client.call(*read[kind])
        return content if isinstance(content, list) else [content]

    def watch(self) -> Process:
        """Writes down every command that it gets from now on, also those of scripts."""
        login = ["--no-auth-warning", "-a", self.password] if self.password else []
        login += ["--user", self.user] if self.user else []
        watching = Process("monitor", ["redis-cli", "-p", self.port, *login, "MONITOR"])
        watching.wait_for("OK", lambda line: line == "OK")
        return watching
