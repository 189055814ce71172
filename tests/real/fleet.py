"""The clients of docs/clients.md, and the flood that its tables promise something for.

`FLEET` says which clients stand for which row. `flood` has each of them send its calls in one moment, in several ways
at the same time, each in a workspace of its own, so that their budgets are apart. tests/real/sdk/test_clients.py does
it with a short minute, and tests/real-minute with Slack's own.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

from sdk import Sdk
from stand import REPO, FakeSlack, Proxy, eventually

REAL_MINUTE = 60.0
CALLS = 60
METHOD = "conversations.list"  # tier 2: 20 a minute
ROOM = 20
MESSAGES = 30  # to one webhook: one a second


@dataclass(frozen=True)
class Client:
    """A client as it is when nothing is set, and what the documentation has users set."""

    name: str
    # Seconds, by default. None: it has none, or its driver knows it.
    timeout: float | None = None
    # Seconds that "to finish" has; the lane is in the documentation.
    set_timeout: float | None = None
    set_words: tuple = ()
    # Its driver knows what the SDK has by default.
    sdk: bool = False
    # It knows nothing but webhooks.
    webhook: bool = False
    # slackwater does not know it, and holds its calls as long as its configuration says, which no minute scales.
    unknown: bool = False

    def words(self, mode: str, minute: float) -> tuple:
        """What its driver is told, so that nothing is set, or what the documentation says."""
        more = self.set_words if mode == "set" else ()
        if mode == "set" and self.set_timeout is not None:
            seconds = self.set_timeout * minute / REAL_MINUTE
            return (*more, "--timeout", round(seconds) if self.sdk else seconds)
        if self.sdk:
            return (*more, "--defaults", "--minute", minute)
        if self.timeout is None or minute == REAL_MINUTE:
            return more
        return (*more, "--timeout", self.timeout * minute / REAL_MINUTE)


# The first cell of a row in docs/clients.md, and the clients that stand for it.
FLEET = {
    "Python `WebClient`": [Client("python-sync", sdk=True)],
    "Python `AsyncWebClient`": [Client("python-async", set_timeout=300, sdk=True)],
    "Node `@slack/web-api` up to 7": [Client("node-7", sdk=True)],
    "Node `@slack/web-api` 8": [Client("node", sdk=True)],
    # Not to be had: "Not tested" says so.
    "Java Slack SDK": [],
    "slack-ruby-client": [],
    "slack-go": [Client("slack-go")],
    "slack-morphism (Rust)": [Client("slack-morphism")],
    "Python `requests`, `urllib`, `urllib3`": [Client("requests"), Client("urllib"), Client("urllib3")],
    "Python `httpx`": [Client("httpx", timeout=5, set_timeout=30)],
    "Python `aiohttp`": [Client("aiohttp", timeout=300)],
    "Ruby `Net::HTTP`, Faraday": [Client("ruby-net-http", timeout=60), Client("faraday", timeout=60)],
    "Java `HttpURLConnection`, Apache HttpClient": [Client("url-connection"), Client("apache4"), Client("apache5")],
    "OkHttp": [Client("okhttp", timeout=10, set_timeout=300)],
    "`java.net.http`": [Client("java-net-http")],
    "Node `fetch`, undici": [Client("fetch", timeout=300), Client("undici", timeout=300)],
    "axios, node-fetch 2": [Client("axios"), Client("node-fetch")],
    "Go `net/http`": [Client("net-http")],
    "PHP Guzzle": [Client("guzzle")],
    "curl": [Client("curl")],
    "any other": [Client("other", unknown=True)],
    "Python `WebhookClient`": [Client("python-webhook", sdk=True, webhook=True)],
    "Node `@slack/webhook`": [Client("node-webhook", sdk=True, webhook=True)],
    "slack-notifier (Ruby)": [Client("slack-notifier", timeout=60, webhook=True)],
    # Not told what to send, call by call: alertmanager.py.
    "Alertmanager": [],
    "Grafana contact point": [Client("grafana", timeout=30, webhook=True)],
}
CLIENTS = {client.name: client for row in FLEET.values() for client in row}

# How a client floods, by its lane. What to set is in the documentation.
MODES = {"plain": "", "background": "/@job;class=background", "set": None, "refused": "/@now;max-wait=0s"}


# What a client tells of a refusal: Slack's error, and a webhook's.
RATE_LIMITED = {("ratelimited", 429), ("ratelimited", 200), ("rate_limited", 429)}

# === What the documentation promises ===


@dataclass(frozen=True)
class Promise:
    """How many of a flood come through, and in how many of Slack's minutes if that is all of them."""

    # At least, and at most: where the last one's slot begins as its time is over, it may come through or not.
    through: tuple[int, int]
    minutes: float | None

    @staticmethod
    def of(cell: str) -> "Promise | None":
        """`60 in 2 min`, `20`, or `2 or 3`; nothing if there is nothing to be set."""
        found = re.fullmatch(r"(\d+)(?: or (\d+))?(?: in (\d+) (min|s))?", cell)
        if not found:
            assert not cell, f"docs/clients.md promises {cell!r}: neither `60 in 2 min` nor `20`"
            return None
        unit = {"min": 1, "s": 1 / 60, None: 0}[found[4]]
        through = int(found[1]), int(found[2] or found[1])
        return Promise(through, int(found[3]) * unit if found[3] else None)


