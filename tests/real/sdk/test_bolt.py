"""Bolt apps handle what Slack sends them, and post and respond through the proxy.

Slack's side is played here: requests over HTTP, signed as Slack signs them, with a `response_url` at
Slack's own host. The app has to bring it to the proxy, as the README says.
"""

import hashlib
import hmac
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
from sdk import HERE, node_binary
from stand import FakeSlack, Process, Proxy, eventually

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
APPS = {
    "bolt-python": [sys.executable, HERE / "clients/python/bolt_app.py"],
    "bolt-js": [node_binary(), HERE / "clients/node/bolt_app.js"],
}
USES = 6  # one more than a response_url has


class App:
    """A Bolt app that listens for Slack."""

    def __init__(self, name: str, proxy: Proxy):
        self.process = Process(name, [
            *APPS[name], "--proxy", f"http://{proxy.listen}/@bolt", "--token", "xoxb-T1-A1-secret",
            "--signing-secret", SECRET,
        ])
        self.port = self.process.wait_for("its port", lambda line: '"port"' in line and json.loads(line)["port"])

    def receive(self, body: str, kind: str, secret: str = SECRET) -> int:
        """Sends it a request as Slack does: docs.slack.dev/authentication/verifying-requests-from-slack."""
        now = str(int(time.time()))
        signature = hmac.new(secret.encode(), f"v0:{now}:{body}".encode(), hashlib.sha256).hexdigest()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/slack/events", body.encode(), {
            "Content-Type": kind, "X-Slack-Request-Timestamp": now, "X-Slack-Signature": f"v0={signature}",
        })  # fmt: skip
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def command(self, text: str, **more) -> int:
        form = {
            "command": "/post", "text": text, "team_id": "T1", "user_id": "U1", "channel_id": "C1",
            "api_app_id": "A1", "response_url": "https://hooks.slack.com/commands/T1/1/secret",
            "trigger_id": "1.2.3",
        }  # fmt: skip
        return self.receive(urllib.parse.urlencode(form), "application/x-www-form-urlencoded", **more)

    def mention(self) -> int:
        event = {"type": "app_mention", "user": "U1", "channel": "C2", "text": "<@U2> hi", "ts": "1.2", "event_ts": "1.2"}
        outer = {
            "type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event": event, "event_id": "Ev1",
            "event_time": 1, "authorizations": [{"team_id": "T1", "user_id": "U2", "is_bot": True}],
        }  # fmt: skip
        return self.receive(json.dumps(outer), "application/json")


@pytest.mark.parametrize("name", APPS)
def test_an_app_answers_slack_through_the_proxy(name):
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url), beside=slack.url)
    app = App(name, proxy)

    assert app.command("1", secret="another") == 401, "the signature is checked"
    assert app.command(str(USES)) == 200
    assert app.mention() == 200

    def posts(channel: str) -> list[str]:
        return [c["text"] for c in slack.calls("chat.postMessage") if c["channel"] == channel]

    eventually("the command is done", lambda: len(posts("C1")) == 2, seconds=15)
    eventually("the mention is answered", lambda: posts("C2") == ["you called"], seconds=15)
    first, said = posts("C1")
    assert first == "posted"
    # The sixth could never succeed: it is refused at once, and never sent.
    assert json.loads(said) == [200] * (USES - 1) + [429]
    assert [c["text"] for c in slack.calls("response_url")] == [f"answer {n}" for n in range(USES - 1)]
    assert slack.ledger()["violations"] == []

    # Slack has seen a call before its answer is counted.
    def counted() -> bool:
        metrics = proxy.metrics()
        requests = "slackwater_requests_total"
        return (
            metrics.sum(requests, method="chat.postMessage") == 3
            and metrics.sum(requests, method="response_url", **{"class": "interactive"}) == USES
            and metrics.sum("slackwater_caller_requests_total", caller="bolt") == metrics.sum(requests)
        )

    eventually("each call is counted, under its caller too", counted)
