"""Clients that give up when they read nothing for a while wait through a flood (test_clients.py), but not where
something is between them and slackwater: it might not bear the interim responses that keep them waiting.
"""

import pytest
from fleet import CALLS, METHOD, ROOM
from sdk import Sdk
from stand import MINUTE, FakeSlack, Proxy


@pytest.mark.timeout(90)
def test_behind_another_proxy_they_are_told_in_time():
    """Its calls are held as long as it waits by itself, and refused before it gives up."""
    slack = FakeSlack(minute=MINUTE)
    proxy = Proxy(("/api/", slack.url), minute=MINUTE)
    client = Sdk("requests", proxy.base_url(), in_workspace="T1",
                 words=("--timeout", 30 * MINUTE / 60, "--header", "Via: 1.1 relay"))  # fmt: skip
    for _ in range(CALLS):
        client.start(METHOD, limit=200)
    answers = client.finish(seconds=60)
    assert [answer["error"] for answer in answers if not answer["ok"]] == ["ratelimited"] * (CALLS - ROOM)
