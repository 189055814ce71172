#!/usr/bin/env python3
"""What a held call takes of memory with its connection, and what is left of it when all are gone.

    cargo build --release --locked
    python3 benches/held/held.py
    python3 benches/held/held.py --short          few connections, and no flood
    python3 benches/held/held.py --only flood     one shape

It starts a fake Slack and a slackwater for each shape. Memory is `VmRSS` of the process, less what it had after its
first twenty calls. Nothing of it depends on what else the machine does.
"""

import argparse
import json
import os
import resource
import shutil
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests/real"))

from holding import Held, resident  # noqa: E402
from stand import FakeSlack, Process, Proxy, http_get  # noqa: E402

SHAPES = {
    "idle connection": lambda held, n: held.idle(n),
    "connection with half a request": lambda held, n: held.begun(n),
    "held, in one piece": lambda held, n: held.hold(n),
    "held, body apart": lambda held, n: held.hold(n, apart=True),
    "held, connection used before": lambda held, n: held.hold(n, used=True),
    "HTTP/2, a connection each": lambda held, n: held.hold_http2(n, 1),
    "HTTP/2, 100 calls a connection": lambda held, n: held.hold_http2(n // 100, 100),
}


def variables() -> list[tuple[str, str]]:
    """Those for the proxy alone: `HELD_LD_PRELOAD=libjemalloc.so.2` has it run with another allocator."""
    return [(name.removeprefix("HELD_"), value) for name, value in os.environ.items() if name.startswith("HELD_")]


def of_rest() -> dict:
    """Before the first call, and after twenty."""
    slack = FakeSlack(latency="0ms")
    proxy = Proxy(("/api/", slack.url), more="identity: { resolve: false }\n", variables=variables())
    time.sleep(1)
    found = {"at rest, before the first call": resident(proxy)}
    for _ in range(20):
        http_get(proxy.base_url() + "api.test", data=b"")
    return found | {"at rest, after twenty calls": resident(proxy)}


def of_flood(calls: int) -> dict:
    """As many connections as the limit on files allows, and the rest over HTTP/2; then all are gone."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    connections = min(calls, (files - 88) * 3 // 4 - 200) // 100 * 100
    held = Held(variables=variables())
    held.hold(connections)
    if connections < calls:
        held.hold_http2((calls - connections) // 100, 100)
    peak = resident(held.proxy)
    held.go()
    time.sleep(1)
    soon = resident(held.proxy)
    time.sleep(15)
    later = resident(held.proxy)
    rest = held.rest
    held.kill()
    return {f"{calls} held, {connections} of them with a connection each, MiB": peak, "rest before, MiB": rest,
            "a second after all are gone, MiB": soon, "16 s after, MiB": later, "16 s after, of rest": later / rest}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--connections", type=int, default=4000)
    parser.add_argument("--flood", type=int, default=20_000, help="calls of the flood")
    parser.add_argument("--short", action="store_true", help="1,000 connections, and no flood")
    parser.add_argument("--only", action="append", default=[], help="shapes whose name contains this")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON at the end")
    options = parser.parse_args()
    if options.short:
        options.connections = 1000
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    Process.log_dir = REPO / "target/tests/held"
    shutil.rmtree(Process.log_dir, ignore_errors=True)
    found = {}

    def add(part: dict) -> None:
        for what, value in part.items():
            found[what] = value
            print(f"  {what:60} {value:8.2f}", flush=True)

    def is_chosen(name: str) -> bool:
        return not options.only or any(only in name for only in options.only)

    try:
        if is_chosen("rest"):
            add(of_rest())
        for name, hold in SHAPES.items():
            if is_chosen(name):
                held = Held(variables=variables())
                hold(held, options.connections)
                add({f"{name}, KiB": (resident(held.proxy) - held.rest) * 1024 / options.connections})
                held.kill()
        if is_chosen("flood") and not options.short:
            add(of_flood(options.flood))
    finally:
        Process.kill_all_since(0)
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
