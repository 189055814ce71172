"""All that a dashboard shows and an alert tells of, done to one real proxy while a real Prometheus
scrapes it."""

import json
import resource
import signal
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from prometheus import DEPLOY, Prometheus
from stand import FakeSlack, Process, Proxy, eventually

# Believed to be twenty.
HIDDEN = "conversations.list=10"
MORE = """
identity: { resolve: false }
# Nobody is there.
traces: { endpoint: "http://127.0.0.1:9" }
callers: [{ name: small, match: { lane: small }, max_depth: 1 }]
drain_timeout: 3s
reads: { cache: { for: 1m, methods: [users.conversations] } }
"""


@dataclass
class Watched:
    """What Prometheus has seen, and when; and the text of the last scrape before the stop."""

    prometheus: Prometheus
    start: float
    end: float
    page: str


class Load:
    """Calls that are answered, held, refused or lost: nobody looks at what becomes of one."""

    def __init__(self, proxy: Proxy):
        self.proxy = proxy
        self.pool = ThreadPoolExecutor(100)

    def calls(self, count: int, method: str, lane: str, workspace: str = "T1", seconds: float = 60, **arguments):
        return [self.pool.submit(self.call, method, lane, workspace, seconds, arguments) for _ in range(count)]

    def call(self, method: str, lane: str, workspace: str, seconds: float, arguments: dict) -> None:
        request = urllib.request.Request(
            self.proxy.base_url(f"/@{lane}") + method, json.dumps(arguments).encode(),
            {"Authorization": f"Bearer xoxb-{workspace}-A1-x", "Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            opener.open(request, timeout=seconds).read()
        except (urllib.error.HTTPError, OSError):
            pass

    def change(self, path: str, **body) -> None:
        request = urllib.request.Request(
            f"http://{self.proxy.admin}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5).read()


@pytest.fixture(scope="session")
def watched() -> Watched:
    first = len(Process.register)
    state = Process.log_dir / f"{first:02}-state"
    slack = FakeSlack(latency="20ms..80ms", limits=[HIDDEN])
    # Past its limit on files a write has to fail, and not to end the process.
    proxy = Proxy(("/api/", slack.url), more=MORE + f"state_file: {state}\n", popen={"restore_signals": False})
    seen = Prometheus(proxy.admin, DEPLOY / "prometheus/rules.yaml")
    seen.until("the proxy", "up == 1")
    load, start = Load(proxy), time.time()
    try:
        everything(load, slack, seen)
        not_sent(load, seen)
        refused_by_the_disk(load, seen, state)
        configurations(proxy, seen)
        switches(load, seen)
        _, page = proxy.admin_get("/metrics")
        stop(load, seen)
    finally:
        load.pool.shutdown(wait=False, cancel_futures=True)
    # The last thing that was seen is younger than a step of a query.
    end = time.time() + 1
    slack.kill()
    yield Watched(seen, start, end, page)
    Process.kill_all_since(first)


def everything(load: Load, slack: FakeSlack, seen: Prometheus) -> None:
    """Queues, classes, callers, workspaces, refusals of both sides."""
    slack.fault("team.info", "hang")
    load.calls(1, "team.info", "web", seconds=2)
    load.calls(3, "team.profile.get", "web")
    # Each call of twenty is sent twice, of both floods.
    slack.fault("bots.info", "500", 80)
    load.calls(20, "bots.info", "web", "T3")
    load.calls(25, "conversations.list", "cleanup;class=background;max-wait=50s")
    for channel in ("C1", "C2"):
        load.calls(4, "chat.postMessage", "web;max-wait=20s", channel=channel, text="hello")
    for workspace in ("T1", "T2"):
        load.calls(40, "users.info", "web;class=interactive", workspace, user="U1")
    load.calls(35, "users.list", "job;max-wait=0s")
    # What a counter was when it was first seen is no increase.
    seen.until("a call that is refused", 'slackwater_sheds_total{method="users.list"} > 0')
    load.calls(10, "users.list", "job;max-wait=0s")
    load.calls(5, "users.list", "small;max-wait=30s")
    load.calls(20, "bots.info", "web", "T3")
    seen.until("more of them", 'rate(slackwater_sheds_total{method="users.list"}[4s]) > 0')
    seen.until("a surprise", 'slackwater_upstream_429_total{surprise="true"} > 0')
    seen.until("a freeze", "slackwater_frozen_seconds > 0")
    seen.until("calls that were sent again", "slackwater_replays_total > 0", 20)
    seen.until("more of them after an error", 'rate(slackwater_retries_total{reason="server_error"}[1m]) > 0')
    seen.until("places", "slackwater_places > 0")
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        f"{slack.url}/dead?token=xoxb-T9-A1-x&error=token_revoked", b"", timeout=5).read()
    load.calls(1, "team.info", "dead", "T9")
    seen.until("a dead token", 'slackwater_dead{kind="token"} == 1')
    load.calls(5, "team.info", "dead", "T9")
    seen.until("its calls", 'rate(slackwater_fail_fast_total{reason="token_revoked"}[4s]) > 0')


def not_sent(load: Load, seen: Prometheus) -> None:
    """Reads whose answer is remembered."""
    for count, that in ((1, "slackwater_remembered_answers > 0"),
                        (5, 'rate(slackwater_saved_calls_total{how="remembered"}[4s]) > 0')):
        load.calls(count, "users.conversations", "web", user="U1")
        seen.until("what is remembered, and that it is asked for", that)


def refused_by_the_disk(load: Load, seen: Prometheus, state) -> None:
    pid = load.proxy.process.child.pid
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (state.stat().st_size, most))
    load.calls(3, "team.profile.get", "web")
    seen.until("the state file degraded", "slackwater_store_degraded == 1")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))