@dataclass(frozen=True)
class Row:
    """A row of "Make a loop finish"."""

    client: str
    promises: dict[str, Promise]
    lane: str | None
    webhook: bool


def section(heading: str) -> str:
    """What is below a heading of docs/clients.md."""
    return (REPO / "docs/clients.md").read_text().split(f"\n{heading}\n", 1)[1].split("\n#", 1)[0]


def table(heading: str) -> list[list[str]]:
    """The cells of the first table there."""
    header = re.search(r"^\|.*\|\n\|[-|]+\|\n((?:\|.*\|\n)*)", section(heading), re.M)
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in header[1].splitlines()]


def rows() -> list[Row]:
    """All that is promised for a flood."""
    found = []
    for client, _, plain, background, to_set, then in table("## Make a loop finish"):
        lane = re.search(r"(/@[^/`]*)/api/", to_set)
        promises = {"plain": plain, "background": background, "set": then}
        promises = {mode: promise for mode, cell in promises.items() if (promise := Promise.of(cell))}
        found.append(Row(client, promises, lane and lane[1], webhook=False))
    for client, _, plain, to_set, then in table("### Messages to a webhook"):
        promises = {mode: promise for mode, cell in {"plain": plain, "set": then}.items() if (promise := Promise.of(cell))}
        lane = re.search(r"(/@[^/`]*)/services/", to_set)
        found.append(Row(client, promises, lane and lane[1], webhook=True))
    return found


# === The flood ===


