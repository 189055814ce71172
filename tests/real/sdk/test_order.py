"""What an app changes without waiting is changed in the order in which it sent it.

Which of two connections the kernel hands over first is nobody's promise, so each call starts
when the one before it is known to stand in the proxy's line or to have reached Slack.
"""

import pytest
from sdk import SDKS, Sdk, refused
from stand import FakeSlack, Proxy, eventually

MESSAGES = 8


def test_posts_of_one_channel_keep_their_order():
    slack = FakeSlack(minute=30)  # one message per channel and half a second
    proxy = Proxy(("/api/", slack.url), minute=30)
    sdks = [Sdk(name, proxy.base_url()) for name in SDKS]
    sent = 0

    def known() -> int:
        # The ledger first: a call that moves on between the two looks is missed, never counted twice.
        arrived = len(slack.calls("chat.postMessage"))
        return arrived + proxy.held("chat.postMessage")

    for m in range(MESSAGES):
        for sdk in sdks:
            sdk.start("chat.postMessage", channel=f"C{sdk.workspace}", text=f"message {m}")
            sent += 1
            eventually(f"message {m} of {sdk.name} in the line or at Slack", lambda: known() == sent)
    assert proxy.held("chat.postMessage") > 0, "they were in the line together"

    for sdk in sdks:
        assert refused(sdk.finish(seconds=20)) == []
        texts = [c["text"] for c in slack.calls("chat.postMessage") if c["channel"] == f"C{sdk.workspace}"]
        assert texts == [f"message {m}" for m in range(MESSAGES)], sdk.name
    assert slack.ledger()["violations"] == []


@pytest.mark.parametrize("name", SDKS)
def test_a_message_ends_with_its_last_text(name):
    """Slack refuses the first text once, for a second, and the others wait for it."""
    slack = FakeSlack(latency="300ms")
    proxy = Proxy(("/api/", slack.url))
    sdk = Sdk(name, proxy.base_url("/@bot;max-wait=20s"))
    slack.fault("chat.update", "429-no-body")

    def known() -> int:
        # The first one arrives twice. The ledger first, as above.
        arrived = len(slack.calls("chat.update")) - 1
        return arrived + proxy.held("chat.update")

    for m in range(MESSAGES):
        sdk.start("chat.update", channel="C1", ts="1700000000.000100", text=f"text {m}")
        eventually(f"text {m} in the line or at Slack", lambda m=m: known() > m)
    # In another message meanwhile.
    other = sdk.call("chat.update", channel="C1", ts="1700000000.000200", text="other")
    assert other["ok"]

    assert refused(sdk.finish(seconds=20)) == []
    texts = [c["text"] for c in slack.calls("chat.update") if c["text"] != "other"]
    assert texts == ["text 0", *(f"text {m}" for m in range(MESSAGES))]
