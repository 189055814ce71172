"""A replica ends: what it has used counts until it has aged, and no longer, whoever goes on."""

import signal
import time

import pytest
from redis_server import RedisServer
from replicas import BEAT, FORGET_AFTER, METHOD, MINUTE, QUOTA, SHARED, Judge, Replicas
from stand import FakeSlack, eventually


def ends(replicas: Replicas, n: int) -> None:
    process = replicas.proxies[n].process
    process.signal(signal.SIGTERM)
    assert process.exit_code(10) == 0


def test_the_others_have_each_slot_of_a_replica_that_ends_when_it_has_aged():
    slack = FakeSlack(minute=MINUTE, latency="1ms..5ms")
    replicas = Replicas(3, slack, RedisServer()).ready()
    # All of the limit, evenly.
    replicas.at(0, calls=QUOTA, every=MINUTE / QUOTA / 1.1).finish(2 * MINUTE)
    ended = time.monotonic()
    ends(replicas, 0)
    flood = replicas.at(1, at_once=QUOTA)
    eventually("all of the limit is used again", lambda: len(slack.calls(METHOD)) >= 2 * QUOTA, MINUTE + FORGET_AFTER)
    took = time.monotonic() - ended
    flood.drop()
    judge = Judge(slack)
    shares = judge.shares()
    print(f"took {took:.2f} s of {MINUTE} s; gap {judge.longest_gap(0, judge.times[-1]):.2f} s")
    assert judge.refusals == [] and judge.largest() <= QUOTA
    assert (shares["r0"], shares["r1"]) >= (QUOTA, QUOTA)
    # The longest that any slot of it counts, and a beat.
    assert took < MINUTE + 1.0
    # The first of them ages a little after the last was used, and is granted within a beat.
    gap = MINUTE * (1 - 1 / 1.1) + MINUTE / QUOTA + BEAT
    assert judge.longest_gap(judge.times[QUOTA - 1], judge.times[2 * QUOTA - 1]) < gap


@pytest.mark.parametrize("how", ["it ends", "it is killed"])
def test_what_a_process_has_used_counts_once_for_the_next(how):
    """Whoever has its state file tells the store what it used, and that its name has ended."""
    minute, half = 12.0, QUOTA // 2
    slack = FakeSlack(minute=minute, latency="1ms..5ms")
    replicas = Replicas(2, slack, RedisServer(), minute=minute, state_files=True).ready()
    replicas.at(0, calls=half, at_once=5).finish(10)
    began = time.monotonic()
    if how == "it ends":
        ends(replicas, 0)
    replicas.restart(0)
    eventually("it shares again", lambda: replicas.state(0) == SHARED, 5)
    flood = replicas.at(1, at_once=QUOTA)
    eventually("the other half is used", lambda: len(slack.calls(METHOD)) >= QUOTA, minute)
    took = time.monotonic() - began
    # And no more.
    time.sleep(1.0)
    flood.drop()
    judge = Judge(slack)
    print(f"took {took:.2f} s")
    assert judge.refusals == [] and judge.largest(minute) <= QUOTA
    assert len(judge.times) == QUOTA
    assert took < 6.0
