"""What an app changes without waiting is changed in the order in which it sent it, whatever its client.

Which of two connections the kernel hands over first is nobody's promise, so each call starts
when the one before it is known to stand in the proxy's line or to have reached Slack.
"""

import pytest
from fleet import CLIENTS
from sdk import SDKS, Sdk, refused
from stand import FakeSlack, Proxy, eventually

MESSAGES = 5
MINUTE = 60  # one message per channel and second

# Those that know methods, so many at a time that a round of them takes less than a message has to wait.
NAMES = [name for name, client in CLIENTS.items() if not client.webhook]
GROUPS = [NAMES[n::4] for n in range(4)]


@pytest.mark.parametrize("names", GROUPS, ids=" ".join)
def test_posts_of_one_channel_keep_their_order(names):
    slack = FakeSlack(minute=MINUTE)
    proxy = Proxy(("/api/", slack.url), minute=MINUTE)
    # It is not about time-outs, so all have the same.
    clients = [
        Sdk(name, proxy.base_url("/@order;max-wait=40s"), in_workspace=f"T{n}", words=("--timeout", 50))
        for n, name in enumerate(names)
    ]
    for client in clients:
        client.ready()
    sent = 0

    def known() -> int:
        # The ledger first: a call that moves on between the two looks is missed, never counted twice.
        arrived = len(slack.calls("chat.postMessage"))
        return arrived + proxy.held("chat.postMessage")

    for m in range(MESSAGES):
        for client in clients:
            client.start("chat.postMessage", channel=f"C{client.workspace}", text=f"message {m}")
            sent += 1
            eventually(f"message {m} of {client.name} in the line or at Slack", lambda: known() == sent)
    assert proxy.held("chat.postMessage") > 0, "they were in the line together"

    for client in clients:
        assert refused(client.finish(seconds=20)) == []
        texts = [c["text"] for c in slack.calls("chat.postMessage") if c["channel"] == f"C{client.workspace}"]
        assert texts == [f"message {m}" for m in range(MESSAGES)], client.name
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
