#!/usr/bin/env python3
"""What it costs to share limits through Redis: messages, CPU time and memory, of three replicas and one server.

    cargo build --release --locked
    python3 benches/sharing/sharing.py
    python3 benches/sharing/sharing.py --short     in half a minute, less exact

It starts a fake Slack, a redis-server, three slackwaters that share their limits and three that do not, and sends them
calls of one method whose limit counts by channel: each channel is a bucket. CPU time is that of the processes by the
kernel's count, so what else the machine does changes it less than it changes times; those that share and those that do
not run side by side. Calls a second in a closed loop depend on the machine and on who else uses it.
"""

import argparse
import contextlib
import json
import os
import selectors
import shutil
import socket
import statistics
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests/real"))

from redis_server import DEBIAN, RedisServer  # noqa: E402
from stand import FakeSlack, Process, Proxy, eventually  # noqa: E402

REPLICAS = 3
METHOD = "conversations.info"
# Of two limits: by channel, and for all channels together.
TWO_LIMITS = "conversations.history"
TOKEN = "xoxb-T1-A1-secret"
TICK = os.sysconf("SC_CLK_TCK")
# One of Slack's minutes, in seconds: slots age while calls go on, as they do in a proxy that runs for long.
MINUTE = 6.0


class Load:
    """Calls at some replicas, each on as many connections: one after the other, or `rate` a second in all."""

    def __init__(self, proxies: list[Proxy], connections: int, channels: int, method: str = METHOD):
        self.channels, self.method, self.next = channels, method, 0
        self.sockets = []
        for _ in range(connections):
            for proxy in proxies:
                host, port = proxy.listen.rsplit(":", 1)
                one = socket.create_connection((host, int(port)))
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.sockets.append(one)

    def request(self) -> bytes:
        body = b"channel=C%09d" % (self.next % self.channels)
        self.next += 1
        return (b"POST /@bench;max-wait=60s/api/%s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n"
                b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s"
                % (self.method.encode(), TOKEN.encode(), len(body), body))  # fmt: skip

    def run(self, seconds: float, rate: float = 0.0, calls: int = 0) -> int:
        """Sends for so long, or so many calls. Returns how many were answered."""
        waiting, free, answered, sent = selectors.DefaultSelector(), list(self.sockets), 0, 0
        parts = dict.fromkeys(self.sockets, b"")
        start = time.monotonic()
        goes_on = True
        while goes_on or len(free) < len(self.sockets):
            now = time.monotonic() - start
            goes_on = sent < calls if calls else now < seconds
            assert now < seconds + 60, f"{answered} of {sent} calls were answered"
            while goes_on and free and (not rate or sent < now * rate) and (not calls or sent < calls):
                one = free.pop(0)
                one.sendall(self.request())
                waiting.register(one, selectors.EVENT_READ)
                sent += 1
            for key, _ in waiting.select(0.002 if rate else 0.05):
                one = key.fileobj
                parts[one] += one.recv(65536)
                if is_whole(parts[one]):
                    assert b'"ok":true' in parts[one], parts[one]
                    parts[one] = b""
                    waiting.unregister(one)
                    free.append(one)
                    answered += 1
        return answered

    def close(self) -> None:
        for one in self.sockets:
            one.close()


def is_whole(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line[15:])
    return body.endswith(b"0\r\n\r\n")