@dataclass
class Bout:
    """One client in one mode: its process, and what came of its calls."""

    client: Client
    mode: str
    sdk: Sdk
    calls: int
    answers: list[dict] = field(default_factory=list)

    @property
    def method(self) -> str:
        return "webhook" if self.client.webhook else METHOD

    def start(self) -> None:
        for n in range(self.calls):
            if self.client.webhook:
                self.sdk.start("webhook", path=f"/services/{self.sdk.workspace}/B1/secret", text=f"message {n}")
            else:
                # No two of them alike, as pages of a list are.
                self.sdk.start(METHOD, limit=100 + n)

    def click(self) -> None:
        """A person clicks while the client floods."""
        if self.mode == "plain" and not self.client.webhook and self.calls <= CALLS:
            self.sdk.start("views.open", trigger_id="1", view={"type": "modal"})

    def of(self, method: str) -> list[dict]:
        return [answer for answer in self.answers if answer["method"] == method]

    @property
    def through(self) -> int:
        return sum(answer["ok"] for answer in self.of(self.method))

    @property
    def refusals(self) -> Counter:
        """What the client has told of the calls that did not come through: an error and a status."""
        refused = [answer for answer in self.of(self.method) if not answer["ok"]]
        return Counter((a.get("error") or a.get("kind"), a.get("status")) for a in refused)

    @property
    def seconds(self) -> float:
        """From the first start until the last answer."""
        answers = self.of(self.method)
        return (max(a["end_ms"] for a in answers) - min(a["start_ms"] for a in answers)) / 1000

    @property
    def clicked(self) -> float | None:
        """How long the click took; infinitely long if it failed."""
        clicks = self.of("views.open")
        if not clicks:
            return None
        return (clicks[0]["end_ms"] - clicks[0]["start_ms"]) / 1000 if clicks[0]["ok"] else float("inf")

    def broken(self, promise: Promise, minute: float, late: float) -> list[str]:
        """What is not as promised, `late` seconds granted."""
        found = []
        least, most = promise.through
        if least < self.calls and minute != REAL_MINUTE:
            # The minute is scaled, and not the time that a call is on its way, nor the one between two starts.
            least, most = round(0.7 * least), most + 2
        if not least <= self.through <= most:
            found.append(f"{self.through} of {self.calls} came through, and {least} were promised")
        if not set(self.refusals) <= RATE_LIMITED:
            found.append(f"the client was told {dict(self.refusals)}")
        if promise.minutes and not promise.minutes * minute * 0.95 < self.seconds < promise.minutes * minute + late:
            found.append(f"it took {self.seconds:.1f} s, and {promise.minutes * minute:.0f} s were promised")
        return found


def scaled(lane: str, minute: float) -> str:
    """A lane whose maximum wait is as much shorter as the minute is."""
    return re.sub(r"max-wait=(\d+)s",
                  lambda found: f"max-wait={round(float(found[1]) * 1000 * minute / REAL_MINUTE)}ms", lane)  # fmt: skip


def flood(names: list[str], minute: float, calls: int = CALLS, modes=tuple(MODES)) -> list[Bout]:
    """All clients flood in all modes, at the same time but for their first calls: those would be thousands at once."""
    promises = {client.name: row for row in rows() for client in FLEET[row.client]}
    slacks, bouts = [], []
    for name in names:
        # As beside a bot: each client has a slackwater of its own.
        slack = FakeSlack(minute=minute)
        hold = f"queue: {{ max_wait: {round(8000 * minute / REAL_MINUTE)}ms }}\n"
        scaled_too = hold if CLIENTS[name].unknown and minute != REAL_MINUTE else ""
        proxy = Proxy(("/api/", slack.url), minute=minute, beside=slack.url, more=scaled_too)
        own = [bout(CLIENTS[name], mode, promises[name], proxy, minute, calls) for mode in modes]
        own = [one for one in own if one]
        for one in own:
            one.sdk.ready()
        for one in own:
            one.start()
        for one in own:
            eventually(f"{name} floods", one.sdk.answers, seconds=30)
            one.click()
        slacks.append(slack)
        bouts += own
    for one in bouts:
        one.answers = one.sdk.finish(seconds=minute * (calls / 15 + 1.5) + 10)
    for name, slack in zip(names, slacks):
        assert slack.ledger()["violations"] == [], name
    return bouts


def bout(client: Client, mode: str, row: Row, proxy: Proxy, minute: float, calls: int) -> Bout | None:
    """One client in one mode, which is ready; nothing where nothing is promised for it."""
    if client.webhook and mode == "refused" or mode != "refused" and mode not in row.promises:
        return None
    lane = row.lane or "" if mode == "set" else MODES[mode]
    sdk = Sdk(client.name, proxy.base_url(scaled(lane, minute)), in_workspace=f"T{list(MODES).index(mode) + 1}",
              words=client.words(mode, minute))  # fmt: skip
    return Bout(client, mode, sdk, MESSAGES if client.webhook else ROOM + 1 if mode == "refused" else calls)
