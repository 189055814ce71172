"""What goes wrong at Slack reaches the bot as something its SDK understands, or not at all.

Each fault meets one call of each SDK, with the SDK's own retries and without; all at the same time,
each with a token of its own, so that what one leads to does not show in another's.
"""

import pytest
from sdk import SDKS, Sdk
from stand import FakeSlack, Proxy

# A method that reads for each fault.
FAULTS = {
    "reset-early": ("users.info", {"user": "U1"}),
    "reset": ("users.list", {}),
    "hang": ("conversations.list", {"limit": 10}),
    "500": ("conversations.info", {"channel": "C1"}),
    "502": ("conversations.members", {"channel": "C1"}),
    "503": ("conversations.history", {"channel": "C1"}),
    "429-no-header": ("conversations.replies", {"channel": "C1", "ts": "1.1"}),
    "429-no-body": ("team.info", {}),
    "200-ratelimited": ("emoji.list", {}),
    "gzip": ("usergroups.list", {}),
    "chunked": ("reactions.list", {}),
    "slow": ("pins.list", {"channel": "C1"}),
}
# What is answered with another status than 200: all else the proxy waits out or sends again, or it is an
# answer after all.
VISIBLE = {"hang": 504}
# Errors that the SDKs' documentation names.
KINDS = {"SlackApiError", "WebAPIHTTPError"}

SHARED_PROCESSES = []


@pytest.fixture(scope="module")
def outcomes():
    """The answers and the ledger of each SDK, with and without retries."""
    stands = {}
    try:
        for name in SDKS:
            for retry in (False, True):
                slack = FakeSlack()
                more = "timeouts: { headers: 2s }\non_429: { default_retry_after: 1s }\n"
                proxy = Proxy(("/api/", slack.url), more=more)
                stands[name, retry] = slack, proxy, Sdk(name, proxy.base_url(), retry=retry)
        SHARED_PROCESSES[:] = [part.process for stand in stands.values() for part in stand]
        for _, _, sdk in stands.values():
            sdk.ready()
        calls = {}
        for key, (slack, _, sdk) in stands.items():
            for n, (fault, (method, args)) in enumerate(FAULTS.items()):
                slack.fault(method, fault)
                token = f"xoxb-T{n}-A{n}-secret"
                calls[key, fault] = sdk.start(method, token=token, **args), sdk.start("auth.test", token=token)
        found = {}
        for key, (slack, proxy, sdk) in stands.items():
            answers = {answer["id"]: answer for answer in sdk.finish(seconds=40)}
            ledger = slack.ledger()
            # No other method of the test is special.
            waited = proxy.metric("slackwater_wait_seconds_sum", tier="special")
            for fault in FAULTS:
                call, beside = calls[key, fault]
                found[key, fault] = answers[call], (answers[beside], waited), ledger
        yield found
    finally:
        for stand in stands.values():
            for part in stand:
                part.kill()


pytestmark = [
    pytest.mark.timeout(90),
    pytest.mark.parametrize("fault", FAULTS),
    pytest.mark.parametrize("retry", [False, True], ids=["plain", "retry"]),
    pytest.mark.parametrize("sdk", SDKS),
]


def test_the_bot_sees_what_its_sdk_understands(outcomes, sdk, retry, fault):
    answer, _, _ = outcomes[(sdk, retry), fault]
    # Node's retries are for errors of every kind; Python's here for 429s alone.
    if fault not in VISIBLE or (sdk == "node" and retry):
        assert answer["ok"], answer
        return
    assert not answer["ok"]
    assert answer["kind"] in KINDS, answer
    assert answer["status"] in (VISIBLE[fault], None), answer
    if fault in VISIBLE:
        assert "upstream_" in (answer["error"] or answer["detail"]), answer


def test_it_costs_one_slot_at_most(outcomes, sdk, retry, fault):
    answer, _, ledger = outcomes[(sdk, retry), fault]
    calls = [call for call in ledger["calls"] if call["method"] == FAULTS[fault][0]]
    # Python's sync client does not ask for packed answers, and gets none.
    unpacked = (sdk, fault) == ("python-sync", "gzip")
    assert [call["fault"] for call in calls if "fault" in call] == ([] if unpacked else [fault])
    assert len(calls) - sum(call["outcome"] == "ok" for call in calls) <= 1
    assert len([call for call in calls if call["outcome"] == "ok"]) == answer["ok"]
    assert ledger["violations"] == []


def test_a_call_beside_it_is_not_hurt(outcomes, sdk, retry, fault):
    _, (beside, waited), _ = outcomes[(sdk, retry), fault]
    assert beside["ok"], beside
    assert waited < 0.5, "all that beside calls were held, together"
