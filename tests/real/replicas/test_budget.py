"""Replicas that share their limits send together what one slackwater would: no more, and hardly less."""

import time

import pytest
from redis_server import DEBIAN, OTHERS, RedisServer
from replicas import BEAT, LONG, METHOD, MINUTE, QUOTA, Clock, Judge, Replicas, largest_window
from stand import FakeSlack, eventually

SHAPES = ["sliding", "fixed", "fixed-clock", "bucket"]
SERVERS = {"debian": DEBIAN, **OTHERS}


def flood(count: int, window: str, server: RedisServer, ready: bool = True) -> None:
    """All at once, at each replica."""
    slack = FakeSlack(window=window, minute=MINUTE)
    replicas = Replicas(count, slack, server)
    if ready:
        replicas.ready()
    each = -(-3 * QUOTA // 2 // count)
    began = time.monotonic()
    for n in range(count):
        replicas.at(n, calls=each, at_once=each)
    answers = replicas.finish(5 * MINUTE + 10)
    took = time.monotonic() - began
    judge = Judge(slack)
    assert judge.refusals == []
    assert judge.wrong(answers) == []
    assert judge.largest() <= QUOTA
    # An empty store grants nothing for three beats.
    assert took < 1.9 * MINUTE + (0 if ready else 5 * BEAT)


@pytest.mark.parametrize("window, count", [
    (window, count) for window in SHAPES for count in (3, 10) if LONG or count == 3 or window == "sliding"
])  # fmt: skip
def test_no_window_is_exceeded_by_all_together(window, count):
    flood(count, window, RedisServer())


@pytest.mark.parametrize("name", OTHERS)
def test_no_window_is_exceeded_with_another_server(name):
    flood(3, "sliding", RedisServer(OTHERS[name]))


@pytest.mark.parametrize("count", [3, 10])
def test_no_window_is_exceeded_by_replicas_that_start_together(count):
    """Before an empty store grants anything, and before they know whose their tokens are."""
    flood(count, "sliding", RedisServer(), ready=False)


def test_posts_to_a_channel_are_shared_too():
    """They have a limit that lets short bursts pass, by channel, and one of all channels."""
    slack = FakeSlack(window="bucket", minute=12.0, latency="1ms..10ms")
    replicas = Replicas(3, slack, RedisServer(), minute=12.0).ready()
    for n in range(3):
        replicas.at(n, "chat.postMessage", calls=12, at_once=12, arguments=lambda number: {"channel": f"C{number % 2}"})
    answers = replicas.finish(30)
    judge = Judge(slack, "chat.postMessage")
    assert judge.refusals == []
    assert judge.wrong(answers) == []
    # Eighteen in each channel, one in a fifth of a second and a few at once.
    assert 0.2 * 13 < judge.times[-1] - judge.times[0] < 0.2 * 18 * 1.5


@pytest.mark.parametrize("count", [3, 10] if LONG else [3])
def test_equal_load_gets_equal_parts(count):
    slack = FakeSlack(minute=MINUTE)
    replicas = Replicas(count, slack, RedisServer()).ready()
    for n in range(count):
        replicas.at(n, at_once=QUOTA)
    minutes = 4 if count == 3 else 10
    # The first limit is whose calls come first.
    eventually("they have turns", lambda: len(slack.calls(METHOD)) > QUOTA, 2 * MINUTE)
    since = Judge(slack).times[QUOTA]
    eventually("they had their turns", lambda: len(slack.calls(METHOD)) > (minutes + 1) * QUOTA, (minutes + 2) * MINUTE)
    shares = Judge(slack).shares(since)
    for callers in replicas.floods:
        callers.drop()
    assert Judge(slack).refusals == []
    assert min(shares[f"r{n}"] for n in range(count)) >= 0.9 * shares.total() / count, shares


def test_one_replica_with_all_the_load_gets_the_whole_limit():
    # Long, so that a round trip is a thousandth of it.
    minute = 60.0 if LONG else 6.0
    slack = FakeSlack(minute=minute, latency="1ms..5ms")
    replicas = Replicas(3, slack, RedisServer(), minute=minute).ready()
    replicas.at(0, every=minute / QUOTA / 1.1)
    eventually("every slot was used", lambda: len(slack.calls(METHOD)) > QUOTA, 2 * minute)
    since = Judge(slack).times[QUOTA]
    time.sleep(2 * minute)
    judge = Judge(slack)
    replicas.floods[0].drop()
    assert judge.refusals == []
    assert judge.count(since, since + 2 * minute) >= 0.98 * 2 * QUOTA


def test_a_call_of_two_limits_gets_its_part_beside_a_flood_of_each():
    """Its limits are a slow and a quick one. At one replica the slow limit is flooded, at another the quick one."""
    minute, slow, quick = 12.0 if LONG else 4.0, 20, 60
    limit = "{{ name: {}, limit: {}, per: 1m, scope: [app, workspace] }}".format
    both = [limit("slow", slow), "{ name: quick, limit: 1, per: 1s, scope: [app, workspace] }"]
    methods = {"users.info": both, "users.conversations": both[:1], "users.list": both[1:]}
    more = "methods:\n" + "".join(
        f"  {name}: {{ tier: special, limits: [{', '.join(limits)}] }}\n" for name, limits in methods.items()
    )
    # It allows more, and the test counts.
    slack = FakeSlack(minute=minute, limits=[f"{name}=100000" for name in methods], latency="2ms..10ms")
    replicas = Replicas(3, slack, RedisServer(), minute=minute, more=more).ready()
    began = Clock(slack).now()
    replicas.at(0, "users.conversations", at_once=slow)
    replicas.at(1, "users.list", at_once=20)
    since = began + minute / 2
    time.sleep(minute / 2)
    replicas.at(2, "users.info", at_once=slow)
    time.sleep(3 * minute)
    for callers in replicas.floods:
        callers.drop()
    calls = {name: Judge(slack, name) for name in methods}
    served = calls["users.info"].count(since + minute, since + 3 * minute)
    # Half of the slow limit.
    assert served >= 0.8 * slow / 2 * 2, served
    times = {name: [at for at in judge.times if at >= began] for name, judge in calls.items()}
    assert largest_window(sorted(times["users.info"] + times["users.conversations"]), minute) <= slow
    assert largest_window(sorted(times["users.info"] + times["users.list"]), minute / quick) <= 1


class Clicks:
    """A flood at the first of some replicas, and clicks at the last one, of the same limit."""

    def __init__(self, count: int, server: RedisServer | None):
        self.slack = FakeSlack(minute=6.0, latency="5ms..20ms")
        self.replicas = Replicas(count, self.slack, server, minute=6.0)
        if server:
            self.replicas.ready()

    def start(self) -> None:
        self.replicas.at(0, at_once=2 * QUOTA)
        self.clicking = self.replicas.at(len(self.replicas.proxies) - 1, lane="class=interactive;max-wait=10s", every=0.5,
                                         calls=36)  # fmt: skip

    def seconds(self) -> list[float]:
        """How long each of them took, the longest last."""
        answers = self.clicking.finish(30)
        self.replicas.floods[0].drop()
        assert Judge(self.slack).refusals == []
        assert all(answer.ok for answer in answers), answers
        # What came before people were known of is as bunched as it was; two minutes later it is spread.
        return sorted(answer.seconds for answer in answers[24:])


def test_a_click_at_one_replica_beside_a_flood_at_another():
    """It takes as long as at one slackwater that has both, and the round trips to the store."""
    both = Clicks(1, None), Clicks(3, RedisServer())
    for one in both:
        one.start()
    alone, beside = (one.seconds() for one in both)
    print(f"alone {alone}, beside {beside}")
    assert beside[len(beside) // 2] <= alone[len(alone) // 2] + 0.15
    assert beside[-1] <= alone[-1] + 0.4