def configurations(proxy: Proxy, seen: Prometheus) -> None:
    text = proxy.config.read_text()
    for more, result in (("tiers: { tier3: { limit: 40, per: 1m } }\n", "applied"), ("quue: {}\n", "refused")):
        proxy.config.write_text(text + more)
        proxy.process.signal(signal.SIGHUP)
        seen.until(f"a configuration that is {result}", f'slackwater_config_reloads_total{{result="{result}"}} > 0')
    proxy.config.write_text(text)
    proxy.process.signal(signal.SIGHUP)
    seen.until("the old one", "slackwater_config_last_reload_successful == 1")


def switches(load: Load, seen: Prometheus) -> None:
    """A pause, and shadow for a method and for all."""
    load.change("/pause", caller="job")
    seen.until("a pause", 'slackwater_paused{kind="caller"} == 1')
    load.change("/mode", mode="shadow", method="users.conversations")
    load.calls(60, "users.conversations", "web")
    for count in ("{} > 0", "rate({}[4s]) > 0"):
        load.calls(10, "users.conversations", "web;max-wait=0s")
        for name in ("429_total", "sheds_total"):
            seen.until(f"{name}", count.format(f"slackwater_shadow_{name}"))
    seen.until("some that would have waited", 'rate(slackwater_shadow_wait_seconds_sum[4s]) > 0', 15)
    load.change("/mode", mode="shadow")
    seen.until("shadow for all", 'slackwater_shadow{kind="proxy"} == 1')
    load.change("/mode", mode="enforce")
    load.change("/resume", caller="job")


def stop(load: Load, seen: Prometheus) -> None:
    """SIGTERM, while calls are held that keep it for a while."""
    method = "admin.apps.uninstall"  # once a minute
    load.calls(3, method, "job;max-wait=60s")
    eventually("calls are held", lambda: load.proxy.held(method))
    load.proxy.process.signal(signal.SIGTERM)
    seen.until("that it stops", "slackwater_ready == 0")
    seen.until("that it is gone", 'ALERTS{alertname="SlackwaterDown"}', 20)
