"""Mixed load for a long time, and what the process takes meanwhile: what tests/soak runs, for an hour.

All kinds of clients call at once: a flood that is held, people's clicks, posts, lists, uploads, webhooks, HTTP/2, calls
that are shed, connections that come and go. Slack fails now and then, the configuration changes, the state file is on,
and limits are shared through a server. Resident memory and open descriptors are measured each second. After a warm-up
they have to stay as they are, and when the load has gone the process has to come back to rest.
"""

import argparse
import asyncio
import concurrent.futures
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import struct
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from line import loop
from redis_server import DEBIAN, RedisServer
from stand import REPO, FakeSlack, Process, Proxy, eventually, http_get

# How much each figure may differ between windows after the warm-up, as a part of the least.
FLAT = 0.05
# For so long, as a part of the load's time, the allocator takes more for the same load. Of 2,000 held calls in an hour
# measured: 139 MiB after nine minutes, 168 after 27, and 172 from 39 to the end.
WARM_UP = 0.4
# How much of what the load takes may be kept when it has gone, as a part of that. Measured is 0.98, since the allocator
# gives little back: to be lowered when it does.
KEPT = 1.0
# Descriptors that may be open at rest after a load, besides those before it.
FILES_AT_REST = 3
# Connections to Slack are kept for 50 s, and looked at as often.
COOLS = 110.0
# A short minute, so that much happens in an hour.
MINUTE = 6.0
SEED = 20261130


@dataclass(frozen=True)
class Sample:
    at: float
    kib: int
    files: int


@dataclass(frozen=True)
class Window:
    """The medians of some samples that follow each other."""

    kib: float
    files: float


