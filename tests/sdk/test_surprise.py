"""Slack allows less than it documents: the proxy finds out, and the SDKs never hear of it."""

from sdk import SDKS, Sdk, refused
from stand import FakeSlack, Proxy

CALLS = 20


def test_a_429_from_slack_is_invisible():
    slack = FakeSlack(limits=["conversations.list=10"])  # the proxy believes in 20
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
        # Those under way when the first is refused are refused as well; then the limit is known.
        assert 1 <= len(calls) - len(done) <= 15, f"{sdk.name} had {len(calls) - len(done)} refusals"
    assert proxy.metric("slackwater_upstream_429_total", method="conversations.list") >= len(SDKS)
