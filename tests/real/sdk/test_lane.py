"""A job names itself and its class in the base URL, the one thing that every SDK lets it set."""

import pytest
from sdk import Sdk
from stand import FakeSlack, Proxy


@pytest.mark.parametrize("lane", ["/@cleanup;class=background", "/%40cleanup%3Bclass=background"])
def test_the_lane_is_heard(sdk_name, lane):
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url))
    sdk = Sdk(sdk_name, proxy.base_url(lane=lane))
    assert sdk.call("conversations.list", limit=200)["ok"]
    assert sdk.call("chat.postMessage", channel="C1", text="hello")["ok"]
    assert [c["text"] for c in slack.calls("chat.postMessage")] == ["hello"]
    assert proxy.metric("slackwater_caller_requests_total", caller="cleanup") == 2
    assert proxy.metric("slackwater_requests_total", method="chat.postMessage", **{"class": "background"}) == 1


def test_a_mistake_in_the_lane_is_explained(sdk_name):
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url))
    sdk = Sdk(sdk_name, proxy.base_url(lane="/@cleanup;class=urgent"))
    answer = sdk.call("conversations.list", seconds=5, limit=200)
    assert not answer["ok"]
    assert answer["kind"] in ("SlackApiError", "WebAPIHTTPError", "WebAPIPlatformError"), answer
    assert "urgent" in answer["detail"], answer
    assert slack.calls("conversations.list") == [], "nothing is sent on a guess"
