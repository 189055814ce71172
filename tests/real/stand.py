"""What a test stands on: a fake Slack and a slackwater before it, both the real binary.

Everything here waits by polling with a deadline. All processes are in one register, so that they
are killed at the end of a test whatever happened in it, and their logs shown if it failed.
"""

import contextlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SLACKWATER_BIN", REPO / "target/release/slackwater"))

# A minute of Slack's limits passes in six seconds.
MINUTE = 6.0

# The tests talk to loopback only, whatever proxy the machine uses for the rest.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}

# A runner that is killed outright takes what it started with it.
DIE_WITH_US = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


def eventually(what: str, probe, seconds: float = 5.0):
    """The first true value of `probe()`, asked every 10 ms until the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        assert time.monotonic() < deadline, f"within {seconds} s: {what}; last seen: {value!r}"
        time.sleep(0.01)


def http_get(url: str, seconds: float = 5.0, data: bytes | None = None) -> tuple[int, str]:
    """Status and body; status 0 where nobody answers. A POST where there is data."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, data, timeout=seconds) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, repr(error)


# Of each worker, also of another run, its own. A node of a Redis Cluster has the port 10,000 above its own, too, and
# the kernel gives out those from 32,768 on.
PORTS = itertools.count(10_000 + os.getpid() * 20 % 12_000)


