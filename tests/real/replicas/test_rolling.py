"""A fleet is updated behind a flood, one replica after the other."""

import signal
import time

import pytest
from callers import Callers
from redis_server import RedisServer
from replicas import METHOD, MINUTE, QUOTA, SHARED, TOKEN, Clock, Judge, Replicas
from stand import FakeSlack, eventually

COUNT = 3


class Service:
    """Whom new calls go to: in turns to every replica that is ready."""

    def __init__(self, replicas: Replicas):
        self.replicas, self.calls, self.away = replicas, 0, set()

    def base_url(self) -> str:
        self.calls += 1
        ready = [proxy for n, proxy in enumerate(self.replicas.proxies) if n not in self.away]
        return ready[self.calls % len(ready)].base_url("/@fleet;max-wait=60s")

    def leaves(self, n: int) -> None:
        """A replica ends: it gets no new calls, and its held ones are sent."""
        self.away.add(n)
        process = self.replicas.proxies[n].process
        process.signal(signal.SIGTERM)
        assert process.exit_code(20) == 0

    def returns(self, n: int) -> None:
        eventually(f"replica {n} shares its limits", lambda: self.replicas.state(n) == SHARED, 10)
        self.away.discard(n)


def another_before(service: Service, n: int) -> None:
    """As a Deployment does: there is a new process, of a new name, before the old one ends."""
    replicas = service.replicas
    old, new = replicas.proxies[n], replicas.start(n)
    replicas.proxies[n] = new
    # Nobody is told of it before it is ready.
    service.away.add(n)
    service.returns(n)
    old.process.signal(signal.SIGTERM)
    assert old.process.exit_code(20) == 0


def another_after(service: Service, n: int) -> None:
    """As a StatefulSet does: the next process has the file, and so the name, of the one before."""
    service.leaves(n)
    service.replicas.proxies[n] = service.replicas.start(n)
    service.returns(n)


@pytest.mark.timeout(150)
@pytest.mark.parametrize("how", [another_before, another_after])
def test_a_fleet_is_updated_behind_a_flood(how):
    """No call is refused or lost, and the limit is used all the while."""
    slack = FakeSlack(minute=MINUTE, latency="1ms..5ms")
    replicas = Replicas(COUNT, slack, RedisServer(), state_files=how is another_after).ready()
    service = Service(replicas)
    flood = Callers(service.base_url, TOKEN, METHOD, name="fleet", every=MINUTE / QUOTA / 1.1)
    eventually("the limit is used", lambda: len(slack.calls(METHOD)) > QUOTA, 3 * MINUTE)
    clock = Clock(slack)
    began = clock.now()
    for n in range(COUNT):
        how(service, n)
        # The others have taken over what it left.
        time.sleep(MINUTE / 2)
    ended = clock.now()
    flood.stop()
    answers = flood.finish(60)
    judge = Judge(slack)
    used = judge.count(began, ended) / ((ended - began) / MINUTE * QUOTA)
    print(f"{used:.1%} of the limit in {ended - began:.1f} s, {len(answers)} calls")
    assert judge.wrong(answers) == []
    assert judge.refusals == [] and judge.largest() <= QUOTA
    assert used >= 0.9
