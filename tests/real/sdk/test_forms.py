"""A channel's limit is found however the SDK sends the arguments: each form in which it can is tried."""

import pytest
from sdk import SDKS, Sdk, refused
from stand import FakeSlack, Proxy

MINUTE = 30.0  # one message per channel and half a second
TOLERATED = 3  # what Slack lets pass at once
POSTS = 2 * TOLERATED

# Node's client sends forms only, and multipart where there is a file.
FORMS = {
    "python-sync": ["json", "form", "query", "get", "multipart"],
    "python-async": ["json", "form", "query", "get", "multipart"],
    "node": ["form", "multipart"],
}

SHARED_PROCESSES = []


@pytest.fixture(scope="module")
def ledger():
    """All of them at the same time, each form in a channel of its own."""
    slack = FakeSlack(minute=MINUTE)
    proxy = Proxy(("/api/", slack.url), minute=MINUTE)
    sdks = [Sdk(name, proxy.base_url()) for name in SDKS]
    SHARED_PROCESSES[:] = [part.process for part in (slack, proxy, *sdks)]
    try:
        for sdk in sdks:
            for form in FORMS[sdk.name]:
                for n in range(POSTS):
                    sdk.start("chat.postMessage", form=form, channel=channel(sdk.name, form), text=f"{form} {n}")
        for sdk in sdks:
            assert refused(sdk.finish(seconds=20)) == []
        yield slack.ledger()
    finally:
        for part in (slack, proxy, *sdks):
            part.kill()


def channel(sdk: str, form: str) -> str:
    return f"C{Sdk.workspace_of(sdk)}{form.upper()}"


@pytest.mark.parametrize("sdk, form", [(sdk, form) for sdk in SDKS for form in FORMS[sdk]])
def test_the_limit_per_channel_is_kept(ledger, sdk, form):
    here = [c for c in ledger["calls"] if c["channel"] == channel(sdk, form)]
    assert sorted(c["text"] for c in here) == [f"{form} {n}" for n in range(POSTS)]
    assert {c["outcome"] for c in here} == {"ok"}
    at = sorted(c["at_ms"] / 1000 for c in here)
    # The proxy sends them a slot apart; on the way they may come closer to each other.
    assert at[-1] - at[0] >= (POSTS - TOLERATED) * MINUTE / 60


def test_slack_refuses_nothing(ledger):
    assert ledger["violations"] == []
