"""The SDKs' own retries of broken connections, as they are by default, are not taken away.

For five methods that read and five that write, the connection of the first call breaks: before Slack has read it,
or when it has counted it. Straight to Slack, the Python SDK sends the call again. Through the proxy it is done as
often, and the bot sees the same.
"""

import pytest
from sdk import Sdk
from stand import FakeSlack, Proxy

AT = {"channel": "C1", "timestamp": "1.1"}
READS = {
    "users.info": {"user": "U1"},
    "conversations.info": {"channel": "C1"},
    "team.info": {},
    "emoji.list": {},
    "pins.list": {"channel": "C1"},
}
WRITES = {
    "chat.postMessage": {"channel": "C1", "text": "once"},
    "reactions.add": {"name": "eyes", **AT},
    "pins.add": AT,
    "chat.update": {"channel": "C1", "ts": "1.1", "text": "twice"},
    "conversations.setTopic": {"channel": "C1", "topic": "t"},
}
BOTH = READS | WRITES
KINDS = ("python-sync", "python-async")
FAULTS = ("reset-early", "reset")
WAYS = ("straight", "through")

SHARED_PROCESSES = []


@pytest.fixture(scope="module")
def outcomes():
    stands = {}
    try:
        for key in [(sdk, fault, way) for sdk in KINDS for fault in FAULTS for way in WAYS]:
            slack, parts = FakeSlack(), []
            url = f"{slack.url}/api/"
            if key[2] == "through":
                parts.append(Proxy(("/api/", slack.url)))
                url = parts[0].base_url()
            stands[key] = slack, Sdk(key[0], url, defaults_at=60), parts
        SHARED_PROCESSES[:] = [part.process for slack, sdk, parts in stands.values() for part in (slack, sdk, *parts)]
        for _, sdk, _ in stands.values():
            sdk.ready()
        for (_, fault, _), (slack, sdk, _) in stands.items():
            for method, args in BOTH.items():
                slack.fault(method, fault)
                sdk.start(method, **args)
        yield {
            key: ({sdk.calls[a["id"]]["method"]: a for a in sdk.finish(seconds=40)}, slack.ledger(), parts)
            for key, (slack, sdk, parts) in stands.items()
        }
    finally:
        for slack, sdk, parts in stands.values():
            for part in (slack, sdk, *parts):
                part.kill()


pytestmark = [
    pytest.mark.timeout(90),
    pytest.mark.parametrize("fault", FAULTS),
    pytest.mark.parametrize("sdk", KINDS),
]


@pytest.mark.parametrize("way", WAYS)
def test_every_call_is_done(outcomes, sdk, fault, way):
    answers, ledger, _ = outcomes[sdk, fault, way]
    assert [answer for answer in answers.values() if not answer["ok"]] == []
    assert ledger["violations"] == []


def test_each_is_sent_as_often_as_straight(outcomes, sdk, fault):
    sent = {}
    for way in WAYS:
        calls = outcomes[sdk, fault, way][1]["calls"]
        sent[way] = {method: sorted(c["outcome"] for c in calls if c["method"] == method) for method in BOTH}
    assert sent["through"] == sent["straight"]
    assert all(outcomes.count("ok") == 1 for outcomes in sent["straight"].values())


def test_reads_are_sent_again_by_the_proxy_and_writes_by_the_sdk(outcomes, sdk, fault):
    _, _, (proxy,) = outcomes[sdk, fault, "through"]
    closed = {method: proxy.metric("slackwater_requests_total", method=method, code="closed") for method in BOTH}
    assert closed == {method: float(method in WRITES) for method in BOTH}
    retried = {method: proxy.metric("slackwater_retries_total", method=method, reason="broken") for method in BOTH}
    assert retried == {method: float(method in READS) for method in BOTH}
