"""Traces of calls: what a collector gets, and that one which is slow, broken or away costs no call anything."""

import importlib.util
import json
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from collector import Collector
from marks import MARK
from slack_sdk import WebClient
from stand import FakeSlack, Process, Proxy, eventually, free_port, http_get

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def collector():
    collector = Collector()
    yield collector
    collector.close()


def traced(slack: FakeSlack, endpoint: str, sample: float = 1, more: str = "") -> Proxy:
    return Proxy(("/api/", slack.url), beside=slack.url,
                 more=f"traces: {{ endpoint: {endpoint}, sample: {sample} }}\nidentity: {{ resolve: false }}\n{more}")


def client(proxy: Proxy, lane: str = "", **headers: str) -> WebClient:
    client = WebClient(token=f"xoxb-T1-A1-{MARK}", base_url=proxy.base_url(lane), timeout=60, headers=headers)
    client.proxy = None
    return client


def test_a_call_is_a_span_with_its_wait_and_its_attempt_below(collector):
    slack = FakeSlack()
    proxy = traced(slack, collector.url)
    parent = f"00-{TRACE}-{SPAN}-01"
    bot = client(proxy, "/@cleanup;class=background;max-wait=60s", traceparent=parent)
    assert bot.conversations_list()["ok"]
    call, below = eventually("spans", lambda: collector.of_call("POST conversations.list"), 10)
    assert collector.paths == {("/v1/traces", "application/x-protobuf")}
    assert (call.trace, call.parent, call.remote_parent) == (TRACE, SPAN, True)
    said = call.attributes
    assert (said["http.request.method"], said["http.response.status_code"]) == ("POST", 200)
    assert (said["slackwater.method"], said["slackwater.caller"]) == ("conversations.list", "cleanup")
    assert (said["slackwater.class"], said["slackwater.attempts"]) == ("background", 1)
    assert not call.failed and abs(call.end - time.time()) < 30
    [attempt] = below
    assert (attempt.kind, attempt.trace, attempt.remote_parent) == ("client", TRACE, False)
    host, port = slack.listen.split(":")
    assert (attempt.attributes["server.address"], attempt.attributes["server.port"]) == (host, int(port))
    assert attempt.attributes["http.response.status_code"] == 200
    assert call.start <= attempt.start <= attempt.end <= call.end + 0.001
    # What came is passed on as it came, and what did not come is not made up.
    [resource] = {one.resource.SerializeToString() for request in collector.requests for one in request.resource_spans}
    assert b"service.name" in resource and b"slackwater" in resource
    eventually("the count", lambda: proxy.metric("slackwater_trace_spans_total", result="sent") == 2)


def test_a_collector_takes_the_spans_and_hands_them_on(collector):
    """Rotel, which is written by others, reads them by its own understanding of OTLP."""
    program = Path(importlib.util.find_spec("rotel").origin).with_name("rotel-agent")
    http, grpc = free_port(), free_port()
    Process("rotel", [program, "start", "--otlp-http-endpoint", f"127.0.0.1:{http}",
                      "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}", "--batch-timeout", "200ms", "--exporter", "otlp",
                      "--otlp-exporter-protocol", "http", "--otlp-exporter-endpoint", collector.url])  # fmt: skip
    eventually("rotel listens", lambda: http_get(f"http://127.0.0.1:{http}/")[0], 10)
    proxy = traced(FakeSlack(), f"http://127.0.0.1:{http}")
    bot = client(proxy, "/@cleanup;max-wait=60s", traceparent=f"00-{TRACE}-{SPAN}-01")
    assert bot.conversations_list()["ok"]
    call, [attempt] = eventually("spans", lambda: collector.of_call("POST conversations.list"), 15)
    assert (call.trace, call.parent, attempt.trace, attempt.kind) == (TRACE, SPAN, TRACE, "client")
    assert call.attributes["slackwater.caller"] == "cleanup" and not call.failed
    assert proxy.metric("slackwater_trace_spans_total", result="sent") == 2
    assert MARK.encode() not in b"".join(collector.bodies)


