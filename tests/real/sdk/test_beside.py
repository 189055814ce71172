"""What is beside the Web API, through Slack's own clients: webhooks, response URLs, SCIM, Audit Logs.

Every client floods at once, as in test_flood.py: none may see a refusal, and Slack may not have to
refuse a call. For SCIM and Audit Logs a minute lasts six seconds: twenty new users go in two thirds
of one, and fifty reads of logs in six. A webhook has a message in half a second, since in a tenth of
one three that a busy machine delivers together are more than Slack tolerates.
"""

from dataclasses import dataclass

import pytest
from sdk import SDKS, Sdk, refused
from stand import MINUTE, FakeSlack, Proxy

PYTHON = ["python-sync", "python-async"]
WEBHOOKS, MESSAGES = 3, 8
SLOT = 0.5
TOLERATED = 3  # what Slack lets pass at once
USERS = 45  # 180 a minute, 20 at once
LOGS = 60  # 50 a minute

SHARED_PROCESSES = []


@dataclass
class Stand:
    """A Slack, a proxy and clients, and what came of the flood."""

    sdks: list[str]
    minute: float

    def __post_init__(self):
        self.slack = FakeSlack(minute=self.minute)
        self.proxy = Proxy(("/api/", self.slack.url), minute=self.minute, beside=self.slack.url)
        # aiohttp's time-out counts in all: nothing makes it wait longer than that, so it is long, and said.
        lane = self.proxy.base_url(lane="/@sync;max-wait=40s")
        self.clients = [Sdk(name, lane, timeout=45) for name in self.sdks]

    def finish(self) -> None:
        self.answers = {sdk.name: sdk.finish(seconds=40) for sdk in self.clients}
        self.calls = self.slack.ledger()["calls"]

    def parts(self) -> list:
        return [self.slack, self.proxy, *self.clients]


@pytest.fixture(scope="module")
def stands():
    """(webhooks, SCIM and Audit Logs), at the same time."""
    both = Stand(SDKS, 60 * SLOT), Stand(PYTHON, MINUTE)
    parts = [part for stand in both for part in stand.parts()]
    SHARED_PROCESSES[:] = [part.process for part in parts]
    try:
        for sdk in [*both[0].clients, *both[1].clients]:
            sdk.ready()
        for sdk in both[0].clients:
            for n in range(WEBHOOKS * MESSAGES):
                sdk.start("webhook", path=f"/services/{sdk.workspace}/B{n % WEBHOOKS}/secret", text=f"message {n}")
        for sdk in both[1].clients:
            for n in range(USERS):
                sdk.start("scim.create_user", user={"userName": f"user {n}", "emails": []})
            for n in range(10):
                sdk.start("scim.read_user", id=f"W{n}")
                sdk.start("scim.delete_user", id=f"W{n}")
                sdk.start("scim.patch_group", id=f"S{n}", partial_group={"displayName": "group"})
                sdk.start("scim.search_groups", count=1, start_index=1)
            for _ in range(LOGS):
                sdk.start("audit.logs", limit=1)
        for stand in both:
            stand.finish()
        yield both
    finally:
        for part in parts:
            part.kill()


pytestmark = pytest.mark.timeout(90)


def times(calls: list[dict]) -> list[float]:
    return [c["at_ms"] / 1000 for c in calls]


def of(calls: list[dict], sdk: str, method: str) -> list[dict]:
    return [c for c in calls if (c["method"], c["workspace"]) == (method, Sdk.workspace_of(sdk))]


@pytest.mark.parametrize("which", [0, 1], ids=["webhooks", "scim-and-audit"])
def test_nobody_is_refused(stands, which):
    stand = stands[which]
    assert stand.slack.ledger()["violations"] == []
    for name in stand.sdks:
        assert refused(stand.answers[name]) == []


def test_every_message_is_sent_once_and_a_slot_apart_from_the_next(stands):
    calls = [c for c in stands[0].calls if c["method"] == "webhook"]
    for n in range(WEBHOOKS * MESSAGES):
        assert [c["text"] for c in calls].count(f"message {n}") == len(SDKS)
    urls = {c["url"] for c in calls}
    assert len(urls) == len(SDKS) * WEBHOOKS
    for url in urls:
        at = times([c for c in calls if c["url"] == url])
        assert max(at) - min(at) >= (MESSAGES - TOLERATED) * SLOT


@pytest.mark.parametrize("sdk", PYTHON)
@pytest.mark.parametrize("method, calls", [
    ("scim.users.create", USERS), ("scim.users.read", 10), ("scim.users.delete", 10),
    ("scim.groups.update", 10), ("scim.read", 10), ("audit", LOGS),
])  # fmt: skip
def test_each_endpoint_is_known(stands, sdk, method, calls):
    assert len(of(stands[1].calls, sdk, method)) == calls


@pytest.mark.parametrize("sdk", PYTHON)
def test_it_takes_what_the_limits_ask_for(stands, sdk):
    logs = times(of(stands[1].calls, sdk, "audit"))
    assert max(logs) - min(logs) >= MINUTE
    users = times(of(stands[1].calls, sdk, "scim.users.create"))
    assert max(users) - min(users) >= 2 * MINUTE * 20 / 180


def test_no_webhook_is_told(stands):
    proxy = stands[0].proxy
    metrics = proxy.admin_get("/metrics")[1]
    assert 'method="webhook"' in metrics
    for told in (metrics, str(proxy.status()), proxy.process.err_path.read_text()):
        assert "secret" not in told


def test_a_response_url_has_five_uses(sdk_name):
    slack = FakeSlack(latency="0ms")
    proxy = Proxy(("/api/", slack.url), beside=slack.url)
    sdk = Sdk(sdk_name, proxy.base_url())
    for path in ("/commands/T1/1/secret", "/actions/T1/1/secret"):
        for _ in range(5):
            assert sdk.call("webhook", path=path, text="hello")["ok"]
        sixth = sdk.call("webhook", seconds=5, path=path, text="hello")
        assert not sixth["ok"], "it is refused at once, not held"
    assert len(slack.calls("response_url")) == 10
    assert slack.ledger()["violations"] == []
