"""Each row of docs/clients.md keeps its promise, with the client itself: what comes of a flood, and of its end.

The minute is short here, and so is each client's time-out; tests/real-minute does the same with nothing scaled.
"""

import pytest
from fleet import (
    CALLS, CLIENTS, FLEET, MESSAGES, RATE_LIMITED, REAL_MINUTE, ROOM, Bout, flood, rows, scaled, section, table,
)  # fmt: skip
from sdk import Sdk
from stand import FakeSlack, Proxy

ROWS = rows()

# What runs at the same time, and how long a minute is. Those of the last one give up after a few seconds: their
# minute is longer, lest a busy machine's delays count.
GROUPS = {
    "python": (8, ["python-sync", "python-async", "requests", "urllib", "urllib3", "aiohttp", "python-webhook"]),
    "node": (8, ["node-7", "node", "fetch", "undici", "axios", "node-fetch", "node-webhook"]),
    "java": (8, ["url-connection", "apache4", "apache5", "java-net-http"]),
    "others": (8, ["slack-go", "net-http", "slack-morphism", "ruby-net-http", "faraday", "slack-notifier", "grafana", "guzzle", "curl", "other"]),
    "impatient": (16, ["httpx", "okhttp"]),
}  # fmt: skip


@pytest.mark.timeout(150)
@pytest.mark.parametrize("group", GROUPS)
def test_a_flood_is_as_promised(group):
    minute, names = GROUPS[group]
    promises = {client.name: row.promises for row in ROWS for client in FLEET[row.client]}
    wrong, done = [], set()
    for bout in flood(names, minute):
        name = f"{bout.client.name}, {bout.mode}"
        done.add((bout.client.name, bout.mode))
        if bout.mode == "refused":
            # Held for no time at all: the last one is told at once, as Slack would tell it.
            if bout.through != ROOM or not set(bout.refusals) <= RATE_LIMITED:
                wrong.append(f"{name}: {bout.through} of {bout.calls} came through, {dict(bout.refusals)}")
            continue
        promise = promises[bout.client.name][bout.mode]
        wrong += [f"{name}: {what}" for what in bout.broken(promise, minute, late=0.9 * minute)]
        if bout.clicked is not None and bout.clicked > minute / 2:
            wrong.append(f"{name}: a click took {bout.clicked:.1f} s")
    assert not wrong, "\n".join(wrong)
    assert done >= {(name, mode) for name in names for mode in promises[name]}, "each promise was tried"


def floods_with(names: list[str], minute: float, timeout: float, lane: str, calls: int, more: str = "") -> list[Bout]:
    """Each client sends its calls at once with a time-out of its own, in seconds of a real minute, as is the lane."""
    bouts = []
    for name in names:
        proxy = Proxy(("/api/", FakeSlack(minute=minute).url), minute=minute, more=more)
        sdk = Sdk(name, proxy.base_url(scaled(lane, minute)), in_workspace="T1",
                  words=("--timeout", timeout * minute / REAL_MINUTE))  # fmt: skip
        bouts.append(Bout(CLIENTS[name], "its own", sdk, calls))
        sdk.ready()
        bouts[-1].start()
    for bout in bouts:
        bout.answers = bout.sdk.finish(seconds=60)
    return bouts


def test_with_a_time_out_of_its_own_a_client_is_told_before_it_gives_up():
    """A time-out of 10 s, and `;max-wait=8s`."""
    names = ["slack-go", "net-http", "java-net-http", "axios", "node-fetch", "curl", "guzzle", "other"]
    for bout in floods_with(names, 12, timeout=10, lane="/@own;max-wait=8s", calls=2 * ROOM):
        assert (bout.through, sum(bout.refusals.values())) == (ROOM, ROOM), bout.client.name
        assert set(bout.refusals) <= RATE_LIMITED, f"{bout.client.name}: {bout.refusals}"


@pytest.mark.timeout(90)
def test_without_a_time_out_of_its_own_any_of_five_seconds_is_long_enough():
    """Clients that are kept waiting, and that are taken to have one of 10 s per read."""
    names = ["requests", "urllib", "urllib3", "url-connection", "apache4", "apache5"]
    for bout in floods_with(names, 24, timeout=5, lane="", calls=2 * ROOM):
        assert bout.through == 2 * ROOM, f"{bout.client.name}: {bout.refusals}"


@pytest.mark.timeout(90)
def test_a_rule_keeps_httpx_waiting_longer():
    minute = 16
    rule = f"{{ name: h, user_agent: python-httpx/*, max_wait: {round(25_000 * minute / 60)}ms, keep_alive: interim }}"
    [bout] = floods_with(["httpx"], minute, timeout=30, lane="/@job;class=background", calls=2 * ROOM,
                         more=f"clients:\n  - {rule}\n")  # fmt: skip
    assert bout.through == 2 * ROOM, bout.refusals


def test_each_row_has_a_client_and_each_client_a_group():
    """Red when a row is added that nothing drives, or one that says nothing about a loop."""
    assert [row.client for row in ROWS] == list(FLEET)
    assert sorted(name for _, names in GROUPS.values() for name in names) == sorted(CLIENTS)
    for row in ROWS:
        all_of_them = MESSAGES if row.webhook else CALLS
        last = row.promises.get("set", row.promises["plain"])
        finishes = last.through == (all_of_them, all_of_them)
        assert finishes or row.client == "Grafana contact point", f"{row.client}: the loop does not finish"


def test_each_client_that_is_known_is_driven_or_said_not_to_be():
    """Red when a client is in the table of waits that nothing drives, and "Not tested" does not name it."""
    not_tested = section("### Not tested")
    for client, *_ in table("## How long each client waits"):
        driven = FLEET.get(client) or client == "Alertmanager"
        assert driven or f"- {client}: " in not_tested, client
    for client in FLEET:
        assert any(client == row[0] for row in table("## How long each client waits")), client
