"""`slackwater status` against a real proxy: what it says is what is so."""

import json
import subprocess

from sdk import Sdk
from stand import BINARY, ENVIRONMENT, FakeSlack, Process, Proxy, eventually

ROOM, HELD = 20, 5  # tier 2


def status(proxy: Proxy | str, *flags: str) -> subprocess.CompletedProcess:
    admin = proxy if isinstance(proxy, str) else f"http://{proxy.admin}"
    return subprocess.run([BINARY, "status", "--admin", admin, *flags], env=ENVIRONMENT, text=True,
                          capture_output=True, timeout=20)


def test_it_tells_who_waits_and_why():
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url))
    sdk = Sdk("python-sync", proxy.base_url("/@cleanup;max-wait=50s"))
    assert "Nobody waits." in status(proxy).stdout
    for _ in range(ROOM + HELD):
        sdk.start("conversations.list", limit=200)
    eventually("calls are held", lambda: proxy.held("conversations.list") == HELD)
    done = status(proxy)
    assert done.returncode == 0, done.stderr
    queue = next(line for line in done.stdout.splitlines() if line.startswith("conversations.list"))
    assert queue.split()[:4] == ["conversations.list", "normal", "cleanup", str(HELD)], queue
    assert "no slot is free" in queue
    bucket = next(line for line in done.stdout.splitlines() if line.startswith("tier2"))
    assert bucket.split()[2:5] == ["0", str(ROOM), str(HELD)], bucket

    page = json.loads(status(proxy, "--json").stdout)
    assert page["totals"]["held"] == HELD and page["slackwater"]
    ready = status(proxy, "--ready")
    assert (ready.returncode, ready.stdout) == (0, "ready\n")
    sdk.finish(seconds=30)
    totals = json.loads(status(proxy, "--json").stdout)["totals"]
    assert totals["answered"] == ROOM + HELD and totals["refused_by_slack"] == 0 and totals["shed"] == {}


def test_it_watches_and_outlives_the_proxy():
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url))
    watch = Process("status", [BINARY, "status", "--admin", f"http://{proxy.admin}", "--watch", "--interval", "100ms"])
    watch.wait_for("a page", lambda line: "Nobody waits." in line)
    proxy.kill()
    watch.wait_for("that nobody answers", lambda line: line.startswith("error: cannot ask"))
    watch.signal(2)
    assert watch.exit_code(5) == 0


def test_what_is_not_there_is_told_with_a_remedy():
    done = status("http://127.0.0.1:1")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: cannot ask http://127.0.0.1:1; ")
    assert "--admin URL" in done.stderr and "slackwater run" in done.stderr
    assert status("http://127.0.0.1:1", "--ready").returncode == 1
    # Somebody else answers there.
    slack = FakeSlack()
    done = status(slack.url)
    assert done.returncode == 2 and "no slackwater" in done.stderr, done.stderr
    done = status(slack.url, "--ready")
    assert done.returncode == 1 and "not slackwater" in done.stdout
