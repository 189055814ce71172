"""Replicas learn at different moments whose a token is: what is counted by the token alone until then, and what is
counted for the workspace, come to no more than the limit together."""

import time

import pytest
from redis_server import RedisServer
from replicas import METHOD, QUOTA, SHARED, Judge, Replicas
from stand import FakeSlack, eventually

# A replica that got no answer asks again after ten seconds.
LONG_MINUTE = 12.0
TOKEN = "xoxb-T7-A1-unknown"
APART = 3.0


@pytest.mark.timeout(120)
def test_replicas_that_learn_whose_a_token_is_one_after_the_other():
    """Red when the one that knows uses more than it held while the other one uses slots under the token."""
    slack = FakeSlack(minute=LONG_MINUTE)
    server = RedisServer()
    replicas = Replicas(2, slack, server, minute=LONG_MINUTE)
    for n in range(2):
        eventually(f"replica {n} shares its limits", lambda: replicas.state(n) == SHARED, 15)
    slack.fault("auth.test", "reset", calls=2)
    for n in (1, 0):
        replicas.at(n, token=TOKEN, every=0.25)
        eventually("it has asked in vain", lambda: len(slack.calls("auth.test")) >= 2 - n)
        time.sleep(APART)
    eventually("both know it", lambda: len(slack.calls("auth.test")) >= 4, 20)
    assert [call["outcome"] for call in slack.calls("auth.test")] == ["faulted", "faulted", "ok", "ok"]
    time.sleep(2.5 * LONG_MINUTE)
    for callers in replicas.floods:
        callers.drop()
    judge = Judge(slack)
    shares = judge.shares()
    assert judge.refusals == []
    assert QUOTA * 0.8 <= judge.largest(LONG_MINUTE) <= QUOTA, "and all of the limit is used in the end"
    assert min(shares["r0"], shares["r1"]) > QUOTA / 4
