"""The SDKs' own retries, on and off: a call that the proxy sends away comes back when it was told to.

Calls that wait longer than half a second are sent away here, so of a flood that is larger than the
window some are, each with the time of its place.
"""

import pytest
from sdk import SDKS, Sdk, refused
from stand import FakeSlack, Proxy

ROOM = 20  # tier 2
CALLS = 26

SHARED_PROCESSES = []


@pytest.fixture(scope="module")
def outcomes():
    """With and without retries at the same time, each before a Slack of its own."""
    stands = {}
    try:
        for retry in (True, False):
            slack = FakeSlack()
            # What the SDKs' own retries listen to; Node is told otherwise by default.
            proxy = Proxy(("/api/", slack.url), more="shed_as: 429\n")
            lane = proxy.base_url(lane="/@sync;max-wait=500ms")
            stands[retry] = slack, proxy, [Sdk(name, lane, retry=retry) for name in SDKS]
        everyone = [sdk for _, _, sdks in stands.values() for sdk in sdks]
        SHARED_PROCESSES[:] = [part.process for s, p, sdks in stands.values() for part in (s, p, *sdks)]
        for sdk in everyone:
            sdk.ready()
        for sdk in everyone:
            for n in range(CALLS):
                sdk.start("conversations.list", limit=200 + n)
        yield {
            retry: ({sdk.name: sdk.finish(seconds=40) for sdk in sdks}, slack.ledger(), proxy.metric("slackwater_sheds_total"))
            for retry, (slack, proxy, sdks) in stands.items()
        }
    finally:
        for slack, proxy, sdks in stands.values():
            for part in (slack, proxy, *sdks):
                part.kill()


pytestmark = pytest.mark.timeout(90)


@pytest.mark.parametrize("sdk", SDKS)
def test_with_retries_every_call_is_done_in_the_end(outcomes, sdk):
    answers, ledger, sheds = outcomes[True]
    assert refused(answers[sdk]) == []
    here = [c for c in ledger["calls"] if (c["workspace"], c["method"]) == (Sdk.workspace_of(sdk), "conversations.list")]
    assert len(here) == CALLS, "what was sent away was not sent to Slack"
    assert sheds >= len(SDKS) * (CALLS - ROOM)


@pytest.mark.parametrize("sdk", SDKS)
def test_without_retries_the_caller_is_told(outcomes, sdk):
    answers, ledger, _ = outcomes[False]
    away = refused(answers[sdk])
    assert len(away) == CALLS - ROOM
    assert {(answer["status"], answer["error"]) for answer in away} == {(429, "ratelimited")}
    here = [c for c in ledger["calls"] if (c["workspace"], c["method"]) == (Sdk.workspace_of(sdk), "conversations.list")]
    assert len(here) == ROOM


@pytest.mark.parametrize("retry", [True, False])
def test_slack_refuses_nothing(outcomes, retry):
    assert outcomes[retry][1]["violations"] == []