class Load:
    """Everything at once, until it is ended. All of it are tasks of one loop."""

    def __init__(self, proxy: Proxy, held: int, streams: int, seed: int = SEED):
        self.proxy, self.held, self.streams, self.chance = proxy, held, streams, random.Random(seed)
        self.host, self.port = proxy.listen.split(":")
        # What came of each kind of call: its status, or 0 where the connection ended.
        self.outcomes: Counter[tuple[str, int]] = Counter()
        self.tasks: list[asyncio.Task] = []
        self.running = asyncio.run_coroutine_threadsafe(self.run(), loop())

    def end(self) -> None:
        """Everybody hangs up."""
        loop().call_soon_threadsafe(lambda: [task.cancel() for task in self.tasks])
        with contextlib.suppress(concurrent.futures.CancelledError):
            self.running.result(20)

    def seen(self, kind: str, *statuses: int) -> int:
        return sum(n for (of, status), n in self.outcomes.items() if of == kind and (not statuses or status in statuses))

    async def run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
            clients = [self.floods(number) for number in range(self.held)]
            clients += [self.multiplexes(number) for number in range(4)]
            clients += [self.comes_and_goes() for _ in range(4)]
            clients += [self.calls(session, *client) for client in self.clients()]
            self.tasks = [asyncio.ensure_future(client) for client in clients]
            await asyncio.gather(*self.tasks, return_exceptions=True)

    def clients(self):
        """Each kind of call that is made one after the other: its name, the pause between two, and how it is made."""
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        for number in range(3):
            yield "click", 0.2, lambda n: ("POST", "/@people;class=interactive/api/views.open", form,
                                           f"trigger_id={n}&view=%7B%7D".encode())  # fmt: skip
        for number in range(4):
            yield "post", 1.1, lambda n, number=number: ("POST", "/@posts/api/chat.postMessage", form,
                                                         f"channel=C{number}&text=soak+{n}".encode())  # fmt: skip
        for number in range(2):
            yield "read", 0.2, lambda n: ("GET", f"/@reads/api/users.info?user=U{n % 50}", {}, None)
        yield "list", 0.3, lambda n: ("GET", "/@reads;max-wait=20s/api/users.list?limit=200", {}, None)
        yield "hasty", 0.1, lambda n: ("POST", f"/@hasty{n % 20};max-wait=0s/api/conversations.list", form, b"")
        # More than what is kept of a body: it streams.
        yield "upload", 0.7, lambda n: ("POST", "/@files/api/files.upload", {
            "Content-Type": "multipart/form-data; boundary=soak"}, b"--soak\r\nContent-Disposition: form-data; "
            b"name=\"content\"\r\n\r\n" + b"x" * (2 << 20) + b"\r\n--soak--\r\n")  # fmt: skip
        yield "webhook", 1.1, lambda n: ("POST", "/services/T1/B1/secret", {"Content-Type": "application/json"},
                                         json.dumps({"text": f"soak {n}"}).encode())  # fmt: skip

    async def calls(self, session: aiohttp.ClientSession, kind: str, pause: float, make) -> None:
        number = 0
        while True:
            verb, path, headers, body = make(number)
            number += 1
            token = f"xoxb-T{1 + number % 3}-A1-secret"
            status = 0
            try:
                url = f"http://{self.proxy.listen}{path}"
                headers = {"Authorization": f"Bearer {token}"} | headers
                async with session.request(verb, url, headers=headers, data=body) as answer:
                    await answer.read()
                    status = answer.status
            except (aiohttp.ClientError, TimeoutError):
                pass
            self.outcomes[kind, status] += 1
            await asyncio.sleep(pause * self.chance.uniform(0.5, 1.5))

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, int(self.port))

    def head(self, lane: str, method: str, token: str) -> bytes:
        return (f"POST /@{lane}/api/{method} HTTP/1.1\r\nHost: proxy\r\nAuthorization: Bearer {token}\r\n"
                "Connection: close\r\nContent-Length: 0\r\n\r\n").encode()  # fmt: skip

    async def floods(self, number: int) -> None:
        """Held until its turn comes, and then again, on a connection of its own each time."""
        head = self.head(f"flood{number % 7};class=background;max-wait=1h", "conversations.list", f"xoxb-T{number % 4}-A1-secret")
        # The most at once come in the warm-up.
        await asyncio.sleep(self.chance.uniform(0, 3))
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await self.connect()
                with contextlib.closing(writer):
                    writer.write(head)
                    answer = await reader.read()
                    status = answer.rpartition(b"HTTP/1.1 ")[2][:3]
                    self.outcomes["flood", int(status) if status else 0] += 1
            await asyncio.sleep(0.05)

    async def comes_and_goes(self) -> None:
        """Connections without a request, with half of one, and with a call that is not waited for."""
        head = self.head("gone;max-wait=1h", "conversations.list", "xoxb-T1-A1-secret")
        while True:
            said = self.chance.choice([b"", head[:40], head])
            with contextlib.suppress(OSError):
                _, writer = await self.connect()
                with contextlib.closing(writer):
                    writer.write(said)
                    await asyncio.sleep(self.chance.uniform(0, 0.3))
            self.outcomes["come and gone", 0] += 1

    async def multiplexes(self, number: int) -> None:
        """Calls of HTTP/2 that are held, and a client that hangs up some time later."""
        lane = f"two{number};class=background;max-wait=1h"
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await self.connect()
                with contextlib.closing(writer):
                    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
                    for stream in range(self.streams):
                        path = f"/@{lane}/api/conversations.members?channel=C{stream}"
                        writer.write(frame(1, 5, 1 + 2 * stream, headers(path, f"xoxb-T{number}-A1-secret")))
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self.chance.uniform(2, 4)):
                            while piece := await reader.read(65536):
                                self.outcomes["http2", 200] += piece.count(b"\x01\x04\x00")
            self.outcomes["http2", 0] += 1


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def headers(path: str, token: str) -> bytes:
    """As HPACK has them, each of less than 127 bytes (RFC 7541, 6.2.2)."""
    fields = {":method": "POST", ":scheme": "http", ":authority": "proxy", ":path": path,
              "authorization": f"Bearer {token}", "content-length": "0"}  # fmt: skip
    text = lambda value: bytes([len(value)]) + value.encode()  # noqa: E731
    return b"".join(b"\0" + text(name) + text(value) for name, value in fields.items())


