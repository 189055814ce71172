"""`Promise.all` of many calls with the Node SDK as it is: each of them comes through.

It has 100 calls in flight, which wait for as long as the window needs for them. Version 8 sends by `fetch`, which
gives up after five minutes, and 100 calls take that long at 20 a minute, and longer in a background lane, which
has three quarters of each window: some of its calls are refused with a 429, for which it pauses for a moment.
Version 7 waits for ever. Slack's minute lasts six seconds here, and so fetch's time-out 30.
"""

import pytest
from sdk import Sdk, refused
from stand import MINUTE, FakeSlack, Proxy

CALLS = 130
METHOD = "conversations.list"  # tier 2: 20 a minute
LANES = {"plain": "", "background": "/@job;class=background"}
FLOODS = [(name, lane) for name in ("node", "node-7") for lane in LANES]

SHARED_PROCESSES = []

pytestmark = pytest.mark.timeout(150)


@pytest.fixture(scope="module")
def floods():
    """All at the same time: what takes long is waiting."""
    stands = {}
    try:
        for name, lane in FLOODS:
            slack = FakeSlack()
            proxy = Proxy(("/api/", slack.url))
            stands[name, lane] = slack, proxy, Sdk(name, proxy.base_url(LANES[lane]), defaults_at=MINUTE)
        SHARED_PROCESSES[:] = [part.process for parts in stands.values() for part in parts]
        for _, _, sdk in stands.values():
            sdk.ready()
        for _, _, sdk in stands.values():
            for n in range(CALLS):
                sdk.start(METHOD, limit=1 + n)
        yield {which: (sdk.finish(seconds=110), slack, proxy) for which, (slack, proxy, sdk) in stands.items()}
    finally:
        for part in [part for parts in stands.values() for part in parts]:
            part.kill()


@pytest.mark.parametrize("which", FLOODS, ids="-".join)
def test_every_call_comes_through(floods, which):
    answers, slack, _ = floods[which]
    assert refused(answers) == []
    assert len(slack.calls(METHOD)) == CALLS
    assert slack.ledger()["violations"] == []
    took = (max(a["end_ms"] for a in answers) - min(a["start_ms"] for a in answers)) / 1000
    least = (CALLS - 1) // 20 * MINUTE if which[1] == "plain" else (CALLS - 1) / 15 * MINUTE
    assert took < least + MINUTE, took


@pytest.mark.parametrize("which", FLOODS, ids="-".join)
def test_no_call_uses_up_its_retries(floods, which):
    answers, _, proxy = floods[which]
    limited = [answer["limited"] for answer in answers]
    assert max(limited) <= 3, limited
    # That some are is what this test is for.
    assert (sum(limited) > 0) == (which[0] == "node"), limited
    assert sum(limited) == proxy.metric("slackwater_sheds_total", reason="deadline")
