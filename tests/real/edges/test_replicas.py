"""Three replicas that share limits by fixed parts: nobody tells them of each other, and Slack refuses nothing.

Each has more to do than its part, so together they use what one proxy would use. What takes turns goes by
the wall clock of this machine.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from stand import FakeSlack, Proxy, http_get

# Long enough that a post, one a second in a channel, has a third of a second. The margin is for one machine.
MINUTE = 20.0
MARGIN = 0.05
REPLICAS = 3
# Two minutes and a quarter.
TIME = 2.25 * MINUTE

# What each replica has to do.
LISTS, POSTS, UNINSTALLS = 30, 60, 3
# What all may do in that time, by Slack's limits: 20 a minute; 60 a minute and a burst; one a minute.
MOST = {"conversations.list": 60, "chat.postMessage": 135 + 3, "admin.apps.uninstall": 3}
LEAST = {"conversations.list": 54, "chat.postMessage": 122, "admin.apps.uninstall": 2}


def call(proxy: Proxy, method: str, arguments: str = "") -> None:
    """A call that is held as long as it takes, or until its proxy ends."""
    url = f"{proxy.base_url('/@job;max-wait=1h')}{method}?token=xoxb-1&{arguments}"
    http_get(url, seconds=3 * TIME, data=b"")


@pytest.mark.timeout(150)
def test_three_replicas_use_a_limit_together_and_never_exceed_it():
    slack = FakeSlack(minute=MINUTE)
    proxies = [
        Proxy(("/api/", slack.url), minute=MINUTE, variables={"SLACKWATER_SHARED_ORDINAL": str(ordinal)},
              more=f"shared: {{ replicas: {REPLICAS}, margin: {MARGIN * 1000:.0f}ms }}\nidentity: {{ resolve: false }}\n")
        for ordinal in range(REPLICAS)
    ]
    assert [proxy.status()["replica"]["ordinal"] for proxy in proxies] == [0, 1, 2]
    calls = [("conversations.list", "")] * LISTS + [("admin.apps.uninstall", "")] * UNINSTALLS
    calls += [("chat.postMessage", "channel=C1&text=x")] * POSTS
    with ThreadPoolExecutor(len(calls) * REPLICAS) as threads:
        for proxy in proxies:
            for method, arguments in calls:
                threads.submit(call, proxy, method, arguments)
        time.sleep(TIME)
        ledger = slack.ledger()
        for proxy in proxies:
            proxy.kill()
    assert ledger["violations"] == []
    assert {entry["outcome"] for entry in ledger["calls"]} == {"ok"}
    done = {method: sum(entry["method"] == method for entry in ledger["calls"]) for method in MOST}
    assert all(LEAST[method] <= done[method] <= MOST[method] for method in MOST), done
