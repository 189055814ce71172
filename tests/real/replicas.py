"""Several slackwaters that share their limits, each with its own line to the store; and the judge of what they sent.

A minute of Slack's takes four seconds, and all that the replicas wait for is as much shorter: after `FORGET_AFTER`
without a sign the store and a replica give each other up, and a call is on its way for `FLIGHT` at most.
"""

import time
from bisect import bisect_left
from collections import Counter

from callers import Answer, Callers
from line import Line
from redis_server import RedisServer
from stand import FakeSlack, Proxy, http_get

MINUTE = 4.0
FORGET_AFTER = 3.0
FLIGHT = 1.0
# How often a replica tells the store that it lives.
BEAT = 1.0

TOKEN = "xoxb-T1-A1-secret"
METHOD = "users.conversations"  # tier 3
QUOTA = 50


class Replicas:
    """So many slackwaters before one fake Slack."""

    def __init__(
        self, count: int, slack: FakeSlack, server: RedisServer | None, *, minute: float = MINUTE,
        forget_after: float = FORGET_AFTER, more: str = "", shared: str = "", database: int = 0, url=None,
        lines: list[Line] | None = None, log: str = "{ format: json, level: info }",
    ):  # fmt: skip
        """`shared` is more of that key; without a server nothing is shared. `url` makes the store's address for a
        line, where it is not as the server has it."""
        self.slack, self.minute, self.log = slack, minute, log
        self.lines = lines or [Line(server.port) for _ in range(count)] if server else []
        self.more = [
            # Nothing of it is Slack's, so no minute scales it.
            f"timeouts: {{ headers: {milliseconds(FLIGHT)} }}\nidentity: {{ app: A1 }}\nqueue: {{ max_wait: 60s }}\n{more}"
        ] * count
        for n, line in enumerate(self.lines):
            address = url(line) if url else server.url(line.port, database)
            self.more[n] += (f"shared: {{ redis: \"{address}\", timeout: 250ms, replicas: {count}, "
                             f"forget_after: {milliseconds(forget_after)}{shared and ', ' + shared} }}\n")  # fmt: skip
        self.proxies = [self.start(n) for n in range(count)]
        self.floods: list[Callers] = []

    def start(self, n: int) -> Proxy:
        return Proxy(("/api/", self.slack.url), minute=self.minute, more=self.more[n], log=self.log,
                     beside=self.slack.url)  # fmt: skip

    def restart(self, n: int) -> None:
        """Another process, as after a crash or with the next release; its callers find it."""
        self.proxies[n].kill()
        self.proxies[n] = self.start(n)

    def lead_to(self, server: RedisServer) -> None:
        for line in self.lines:
            line.lead_to(server.port)

    # === what is sent ===

    def at(self, n: int, method: str = METHOD, *, lane: str = "/@flood;max-wait=60s", token: str = TOKEN, **how) -> Callers:
        """Callers at a replica."""
        callers = Callers(lambda: self.proxies[n].base_url(lane), token, method, name=f"r{n}", **how)
        self.floods.append(callers)
        return callers

    def flood(self, at_once: int = 8, **how) -> list[Callers]:
        """Callers at each replica, always as many."""
        return [self.at(n, at_once=at_once, **how) for n in range(len(self.proxies))]

    def finish(self, seconds: float = 60.0) -> list[Answer]:
        """No more calls; the answers to all that there were."""
        for callers in self.floods:
            callers.stop()
        return [answer for callers in self.floods for answer in callers.finish(seconds)]

    # === what they tell ===

    def metric(self, name: str, **labels: str) -> float:
        return sum(proxy.metric(name, **labels) for proxy in self.proxies)

    def connected(self, n: int) -> bool:
        """Whether a replica shares its limits now."""
        return self.proxies[n].metric("slackwater_shared_state") == 0


def milliseconds(seconds: float) -> str:
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

    def shares(self, since: float = 0.0, until: float = float("inf")) -> Counter:
        """How many calls came from each replica."""
        return Counter(call["text"].split("-")[0] for call, at in zip(self.calls, self.times) if since <= at < until)

    def longest_gap(self, since: float, until: float) -> float:
        """The longest time without a call."""
        times = [since, *(at for at in self.times if since <= at < until), until]
        return max(later - at for at, later in zip(times, times[1:]))

    def wrong(self, answers: list[Answer], gone: set[str] = frozenset()) -> list[str]:
        """Calls that were lost, failed or sent twice. Those of the replicas in `gone` died with them."""
        found = []
        arrived = Counter(call["text"] for call in self.calls if call["outcome"] == "ok")
        for answer in answers:
            if not answer.ok and answer.text.split("-")[0] not in gone:
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
        """A call that the judge does not count tells what time it is there."""
        before = time.monotonic()
        http_get(f"{slack.url}/api/api.test", data=b"")
        self.ahead = slack.calls("api.test")[-1]["at_ms"] / 1000 - (before + time.monotonic()) / 2

    def now(self) -> float:
        return time.monotonic() + self.ahead