class Soak:
    """A proxy with all that has to do with it, and what it takes."""

    def __init__(self, *, held: int, streams: int, windows: int, window: float, warm_up: float, reloads: float,
                 flat: float = FLAT, cools: float = COOLS, idle: int = 0, say=lambda text: None):  # fmt: skip
        """So many calls are held, in so many streams of each connection of HTTP/2 also; so many windows are compared,
        each so many seconds long; there is another configuration each `reloads` seconds. When the load has gone, so many
        connections to Slack may be idle for longer than `cools` seconds."""
        self.held, self.streams, self.reload_every, self.flat, self.say = held, streams, reloads, flat, say
        self.windows, self.window, self.warm_up, self.cools = windows, window, warm_up, cools
        self.files_at_rest = FILES_AT_REST + idle
        self.slack = FakeSlack(minute=MINUTE, latency="5ms..60ms")
        self.server = RedisServer() if DEBIAN.exists() else None
        more = "identity: { app: A1 }\nmemory: 512MiB\ntimeouts: { headers: 3s }\n"
        more += f"state_file: {Process.log_dir / f'{time.monotonic_ns()}.state'}\n"
        if self.server:
            more += f'shared: {{ redis: "{self.server.url()}", replicas: 1, forget_after: 10s }}\n'
        self.proxy = Proxy(("/api/", self.slack.url), minute=MINUTE, more=more, beside=self.slack.url)
        self.file = self.proxy.config.read_text()
        self.samples: list[Sample] = []
        self.reloads = self.faults = 0
        self.reloaded = time.monotonic()

    def sample(self) -> Sample:
        process = Path(f"/proc/{self.proxy.process.child.pid}")
        pages = int((process / "statm").read_text().split()[1])
        files = len(os.listdir(process / "fd"))
        return Sample(time.monotonic(), pages * os.sysconf("SC_PAGE_SIZE") // 1024, files)

    def run(self) -> None:
        self.rest = self.at_rest()
        load = self.load = Load(self.proxy, self.held, self.streams)
        start = time.monotonic()
        end = self.warm_up + self.windows * self.window
        happens = start
        while (at := time.monotonic() - start) < end:
            self.samples.append(self.sample())
            assert self.proxy.process.child.poll() is None, "it has ended"
            if time.monotonic() >= happens:
                happens += 3.0
                self.something_happens()
            if len(self.samples) % 60 == 0:
                last = self.samples[-1]
                self.say(f"{at / 60:5.0f} min  {last.kib / 1024:6.1f} MiB  {last.files} files")
            time.sleep(1.0)
        self.start = start
        load.end()
        self.cooled = self.cool()

    def at_rest(self) -> Sample:
        """After one call of each kind that opens something for good."""
        for path in ("/api/auth.test", "/api/users.info"):
            http_get(f"http://{self.proxy.listen}{path}")
        self.proxy.status(), self.proxy.metrics()
        time.sleep(2)
        return self.sample()

    def something_happens(self) -> None:
        """A fault of Slack's, and now and then another configuration, or one with a mistake."""
        self.faults += 1
        kinds = ["reset", "500", "503", "429-no-header", "200-ratelimited", "gzip", "chunked", "slow", "reset-early"]
        self.slack.fault("users.info", kinds[self.faults % len(kinds)])
        if time.monotonic() - self.reloaded >= self.reload_every:
            self.reloaded = time.monotonic()
            self.reloads += 1
            more = ["", "tiers: { tier3: { limit: 30, per: 1m } }\n", "queue: { max_dept: 1 }\n"][self.reloads % 3]
            self.proxy.config.write_text(self.file + more)
            self.proxy.process.signal(signal.SIGHUP)

    def cool(self) -> Sample:
        """Nobody calls any more: the first moment at which all is given back that is, or the last one."""
        eventually("nothing is held", lambda: self.proxy.status()["totals"]["held"] == 0, 20)
        end = time.monotonic() + self.cools
        while (now := self.sample()).files > self.rest.files + self.files_at_rest and time.monotonic() < end:
            time.sleep(0.5)
        return now

    # === what came of it ===

    def medians(self) -> list[Window]:
        windows = []
        for n in range(self.windows):
            first = self.start + self.warm_up + n * self.window
            some = [it for it in self.samples if first <= it.at < first + self.window]
            windows.append(Window(statistics.median(it.kib for it in some), statistics.median(it.files for it in some)))
        return windows

    def kept(self) -> float:
        """Which part of what the load took is still there."""
        loaded = statistics.median(window.kib for window in self.medians())
        return (self.cooled.kib - self.rest.kib) / (loaded - self.rest.kib)

    def wrong(self) -> list[str]:
        medians, wrong = self.medians(), []
        for name, figures in (
            ("resident memory in KiB", [it.kib for it in medians]),
            ("the number of open descriptors", [it.files for it in medians]),
        ):
            if max(figures) > (1 + self.flat) * min(figures):
                wrong.append(f"{name} is not flat: {figures}")
        if self.cooled.files > self.rest.files + self.files_at_rest:
            wrong.append(f"{self.cooled.files} descriptors after the load, {self.rest.files} before it")
        if self.kept() > KEPT + self.flat:
            wrong.append(f"{self.kept():.0%} of the memory of the load is kept")
        ledger = json.loads(http_get(f"{self.slack.url}/ledger?calls=false")[1])
        if ledger["totals"]["refused"]:
            wrong.append(f"Slack refused {ledger['totals']['refused']} calls")
        load = self.load
        for kind in ("flood", "click", "post", "read", "list", "upload", "webhook", "http2"):
            if not load.seen(kind, 200):
                wrong.append(f"no call of {kind} came through: {load.outcomes}")
        if not load.seen("hasty", 429):
            wrong.append("none was shed")
        status = self.proxy.status()
        if status["totals"]["held"]:
            wrong.append("calls are held, of nobody")
        return wrong

    def report(self) -> str:
        medians = self.medians()
        lines = [f"at rest: {self.rest.kib / 1024:.1f} MiB, {self.rest.files} descriptors"]
        lines += [f"window {n}: {it.kib / 1024:.1f} MiB, {it.files:.0f} descriptors" for n, it in enumerate(medians)]
        lines.append(f"after the load: {self.cooled.kib / 1024:.1f} MiB, {self.cooled.files} descriptors, "
                     f"{self.kept():.0%} of the load's memory kept")  # fmt: skip
        kinds = Counter()
        for (kind, _), n in self.load.outcomes.items():
            kinds[kind] += n
        lines.append(", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())))
        lines.append(f"{self.reloads} reloads, {self.faults} faults")
        return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/soak", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=60, help="how long the load lasts; 60 without it")
    parser.add_argument("--held", type=int, default=2000, help="how many calls are held at once; 2000 without it")
    options = parser.parse_args()
    # Not where tests/run writes, and what it empties.
    Process.log_dir = REPO / "target/tests/soak"
    shutil.rmtree(Process.log_dir, ignore_errors=True)
    seconds = options.minutes * 60
    warm_up = seconds * WARM_UP
    windows = 9
    try:
        soak = Soak(held=options.held, streams=40, windows=windows, window=(seconds - warm_up) / windows,
                    warm_up=warm_up, reloads=10, say=lambda text: print(text, flush=True))  # fmt: skip
        soak.run()
        print(soak.report())
        wrong = soak.wrong()
    finally:
        Process.kill_all_since(0)
    print("\n".join(wrong) or "all as it has to be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
