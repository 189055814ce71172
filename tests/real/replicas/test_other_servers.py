"""Sentinels and clusters are used with the rights that the documentation lists, and what is set wrong is said.

Whether limits hold while servers come and go is in test_many_servers.py.
"""

import re

import pytest
from authority import Authority
from many_servers import MASTER, Cluster, Watched, channels, copy_client
from redis_server import DEBIAN, OTHERS, RedisServer
from replicas import LONG, METHOD, MINUTE, QUOTA, Judge, Replicas
from stand import REPO, FakeSlack, eventually
from test_many_servers import group, servers

DOCS = (REPO / "docs/replicas.md").read_text()


def rights(of: int) -> str:
    """The rights that docs/replicas.md says are enough: of a user of the servers, and of one of the sentinels."""
    return " ".join(re.findall(r"ACL SETUSER \S+ on >PASSWORD ((?: *\S.*\n)+)", DOCS)[of].split())


def all_is_well(slack: FakeSlack, replicas: Replicas) -> None:
    for n in range(len(replicas.proxies)):
        replicas.at(n, calls=QUOTA // 4, every=MINUTE / QUOTA)
    answers = replicas.finish()
    replicas.floods.clear()
    judge = Judge(slack)
    assert judge.wrong(answers) == []
    assert judge.refusals == []


def test_sentinels_are_asked_and_listened_to(tmp_path):
    """Red when only the first one is asked, when the servers' user is named to sentinels, and when a right is missing."""
    slack, authority = FakeSlack(minute=MINUTE), Authority(tmp_path, "ca")
    store = Watched(user="water", password="sesame", may=rights(0), own=rights(1), own_password="open",
                    authority=authority)  # fmt: skip
    store.processes[0].kill()
    shared = f"sentinel: {{ master: {MASTER}, user: watcher, password: open }}"
    replicas = Replicas(2, slack, store.servers[0], url=lambda line: f"rediss://water:sesame@{store.hosts}/0", shared=shared,
                        more=f"tls: {{ ca: {authority.pem} }}\n")  # fmt: skip
    replicas.ready()
    for n in (1, 2):
        eventually("they listen", lambda: store.ask(n, "CLIENT", "LIST", "TYPE", "pubsub").count(b"user=watcher") == 2)
    all_is_well(slack, replicas)
    store.servers[0].kill()
    for n in range(2):
        eventually("it uses the other server", lambda: servers(replicas, n) == [f"127.0.0.1:{store.servers[1].port}"], 15)
    promoted = copy_client(store.servers[1], "water")
    eventually("they listen there", lambda: channels(store.servers[1], promoted) == 2)
    all_is_well(slack, replicas)


@pytest.mark.parametrize("binary", [DEBIAN, *(OTHERS.values() if LONG else ())])
def test_a_cluster_is_found_from_one_node(binary, tmp_path):
    """Red when a group is looked for at another node than that of its slot, when nobody follows a slot that moves, and
    when a right is missing."""
    assert "`+cluster|slots`" in DOCS
    slack = FakeSlack(minute=MINUTE)
    # Those in wheels have no TLS.
    authority = Authority(tmp_path, "ca") if binary == DEBIAN else None
    store = Cluster(binary, authority=authority)
    for node in store.nodes:
        node.call("ACL", "SETUSER", "water", "on", ">sesame", *rights(0).split(), "+cluster|slots")
    port = store.nodes[2].port
    scheme, more = ("rediss", f"tls: {{ ca: {authority.pem} }}\n") if authority else ("redis", "")
    replicas = Replicas(2, slack, store.nodes[2], url=lambda line: f"{scheme}://water:sesame@127.0.0.1:{port}",
                        shared="cluster: true", more=more).ready()  # fmt: skip
    for n in range(2):
        assert sorted(servers(replicas, n)) == sorted(f"127.0.0.1:{node.port}" for node in store.nodes)
    assert sum(map(channels, store.nodes)) == 2, "each listens at one of them"
    all_is_well(slack, replicas)
    mine = group("tier3", METHOD)
    to = next(node for node in store.nodes if node is not store.keeper(mine))
    store.reshard(mine, to)
    for proxy in replicas.proxies:
        eventually("it knows", lambda: proxy.metric("slackwater_shared_epoch_changes_total") == 1)
    all_is_well(slack, replicas)


def test_what_is_set_wrong_is_said_once():
    slack = FakeSlack(minute=MINUTE)
    store = Watched(sentinels=1, copies=0)
    node = RedisServer(options=["--cluster-enabled", "yes"])
    copied = RedisServer(options=["--min-replicas-to-write", 1])
    for shared, url, reason, said in [
        ("sentinel: { master: other }", f"redis://{store.hosts}", "no_master", "shared.sentinel.master"),
        ("cluster: true", store.servers[0].url(), "no_cluster", "delete shared.cluster"),
        ("", node.url(), "cluster", "add shared.cluster: true"),
        ("", copied.url(), "no_replicas", "min-replicas-to-write"),
        ("cluster: true", node.url().removesuffix("/0"), "no_map", "CLUSTER SLOTS"),
    ]:
        replicas = Replicas(1, slack, store.servers[0], url=lambda line: url, shared=shared)
        proxy = replicas.proxies[0]
        errors = "slackwater_shared_errors_total"
        eventually("it is counted", lambda: proxy.metric(errors, reason=reason) > 1)
        lines = [line for line in proxy.process.said() if '"reason"' in line]
        assert len(lines) == 1 and said in lines[0], lines
