"""What is set wrong at the store is said once, with what to do, counted, and survived; and no secret gets there."""

import json
import re
import time

import pytest
from authority import Authority
from line import Line
from marks import MARK, marks
from redis_server import RedisServer
from replicas import ALONE, METHOD, MINUTE, QUOTA, Clock, Judge, Replicas
from stand import REPO, FakeSlack, Proxy, eventually, free_port, http_get

# === what is set wrong ===


def wrong_password():
    server = RedisServer(password="sesame")
    return dict(server=server, url=lambda line: server.url(line.port, password="swordfish")), "password"


def no_password():
    server = RedisServer(password="sesame")
    return dict(server=server, url=lambda line: f"redis://127.0.0.1:{line.port}/0"), "password"


def unknown_user():
    server = RedisServer(user="water", password="sesame")
    return dict(server=server, url=lambda line: f"redis://fire:sesame@127.0.0.1:{line.port}/0"), "user"


def a_user_without_rights():
    # It may do all but run scripts.
    server = RedisServer(user="water", password="sesame", may="~* &* +@all -eval -evalsha")
    return dict(server=server), "eval"


def nobody_there():
    port = free_port()
    return dict(server=RedisServer(), url=lambda line: f"redis://127.0.0.1:{port}/0"), "shared.redis"


def too_old():
    def older(data: bytes) -> bytes:
        return re.sub(rb"redis_version:7\.0\.(\d+)", rb"redis_version:5.0.\1", data)

    server = RedisServer()
    return dict(server=server, lines=[Line(server.port, edit=older) for _ in range(3)]), "6.2"


def read_only():
    return dict(server=RedisServer(replica_of=RedisServer().port)), "primary"


def evicts():
    return dict(server=RedisServer(options=["--maxmemory", "20mb", "--maxmemory-policy", "allkeys-lru"])), "noeviction"


def no_tls():
    server = RedisServer()
    return dict(server=server, url=lambda line: f"rediss://127.0.0.1:{line.port}/0"), "rediss|tls"


def no_such_database():
    return dict(server=RedisServer(), database=99), "database"


WRONG = [
    wrong_password, no_password, unknown_user, a_user_without_rights, nobody_there, too_old, read_only, evicts, no_tls,
    no_such_database,
]  # fmt: skip


def complaints(proxy: Proxy) -> list[str]:
    """What it says of the store that is not well."""
    lines = [json.loads(line) for line in proxy.process.said() if line.startswith("{")]
    return [json.dumps(line) for line in lines
            if line["level"] in ("WARN", "ERROR") and re.search("store|shared|redis", json.dumps(line), re.I)]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said_once_with_the_remedy(wrong):
    how, remedy = wrong()
    slack = FakeSlack(minute=MINUTE)
    replicas = Replicas(3, slack, **how)
    for n in range(3):
        replicas.at(n, calls=QUOTA // 3, at_once=QUOTA // 3)
    # They know how many they are, and use their parts.
    answers = replicas.finish(MINUTE)
    judge = Judge(slack)
    assert judge.wrong(answers) == []
    assert judge.refusals == []
    for proxy in replicas.proxies:
        eventually("it is said", lambda: complaints(proxy), 8)
    # Several attempts later.
    time.sleep(2.0)
    for n, proxy in enumerate(replicas.proxies):
        said = complaints(proxy)
        assert len(said) == 1, said
        assert re.search(remedy, said[0], re.I), said
        assert "sesame" not in said[0] and "swordfish" not in said[0]
        assert replicas.state(n) >= ALONE
        assert proxy.metric("slackwater_shared_errors_total") > 0


def test_a_store_that_is_mended_is_used_without_a_restart():
    server = RedisServer(password="sesame")
    slack = FakeSlack(minute=MINUTE)
    replicas = Replicas(1, slack, server, url=lambda line: server.url(line.port, password="later"))
    eventually("it is refused", lambda: complaints(replicas.proxies[0]))
    server.call("CONFIG", "SET", "requirepass", "later")
    server.password = "later"
    replicas.ready()


def test_the_dashboard_shows_what_a_replica_exports():
    """Red when a name or a label in a panel on the shared store is wrong, and when what it shows stays at nothing."""
    panels = json.loads((REPO / "deploy/grafana/slackwater.json").read_text())["panels"]
    targets = [target for panel in panels for target in panel.get("targets", ()) if "slackwater_shared_" in target["expr"]]
    server = RedisServer()
    replicas = Replicas(1, FakeSlack(minute=MINUTE), server).ready()
    server.call("FLUSHALL")
    proxy = replicas.proxies[0]
    eventually("it knows of the loss", lambda: proxy.metric("slackwater_shared_epoch_changes_total") > 0)
    _, connected = proxy.admin_get("/metrics")
    server.kill()
    eventually("it is alone", lambda: replicas.state(0) == ALONE)
    eventually("it says so", lambda: proxy.metric("slackwater_shared_errors_total") > 0)
    text = connected + proxy.admin_get("/metrics")[1]
    assert len(targets) == 7
    for target in targets:
        name = re.search(r"slackwater_shared_\w+", target["expr"])[0]
        lines = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.M)
        assert any(float(value) > 0 for _, value in lines), f"{name}: {lines}"
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            # What is not the proxy's own, Prometheus adds.
            assert label in ("pod", "instance") or all(f'{label}="' in labels for labels, _ in lines), name


