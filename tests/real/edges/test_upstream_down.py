"""Slack cannot be reached: it is tried for ten seconds, then an answer says so, and nothing else suffers."""

from sdk import Sdk
from stand import FakeSlack, Proxy, free_port


def closed_port() -> str:
    return f"http://127.0.0.1:{free_port()}"


def assert_is_a_clear_502(answer: dict) -> None:
    assert not answer["ok"]
    assert answer["status"] == 502, answer
    assert answer["error"], f"the body is JSON and names the error: {answer}"
    assert answer["end_ms"] - answer["start_ms"] < 13_000, answer


def test_one_upstream_is_down_and_the_other_goes_on(sdk_name):
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url), ("/gone/", closed_port()))
    lost = Sdk(sdk_name, proxy.base_url(prefix="/gone/"))
    fine = Sdk(sdk_name, proxy.base_url())
    for _ in range(2):
        assert_is_a_clear_502(lost.call("conversations.list", limit=200))
        assert fine.call("conversations.list", limit=200)["ok"]


def test_slack_goes_and_comes_back(sdk_name):
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url))
    sdk = Sdk(sdk_name, proxy.base_url())
    assert sdk.call("conversations.list", limit=200)["ok"]
    slack.kill()
    assert_is_a_clear_502(sdk.call("conversations.list", limit=200))
    FakeSlack(listen=slack.listen)
    assert sdk.call("conversations.list", limit=200)["ok"]