def test_waits_freezes_and_retries_are_spans_of_their_own(collector):
    slack = FakeSlack()
    proxy = traced(slack, collector.url)
    bot = client(proxy, "/@job;max-wait=60s")
    # Refused, frozen, sent again; then an error of the server's, and sent again.
    slack.fault("users.info", "429-no-body")
    assert bot.users_info(user="U1")["ok"]
    call, below = eventually("spans", lambda: collector.of_call("POST users.info"), 10)
    kinds = [span.name for span in below]
    assert kinds.count("POST users.info") == 2 and kinds.count("freeze") >= 1 and "wait for a slot" in kinds, below
    first, second = [span for span in below if span.kind == "client"]
    assert (first.attributes["http.response.status_code"], first.failed) == (429, True)
    assert second.attributes["http.request.resend_count"] == 1 and not second.failed
    [wait] = [span for span in below if span.name == "wait for a slot"]
    assert wait.attributes["slackwater.wait.why"] in ("frozen", "probing")
    assert wait.attributes["slackwater.bucket"].endswith("/users.info")
    assert 0.8 < wait.end - wait.start < 5
    freeze = next(span for span in below if span.name == "freeze")
    assert freeze.attributes["slackwater.pause_ms"] == 1000
    slack.fault("team.info", "502")
    assert bot.team_info()["ok"]
    call, below = eventually("spans", lambda: collector.of_call("POST team.info"), 10)
    assert [span.name for span in below] == ["POST team.info", "wait before a retry", "POST team.info"]
    assert below[0].failed and below[0].attributes["error.type"] == "502"


def test_no_secret_is_in_a_span(collector):
    """Red when a path, a query, a text, a channel's text or a token is told."""
    slack = FakeSlack()
    proxy = traced(slack, collector.url)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def post(path: str, body: dict | None = None, **headers: str) -> None:
        request = urllib.request.Request(f"http://{proxy.listen}{path}", json.dumps(body or {}).encode(),
                                         {"Content-Type": "application/json"} | headers)
        try:
            opener.open(request, timeout=10).read()
        except urllib.error.HTTPError:
            pass

    bearer = {"Authorization": f"Bearer xoxb-T1-A1-{MARK}"}
    post("/api/chat.postMessage", {"channel": "C1", "text": f"text {MARK}"}, **bearer)
    post(f"/api/users.info?token=xoxb-T1-A1-{MARK}&user=U1")
    post(f"/services/T1/B1/{MARK}", {"text": MARK})
    post(f"/api/xoxb-{MARK}", **bearer)
    post("/api/users.info", **bearer, **{"X-Request-Id": f"xoxb-{MARK}", "User-Agent": MARK})
    post(f"/nowhere/{MARK}", **bearer)
    eventually("spans", lambda: len([one for one in collector.spans() if one.kind == "server"]) == 6, 10)
    assert all(MARK.encode() not in body for body in collector.bodies)
    paths = {span.attributes["url.path"] for span in collector.spans() if span.kind == "server"}
    assert {"/api/chat.postMessage", "/api/users.info", "/services/…"} <= paths


@pytest.mark.parametrize("trouble", ["away", "silent", "broken"])
def test_a_collector_in_trouble_costs_no_call_anything(trouble):
    """Red when a call waits for its spans, or what is dropped is not counted."""
    slack = FakeSlack(latency="0ms..1ms", limits=["team.info=100000"])
    collector = {"silent": lambda: Collector(delay=3600), "broken": lambda: Collector(status=503)}.get(trouble)
    collector = collector and collector()
    endpoint = collector.url if collector else f"http://127.0.0.1:{free_port()}"
    proxy = traced(slack, endpoint, more="tiers: { tier3: { limit: 100000, per: 1m } }\n")
    bots = [client(proxy) for _ in range(8)]
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: bots[n % 8].team_info(), range(400)))
    assert all(one["ok"] for one in answers) and time.monotonic() - began < 30
    assert max(int(one.headers["slackwater-wait-ms"]) for one in answers) < 2000
    lost = eventually("what is lost is counted", lambda: proxy.metric("slackwater_trace_spans_total", result="failed"), 25)
    assert lost > 0 and proxy.metric("slackwater_trace_spans_total", result="sent") == 0
    assert "traces are dropped" in "\n".join(proxy.process.said())
    if collector:
        collector.close()


def test_the_last_spans_are_sent_before_the_end(collector):
    import signal

    slack = FakeSlack()
    proxy = traced(slack, collector.url)
    assert client(proxy).users_info(user="U1")["ok"]
    proxy.process.signal(signal.SIGTERM)
    assert proxy.process.exit_code(20) == 0
    assert collector.of_call("POST users.info")


def test_a_part_is_sampled_and_callers_decide_for_their_own(collector):
    slack = FakeSlack()
    proxy = traced(slack, collector.url, sample=0.000001)
    bot = client(proxy)
    assert all(bot.users_info(user="U1")["ok"] for _ in range(5))
    unsampled = client(proxy, traceparent=f"00-{TRACE}-{SPAN}-00")
    assert unsampled.users_info(user="U1")["ok"]
    assert client(proxy, traceparent=f"00-{TRACE}-{SPAN}-01").team_info()["ok"]
    eventually("the one", lambda: collector.of_call("POST team.info"), 10)
    assert {span.name for span in collector.spans()} == {"POST team.info"}
