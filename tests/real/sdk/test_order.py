"""Messages that an app posts to one channel without waiting arrive in the order it sent them.

Which of two connections the kernel hands over first is nobody's promise, so each message starts
when the one before it is known to stand in the proxy's line or to have reached Slack.
"""

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
