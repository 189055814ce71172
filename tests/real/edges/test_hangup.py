"""A client that dies leaves the line, and its calls cost nothing."""

from sdk import SDKS, Sdk, refused
from stand import FakeSlack, Proxy, eventually

ROOM = 20  # tier 2
HELD = 40


def test_a_client_that_is_killed_leaves_the_line():
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url))
    dying = [Sdk(name, proxy.base_url("/@bot;max-wait=50s"), timeout=55) for name in SDKS]
    living = [Sdk(name, proxy.base_url("/@bot;max-wait=50s"), timeout=55) for name in SDKS]
    for sdk in [*dying, *living]:
        sdk.ready()

    for sdk in dying:
        for _ in range(ROOM + HELD):
            sdk.start("conversations.list", limit=200)
    for sdk in dying:
        eventually(f"{sdk.name}: what has room is answered", lambda: len(sdk.answers()) == ROOM)
    for sdk in living:
        sdk.start("conversations.list", limit=200)
    eventually("the rest is held", lambda: proxy.held("conversations.list") == (HELD + 1) * len(SDKS))

    for sdk in dying:
        sdk.kill()
    eventually("only the living wait", lambda: proxy.held("conversations.list") == len(SDKS))

    for sdk in living:
        assert refused(sdk.finish(seconds=10)) == []
    assert len(slack.calls("conversations.list")) == (ROOM + 1) * len(SDKS), "no call of the dead was sent"
    assert proxy.held("conversations.list") == 0
    assert slack.ledger()["violations"] == []
