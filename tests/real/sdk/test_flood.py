"""Every SDK floods at once, and Slack never has to refuse a call.

For each shape that Slack's window might have, three SDKs, each its own workspace, start everything
that they have to do in the same moment. No call may come back with an error, none may be lost or
sent twice, and the whole may take neither less nor much more time than the limits ask for.

Slack's minute lasts eight seconds here, and the proxy takes its clients' time-outs to be as much shorter:
so is that of the synchronous Python SDK, which interim responses keep waiting. The asynchronous one waits
as long as it says.
"""

from dataclasses import dataclass

import pytest
from sdk import SDKS, Sdk, refused
from stand import FakeSlack, Proxy

SHAPES = ["sliding", "fixed", "fixed-clock", "bucket"]

MINUTE = 8.0  # long enough that a busy machine's delays are less
LISTS = 60  # tier 2: 20 a minute
UPDATES = 150  # tier 3: 50 a minute
CHANNELS = 30
MESSAGES = 11  # in each channel; one a second there, and 300 a minute in the workspace

# The lane of each SDK, and its time-out. Node's has none, and fetch, below it, one of five real minutes.
WAITS = {
    "python-sync": ("", round(30 * MINUTE / 60)),
    "python-async": ("/@async;max-wait=40s", 45),
    "node": ("/@node;max-wait=40s", None),
}

# Calls of one limit go out at most N a minute, so the last of them start this many minutes later.
LEAST_MINUTES = {
    "conversations.list": (LISTS - 1) // 20,
    "chat.update": (UPDATES - 1) // 50,
    "chat.postMessage": (CHANNELS * MESSAGES - 1) // 300,
}
# The machine may be busy, but a window more than it takes would show.
ENOUGH = MINUTE * max(LEAST_MINUTES.values()) + 0.9 * MINUTE

SHARED_PROCESSES = []


@dataclass
class Flood:
    answers: dict[str, list[dict]]
    ledger: dict

    def arrived(self, sdk: str, method: str) -> list[dict]:
        """The calls of one SDK in the order in which Slack saw them."""
        workspace = Sdk.workspace_of(sdk)
        return [c for c in self.ledger["calls"] if c["method"] == method and c["workspace"] == workspace]


def channel(sdk: str, number: int) -> str:
    return f"C{Sdk.workspace_of(sdk)}{number:03}"


def start_everything(sdk: Sdk) -> None:
    """Messages of one channel are sent as a bot sends them, each after the last one's answer."""
    for _ in range(LISTS):
        sdk.start("conversations.list", limit=200)
    for n in range(UPDATES):
        sdk.start("chat.update", channel=channel(sdk.name, n % CHANNELS), ts=f"1700000000.{n:06}", text=f"update {n}")
    before = dict.fromkeys(range(CHANNELS))
    for m in range(MESSAGES):
        for c in range(CHANNELS):
            before[c] = sdk.start("chat.postMessage", after=before[c], channel=channel(sdk.name, c), text=f"message {m}")


@pytest.fixture(scope="module")
def floods():
    """All shapes and SDKs at the same time: what takes long is waiting."""
    started = []
    try:
        stands = {}
        for shape in SHAPES:
            slack = FakeSlack(window=shape, minute=MINUTE)
            proxy = Proxy(("/api/", slack.url), minute=MINUTE)
            stands[shape] = slack, [Sdk(name, proxy.base_url(lane), timeout) for name, (lane, timeout) in WAITS.items()]
            started += [slack, proxy, *stands[shape][1]]
        SHARED_PROCESSES[:] = [part.process for part in started]
        everyone = [sdk for _, sdks in stands.values() for sdk in sdks]
        for sdk in everyone:
            sdk.ready()
        for sdk in everyone:
            start_everything(sdk)
        yield {
            shape: Flood({sdk.name: sdk.finish(seconds=45) for sdk in sdks}, slack.ledger())
            for shape, (slack, sdks) in stands.items()
        }
    finally:
        for part in started:
            part.kill()


pytestmark = pytest.mark.timeout(90)


@pytest.mark.parametrize("shape", SHAPES)
def test_slack_refuses_nothing(floods, shape):
    ledger = floods[shape].ledger
    assert ledger["violations"] == []
    assert ledger["totals"]["refused"] == 0


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_call_is_answered_ok_and_sent_once(floods, shape, sdk):
    flood = floods[shape]
    assert refused(flood.answers[sdk]) == []
    assert len(flood.arrived(sdk, "conversations.list")) == LISTS
    updates = [(c["channel"], c["text"]) for c in flood.arrived(sdk, "chat.update")]
    assert sorted(updates) == sorted((channel(sdk, n % CHANNELS), f"update {n}") for n in range(UPDATES))
    assert len(flood.arrived(sdk, "chat.postMessage")) == CHANNELS * MESSAGES


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("shape", SHAPES)
def test_each_channel_reads_in_order(floods, shape, sdk):
    arrived = floods[shape].arrived(sdk, "chat.postMessage")
    for number in range(CHANNELS):
        texts = [c["text"] for c in arrived if c["channel"] == channel(sdk, number)]
        assert texts == [f"message {m}" for m in range(MESSAGES)], channel(sdk, number)


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("shape", SHAPES)
def test_it_takes_what_the_limits_ask_for(floods, shape, sdk):
    flood = floods[shape]
    for method, minutes in LEAST_MINUTES.items():
        at = [c["at_ms"] / 1000 for c in flood.arrived(sdk, method)]
        assert max(at) - min(at) >= MINUTE * minutes, method
    # From here on what is left to do depends on the proxy.
    answers = flood.answers[sdk]
    all_started = max(a["start_ms"] for a in answers if a["method"] != "chat.postMessage") / 1000
    assert max(a["end_ms"] for a in answers) / 1000 - all_started < ENOUGH
