"""A token or webhook that Slack has called good for nothing: the real SDK is told so at once, Slack is asked
once a minute, and the good ones of the same app lose nothing by it."""

import time
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient
from stand import FakeSlack, Proxy, eventually, http_get

BAD, GOOD = "xoxb-T1-A1-revoked", "xoxb-T1-A1-good"
# Of tier 2, which has 20 slots a minute for the app in its workspace.
LIST = "conversations.list"


def kill(slack: FakeSlack, **what: str) -> None:
    status, body = http_get(f"{slack.url}/dead?{urllib.parse.urlencode(what)}", data=b"")
    assert status == 200, body


def revive(slack: FakeSlack) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(urllib.request.Request(f"{slack.url}/dead", method="DELETE"), timeout=5).read()


def client(proxy: Proxy, token: str) -> WebClient:
    client = WebClient(token=token, base_url=proxy.base_url(), timeout=30)
    client.proxy = None
    return client


def refused(client: WebClient) -> SlackApiError:
    with pytest.raises(SlackApiError) as error:
        client.conversations_list()
    return error.value


def test_a_dead_token_takes_no_slots_and_lives_when_slack_says_so():
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url))
    bad, good = client(proxy, BAD), client(proxy, GOOD)
    assert bad.conversations_list()["ok"] and good.conversations_list()["ok"]
    kill(slack, token=BAD, error="token_revoked")
    first = refused(bad).response
    assert first["error"] == "token_revoked" and "slackwater-fail-fast" not in first.headers
    before = len(slack.calls(LIST))
    began = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        answers = [error.response for error in pool.map(refused, [bad] * 100)]
    fast = [one for one in answers if one.headers.get("slackwater-fail-fast") == "token_revoked"]
    # A minute is six seconds here, so one or two probe.
    assert len(fast) >= 98 - (time.monotonic() - began) / 6
    assert all(one["error"] == "token_revoked" and one.status_code == 200 for one in answers)
    assert len(slack.calls(LIST)) - before == 100 - len(fast)
    # Of the twenty slots that both share a few are gone; these are there at once.
    for _ in range(10):
        assert int(good.conversations_list().headers["slackwater-wait-ms"]) < 1000
    assert proxy.metric("slackwater_fail_fast_total", reason="token_revoked") == len(fast)
    [dead] = proxy.status()["dead"]
    assert (dead["kind"], dead["workspace"], dead["reason"]) == ("token", "T1", "token_revoked")
    assert dead["name"].startswith("token-") and BAD not in proxy.admin_get("/status")[1]
    revive(slack)
    eventually("a probe", lambda: ok(bad), 15)
    assert proxy.status()["dead"] == [] and proxy.metric("slackwater_dead", kind="token") == 0
    assert all(bad.conversations_list()["ok"] for _ in range(2))


def ok(client: WebClient) -> bool:
    try:
        return client.conversations_list()["ok"]
    except SlackApiError:
        return False


def test_auth_test_asks_slack_whatever_is_known():
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url))
    bad = client(proxy, BAD)
    kill(slack, token=BAD, error="account_inactive")
    refused(bad)
    assert refused(bad).response.headers["slackwater-fail-fast"] == "account_inactive"
    before = len(slack.calls("auth.test"))
    for _ in range(3):
        with pytest.raises(SlackApiError) as error:
            bad.auth_test()
        assert "slackwater-fail-fast" not in error.value.response.headers
    assert len(slack.calls("auth.test")) - before == 3


def test_a_dead_webhook_is_answered_at_once_and_others_are_not():
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url), beside=slack.url)
    paths = [f"/services/T1/B{n}/secret{n}" for n in (1, 2)]
    removed, other = [WebhookClient(f"http://{proxy.listen}{path}") for path in paths]
    removed.proxy = other.proxy = None
    assert removed.send(text="x").status_code == 200
    kill(slack, path=paths[0], error="no_active_hooks")
    answers = [removed.send(text="x") for _ in range(4)]
    assert {(one.status_code, one.body) for one in answers} == {(404, "no_active_hooks")}
    assert sum("slackwater-fail-fast" in one.headers for one in answers) >= 2
    assert other.send(text="x").status_code == 200
    page = proxy.admin_get("/status")[1]
    assert '"kind":"webhook","name":"url-' in page and "secret1" not in page


def test_it_is_turned_off_by_one_key():
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url), more="fail_fast: false\n")
    bad = client(proxy, BAD)
    kill(slack, token=BAD, error="token_revoked")
    for _ in range(5):
        assert "slackwater-fail-fast" not in refused(bad).response.headers
    assert proxy.status()["dead"] == []
