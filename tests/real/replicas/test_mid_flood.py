"""In mid flood something fails: no window is exceeded, no call is lost, and afterwards the whole limit is used again.

By how much a limit may be exceeded for each fault is in docs/replicas.md.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from line import Line
from redis_server import RedisServer
from replicas import (
    AGED, BEAT, FORGET_AFTER, LONG, METHOD, MINUTE, QUOTA, SHARED, Clock, Judge, Replicas,
)  # fmt: skip
from stand import FakeSlack, eventually

# Nobody gives up anybody for that; for this, they do; and here even the slots of others have aged.
BRIEFLY, LONGER, FAR_LONGER = 4.0 if LONG else MINUTE, FORGET_AFTER + 1.5, AGED + 1.5

COUNTS = [3, 10] if LONG else [3]
SHAPES = ["sliding", "fixed", "fixed-clock", "bucket"] if LONG else ["sliding"]


@dataclass
class Scene:
    """What a fault finds."""

    replicas: Replicas
    server: RedisServer
    copy: RedisServer | None = None
    copying: Line | None = None
    # Replicas whose open calls died with them.
    gone: frozenset = frozenset()
    stopped: frozenset = frozenset()

    @property
    def half(self) -> range:
        return range(len(self.replicas.proxies) // 2)

    @property
    def all(self) -> range:
        return range(len(self.replicas.proxies))


# === faults: each returns when it is over ===


def a_replica_is_killed(scene: Scene) -> None:
    scene.replicas.floods[0].drop()
    scene.replicas.kill(0)
    scene.gone = frozenset({"r0"})
    # Until then the others do without what it held.
    time.sleep(AGED)


def a_replica_with_a_state_file_is_started_again(scene: Scene) -> None:
    scene.gone = frozenset({"r0"})
    scene.replicas.kill(0)
    time.sleep(0.5)
    scene.replicas.restart(0)


def a_replica_is_killed_and_started_again(scene: Scene) -> None:
    a_replica_with_a_state_file_is_started_again(scene)
    time.sleep(AGED)


def replica_stopped(seconds: float) -> Callable:
    def fault(scene: Scene) -> None:
        scene.stopped = frozenset({"r0"})
        with scene.replicas.is_stopped(0):
            time.sleep(seconds)

    return fault


def machine_suspended(seconds: float) -> Callable:
    def fault(scene: Scene) -> None:
        scene.stopped = frozenset({"r0"})
        with scene.replicas.is_suspended(0):
            time.sleep(seconds)

    return fault


def server_stopped(seconds: float) -> Callable:
    def fault(scene: Scene) -> None:
        with scene.server.is_stopped():
            time.sleep(seconds)

    return fault


def server_killed(seconds: float, empty: bool) -> Callable:
    def fault(scene: Scene) -> None:
        scene.server.kill()
        time.sleep(seconds)
        scene.server.restart(empty=empty)

    return fault


def flushed(scene: Scene) -> None:
    scene.server.flush()


def flushed_and_a_replica_killed(scene: Scene) -> None:
    scene.server.flush()
    time.sleep(0.5)
    a_replica_is_killed(scene)


def a_replica_killed_and_flushed(scene: Scene) -> None:
    scene.replicas.floods[0].drop()
    scene.replicas.kill(0)
    scene.gone = frozenset({"r0"})
    time.sleep(0.5)
    scene.server.flush()
    # Nobody tells of what it held; the others still name it.
    time.sleep(AGED)


def flushed_and_the_server_killed(scene: Scene) -> None:
    scene.server.flush()
    time.sleep(0.5)
    scene.server.restart(empty=True)


def a_copy_is_promoted(scene: Scene) -> None:
    """It lacks the last second, in which slots were granted and given back."""
    scene.copying.cut()
    time.sleep(1.0)
    scene.server.kill()
    scene.copy.promote()
    scene.replicas.lead_to(scene.copy)


def cut(which: str, seconds: float) -> Callable:
    def fault(scene: Scene) -> None:
        with scene.replicas.are_cut(*{"one": [0], "half": scene.half, "all": scene.all}[which]):
            time.sleep(seconds)

    return fault


def reset(scene: Scene) -> None:
    for _ in range(3):
        for line in scene.replicas.lines:
            line.reset()
        time.sleep(0.2)


def slow(scene: Scene) -> None:
    """An answer takes longer than a replica waits for it, and counts all the same."""
    for line in scene.replicas.lines:
        line.delay = 0.3
    time.sleep(2 * MINUTE)
    for line in scene.replicas.lines:
        line.delay = 0.0


@dataclass(frozen=True)
class Fault:
    happens: Callable
    # By how much each replica that was alone may exceed the limit: its part of it.
    alone: int = 0
    # The least part of the limit that is used meanwhile, from a second on, and how long the fault lasts, if it does.
    meanwhile: float = 0.0
    seconds: float = 0.0
    state_files: bool = False
    aof: bool = False
    copied: bool = False
    suspended: bool = False
    # One replica less is left, so each has to be asked for more.
    fewer: bool = False
    # Like another one, but for the order or the cause: not in the short form.
    long: bool = False


FAULTS = {
    "a replica is killed": Fault(a_replica_is_killed, fewer=True),
    "a replica is killed and started again": Fault(a_replica_is_killed_and_started_again, long=True),
    "a replica is killed and started again with its state file": Fault(
        a_replica_with_a_state_file_is_started_again, state_files=True),
    "a replica is stopped": Fault(replica_stopped(BRIEFLY)),
    "a replica is stopped for longer than its lease": Fault(replica_stopped(LONGER)),
    "a replica is stopped until others have its slots": Fault(replica_stopped(FAR_LONGER), alone=1, long=True),
    "a replica's machine is suspended": Fault(machine_suspended(BRIEFLY), suspended=True, long=True),
    "a replica's machine is suspended for longer than its lease": Fault(machine_suspended(LONGER), suspended=True),
    "a replica's machine is suspended until others have its slots": Fault(
        machine_suspended(FAR_LONGER), alone=1, suspended=True),
    "the server is stopped": Fault(server_stopped(BRIEFLY), meanwhile=0.8, seconds=BRIEFLY),
    "the server is stopped for longer than the lease": Fault(
        server_stopped(LONGER), meanwhile=0.6, seconds=LONGER, long=True),
    "the server is killed": Fault(server_killed(BRIEFLY, empty=False), meanwhile=0.8, seconds=BRIEFLY),
    "the server is killed and has its data": Fault(server_killed(0.5, empty=False), aof=True, long=True),
    "the server is killed for longer than the lease": Fault(
        server_killed(LONGER, empty=True), meanwhile=0.6, seconds=LONGER, long=True),
    "the server is emptied": Fault(flushed),
    "the server is emptied and a replica killed": Fault(flushed_and_a_replica_killed, fewer=True),
    "a replica is killed and the server emptied": Fault(a_replica_killed_and_flushed, fewer=True, long=True),
    "the server is emptied and killed": Fault(flushed_and_the_server_killed),
    "an older copy is promoted": Fault(a_copy_is_promoted, copied=True),
    "the line of one is cut": Fault(cut("one", BRIEFLY), meanwhile=0.8, seconds=BRIEFLY),
    "the line of one is cut for longer than its lease": Fault(cut("one", LONGER), long=True),
    "the line of one is cut until others have its slots": Fault(cut("one", FAR_LONGER), alone=1),
    "the lines of half of them are cut": Fault(cut("half", BRIEFLY), meanwhile=0.8, seconds=BRIEFLY),
    "all lines are cut": Fault(cut("all", BRIEFLY), meanwhile=0.8, seconds=BRIEFLY),
    "all lines are cut for longer than the lease": Fault(
        cut("all", LONGER), meanwhile=0.6, seconds=LONGER, long=True),
    "connections break": Fault(reset),
    "every answer of the store takes 300 ms more": Fault(slow, meanwhile=0.8, seconds=2 * MINUTE),
}  # fmt: skip


@pytest.mark.parametrize("window", SHAPES)
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if LONG or not fault.long])
@pytest.mark.timeout(90)
def test_a_fault_in_mid_flood(name, count, window):
    fault = FAULTS[name]
    # A call on its way when its replica is stopped is given up, and its slot kept for a real minute: so few are.
    slack = FakeSlack(window=window, minute=MINUTE, latency="1ms..3ms" if "stopped" in name or fault.suspended else "5ms..40ms")
    server = RedisServer(aof=fault.aof)
    scene = Scene(Replicas(count, slack, server, state_files=fault.state_files,
                           suspendable=fault.suspended).ready(), server)
    if fault.copied:
        scene.copying = Line(server.port)
        scene.copy = RedisServer(replica_of=scene.copying.port)
        eventually("it is copied", lambda: scene.copy.info("master_link_status") == "up")
    clock = Clock(slack)
    scene.replicas.flood(1.15 * count / (count - 1) if fault.fewer else 1.15)
    # Every slot has been used, and the first of them again.
    eventually("the limit is used", lambda: len(slack.calls(METHOD)) > 1.2 * QUOTA, 2 * MINUTE + 5)

    began = clock.now()
    fault.happens(scene)
    ended = clock.now()

    # All who live share again, and have used a whole limit.
    for n in scene.all:
        if not (f"r{n}" in scene.gone and scene.replicas.proxies[n].process.child.poll() is not None):
            eventually(f"replica {n} shares again", lambda: scene.replicas.state(n) == SHARED, 5 * BEAT + AGED)
    recovered = clock.now()
    time.sleep(1.5 * MINUTE)
    answers = scene.replicas.finish(AGED + 4 * MINUTE)

    judge = Judge(slack)
    excess = fault.alone * (QUOTA // count)
    assert judge.wrong(answers, scene.gone, scene.stopped) == []
    assert judge.largest() <= QUOTA + excess
    if not excess:
        assert judge.refusals == []
    if fault.meanwhile:
        # Of a window that is used anew in the order in which it was used.
        used = judge.count(began, began + fault.seconds)
        assert used >= fault.meanwhile * QUOTA * fault.seconds / MINUTE - QUOTA * 0.15, "own slots go on"
        # Slots are free again in the order in which they were used, so a gap comes back a window later.
        assert judge.longest_gap(began, ended) < 1.0 + judge.longest_gap(began - MINUTE, began)
    used = judge.count(recovered + MINUTE / 2, recovered + 1.5 * MINUTE)
    # What Slack has refused is waited for.
    assert judge.refusals or used >= 0.9 * QUOTA, "the whole limit is used again"
