"""What a log collector reads: a JSON object a line, and the ids by which an event is found elsewhere."""

import contextlib
import http.client
import json
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from stand import BINARY, DIE_WITH_US, ENVIRONMENT, FakeSlack, Metrics, Process, Proxy, eventually, free_port, http_get

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


# So many calls, with a line of 350 bytes each, that the pipe is full; and that what waits for it is.
FILLED = 400
ENOUGH = 4000


@contextlib.contextmanager
def unread(folder: Path, calls: int):
    """A proxy whose standard error is a pipe that nobody reads, with a line for each of so many calls: itself, and
    its two addresses."""
    slack = FakeSlack(latency="0ms")
    bots, admin = free_port(), free_port()
    config = folder / "slackwater.yaml"
    config.write_text(
        f"listen: 127.0.0.1:{bots}\nadmin: {{ listen: 127.0.0.1:{admin} }}\n"
        f"upstreams:\n  - {{ prefix: /api/, url: {slack.url}/api/, kind: web_api }}\n"
        "log: { format: json, level: debug }\n"
    )
    child = subprocess.Popen([*DIE_WITH_US, BINARY, "run", "--config", config], env=ENVIRONMENT,
                             stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        eventually("it is ready", lambda: http_get(f"http://127.0.0.1:{admin}/readyz")[0] == 200)
        connection = http.client.HTTPConnection("127.0.0.1", bots, timeout=5)
        for _ in range(calls):
            connection.request("GET", "/nothing", headers={"X-Request-Id": "z" * 100, "Traceparent": PARENT})
            answer = connection.getresponse()
            assert (answer.status, len(answer.read()) > 0) == (404, True)
        connection.close()
        yield child, f"http://127.0.0.1:{bots}", f"http://127.0.0.1:{admin}"
    finally:
        child.kill()
        child.wait()


def dropped(admin: str) -> float:
    return Metrics(http_get(f"{admin}/metrics")[1]).sum("slackwater_log_lines_dropped_total")


def test_a_log_that_nobody_reads_stops_no_call(tmp_path: Path):
    """Red when the thread that serves calls writes to a full pipe itself: no call is answered then."""
    with unread(tmp_path, ENOUGH) as (child, bots, admin):
        assert http_get(f"{bots}/api/auth.test", data=b"token=xoxb-T1-A1-secret")[0] == 200
        lost = dropped(admin)
        assert lost > 100
        # The reader comes back: it gets whole lines, and is told how many it missed.
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(map(json.loads, child.stderr)))
        reader.start()
        told = eventually("the loss is told", lambda: [
            line["lines"] for line in list(lines) if line["message"].startswith("lines of the log were dropped")
        ])
        assert sum(told) == lost == dropped(admin)
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 0
        reader.join(5)
        assert lines[-1]["message"] == "stopped"


def test_a_log_that_nobody_reads_keeps_no_process(tmp_path: Path):
    """Red when the end waits for what cannot be written."""
    with unread(tmp_path, FILLED) as (child, _, _):
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 0


def test_what_is_written_to_nobody_is_counted(tmp_path: Path):
    with unread(tmp_path, 0) as (child, bots, admin):
        assert dropped(admin) == 0
        child.stderr.close()
        assert http_get(f"{bots}/nothing")[0] == 404
        eventually("the line is lost", lambda: dropped(admin) > 0)
