"""What one replica has learnt of a token is known to all: Slack is asked once."""

from redis_server import RedisServer
from replicas import ALONE, Replicas
from stand import FakeSlack, eventually


def asked(slack: FakeSlack) -> int:
    return len(slack.calls("auth.test"))


def call(replicas: Replicas, n: int, token: str) -> None:
    (answer,) = replicas.at(n, "users.list", calls=1, at_once=1, token=token).finish(15)
    assert answer.ok, answer


def test_slack_is_asked_once_of_a_token():
    slack = FakeSlack(latency="20ms..60ms")
    replicas = Replicas(3, slack, RedisServer()).ready()
    before = asked(slack)
    # All of them see it in one moment.
    token = "xoxb-T5-A1-secret"
    at_once = [replicas.at(n, "users.list", calls=2, at_once=2, token=token) for n in range(3)]
    for callers in at_once:
        assert all(answer.ok for answer in callers.finish(15))
    for n in range(3):
        eventually(f"replica {n} knows", lambda: replicas.knows(n, "A1/T5/"), 2)
    assert asked(slack) == before + 1
    # And one after the other, also one that has just come.
    call(replicas, 0, "xoxb-T6-A1-secret")
    replicas.restart(2)
    eventually("it is there", lambda: replicas.state(2) is not None, 10)
    eventually("it is heard", lambda: replicas.state(2) == 0, 10)
    for n in (1, 2):
        call(replicas, n, "xoxb-T6-A1-secret")
        assert replicas.knows(n, "A1/T6/")
    assert asked(slack) == before + 2
    # Without the store each asks.
    with replicas.are_cut(0, 1):
        for n in (0, 1):
            eventually("it is alone", lambda: replicas.state(n) == ALONE, 5)
            call(replicas, n, "xoxb-T7-A1-secret")
    eventually("each has asked", lambda: asked(slack) == before + 4, 5)
