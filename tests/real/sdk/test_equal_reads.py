"""Fifty bots that read one channel at one call a minute: with `reads=share` they get one answer, without each its own.

The ledger of the fake Slack counts what went out. Each flood has a Slack and a proxy of its own.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from stand import FakeSlack, Proxy, http_get

BOTS = 50
METHOD = "conversations.history"
MINUTE = 1.0  # one call in it
LANES = {"share": ";reads=share", "each": ""}
READ = b"token=xoxb-T1-A1-secret&channel=C1"

pytestmark = pytest.mark.timeout(180)


def flood(lane: str) -> dict:
    """One read takes the slot of the first minute, and all bots ask behind it."""
    slack = FakeSlack(minute=MINUTE, limits=[f"{METHOD}=1"])
    limit = f"methods: {{ {METHOD}: {{ limits: [{{ name: one, limit: 1, per: 1m, scope: [app, workspace] }}] }} }}\n"
    proxy = Proxy(("/api/", slack.url), minute=MINUTE, more=limit)

    def ask(bot: int) -> tuple[int, float, str]:
        url = proxy.base_url(f"/@bot{bot};max-wait=150s{LANES[lane]}") + METHOD
        status, body = http_get(url, 160, READ)
        return status, time.monotonic(), body

    try:
        assert http_get(proxy.base_url() + METHOD, 20, READ.replace(b"C1", b"C0"))[0] == 200
        begun = time.monotonic()
        with ThreadPoolExecutor(BOTS) as pool:
            answers = list(pool.map(ask, range(BOTS)))
        took = max(at for _, at, _ in answers) - begun
        ledger = slack.ledger()
        print(f"{lane}: {len(ledger['calls'])} calls sent for {BOTS + 1}, the last answer after {took / MINUTE:.1f} minutes")
        saved = proxy.metric("slackwater_saved_calls_total", method=METHOD, how="shared")
        return {"answers": answers, "took": took / MINUTE, "ledger": ledger, "saved": saved}
    finally:
        proxy.kill()
        slack.kill()


@pytest.fixture(scope="module")
def floods():
    """Both at the same time: what takes long is waiting."""
    with ThreadPoolExecutor(len(LANES)) as pool:
        return dict(zip(LANES, pool.map(flood, LANES)))


@pytest.mark.parametrize("lane", LANES)
def test_every_bot_is_answered_and_slack_refuses_none(floods, lane):
    ledger = floods[lane]["ledger"]
    assert ledger["violations"] == [] and ledger["totals"]["refused"] == 0
    assert {status for status, _, _ in floods[lane]["answers"]} == {200}


def test_fifty_equal_reads_are_one_call(floods):
    share = floods["share"]
    assert len(share["ledger"]["calls"]) == 2
    assert len({body for _, _, body in share["answers"]}) == 1
    assert share["saved"] == BOTS - 1


def test_without_it_each_is_sent_at_a_minute_of_its_own(floods):
    each, share = floods["each"], floods["share"]
    assert len(each["ledger"]["calls"]) == BOTS + 1 and each["saved"] == 0
    assert each["took"] > BOTS - 2 and each["took"] > 10 * share["took"]
