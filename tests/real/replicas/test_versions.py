"""Two versions of the scripts under one prefix share nothing, and exceed nothing together: each replica notices, uses
its part only, and says so, until the other version is gone."""

import threading
import time

import pytest
from callers import Callers
from redis_server import RedisServer
from replicas import AGED, ALONE, METHOD, MINUTE, QUOTA, SHARED, TOKEN, Clock, Judge, Replicas
from stand import FakeSlack, eventually

GROUPS = 16
OTHERS = 2
# With two slackwaters they are four.
PART = QUOTA // (2 + OTHERS)

# A version that says that it is used, and the one that did not: its members are found.
SAYS = "redis.call('HSET', 'slackwater:{' .. ARGV[1] .. '}:v', '99', now .. ' 2')"
BEFORE = "redis.call('HSET', 'slackwater:1:{' .. ARGV[1] .. '}:m', 'e', '7', 'l', now, 'ma.0', now, 'pa.0', '7', 'mb.0', now)"
NOW = "local t = redis.call('TIME'); local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)); "


class OtherVersion:
    """What replicas of another version write, as far as others read it. They use their parts when they may."""

    def __init__(self, server: RedisServer, slack: FakeSlack, script: str):
        self.ends = threading.Event()
        self.calls: list[Callers] = []
        self.slack = slack
        self.thread = threading.Thread(target=self.beat, args=(server.client(), NOW + script), daemon=True)
        self.thread.start()

    def beat(self, client, script: str) -> None:
        while not self.ends.wait(0.3):
            for group in range(GROUPS):
                client.call("EVAL", script, 0, group)

    def flood(self) -> None:
        every = MINUTE / (OTHERS * PART) * 1.05
        self.calls.append(Callers(lambda: f"{self.slack.url}/api/", TOKEN, METHOD, name="other", every=every))

    def end(self) -> None:
        for callers in self.calls:
            callers.drop()
        self.ends.set()
        self.thread.join()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("script", [SAYS, BEFORE], ids=["says", "before"])
def test_beside_another_version_each_replica_uses_its_part(script):
    """Red when another version is not noticed, when its parts come on top of what is held, and when parts are kept to
    for ever."""
    slack = FakeSlack(minute=MINUTE)
    server = RedisServer()
    replicas = Replicas(2, slack, server).ready()
    clock = Clock(slack)
    replicas.flood()
    eventually("the limit is used", lambda: len(slack.calls(METHOD)) > 1.2 * QUOTA, 4 * MINUTE)
    other = OtherVersion(server, slack, script)
    for n in range(2):
        eventually(f"replica {n} notices", lambda: replicas.state(n) == ALONE, 3)
    # The others wait as long for the calls that were on their way.
    time.sleep(AGED)
    other.flood()
    time.sleep(MINUTE)
    began = clock.now()
    time.sleep(3 * MINUTE)
    until = clock.now()
    judge = Judge(slack)
    assert judge.refusals == []
    for n in range(2):
        assert 0.8 * PART <= judge.largest_of(f"r{n}", began, until) <= PART
    assert judge.shares(began, until)["other"] > 2 * OTHERS * PART
    other.end()
    for n, proxy in enumerate(replicas.proxies):
        assert proxy.metric("slackwater_shared_errors_total", reason="other_version") > AGED / 2
        eventually(f"replica {n} shares its limits again", lambda: replicas.state(n) == SHARED, AGED + 5)
    time.sleep(2 * MINUTE)
    now = clock.now()
    time.sleep(MINUTE)
    judge = Judge(slack)
    assert judge.count(now, now + MINUTE) > 0.8 * QUOTA, "all of the limit is used again"
    for callers in replicas.floods:
        callers.drop()
    assert Judge(slack).refusals == []
    for proxy in replicas.proxies:
        said = [line for line in proxy.process.said() if "version" in line and "shared.prefix" in line]
        assert len(said) == 1 and "other_version" in said[0] and f"{OTHERS} replicas" in said[0], said
        assert any("no other version" in line for line in proxy.process.said())
