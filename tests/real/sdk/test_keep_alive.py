"""Clients that give up when they read nothing for a while wait through a flood of three windows.

Slack's minute lasts six seconds, and so the default time-out of the SDK, 30 s, three. With nothing else set 60
calls at once of a method that may be called 20 times a minute all come through, and so they do in a background
lane, which has three quarters of each window. `requests` is no SDK, and waits alike.
"""

import json
import subprocess
import sys
from collections import Counter

import pytest
from sdk import HERE, Sdk, refused
from stand import ENVIRONMENT, MINUTE, FakeSlack, Proxy

TIMEOUT = round(30 * MINUTE / 60)
CALLS = 60
METHOD = "conversations.list"

LANES = pytest.mark.parametrize("lane", ["", "/@job;class=background"], ids=["plain", "background"])

pytestmark = pytest.mark.timeout(90)


def stand():
    slack = FakeSlack(minute=MINUTE)
    return slack, Proxy(("/api/", slack.url), minute=MINUTE)


@LANES
def test_the_sdk_waits_through_a_flood(lane):
    slack, proxy = stand()
    sdk = Sdk("python-sync", proxy.base_url(lane), timeout=TIMEOUT)
    for _ in range(CALLS):
        sdk.start(METHOD, limit=200)
    answers = sdk.finish(seconds=60)
    assert refused(answers) == []
    assert len(slack.calls(METHOD)) == CALLS
    assert slack.ledger()["violations"] == []
    took = (max(a["end_ms"] for a in answers) - min(a["start_ms"] for a in answers)) / 1000
    assert took > 2 * MINUTE, "they waited much longer than the time-out"


@LANES
def test_requests_waits_through_a_flood(lane):
    slack, proxy = stand()
    flood = [sys.executable, HERE / "clients/python/flood.py", proxy.base_url(lane) + METHOD, "--calls", str(CALLS),
             "--timeout", str(TIMEOUT)]  # fmt: skip
    done = subprocess.run(flood, capture_output=True, text=True, timeout=80, env=ENVIRONMENT, check=True)
    assert Counter(json.loads(done.stdout)) == {"ok": CALLS}
    assert len(slack.calls(METHOD)) == CALLS
    assert slack.ledger()["violations"] == []


def test_behind_another_proxy_it_is_told_in_time():
    """An intermediary might not bear what the client does: its calls are held as long as it waits by itself."""
    slack, proxy = stand()
    flood = [sys.executable, HERE / "clients/python/flood.py", proxy.base_url() + METHOD, "--calls", str(CALLS),
             "--timeout", str(TIMEOUT), "--header", "Via: 1.1 relay"]  # fmt: skip
    done = subprocess.run(flood, capture_output=True, text=True, timeout=80, env=ENVIRONMENT, check=True)
    assert Counter(json.loads(done.stdout)) == {"ok": 20, "ratelimited": CALLS - 20}