def free_port() -> int:
    """A port that nobody has. The kernel, asked for any port, gives none of these to a test beside this one."""
    while True:
        port = next(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Process:
    """A child that writes what it says to a file."""

    register: list["Process"] = []
    # Each worker has a folder of its own.
    log_dir = REPO / "target/tests/logs" / os.environ.get("PYTEST_XDIST_WORKER", "")

    def __init__(self, name: str, command: list, tail_lines: int = 30, variables=(), **popen):
        self.tail_lines = tail_lines
        Process.log_dir.mkdir(parents=True, exist_ok=True)
        self.name = f"{len(Process.register):02}-{name}"
        self.out_path = Process.log_dir / f"{self.name}.out"
        self.err_path = Process.log_dir / f"{self.name}.err"
        with self.out_path.open("wb") as out, self.err_path.open("wb") as err:
            self.child = subprocess.Popen(
                [*DIE_WITH_US, *map(str, command)], env=ENVIRONMENT | dict(variables), stdout=out, stderr=err,
                **({"stdin": subprocess.DEVNULL, "start_new_session": True} | popen),
            )
        Process.register.append(self)

    def said(self) -> list[str]:
        """The whole lines said so far, on stdout and then on stderr."""
        text = [path.read_text(errors="replace") for path in (self.out_path, self.err_path)]
        return [line for part in text for line in part[: part.rfind("\n") + 1].splitlines()]

    def wait_for(self, what: str, find, seconds: float = 15.0):
        """What `find` makes of the first line where it finds something."""

        def probe():
            ended = self.child.poll()
            for line in self.said():
                if found := find(line):
                    return found
            assert ended is None, f"{self.name} ended with {ended} before: {what}"
            return None

        return eventually(f"{self.name}: {what}", probe, seconds)

    def signal(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def exit_code(self, seconds: float) -> int:
        return self.child.wait(seconds)

    def kill(self) -> None:
        # Its workers, too, also where it has ended before them.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()

    def tail(self) -> str:
        """The last lines of both streams."""
        return "\n".join(
            line for path in (self.out_path, self.err_path)
            for line in path.read_text(errors="replace").splitlines()[-self.tail_lines :]
        )

    @classmethod
    def kill_all_since(cls, first: int) -> None:
        for process in reversed(cls.register[first:]):
            process.kill()


def strike(command: list, variables: dict, chance: random.Random, *, begins, goes_on, seconds: float, then: float) -> bool:
    """Runs a command and kills it: three times in ten within `begins` seconds of its start, else up to `then`
    seconds after `goes_on()` has become true, which takes `seconds` at most. False if it ended before."""
    child = subprocess.Popen([*map(str, command)], env=ENVIRONMENT | variables, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True)
    if chance.random() < 0.3:
        moment = chance.uniform(*begins)
    else:
        eventually("it goes on", lambda: child.poll() is not None or goes_on(), seconds)
        moment = chance.uniform(0, then)
    try:
        child.wait(moment)
    except subprocess.TimeoutExpired:
        child.kill()
    _, said = child.communicate()
    assert child.returncode in (0, -signal.SIGKILL), said
    return child.returncode != 0


class FakeSlack:
    """A Slack that limits, and writes down every call that it saw."""

    def __init__(self, *, window="sliding", minute=MINUTE, latency="5ms..40ms", listen="127.0.0.1:0", limits=(),
                 items=250, penalty="none"):
        self.process = Process(f"fake-slack-{window}", [
            BINARY, "fake-slack", "--listen", listen, "--minute", f"{round(minute * 1000)}ms",
            "--window", window, "--latency", latency, "--items", items, "--penalty", penalty,
            *(word for limit in limits for word in ("--limit", limit)),
        ])
        self.url = self.process.wait_for(
            "its address",
            lambda line: (m := re.search(r"(http://127\.0\.0\.1:\d+)/api/", line)) and m[1],
        )

    @property
    def listen(self) -> str:
        return self.url.removeprefix("http://")

    def ledger(self) -> dict:
        status, body = http_get(f"{self.url}/ledger")
        assert status == 200, f"the ledger: {status} {body}"
        return json.loads(body)

    def fault(self, method: str, fault: str, calls: int = 1) -> None:
        """Something goes wrong with the next calls of a method."""
        status, body = http_get(f"{self.url}/faults?method={method}&fault={fault}&calls={calls}", data=b"")
        assert status == 200, f"a fault: {status} {body}"

    def calls(self, method: str) -> list[dict]:
        """All calls of a method in the order in which they arrived."""
        return sorted((c for c in self.ledger()["calls"] if c["method"] == method), key=lambda c: c["seq"])

    def kill(self) -> None:
        self.process.kill()


class Metrics:
    """One page of metrics."""

    def __init__(self, page: str):
        self.samples = [
            (sample[1], dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', sample[2] or "")), float(sample[3]))
            for line in page.splitlines() if (sample := re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line))
        ]  # fmt: skip

    def sum(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels."""
        return sum(value for has, have, value in self.samples if has == name and labels.items() <= have.items())


def listening(line: str) -> tuple[str, str] | None:
    """The two addresses in the line with which slackwater says that it is ready, JSON or text."""
    if text := re.search(r" listening .*?listen=(\S+) admin=(\S+)", line):
        return text[1], text[2]
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or entry.get("message") != "listening":
        return None
    return entry["listen"], entry["admin"]


class Proxy:
    """slackwater, as a user starts it: with a configuration file."""

    # What is beside the Web API: each prefix is the path that Slack has there.
    BESIDE = {
        "services": "webhook", "workflows": "trigger", "triggers": "trigger", "commands": "response_url",
        "actions": "response_url", "scim": "scim", "audit": "audit",
    }

    def __init__(
        self, *upstreams: tuple[str, str], minute=MINUTE, more: str = "", beside: str | None = None,
        variables=(), log: str = "{ format: json, level: info }", listen: str | None = "127.0.0.1:0",
        admin: str = "{ listen: 127.0.0.1:0 }", popen=(),
    ):
        entries = "".join(f"  - {{ prefix: {prefix}, url: {url}/api/, kind: web_api }}\n" for prefix, url in upstreams)
        if beside is not None:
            entries += "".join(f"  - {{ prefix: /{path}/, url: {beside}/{path}/, kind: {kind} }}\n"
                               for path, kind in self.BESIDE.items())
        Process.log_dir.mkdir(parents=True, exist_ok=True)
        self.config = config = Process.log_dir / f"{len(Process.register):02}-slackwater.yaml"
        config.write_text(
            (f"listen: {listen}\n" if listen else "") +
            f"admin: {admin}\n"
            "upstreams:\n" + entries +
            f"log: {log}\n" + more
        )
        self.run(config, minute, variables, popen)

    @classmethod
    def of(cls, config: Path, minute=MINUTE) -> "Proxy":
        """With a configuration file that is there already."""
        proxy = cls.__new__(cls)
        proxy.config = config
        proxy.run(config, minute, ())
        return proxy

    def run(self, config: Path, minute: float, variables, popen=()) -> None:
        self.process = Process("slackwater", [
            BINARY, "run", "--config", config, "--minute", f"{round(minute * 1000)}ms",
        ], variables=variables, **dict(popen))
        self.listen, self.admin = self.process.wait_for("listening", listening)

    def base_url(self, lane: str = "", prefix: str = "/api/") -> str:
        return f"http://{self.listen}{lane}{prefix}"

    def admin_get(self, path: str) -> tuple[int, str]:
        return http_get(f"http://{self.admin}{path}")

    def status(self) -> dict:
        status, body = self.admin_get("/status")
        assert status == 200, f"/status: {status} {body}"
        return json.loads(body)

    def held(self, method: str) -> int:
        """How many calls of a method wait."""
        return sum(queue["depth"] for queue in self.status()["queues"] if queue["method"] == method)

    def metrics(self) -> "Metrics":
        """What is counted now: figures to be compared with each other come from one look."""
        status, body = self.admin_get("/metrics")
        assert status == 200, f"/metrics: {status} {body}"
        return Metrics(body)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels, now."""
        return self.metrics().sum(name, **labels)

    def kill(self) -> None:
        self.process.kill()
