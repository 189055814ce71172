"""What Slack refuses one replica, all know: a pause holds all of them, and one call of all tries after it."""

import json
import time
import urllib.request

from redis_server import RedisServer
from replicas import METHOD, QUOTA, TOKEN, Replicas
from stand import FakeSlack, eventually, http_get

WORKSPACES = 40
# Long enough for some calls in each workspace, and in whole seconds, as Slack says it.
SHUT = 12.0


def token(number: int) -> str:
    return f"xoxb-T{number}-A1-secret"


def shut(slack: FakeSlack, token: str) -> int:
    """Somebody else uses up a limit. How many calls were refused then."""
    for _ in range(QUOTA + 1):
        status, _ = http_get(f"{slack.url}/api/{METHOD}", data=f"token={token}".encode())
    assert status == 429
    return len(slack.ledger()["violations"])


def known(replicas: Replicas, which: range) -> None:
    """Each replica knows whose these tokens are; a token is at one replica."""
    count = len(replicas.proxies)
    first = [replicas.at(n % count, "users.list", calls=1, at_once=1, token=token(n)) for n in which]
    for callers in first:
        assert all(answer.ok for answer in callers.finish(30))
    replicas.floods.clear()


def test_a_whole_app_that_is_shut_costs_ten_replicas_three_calls():
    """As many as one, in forty workspaces."""
    slack = FakeSlack(minute=SHUT, window="fixed", latency="1ms..5ms", penalty="app")
    replicas = Replicas(10, slack, RedisServer(), minute=SHUT).ready()
    known(replicas, range(WORKSPACES))
    before = shut(slack, token(99))
    began = time.monotonic()
    for number in range(WORKSPACES):
        replicas.at(number % 10, calls=1, at_once=1, token=token(number))
        # A call is refused before the next one comes.
        time.sleep(0.2)
    answers = replicas.finish(40)
    assert all(answer.ok for answer in answers), [answer for answer in answers if not answer.ok]
    refused = slack.ledger()["violations"][before:]
    print(f"refused: {len(refused)}")
    assert len(refused) <= 3, refused
    # Nor do they wait much longer than they have to.
    assert time.monotonic() - began < SHUT + 3


def test_one_call_of_all_replicas_tries_after_a_thaw():
    """A pause that one met holds all; it is ended at another one, and what the one call met holds all again."""
    slack = FakeSlack(minute=60.0, latency="1ms..5ms")
    replicas = Replicas(3, slack, RedisServer(), minute=60.0).ready()
    shut(slack, TOKEN)
    before = len(slack.calls(METHOD))

    def arrived() -> int:
        return len(slack.calls(METHOD)) - before

    def frozen(n: int) -> list[str]:
        buckets = replicas.proxies[n].status()["buckets"]
        return [f"{it['limit']}:{it['key']}" for it in buckets if it["frozen_for_ms"] > 0]

    replicas.at(0, calls=1, at_once=1)
    eventually("it is refused", lambda: arrived() == 1)
    for n in range(3):
        eventually(f"replica {n} knows", lambda: frozen(n) == frozen(0) != [], 1)
        replicas.at(n, calls=3, at_once=3)
    time.sleep(0.5)
    assert arrived() == 1
    for times in (1, 2):
        host = replicas.proxies[2].admin
        asked = urllib.request.Request(f"http://{host}/thaw", b'{"all":true}', {"Content-Type": "application/json"})
        assert json.load(urllib.request.urlopen(asked, timeout=5))["thawed"] == 1
        eventually("one of them tries", lambda: arrived() == 1 + times, 3)
        for n in range(3):
            eventually(f"replica {n} knows again", lambda: frozen(n) == frozen(0) != [], 1)
        time.sleep(0.5)
        assert arrived() == 1 + times
    for callers in replicas.floods:
        callers.drop()
