"""A changed configuration is followed while the proxy runs."""

import os
import signal
import urllib.error
import urllib.request

from stand import MINUTE, FakeSlack, Process, Proxy, eventually


def quota(proxy: Proxy) -> int | None:
    """What tier 2 allows, once a call has used it."""
    request = urllib.request.Request(
        proxy.base_url("/@x;max-wait=0s") + "conversations.list", data=b"",
        headers={"Authorization": "Bearer xoxb-T1-A1-x"},
    )
    try:
        urllib.request.urlopen(request, timeout=10).read()
    except urllib.error.HTTPError as error:
        error.read()
    found = [bucket["quota"] for bucket in proxy.status()["buckets"] if bucket["limit"] == "tier2"]
    return found[0] if found else None


def start() -> Proxy:
    proxy = Proxy(("/api/", FakeSlack().url), more="identity: { resolve: false }\n")
    assert quota(proxy) == 20
    assert "reload" not in proxy.status()
    return proxy


def test_sighup_reads_the_file():
    proxy = start()
    text = proxy.config.read_text()
    proxy.config.write_text(text + "tiers: { tier2: { limit: 7, per: 1m } }\n")
    proxy.process.signal(signal.SIGHUP)
    eventually("it is applied", lambda: quota(proxy) == 7)
    reload = proxy.status()["reload"]
    assert reload["result"] == "applied" and reload["mistake"] is None, reload
    assert proxy.metric("slackwater_config_reloads_total", result="applied") >= 1


def test_what_is_wrong_is_refused_and_told():
    proxy = start()
    text = proxy.config.read_text()
    proxy.config.write_text(text + "tiers: { tier2: { limit: 7, per: 1m } }\nqueue: { depth: 1, max_wait: X }\n")
    proxy.process.signal(signal.SIGHUP)
    reload = eventually("it is refused", lambda: proxy.status().get("reload"))
    assert reload["result"] == "refused" and reload["mistakes"] == 2, reload
    assert "queue.depth: is no key here" in reload["mistake"]
    said = "\n".join(proxy.process.said())
    assert "queue.depth" in said and "queue.max_wait" in said
    proxy.config.write_text(text.replace("log:", "drain_timeout: 3s\nlog:").replace("level: info", "level: debug"))
    proxy.process.signal(signal.SIGHUP)
    eventually("that takes a restart", lambda: "changes only with a restart: log" in proxy.status().get("reload", {}).get("mistake", ""))
    assert quota(proxy) == 20, "nothing has changed"
    assert proxy.metric("slackwater_config_reloads_total", result="refused") == 2


def test_a_file_with_other_content_is_followed():
    proxy = start()
    text = proxy.config.read_text()
    os.utime(proxy.config)
    proxy.config.write_text(text + "tiers: { tier2: { limit: 9, per: 1m } }\n")
    eventually("it is applied", lambda: quota(proxy) == 9)
    new = proxy.config.with_suffix(".new")
    new.write_text(text)
    os.replace(new, proxy.config)
    eventually("a file that takes its place is, too", lambda: quota(proxy) == 20)
    assert proxy.metric("slackwater_config_reloads_total", result="applied") == 2


def test_a_swapped_symlink_is_followed():
    """As Kubernetes does it: the file is a link through a directory that is a link."""
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url), more="identity: { resolve: false }\n")
    text = proxy.config.read_text()
    proxy.kill()
    volume = Process.log_dir / f"{len(Process.register):02}-volume-{os.getpid()}"
    for version, limit in (("one", 11), ("two", 12)):
        (volume / version).mkdir(parents=True)
        (volume / version / "slackwater.yaml").write_text(text + f"tiers: {{ tier2: {{ limit: {limit}, per: 1m }} }}\n")
    (volume / "data").symlink_to("one")
    (volume / "slackwater.yaml").symlink_to("data/slackwater.yaml")
    proxy = Proxy.of(volume / "slackwater.yaml", MINUTE)
    assert quota(proxy) == 11
    (volume / "new").symlink_to("two")
    os.replace(volume / "new", volume / "data")
    eventually("it is applied", lambda: quota(proxy) == 12)


def test_a_pipe_does_not_end_reloading(tmp_path):
    """Red when the file, or a file that it names, is a pipe and is read: nobody writes there, and reloading ends
    without a word."""
    proxy = start()
    text = proxy.config.read_text()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for turn, make in enumerate((
        lambda: proxy.config.write_text(text + f"tls: {{ ca: {pipe} }}\n"),
        lambda: (proxy.config.unlink(), os.mkfifo(proxy.config)),
    )):  # fmt: skip
        make()
        eventually("the pipe is refused", lambda turn=turn: proxy.metric(
            "slackwater_config_reloads_total", result="refused") == turn + 1)
        assert "no regular file" in proxy.status()["reload"]["mistake"]
    proxy.process.signal(signal.SIGHUP)
    eventually("it is refused again", lambda: proxy.metric("slackwater_config_reloads_total", result="refused") == 3)
    proxy.config.unlink()
    proxy.config.write_text(text + "tiers: { tier2: { limit: 7, per: 1m } }\n")
    eventually("a file is applied", lambda: quota(proxy) == 7)


def test_a_huge_file_is_not_read_whole():
    """Red when what is far too long is read to its end."""
    proxy = start()
    with proxy.config.open("a") as config:
        config.truncate(3 << 30)
    eventually("it is refused", lambda: proxy.status().get("reload", {}).get("result") == "refused", 10)
    assert "longer than 1 MiB" in proxy.status()["reload"]["mistake"]
    status = open(f"/proc/{proxy.process.child.pid}/status").read()
    assert int(status.partition("VmHWM:")[2].split()[0]) < 200 << 10, "its greatest memory, in KiB"
