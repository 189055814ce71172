"""What a log collector reads: a JSON object a line, and the ids by which an event is found elsewhere."""

import json
import urllib.error
import urllib.request

from stand import FakeSlack, Proxy, eventually

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def call(proxy: Proxy, method: str, **headers: str) -> tuple[int, str]:
    """The status and the request id of an answer."""
    headers = {"Authorization": "Bearer xoxb-T1-A1-secret", **headers}
    request = urllib.request.Request(proxy.base_url(lane="/@job;max-wait=30s") + method, b"", headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=40) as answer:
            return answer.status, answer.headers["X-Request-Id"]
    except urllib.error.HTTPError as error:
        return error.code, error.headers["X-Request-Id"]


def test_each_event_is_a_line_that_names_its_call():
    slack = FakeSlack(limits=["users.info=1"])
    proxy = Proxy(("/api/", slack.url), log="{ format: json, level: debug }")
    assert call(proxy, "users.info", **{"X-Request-Id": "first"}) == (200, "first")
    # Slack allows one where the proxy knows of a hundred: it is refused, and done when Slack says so.
    ids = {"X-Request-Id": "second", "Traceparent": PARENT}
    assert call(proxy, "users.info", **ids) == (200, "second")
    status, made = call(proxy, "users.info", **{"Slackwater-Max-Wait": "1ms"})
    assert status == 429
    slack.kill()
    assert call(proxy, "team.info", **{"X-Request-Id": "fourth"}) == (502, "fourth")
    assert call(proxy, "team.info", **{"X-Request-Id": "xoxb-1-secret"})[0] == 502

    def lines() -> list[dict]:
        return [json.loads(line) for line in proxy.process.err_path.read_text().splitlines()]

    answered = eventually("all are told", lambda: (a := [
        line for line in lines() if line["message"] == "call answered"
    ]) and len(a) == 5 and a)  # fmt: skip
    for line in lines():
        assert {"timestamp", "level", "message"} <= line.keys(), line
    assert [line.get("request_id") for line in answered] == ["first", "second", made, "fourth", None]
    first, second, shed, fourth, _ = answered
    assert {k: second[k] for k in ("method", "class", "caller", "workspace", "status", "attempts", "trace_id")} == {
        "method": "users.info", "class": "normal", "caller": "job", "workspace": "T1", "status": 200, "attempts": 2,
        "trace_id": TRACE,
    }  # fmt: skip
    assert "trace_id" not in first and "shed" not in second
    assert (shed["shed"], shed["status"], shed["attempts"]) == ("upstream", 429, 1)
    assert 1000 <= second["wait_ms"] <= 30_000

    refused, again = [line for line in lines() if line["message"].startswith("Slack refused")]
    assert {k: refused[k] for k in ("level", "method", "caller", "limit", "surprise")} == {
        "level": "INFO", "method": "users.info", "caller": "job", "limit": "tier4", "surprise": True,
    }  # fmt: skip
    assert refused["bucket"].endswith("/T1/users.info") and again["request_id"] == made
    assert (refused["request_id"], refused["trace_id"]) == ("second", TRACE)
    assert 1 <= refused["seconds"] <= 6
    lost = [line for line in lines() if line["message"] == "no answer from the upstream"]
    assert [(line["method"], line.get("request_id")) for line in lost] == [("team.info", "fourth"), ("team.info", None)]
    assert "xoxb" not in proxy.process.err_path.read_text()