def test_replicas_that_have_been_given_different_limits():
    """The smaller one holds for both, and each says once which limit it is, and both figures."""
    small = 20
    slack = FakeSlack(minute=MINUTE)
    more = ["", f"tiers: {{ tier3: {{ limit: {small}, per: 1m }} }}\n"]
    replicas = Replicas(2, slack, RedisServer(), more=more).ready()
    clock = Clock(slack)
    replicas.at(1, at_once=4)
    eventually("it uses some of the limit", lambda: len(slack.calls(METHOD)) >= 4)
    began = clock.now()
    replicas.at(0, at_once=QUOTA)
    time.sleep(4 * MINUTE)
    judge = Judge(slack)
    assert judge.refusals == []
    shares = judge.shares(began)
    assert judge.largest() <= small
    assert min(shares["r0"], shares["r1"]) > small / 2, "both have slots"
    limit = {"limit": "tier3", "method": METHOD}
    figures = [f"{limit} per {MINUTE:g}s" for limit in (QUOTA, small)]
    for n, (here, elsewhere) in enumerate([figures, figures[::-1]]):
        proxy = replicas.proxies[n]
        said = [line for line in proxy.process.said() if "limits_differ" in line]
        assert len(said) == 1, said
        assert f"tier3 of {METHOD} is {here} here and {elsewhere} at another replica" in said[0]
        assert "tiers and methods" in said[0]
        assert proxy.status()["shared"]["limits_differ"] == [limit | {"here": here, "elsewhere": elsewhere}]
        assert proxy.metric("slackwater_shared_errors_total", reason="limits_differ") > 1
    # The one is given what the other one has.
    replicas.more[1] = replicas.more[0]
    replicas.restart(1)
    eventually("all of the limit is used", lambda: Judge(slack).largest() > small, 30)
    assert Judge(slack).refusals == []
    for callers in replicas.floods:
        callers.drop()


# === what is set right ===


def documented_rights() -> str:
    """The rights of a user that docs/replicas.md says are enough."""
    text = (REPO / "docs/replicas.md").read_text()
    return " ".join(re.search(r"ACL SETUSER \S+ on >PASSWORD ((?: *\S.*\n)+)", text)[1].split())


def test_a_server_that_asks_for_tls_and_a_user(tmp_path):
    """It may do what the documentation lists, and no more."""
    authority = Authority(tmp_path, "ca")
    server = RedisServer(user="water", password="pa%73s", may=documented_rights(), authority=authority)
    slack = FakeSlack(minute=MINUTE)
    url = "rediss://water:pa%2573s@localhost:{}/2"
    replicas = Replicas(2, slack, server, url=lambda line: url.format(line.port),
                        more=f"tls: {{ ca: {authority.pem} }}\n").ready()  # fmt: skip
    for n in range(2):
        replicas.at(n, calls=QUOTA, at_once=QUOTA)
    answers = replicas.finish()
    judge = Judge(slack)
    assert judge.wrong(answers) == []
    assert judge.refusals == []


def test_prefixes_and_databases_keep_budgets_apart():
    server = RedisServer()
    slack = FakeSlack(minute=MINUTE, limits=[f"{METHOD}=100000"])
    apart = [
        Replicas(2, slack, server, shared="prefix: one"), Replicas(2, slack, server, shared="prefix: other"),
        Replicas(2, slack, server, database=1),
    ]  # fmt: skip
    for replicas in apart:
        replicas.ready()
        for n in range(2):
            replicas.at(n, calls=QUOTA // 2, at_once=QUOTA)
    began = time.monotonic()
    for replicas in apart:
        replicas.finish()
    assert time.monotonic() - began < MINUTE
    assert len(slack.calls(METHOD)) == 3 * QUOTA


# === secrets ===


def test_no_secret_reaches_the_store():
    """Everything that is in it, and every command that it gets, searched for tokens and the paths of webhooks."""
    slack = FakeSlack(minute=MINUTE)
    server = RedisServer()
    watching = server.watch()
    replicas = Replicas(2, slack, server).ready()
    for n in range(2):
        for kind in ("xoxb", "xoxp", "xoxe.xoxb"):
            replicas.at(n, token=f"{kind}-T{n}-A1-{MARK}", calls=10, at_once=10)
        replicas.at(n, "chat.postMessage", token=f"xoxb-T1-A1-{MARK}{n}", calls=3, at_once=3,
                    arguments=lambda number: {"channel": f"C{number}", "token": f"xoxb-7-{MARK}"})  # fmt: skip
        webhook = f"http://{replicas.proxies[n].listen}/services/T1/B1/{MARK.replace('/', '')}"
        assert http_get(webhook, data=b'{"text": "x"}')[0] == 200
        # Refused by Slack: so frozen, and told to the others.
    slack.fault("users.info", "429-no-header")
    replicas.at(0, "users.info", token=f"xoxb-T1-A1-{MARK}", calls=1, at_once=1, lane="max-wait=1s")
    # One of the operator's pauses, of a token.
    replicas.finish()
    held = server.everything()
    assert len(held) > 5, "something is there"
    texts = [text.decode(errors="replace") for key, values in held.items() for text in (key, *map(as_bytes, values))]
    texts += watching.said()
    assert len(watching.said()) > 50
    found = [text for text in texts for mark in [*marks(), re.compile("T0PS3CRET", re.I)] if mark.search(text)]
    assert found == []
    assert [text for text in texts if re.search(r"xox[a-z]", text)] == []


def as_bytes(value) -> bytes:
    return value if isinstance(value, bytes) else repr(value).encode()