def cpu(processes: list[Process]) -> float:
    """User and system time so far, in seconds."""
    total = 0
    for process in processes:
        fields = Path(f"/proc/{process.child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def resident(process: Process) -> int:
    """Resident memory, in bytes."""
    status = Path(f"/proc/{process.child.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024


class Stand:
    """Some replicas before a fake Slack that refuses nothing, and their server, if they have one."""

    def __init__(self, slack: FakeSlack, server: RedisServer | None, quota: int, minute: float = MINUTE):
        self.server = server
        limit = "{{ name: {}, limit: {}, per: 1m, scope: [app, workspace{}] }}"
        own, all_of_it = limit.format("own", quota, ", channel"), limit.format("all", 1_000_000, "")
        more = (f"identity: {{ app: A1 }}\nmethods:\n  {METHOD}: {{ tier: special, limits: [{own}] }}\n"
                f"  {TWO_LIMITS}: {{ tier: special, limits: [{own}, {all_of_it}] }}\n")  # fmt: skip
        if server:
            more += f'shared: {{ redis: "{server.url()}", replicas: {REPLICAS} }}\n'
        self.proxies = [Proxy(("/api/", slack.url), minute=minute, more=more)
                        for _ in range(REPLICAS)]  # fmt: skip
        if server:
            for proxy in self.proxies:
                eventually("they know of each other",
                           lambda: proxy.metric("slackwater_shared_members") >= REPLICAS, 15)  # fmt: skip
        for proxy in self.proxies:
            # The store grants the first slot after three beats, and the token's workspace is asked for.
            load = Load([proxy], 1, 1)
            load.run(20, calls=3)
            load.close()

    def counts(self) -> Counter:
        """What is counted so far."""
        found = Counter(cpu=cpu([proxy.process for proxy in self.proxies]))
        if self.server:
            found["steps"] = sum(proxy.metric("slackwater_shared_step_seconds_count") for proxy in self.proxies)
            found["server"] = cpu([self.server.process])
            scripts = self.server.info("cmdstat_evalsha")
            found["scripts"] = int(scripts.split(",")[0].removeprefix("calls=") or 0)
        return found

    def measure(self, load: Load | None, seconds: float, rate: float) -> Counter:
        """What so many seconds cost."""
        before, start = self.counts(), time.monotonic()
        if load:
            answered = load.run(seconds, rate)
        else:
            answered = 0
            time.sleep(seconds)
        took = time.monotonic() - start
        after = self.counts()
        cost = Counter({name: after[name] - before[name] for name in after})
        cost["calls"], cost["seconds"] = answered, took
        return cost

    def kill(self) -> None:
        for proxy in self.proxies:
            proxy.kill()


def of_calls(stands: dict[str, Stand], channels: int, rate: float, options, method: str = METHOD) -> dict:
    """The median of the rounds, and how far they lie apart. What has a rate runs side by side, so that both have the
    same machine; in a closed loop one after the other. Each round begins when slots age as fast as they are taken."""
    loads = {name: Load(stand.proxies, 16, channels, method) for name, stand in stands.items()}
    rounds = {name: [] for name in stands}

    def one(name: str, seconds: float) -> Counter:
        return stands[name].measure(loads[name], seconds, rate)

    with ThreadPoolExecutor(len(stands) if rate else 1) as workers:
        if rate:
            list(workers.map(one, stands, [MINUTE * 1.3] * 2))
        for _ in range(options.rounds):
            if not rate:
                for name in stands:
                    one(name, MINUTE * 1.3)
                    rounds[name].append(one(name, options.seconds))
                continue
            for name, cost in zip(stands, workers.map(one, stands, [options.seconds] * 2)):
                rounds[name].append(cost)
    for load in loads.values():
        load.close()
    found = {}
    for name, costs in rounds.items():
        each = {
            "calls a second": [c["calls"] / c["seconds"] for c in costs],
            "slackwater, µs of CPU a call": [c["cpu"] / c["calls"] * 1e6 for c in costs],
        }
        if stands[name].server:
            each |= {
                "steps a call": [c["steps"] / c["calls"] for c in costs],
                "scripts a call": [c["scripts"] / c["calls"] for c in costs],
                "server, µs of CPU a call": [c["server"] / c["calls"] * 1e6 for c in costs],
                "server, µs of CPU a script": [c["server"] / c["scripts"] * 1e6 for c in costs],
            }
        for what, values in each.items():
            found[f"{name}: {what}"] = [statistics.median(values), min(values), max(values)]
    if rate:
        ratios = [one["cpu"] / other["cpu"] for one, other in zip(*rounds.values())]
        found["slackwater, shared to alone"] = [statistics.median(ratios), min(ratios), max(ratios)]
    return found


def of_nothing(stand: Stand, seconds: float) -> dict:
    """What it costs that nothing happens: beats."""
    time.sleep(MINUTE * 1.5)
    cost = stand.measure(None, seconds, 0)
    own = cost["cpu"] / cost["seconds"] / REPLICAS * 1000
    server = cost["server"] / cost["seconds"] / REPLICAS * 1000
    return {"a replica at rest, ms of CPU a second": [own] * 3,
            "the server for a replica at rest, ms of CPU a second": [server] * 3}  # fmt: skip


def of_buckets(slack: FakeSlack, server: RedisServer, buckets: int) -> dict:
    """Memory of buckets of which each replica has used one slot, in the server; and in one replica."""
    found = {}
    with contextlib.ExitStack() as end:
        shared, alone = Stand(slack, server, 50, 600.0), Stand(slack, None, 50, 600.0)
        end.callback(shared.kill)
        end.callback(alone.kill)
        before = int(server.info("used_memory"))
        for n, proxy in enumerate(shared.proxies):
            own = resident(proxy.process)
            load = Load([proxy], 32, buckets)
            load.run(120, calls=buckets)
            load.close()
            eventually("all is told", lambda: proxy.metric("slackwater_shared_held_slots") >= buckets, 10)
            used = int(server.info("used_memory"))
            found[f"server, bytes a bucket of {n + 1} replicas"] = [(used - before) / buckets] * 3
            if n == 0:
                found["shared: slackwater, bytes a bucket"] = [(resident(proxy.process) - own) / buckets] * 3
        own = resident(alone.proxies[0].process)
        load = Load(alone.proxies[:1], 32, buckets)
        load.run(120, calls=buckets)
        load.close()
        found["alone: slackwater, bytes a bucket"] = [(resident(alone.proxies[0].process) - own) / buckets] * 3
    return found


def measure(options) -> dict:
    limits = [f"{method}=100000000" for method in (METHOD, TWO_LIMITS)]
    slack = FakeSlack(minute=MINUTE, latency="1ms..2ms", limits=limits)
    server = RedisServer(options.server)
    stands = {"shared": Stand(slack, server, 100), "alone": Stand(slack, None, 100)}
    found = {}

    def add(shape: str, part: dict) -> None:
        for what, values in part.items():
            found[f"{shape}, {what}"] = values
            print(f"  {shape + ', ' + what:76} {values[0]:10.2f}   {values[1]:10.2f} to {values[2]:.2f}", flush=True)

    # In both shapes there are slots for all calls, so none waits for more than the server.
    add("a thousand buckets", of_calls(stands, 1000, options.rate, options))
    if not options.short:
        add("thirty buckets", of_calls(stands, 30, options.rate, options))
        add("two limits", of_calls(stands, 1000, options.rate, options, TWO_LIMITS))
        add("closed loop", of_calls(stands, 1000, 0, options))
    add("rest", of_nothing(stands["shared"], options.seconds * 2))
    for stand in stands.values():
        stand.kill()
    add("memory", of_buckets(slack, RedisServer(options.server), options.buckets))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--short", action="store_true", help="few and short rounds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="of a round")
    parser.add_argument("--rate", type=float, default=300.0, help="calls a second, of all replicas")
    parser.add_argument("--buckets", type=int, default=10_000, help="whose memory is measured")
    parser.add_argument("--server", type=Path, default=None, help="another redis-server, or valkey-server")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON at the end")
    options = parser.parse_args()
    if options.short:
        options.rounds, options.seconds, options.buckets = 1, 4.0, 1000
    options.server = options.server or (DEBIAN if DEBIAN.exists() else Path(shutil.which("redis-server") or DEBIAN))
    Process.log_dir = REPO / "target/tests/sharing"
    shutil.rmtree(Process.log_dir, ignore_errors=True)
    print(f"  {'three replicas, one server':76} {'median':>10}   rounds", flush=True)
    try:
        found = measure(options)
    finally:
        Process.kill_all_since(0)
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
