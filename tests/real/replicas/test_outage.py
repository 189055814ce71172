"""Without the store, replicas go on with what they have, and quiet bots with their part of what nobody uses."""

import time

import pytest
from line import Line
from redis_server import RedisServer
from replicas import AGED, FORGET_AFTER, LONG, METHOD, MINUTE, QUOTA, Clock, Judge, Replicas
from stand import FakeSlack, eventually, free_port

BUCKETS = 50


def quiet_bot(replicas: Replicas, seconds: float) -> None:
    """It calls in one workspace after the other, at each replica in turn."""
    count = len(replicas.proxies)
    every = MINUTE / BUCKETS
    for n in range(count):
        # Of each bucket one call in a minute, whoever gets it.
        replicas.at(n, every=count * every, calls=round(seconds / every / count), lane="max-wait=7s",
                    token=lambda number, n=n: f"xoxb-T{(number * count + n) % BUCKETS + 1}-A1-x")  # fmt: skip
        time.sleep(every)


@pytest.mark.parametrize("how", ["killed", "cut", "stopped"] if LONG else ["killed"])
def test_a_bot_with_cold_buckets_notices_no_outage(how):
    slack = FakeSlack(minute=MINUTE)
    server = RedisServer()
    replicas = Replicas(3, slack, server).ready()
    # A real minute; in the short form, long enough for the lease to end.
    outage = 60.0 if LONG else FORGET_AFTER + 3.0
    quiet_bot(replicas, 2 * MINUTE + outage + 2 * MINUTE)
    time.sleep(2 * MINUTE)
    began = time.monotonic()
    if how == "killed":
        server.kill()
        time.sleep(outage)
        server.start()
    elif how == "cut":
        with replicas.are_cut(0, 1, 2):
            time.sleep(outage)
    else:
        with server.is_stopped():
            time.sleep(outage)
    answers = replicas.finish()
    judge = Judge(slack)
    assert judge.refusals == []
    assert judge.wrong(answers) == []
    # A store that is emptied grants nothing for three beats. Before that, nobody waits.
    late = [answer for answer in answers if answer.start < began + outage - 1.0 and answer.seconds > 0.8]
    assert late == []


def test_a_busy_replica_goes_on_when_its_store_is_gone():
    """With its own slots, from the first second on, and as long as the lease; then with its part of the limit."""
    slack = FakeSlack(minute=MINUTE)
    server = RedisServer()
    replicas = Replicas(3, slack, server).ready()
    clock = Clock(slack)
    replicas.at(0, every=MINUTE / QUOTA / 1.1)
    eventually("the limit is used", lambda: len(slack.calls(METHOD)) > 1.2 * QUOTA, 2 * MINUTE)
    server.kill()
    gone = clock.now()
    time.sleep(AGED + 2 * MINUTE)
    replicas.floods[0].drop()
    judge = Judge(slack)
    assert judge.refusals == []
    assert judge.largest() <= QUOTA
    # A gap that was there before comes back a window later.
    assert judge.longest_gap(gone, gone + FORGET_AFTER) < 1.0 + judge.longest_gap(gone - MINUTE, gone)
    lease = min(MINUTE, FORGET_AFTER)
    assert judge.count(gone, gone + lease) >= 0.9 * QUOTA * lease / MINUTE, "it has all the slots"
    part = QUOTA // 3
    assert part * 0.7 <= judge.count(gone + AGED + MINUTE, gone + AGED + 2 * MINUTE) <= part


def test_a_machine_that_slept_knows_that_its_lease_is_over():
    """It held the whole limit when it fell asleep, others have it since, and no store tells it so as it wakes: of its
    own clock no time has passed. It uses no more than its part."""
    slack = FakeSlack(minute=MINUTE, latency="1ms..3ms")
    server = RedisServer()
    replicas = Replicas(3, slack, server, suspendable=True).ready()
    replicas.at(0, at_once=60)
    eventually("the limit is used", lambda: len(slack.calls(METHOD)) > 1.2 * QUOTA, 2 * MINUTE)
    clock = Clock(slack)
    with replicas.is_suspended(0):
        replicas.lines[0].cut()
        replicas.at(1, at_once=60)
        time.sleep(AGED + MINUTE)
        awake = clock.now()
    time.sleep(2 * MINUTE)
    cut_until = clock.now()
    replicas.lines[0].mend()
    answers = replicas.finish()
    judge = Judge(slack)
    # What was on its way may have been answered while it slept.
    assert judge.wrong(answers, stopped={"r0"}) == []
    assert judge.shares(until=awake)["r1"] >= QUOTA, "others have what it held"
    assert judge.largest_of("r0", awake, cut_until) <= QUOTA // 3


@pytest.mark.parametrize("told", [True, False], ids=["told how many they are", "not told"])
def test_a_replica_that_never_heard_its_store(told):
    """It uses its part if it knows how many there are; otherwise it holds its calls until the store is there."""
    slack = FakeSlack(minute=MINUTE)
    line = Line(free_port())
    count = 3 if told else None
    replicas = Replicas(3, slack, None, more=f"shared: {{ redis: \"redis://127.0.0.1:{line.port}/0\", timeout: 250ms"
                        f"{f', replicas: {count}' if told else ''} }}\n")  # fmt: skip
    for n in range(3):
        replicas.at(n, calls=QUOTA, at_once=QUOTA)
    time.sleep(1.5)
    used = len(slack.calls(METHOD))
    assert used == (3 * (QUOTA // 3) if told else 0)
    line.lead_to(RedisServer().port)
    answers = replicas.finish(10 * MINUTE)
    judge = Judge(slack)
    assert judge.refusals == []
    assert judge.wrong(answers) == []


def test_what_a_dead_replica_cannot_tell_holds_nobody_up_for_long():
    """The store is emptied, and a replica killed before it has told what it held. Buckets that nobody uses, in every
    part of the store, wait as long as a call of the dead one may count."""
    slack = FakeSlack(minute=MINUTE)
    server = RedisServer()
    replicas = Replicas(3, slack, server).ready()
    server.flush()
    replicas.kill(0)
    time.sleep(AGED)
    calls = [
        replicas.at(1, "users.list", token=f"xoxb-T{n}-A1-x", calls=1, at_once=1, lane="max-wait=8s") for n in range(100, 130)
    ]
    answers = [answer for callers in calls for answer in callers.finish()]
    assert [answer for answer in answers if not answer.ok] == []
    assert Judge(slack).refusals == []
