"""Slack allows less than it documents: the proxy finds out, and the SDKs never hear of it."""

from sdk import SDKS, Sdk, refused
from stand import FakeSlack, Proxy

LIMIT = 10
BELIEVED = 20
CALLS = 30  # three windows of what Slack allows


def test_a_429_from_slack_is_invisible():
    slack = FakeSlack(limits=[f"conversations.list={LIMIT}"])
    proxy = Proxy(("/api/", slack.url))
    # No SDK gives up before the proxy does.
    sdks = [Sdk(name, proxy.base_url(lane="/@sync;max-wait=45s"), timeout=50) for name in SDKS]
    for sdk in sdks:
        for _ in range(CALLS):
            sdk.start("conversations.list", limit=200)
    for sdk in sdks:
        assert refused(sdk.finish(seconds=50)) == []

    for sdk in sdks:
        calls = [c for c in slack.calls("conversations.list") if c["workspace"] == sdk.workspace]
        done = [c for c in calls if c["status"] == 200]
        assert len(done) == CALLS, "each was done once"
        # What goes out beyond Slack's limit before the first refusal is refused as well, in each window.
        refusals = len(calls) - len(done)
        assert 1 <= refusals <= (BELIEVED - LIMIT) * (CALLS // LIMIT), f"{sdk.name} had {refusals} refusals"
    refusals = slack.ledger()["totals"]["refused"]
    assert proxy.metric("slackwater_upstream_429_total", method="conversations.list") == refusals
    assert proxy.metric("slackwater_replays_total", method="conversations.list") == refusals
