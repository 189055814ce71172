"""Several slackwaters that share their limits, each with its own line to the store; and the judge of what they sent.

A minute of Slack's takes two and a half seconds, and a call is on its way for `FLIGHT` at most. After `FORGET_AFTER`
without a sign the store and a replica give each other up.

`SLACKWATER_REPLICAS=long tests/run replicas` has every fault in every shape of window, for three replicas and for ten,
with a minute of twelve seconds.
"""

import contextlib
import functools
import os
import signal
import subprocess
import time
from bisect import bisect_left
from collections import Counter

from callers import Answer, Callers
from line import Line
from redis_server import RedisServer
from stand import REPO, FakeSlack, Process, Proxy, eventually, http_get

LONG = os.environ.get("SLACKWATER_REPLICAS") == "long"

MINUTE = 12.0 if LONG else 2.5
# The least that the configuration takes.
FORGET_AFTER = 10.0
FLIGHT = 2.0 if LONG else 0.7
# How often a replica tells the store that it lives; nothing scales it.
BEAT = 1.0
# From the last sign of a replica until others may have what it held.
AGED = FORGET_AFTER + MINUTE + FLIGHT

TOKEN = "xoxb-T1-A1-secret"
METHOD = "users.conversations"  # tier 3
QUOTA = 50


class Replicas:
    """So many slackwaters before one fake Slack."""

    def __init__(
        self, count: int, slack: FakeSlack, server: RedisServer | None, *, minute: float = MINUTE,
        more: str | list[str] = "", shared: str = "", database: int = 0, url=None,
        lines: list[Line] | None = None, state_files: bool = False, suspendable: bool = False,
    ):  # fmt: skip
        """`more` of their configuration is the same for all, or a list. `shared` is more of that key; without a server
        nothing is shared. `url` makes the store's address for a line, where it is not as the server has it."""
        self.slack, self.minute, self.floods = slack, minute, []
        self.lines = lines or [Line(server.port) for _ in range(count)] if server else []
        url = url or (lambda line: server.url(line.port, database))
        self.more = []
        for n in range(count):
            # Nothing of it is Slack's, so no minute scales it.
            own = f"timeouts: {{ headers: {ms(FLIGHT)} }}\nidentity: {{ app: A1 }}\nqueue: {{ max_wait: 60s }}\n"
            own += more if isinstance(more, str) else more[n]
            if server:
                own += (f"shared: {{ redis: \"{url(self.lines[n])}\", timeout: 250ms, replicas: {count}, "
                        f"forget_after: {ms(FORGET_AFTER)}{shared and ', ' + shared} }}\n")  # fmt: skip
            if state_files:
                own += f"state_file: {Process.log_dir / f'{len(Process.register):02}-{time.monotonic_ns()}.state'}\n"
            self.more.append(own)
        self.sleeps = [Sleep(n) for n in range(count)] if suspendable else []
        self.proxies = [self.start(n) for n in range(count)]

    def start(self, n: int) -> Proxy:
        variables = self.sleeps[n].variables() if self.sleeps else {}
        return Proxy(("/api/", self.slack.url), minute=self.minute, more=self.more[n], beside=self.slack.url,
                     variables=variables)  # fmt: skip

    def ready(self) -> "Replicas":
        """All of them share their limits, know of each other and whose the token is, and the store has granted a slot
        to each, which an empty one does after three beats."""
        count = len(self.proxies)
        for n, proxy in enumerate(self.proxies):
            eventually(f"replica {n} shares its limits", lambda: self.state(n) == SHARED, 10)
            eventually(f"replica {n} knows {count}", lambda: proxy.metric("slackwater_shared_members") >= count, 10)
        for _ in range(2):
            first = [self.at(n, "emoji.list", calls=1, at_once=1) for n in range(count)]
            answers = [answer for callers in first for answer in callers.finish(15)]
            assert all(answer.ok for answer in answers), answers
            for n in range(count):
                eventually(f"replica {n} knows whose the token is", lambda: self.knows(n, "A1/T1/"), 10)
        self.floods.clear()
        return self

    # === what befalls them ===

    def kill(self, n: int) -> None:
        self.proxies[n].kill()

    def restart(self, n: int) -> None:
        """Another process, as after a crash or with the next release; its callers find it."""
        self.kill(n)
        self.proxies[n] = self.start(n)

    @contextlib.contextmanager
    def is_stopped(self, n: int):
        self.proxies[n].process.signal(signal.SIGSTOP)
        yield
        self.proxies[n].process.signal(signal.SIGCONT)

    @contextlib.contextmanager
    def is_suspended(self, n: int):
        """The machine of a replica sleeps; to the process no time passes, but for its boot time."""
        since = time.monotonic_ns()
        with self.is_stopped(n):
            yield
            self.sleeps[n].lasted(time.monotonic_ns() - since)

    @contextlib.contextmanager
    def are_cut(self, *which: int):
        for n in which:
            self.lines[n].cut()
        yield
        for n in which:
            self.lines[n].mend()

    def lead_to(self, server: RedisServer) -> None:
        """Their store's address leads to another server."""
        for line in self.lines:
            line.lead_to(server.port)

    # === what is sent ===

    def at(self, n: int, method: str = METHOD, *, lane: str = "max-wait=60s", token=TOKEN, **how) -> Callers:
        """Callers at a replica; to slackwater they are one caller."""
        callers = Callers(lambda: self.proxies[n].base_url(f"/@r{n};{lane}"), token, method, name=f"r{n}", **how)
        self.floods.append(callers)
        return callers

    def flood(self, of_quota: float = 1.15) -> None:
        """At each replica its part of somewhat more calls than the limit allows, evenly spread: so are the slots then,
        and at no time a rest of the limit is idle unless somebody keeps it so."""
        for n in range(len(self.proxies)):
            self.at(n, every=len(self.proxies) * self.minute / QUOTA / of_quota)
            time.sleep(self.minute / QUOTA / of_quota)

    def finish(self, seconds: float = 60.0) -> list[Answer]:
        """No more calls than there were; the answers to all of them."""
        for callers in self.floods:
            callers.stop()
        return [answer for callers in self.floods for answer in callers.finish(seconds)]

    # === what they tell ===

    def knows(self, n: int, whose: str) -> bool:
        """Whether a replica counts calls for that identity."""
        return any(it["key"].startswith(whose) for it in self.proxies[n].status()["buckets"])

    def state(self, n: int) -> float | None:
        """How a replica stands to the store; nothing if it does not tell."""
        samples = self.proxies[n].metrics().samples
        return next((value for name, _, value in samples if name == STATE), None)


