"""Alertmanager's notifications to one webhook arrive, though Slack takes only one a second.

It sends nothing again after a 429: what is refused is an alert that nobody sees.
"""

import pytest
from alertmanager import Alertmanager
from fleet import MESSAGES
from stand import FakeSlack, Proxy

MINUTE = 15.0  # a message in a quarter of a second, and more than its least time-out, 10 s, for all


@pytest.mark.timeout(120)
def test_thirty_alerts_arrive():
    slack = FakeSlack(minute=MINUTE)
    proxy = Proxy(("/api/", slack.url), minute=MINUTE, beside=slack.url)
    alertmanager = Alertmanager(f"http://{proxy.listen}/services/T1/B1/secret", MINUTE)
    names = [f"Alert{n}" for n in range(MESSAGES)]
    alertmanager.fire(names)
    assert alertmanager.finish(MESSAGES, seconds=40) == (MESSAGES, 0)
    assert len(slack.calls("webhook")) == MESSAGES
    assert slack.ledger()["violations"] == []
