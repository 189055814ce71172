"""Base URLs as people write them: with slashes too many they work, and without `/api/` each SDK says what is wrong."""

import pytest
from sdk import Sdk
from slack_sdk import WebClient
from stand import FakeSlack, Proxy

CALLS = ["auth.test", "conversations.list", "chat.postMessage"]


@pytest.fixture
def stand():
    slack = FakeSlack()
    return slack, Proxy(("/api/", slack.url))


@pytest.mark.parametrize("lane, prefix", [("", "/api//"), ("/", "/api/"), ("/", "//api//"), ("//@cleanup;class=background", "//api/")])
def test_slashes_too_many_do_no_harm(sdk_name, stand, lane, prefix):
    slack, proxy = stand
    sdk = Sdk(sdk_name, proxy.base_url(lane=lane, prefix=prefix))
    for method in CALLS:
        answer = sdk.call(method, **({"channel": "C1", "text": "hello"} if method.startswith("chat") else {}))
        assert answer["ok"], answer
        assert len(slack.calls(method)) >= 1
    assert proxy.metric("slackwater_requests_total", code="200", method="chat.postMessage") == 1
    if lane.startswith("//@"):
        assert proxy.metric("slackwater_caller_requests_total", caller="cleanup") == len(CALLS)


@pytest.mark.parametrize("base", ["/api/", "/api", "//api//", "/@job//api"])
def test_a_slash_after_the_method_is_the_same_method(stand, base):
    """As in the SDK's own tests, whose paths end with one."""
    slack, proxy = stand
    client = WebClient(token="xoxb-T1-A1-secret", base_url=f"http://{proxy.listen}{base.rstrip('/')}/")
    for method in ["auth.test/", "auth.test//", "auth.test"]:
        assert client.api_call(method)["ok"]
    answer = client.api_call("chat.postMessage/", json={"channel": "C1", "text": "hello"})
    assert answer["ok"]
    # One bucket, and it is the method's.
    bucket = {name.lower(): value for name, value in answer.headers.items()}["slackwater-bucket"]
    assert "/C1" in bucket, bucket
    assert [c["method"] for c in slack.calls("chat.postMessage")] == ["chat.postMessage"]


@pytest.mark.parametrize("prefix", ["/", "/slack/"])
def test_a_base_url_without_api_is_told_at_once(sdk_name, stand, prefix):
    """Also by Node's SDK with its retries on: it repeats what has another status than 200, and says nothing."""
    slack, proxy = stand
    sdk = Sdk(sdk_name, proxy.base_url(prefix=prefix), retry=True)
    answer = sdk.call("chat.postMessage", seconds=5, channel="C1", text="hello")
    assert not answer["ok"]
    assert answer["error"] == "wrong_base_url", answer
    assert "has to end with /api/" in answer["detail"], answer
    assert slack.ledger()["totals"]["calls"] == 0
    warnings = [line for line in proxy.process.said() if "calls go nowhere" in line]
    assert len(warnings) == 1 and "wrong_base_url" in warnings[0], warnings