class Sleep:
    """For how long the machine of a replica has slept."""

    def __init__(self, n: int):
        self.path = Process.log_dir / f"{len(Process.register):02}-{n}.slept"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.lasted(0)

    def lasted(self, nanoseconds: int) -> None:
        self.path.write_bytes(nanoseconds.to_bytes(8, "little"))

    def variables(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(suspended()), "SUSPENDED_FOR": str(self.path)}


@functools.cache
def suspended():
    """What deceives a process about the time."""
    library = Process.log_dir / "suspended.so"
    source = REPO / "tests/real/replicas/suspended.c"
    subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


# Of that metric: connected; without the store, with what it held; without it for longer than the lease.
STATE = "slackwater_shared_degraded"
SHARED, ALONE, LONG_ALONE = 0, 1, 2


def ms(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


# === the judge ===


class Judge:
    """What a fake Slack saw of one method, up to now."""

    def __init__(self, slack: FakeSlack, method: str = METHOD):
        self.ledger = slack.ledger()
        self.calls = sorted((c for c in self.ledger["calls"] if c["method"] == method), key=lambda c: c["seq"])
        self.times = [call["at_ms"] / 1000 for call in self.calls]

    @property
    def refusals(self) -> list[dict]:
        """What Slack refused, of any method."""
        return self.ledger["violations"]

    def largest(self, minute: float = MINUTE) -> int:
        """The most calls in any window."""
        return largest_window(self.times, minute)

    def largest_of(self, replica: str, since: float, until: float, minute: float = MINUTE) -> int:
        """The most calls of one replica in any window between these times."""
        calls = [(call["text"].split("-")[0], at) for call, at in zip(self.calls, self.times)]
        return largest_window([at for of, at in calls if of == replica and since <= at < until], minute)

    def count(self, since: float, until: float) -> int:
        return sum(since <= at < until for at in self.times)

    def shares(self, since: float = 0.0, until: float = float("inf")) -> Counter:
        """How many calls came from each replica."""
        return Counter(call["text"].split("-")[0] for call, at in zip(self.calls, self.times) if since <= at < until)

    def longest_gap(self, since: float, until: float) -> float:
        """The longest time without a call."""
        times = [since, *(at for at in self.times if since <= at < until), until]
        return max(later - at for at, later in zip(times, times[1:]))

    def wrong(self, answers: list[Answer], gone=frozenset(), stopped=frozenset()) -> list[str]:
        """Calls that were lost, failed or sent twice. Those at the replicas in `gone` may have died with them, and a
        replica in `stopped` may have slept through the answer to a call that was on its way."""
        found = []
        arrived = Counter(call["text"] for call in self.calls if call["outcome"] == "ok")
        for answer in answers:
            replica = answer.text.split("-")[0]
            if replica in stopped and answer.status == 504:
                continue
            if not answer.ok and replica not in gone:
                found.append(f"{answer.text}: {answer.status} {answer.said}")
            if answer.ok and arrived[answer.text] != 1:
                found.append(f"{answer.text} arrived {arrived[answer.text]} times")
        return found


def largest_window(times: list[float], length: float) -> int:
    """The most of these moments, which are in order, that lie in any window of that length, without its end."""
    return max((bisect_left(times, at + length) - n for n, at in enumerate(times)), default=0)


class Clock:
    """The time of a fake Slack's ledger, which begins with it."""

    def __init__(self, slack: FakeSlack):
        """A call that no limit counts tells what time it is there."""
        before = time.monotonic()
        http_get(f"{slack.url}/api/api.test", data=b"")
        self.ahead = slack.calls("api.test")[-1]["at_ms"] / 1000 - (before + time.monotonic()) / 2

    def now(self) -> float:
        return time.monotonic() + self.ahead
