"""A store of several servers: who is promoted, moved or killed in mid flood costs no call, and exceeds no limit.

By how much a limit may be exceeded for each fault is in docs/replicas.md: here by nothing.
"""

import time
import zlib

import pytest
from many_servers import MASTER, Cluster, Watched
from replicas import FORGET_AFTER, METHOD, MINUTE, QUOTA, SHARED, Clock, Judge, Replicas
from stand import FakeSlack, eventually

pytestmark = pytest.mark.timeout(120)

# Another limit, which is kept in another group.
OTHER = "conversations.members"  # tier 4
OTHER_QUOTA = 100


def group(tier: str, method: str) -> int:
    """As every replica reckons it."""
    return (zlib.crc32(f"{tier}:A1/T1/{method}".encode()) & 0xFF) % 16


def watched(slack: FakeSlack, store: Watched, count: int = 3) -> Replicas:
    return Replicas(count, slack, store.servers[0], url=lambda line: f"redis://{store.hosts}/0",
                    shared=f"sentinel: {{ master: {MASTER} }}").ready()  # fmt: skip


def clustered(slack: FakeSlack, store: Cluster, count: int = 3) -> Replicas:
    return Replicas(count, slack, store.nodes[0], url=lambda line: f"redis://{store.hosts}", shared="cluster: true").ready()


def servers(replicas: Replicas, n: int) -> list[str]:
    return replicas.proxies[n].status()["shared"]["servers"]


class Flood:
    """Three replicas use a limit, and something happens."""

    def __init__(self, slack: FakeSlack, replicas: Replicas):
        self.slack, self.replicas, self.clock = slack, replicas, Clock(slack)
        replicas.flood()
        eventually("the limit is used", lambda: len(slack.calls(METHOD)) > 1.2 * QUOTA, 2 * MINUTE + 5)
        self.began = self.clock.now()

    def ends_well(self) -> Judge:
        """All share again, nothing was lost or refused, and own slots were used all the time, as long as their leases
        lasted."""
        count = len(self.replicas.proxies)
        for n in range(count):
            eventually(f"replica {n} shares again", lambda: self.replicas.state(n) == SHARED, 15)
        shared = self.clock.now()
        time.sleep(1.5 * MINUTE)
        answers = self.replicas.finish()
        judge = Judge(self.slack)
        assert judge.wrong(answers) == []
        assert judge.refusals == []
        assert judge.largest() <= QUOTA
        until = min(shared, self.began + FORGET_AFTER)
        # A gap that was there before comes back a window later.
        assert judge.longest_gap(self.began, until) < 1.0 + judge.longest_gap(self.began - MINUTE, self.began), "own slots go on"
        used, minutes = judge.count(self.began, until), (until - self.began) / MINUTE
        assert used >= 0.7 * QUOTA * minutes - QUOTA * 0.15
        assert judge.count(shared + MINUTE / 2, shared + 1.5 * MINUTE) >= 0.85 * QUOTA, "all of the limit is used again"
        return judge


# === sentinels ===


def test_a_primary_is_killed_in_mid_flood():
    """Red when nobody is asked again who the primary is, and when what was heard of the old one counts at the new one."""
    slack = FakeSlack(minute=MINUTE)
    store = Watched()
    flood = Flood(slack, watched(slack, store))
    assert servers(flood.replicas, 0) == [f"127.0.0.1:{store.servers[0].port}"]
    store.servers[0].kill()
    copy = f"127.0.0.1:{store.servers[1].port}"
    for n in range(3):
        eventually("it uses the other server", lambda: servers(flood.replicas, n) == [copy], 15)
        assert flood.replicas.proxies[n].metric("slackwater_shared_servers") == 1
    flood.ends_well()


def test_an_operator_promotes_another_server_in_mid_flood():
    """The old one lives on as a primary for seconds. Red when sentinels are asked only after a connection was lost."""
    slack = FakeSlack(minute=MINUTE)
    store = Watched()
    flood = Flood(slack, watched(slack, store))
    copy = f"127.0.0.1:{store.servers[1].port}"
    store.fail_over()
    eventually("the sentinels know", lambda: store.primary() == store.servers[1].port)
    for n in range(3):
        eventually("it uses the other server", lambda: servers(flood.replicas, n) == [copy], 2)
    flood.ends_well()


# === clusters ===


def test_a_slot_moves_to_another_node_in_mid_flood():
    """Red when nobody follows, and when the limit's slots are granted anew at the other node."""
    slack = FakeSlack(minute=MINUTE)
    store = Cluster()
    mine = group("tier3", METHOD)
    flood = Flood(slack, clustered(slack, store))
    assert sorted(servers(flood.replicas, 0)) == sorted(f"127.0.0.1:{node.port}" for node in store.nodes)
    epochs = "slackwater_shared_epoch_changes_total"
    before = [proxy.metric(epochs) for proxy in flood.replicas.proxies]
    to = next(node for node in store.nodes if node is not store.keeper(mine))
    store.reshard(mine, to, pause=0.4)
    for proxy, before in zip(flood.replicas.proxies, before):
        # Of that group alone: it is as good as another store.
        eventually("it knows", lambda: proxy.metric(epochs) == before + 1)
    flood.ends_well()
    assert to.call("KEYS", f"slackwater:*:{{{mine}}}:b:*"), "it is kept there"


def test_a_node_is_killed_in_mid_flood_and_its_copy_promoted():
    slack = FakeSlack(minute=MINUTE)
    store = Cluster(copies=1)
    flood = Flood(slack, clustered(slack, store))
    store.nodes[0].kill()
    copy = f"127.0.0.1:{store.copies[0].port}"
    for n in range(3):
        eventually("it uses the copy", lambda: copy in servers(flood.replicas, n), 20)
        assert flood.replicas.proxies[n].metric("slackwater_shared_servers") == 3
    flood.ends_well()


def test_a_node_is_away_and_the_limits_of_others_are_used_whole():
    """Its limits go on by what is held; another one's is handed from replica to replica as before. Red when all
    groups are alone because one node is away."""
    slack = FakeSlack(minute=MINUTE)
    store = Cluster()
    away, here = store.keeper(group("tier3", METHOD)), store.keeper(group("tier4", OTHER))
    assert away is not here, "their groups are at different nodes"
    flood = Flood(slack, clustered(slack, store))
    away.kill()
    answers = []
    for n in range(3):
        # All of this limit for one replica after the other.
        callers = flood.replicas.at(n, OTHER, at_once=20)
        time.sleep(2 * MINUTE)
        callers.stop()
        answers += callers.finish()
        flood.replicas.floods.remove(callers)
    other = Judge(slack, OTHER)
    assert other.wrong(answers) == []
    for n in range(3):
        assert other.largest_of(f"r{n}", 0, float("inf")) >= 0.8 * OTHER_QUOTA, "that is more than a part"
    away.start()
    flood.ends_well()
