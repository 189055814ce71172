"""Fifty bots that read one channel at one call a minute: with `reads=share` they get one answer, without each its own.

The ledger of the fake Slack counts what went out. Each flood has a Slack and a proxy of its own.
"""

import http.client
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from holding import resident
from stand import FakeSlack, Proxy, eventually, http_get

BOTS = 50
METHOD = "conversations.history"
MINUTE = 1.0  # one call in it
LANES = {"share": ";reads=share", "each": ""}
READ = b"token=xoxb-T1-A1-secret&channel=C1"

pytestmark = pytest.mark.timeout(180)


class Flood:
    """One read takes the slot of the first minute, and all bots ask behind it."""

    def __init__(self, lane: str):
        self.lane = lane
        self.slack = FakeSlack(minute=MINUTE, limits=[f"{METHOD}=1"])
        limit = f"methods: {{ {METHOD}: {{ limits: [{{ name: one, limit: 1, per: 1m, scope: [app, workspace] }}] }} }}\n"
        self.proxy = Proxy(("/api/", self.slack.url), minute=MINUTE, more=limit)

    def ask(self, bot: int) -> tuple[int, float, str]:
        url = self.proxy.base_url(f"/@bot{bot};max-wait=150s{LANES[self.lane]}") + METHOD
        status, body = http_get(url, 160, READ)
        return status, time.monotonic(), body

    def run(self) -> dict:
        assert http_get(self.proxy.base_url() + METHOD, 20, READ.replace(b"C1", b"C0"))[0] == 200
        begun = time.monotonic()
        with ThreadPoolExecutor(BOTS) as pool:
            answers = list(pool.map(self.ask, range(BOTS)))
        took = (max(at for _, at, _ in answers) - begun) / MINUTE
        calls = len(self.slack.calls(METHOD))
        print(f"{self.lane}: {calls} calls sent for {BOTS + 1}, the last answer after {took:.1f} minutes")
        saved = self.proxy.metric("slackwater_saved_calls_total", method=METHOD, how="shared")
        return {"answers": answers, "took": took, "calls": calls, "ledger": self.slack.ledger(), "saved": saved}

    def kill(self) -> None:
        self.proxy.kill()
        self.slack.kill()


@pytest.fixture(scope="module")
def floods():
    """Both at the same time: what takes long is waiting."""
    floods = [Flood(lane) for lane in LANES]
    try:
        with ThreadPoolExecutor(len(floods)) as pool:
            yield dict(zip(LANES, pool.map(Flood.run, floods)))
    finally:
        for flood in floods:
            flood.kill()


@pytest.mark.parametrize("lane", LANES)
def test_every_bot_is_answered_and_slack_refuses_none(floods, lane):
    ledger = floods[lane]["ledger"]
    assert ledger["violations"] == [] and ledger["totals"]["refused"] == 0
    assert {status for status, _, _ in floods[lane]["answers"]} == {200}


def test_fifty_equal_reads_are_one_call(floods):
    share = floods["share"]
    assert share["calls"] == 2
    assert len({body for _, _, body in share["answers"]}) == 1
    assert share["saved"] == BOTS - 1


def test_without_it_each_is_sent_at_a_minute_of_its_own(floods):
    each, share = floods["each"], floods["share"]
    assert each["calls"] == BOTS + 1 and each["saved"] == 0
    assert each["took"] > BOTS - 2 and each["took"] > 10 * share["took"]


READS, CONNECTIONS = 10_000, 8
REMEMBERED = 4  # MiB


def test_nothing_is_left_of_ten_thousand_different_reads():
    """The second ten thousand take no more than the first.

    Turned red by: an entry that outlives its call, and an answer that is remembered for good.
    """
    slack = FakeSlack(latency="0ms", limits=["users.info=1000000"])
    more = "identity: { resolve: false }\nmethods: { users.info: { tier: none } }\n"
    more += f"reads: {{ share: true, cache: {{ for: 5s, bytes: {REMEMBERED}MiB }} }}\n"
    proxy = Proxy(("/api/", slack.url), more=more)

    def read(round_: int, part: int) -> None:
        bot = http.client.HTTPConnection(proxy.listen, timeout=60)
        headers = {"authorization": "Bearer xoxb-T1-A1-secret", "content-type": "application/x-www-form-urlencoded"}
        for number in range(READS // CONNECTIONS):
            bot.request("POST", "/api/users.info", f"user=U{round_}X{part}X{number}", headers)
            answer = bot.getresponse()
            answer.read()
            assert answer.status == 200 and answer.headers["slackwater-attempts"] == "1"
        bot.close()

    rest = []
    try:
        for round_ in range(3):
            with ThreadPoolExecutor(CONNECTIONS) as pool:
                list(pool.map(lambda part: read(round_, part), range(CONNECTIONS)))
            metrics = proxy.metrics()
            most, full = metrics.sum("slackwater_remembered_bytes"), resident(proxy)
            assert 0 < most <= REMEMBERED << 20
            eventually("all is forgotten", lambda: proxy.metric("slackwater_remembered_answers") == 0, 20)
            rest.append(resident(proxy))
            answers = metrics.sum("slackwater_remembered_answers")
            print(f"{READS} reads: {answers:.0f} remembered in {most / 2**20:.1f} MiB, {full:.1f} MiB resident; "
                  f"then {rest[-1]:.1f} MiB")
        assert proxy.metric("slackwater_remembered_bytes") == 0
        assert max(call["seq"] for call in slack.calls("users.info")) == 3 * READS
        # Ten thousand answers would take nine MiB; what an allocator has between two rounds is less.
        assert rest[2] < rest[1] + 5
    finally:
        proxy.kill()
        slack.kill()
