"""What an operator says at one replica holds at all, and any of them tells of all."""

import json
import subprocess
import urllib.request

from redis_server import RedisServer
from replicas import ALONE, SHARED, Replicas
from stand import BINARY, FakeSlack, Proxy, eventually


def say(proxy: Proxy, path: str, **what) -> dict:
    asked = urllib.request.Request(f"http://{proxy.admin}{path}", json.dumps(what).encode(),
                                   {"Content-Type": "application/json"})  # fmt: skip
    return json.load(urllib.request.urlopen(asked, timeout=5))


def paused(proxy: Proxy) -> list[tuple]:
    kinds = ("method", "caller", "workspace")
    return sorted((kind, it[kind], it["shed"]) for it in proxy.status()["paused"] for kind in kinds if kind in it)


def mode(proxy: Proxy) -> tuple:
    told = proxy.status()["mode"]
    return told["proxy"], told["methods"]


def test_what_is_said_at_one_holds_at_all():
    server = RedisServer()
    replicas = Replicas(3, FakeSlack(), server, state_files=True).ready()
    proxies = replicas.proxies

    def all_say(what: str, of, seconds: float = 1.0) -> None:
        for proxy in replicas.proxies:
            eventually(f"all know: {what}", lambda: of(proxy), seconds)

    assert say(proxies[0], "/pause", method="users.list")["note"] is None
    all_say("a pause", lambda it: paused(it) == [("method", "users.list", False)])
    say(proxies[1], "/pause", method="users.list", shed=True)
    say(proxies[2], "/pause", workspace="T7")
    all_say("two", lambda it: paused(it) == [("method", "users.list", True), ("workspace", "T7", False)])
    say(proxies[2], "/resume", method="users.list")
    all_say("one", lambda it: paused(it) == [("workspace", "T7", False)])
    say(proxies[1], "/mode", mode="shadow", method="users.info")
    all_say("a mode", lambda it: mode(it) == ("enforce", {"users.info": "shadow"}))
    say(proxies[0], "/mode", mode="shadow")
    all_say("another mode", lambda it: mode(it) == ("shadow", {}))
    say(proxies[0], "/mode", mode="enforce")

    # One is away, and says something itself.
    with replicas.are_cut(1):
        eventually("it is alone", lambda: replicas.state(1) == ALONE, 5)
        told = say(proxies[1], "/pause", caller="cleanup")
        assert "this replica only" in told["note"], told
        say(proxies[0], "/resume", workspace="T7")
        say(proxies[0], "/pause", workspace="T8")
        assert paused(proxies[1]) == [("caller", "cleanup", False), ("workspace", "T7", False)]
    both = [("caller", "cleanup", False), ("workspace", "T8", False)]
    all_say("what was said meanwhile", lambda it: paused(it) == both, 8)
    # It is off for everybody by now.
    all_say("the mode of before", lambda it: mode(it) == ("enforce", {}))

    # The store forgets all, and one starts again.
    server.client().call("FLUSHALL")
    say(proxies[2], "/pause", workspace="T9")
    all_say("what they knew", lambda it: paused(it) == [*both, ("workspace", "T9", False)], 3)
    say(proxies[0], "/resume", workspace="T8")
    say(proxies[0], "/resume", caller="cleanup")
    replicas.restart(1)
    all_say("what is left", lambda it: paused(it) == [("workspace", "T9", False)], 5)


def test_any_replica_tells_of_all():
    replicas = Replicas(3, FakeSlack(), RedisServer()).ready()
    say(replicas.proxies[0], "/pause", method="users.conversations")
    eventually("it holds", lambda: paused(replicas.proxies[1]), 2)
    replicas.at(1, calls=4, at_once=4)

    def told(n: int) -> dict:
        return json.loads(replicas.proxies[n].admin_get("/fleet")[1])

    for n in range(3):
        eventually("four calls wait", lambda: told(n).get("waiting") == 4, 10)
        fleet = told(n)
        assert len(fleet["replicas"]) == 3, fleet
        assert sorted(it["waiting"] for it in fleet["replicas"]) == [0, 0, 4]
        busy = next(it for it in fleet["replicas"] if it["waiting"])
        assert busy["waits"] == [["users.conversations", 4]] and busy["version"], busy
        assert "xox" not in json.dumps(fleet)
    shown = subprocess.run([BINARY, "status", "--admin", f"http://{replicas.proxies[2].admin}"],
                           capture_output=True, text=True, check=True)  # fmt: skip
    assert "3 replicas: " in shown.stdout and "users.conversations 4" in shown.stdout, shown.stdout
    with replicas.are_cut(0, 1, 2):
        eventually("nobody hears the store", lambda: replicas.state(0) == ALONE, 5)
        status, text = replicas.proxies[0].admin_get("/fleet")
        assert (status, json.loads(text)["error"]) == (503, "store_silent"), text
    eventually("it is back", lambda: replicas.state(0) == SHARED, 10)
    for callers in replicas.floods:
        callers.drop()
