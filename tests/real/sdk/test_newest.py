"""An answer that is streamed by edits: with `edits=latest` Slack's own SDKs send as many updates as there is time
for, the last text is the last, and every call is answered.

The ledger of the fake Slack counts what went out. Each SDK is its own workspace, and streams twice: into a message
by a lane with `edits=latest`, and into another one by a lane without.
"""

import time

import pytest
from sdk import SDKS, Sdk, refused
from stand import FakeSlack, Proxy

UPDATES = 120
EVERY = 0.1  # seconds
MINUTE = 30.0  # 50 updates in it: tier 3
LANES = {"latest": "/@bot;edits=latest;max-wait=80s", "all": "/@bot;max-wait=80s"}
TS = "1700000000.000100"

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def streams():
    """All SDKs and both lanes at the same time: what takes long is waiting."""
    slack = FakeSlack(minute=MINUTE, latency="300ms")
    proxies = {lane: Proxy(("/api/", slack.url), minute=MINUTE) for lane in LANES}
    sdks = {
        (name, lane): Sdk(name, proxies[lane].base_url(path), 90, in_workspace=f"T{n}{len(lane)}")
        for n, name in enumerate(SDKS) for lane, path in LANES.items()
    }
    try:
        for sdk in sdks.values():
            sdk.ready()
        begun = time.monotonic()
        for n in range(UPDATES):
            for (name, lane), sdk in sdks.items():
                sdk.start("chat.update", channel="C1", ts=TS, text=f"update {n}")
            time.sleep(max(0.0, begun + (n + 1) * EVERY - time.monotonic()))
        answers = {key: sdk.finish(seconds=120) for key, sdk in sdks.items()}
        metrics = {lane: proxy.metrics() for lane, proxy in proxies.items()}
        ledger, updates = slack.ledger(), slack.calls("chat.update")
        texts = {key: [c["text"] for c in updates if c["workspace"] == sdk.workspace] for key, sdk in sdks.items()}
        for key, sent in texts.items():
            took = max(a["end_ms"] for a in answers[key]) - min(a["start_ms"] for a in answers[key])
            longest = max(a["end_ms"] - a["start_ms"] for a in answers[key])
            print(f"{key}: {len(sent)} of {UPDATES} sent in {took / 1000:.1f} s, the longest wait {longest / 1000:.2f} s")
        yield ledger, answers, texts, metrics
    finally:
        for part in [slack, *proxies.values(), *sdks.values()]:
            part.kill()


@pytest.mark.parametrize("sdk", SDKS)
def test_every_update_is_answered_and_the_last_is_sent(streams, sdk):
    ledger, answers, texts, _ = streams
    assert ledger["violations"] == [] and ledger["totals"]["refused"] == 0
    for lane in LANES:
        assert refused(answers[sdk, lane]) == []
        numbers = [int(text.removeprefix("update ")) for text in texts[sdk, lane]]
        assert numbers == sorted(set(numbers)), "in their order, and each once"
        assert numbers[-1] == UPDATES - 1


@pytest.mark.parametrize("sdk", SDKS)
def test_without_it_all_are_sent_and_with_it_those_for_which_there_is_time(streams, sdk):
    _, answers, texts, _ = streams
    assert len(texts[sdk, "all"]) == UPDATES
    # A round trip of 0.3 s in 12 s, and no more than the limit allows.
    assert len(texts[sdk, "latest"]) <= 50
    end = {lane: max(a["end_ms"] for a in answers[sdk, lane]) for lane in LANES}
    assert end["latest"] < end["all"]


def test_the_metrics_count_what_was_not_sent(streams):
    _, _, texts, metrics = streams
    sent = sum(len(texts[sdk, "latest"]) for sdk in SDKS)
    saved = metrics["latest"].sum("slackwater_saved_calls_total", method="chat.update", how="superseded")
    assert saved == len(SDKS) * UPDATES - sent
    assert metrics["all"].sum("slackwater_saved_calls_total", how="superseded") == 0
