"""A process that may open few files: a silent server does not take them, and calls wait for each other."""

import http.client
import resource
import socket
import threading
import time

from stand import FakeSlack, Proxy, eventually

FILES = 64


class SilentServer:
    """It accepts connections and says nothing. The kernel accepts more of them than it does."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"


def with_few_files(*upstreams, beside: str) -> Proxy:
    limit = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))}
    return Proxy(*upstreams, beside=beside, popen=limit)


def hook(proxy: Proxy, number: int) -> socket.socket:
    """A webhook call of which nobody reads the answer."""
    host, port = proxy.listen.rsplit(":", 1)
    client = socket.create_connection((host, int(port)), timeout=10)
    path = f"/@hooks;max-wait=20s/services/T1/B{number}/secret"
    client.sendall(f"POST {path} HTTP/1.1\r\nhost: proxy\r\ncontent-length: 2\r\n\r\nhi".encode())
    return client


def call(proxy: Proxy) -> int:
    connection = http.client.HTTPConnection(proxy.listen, timeout=60)
    headers = {"authorization": "Bearer xoxb-T1-A1-secret", "slackwater-max-wait": "50s"}
    connection.request("POST", "/api/api.test", headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


def at_once(number: int, what) -> list:
    results, threads = [], []
    for _ in range(number):
        threads.append(threading.Thread(target=lambda: results.append(what())))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return results


def in_flight(proxy: Proxy, server: str) -> dict:
    none = {"server": server, "calls": 0, "most": 0, "held": 0}
    return next((load for load in proxy.status()["in_flight"] if load["server"] == server), none)


def test_a_silent_server_does_not_take_the_files_of_others():
    slack, silent = FakeSlack(), SilentServer()
    proxy = with_few_files(("/api/", slack.url), beside=silent.url)
    server = silent.url.removeprefix("http://")
    for number in range(300):
        client = hook(proxy, number)
        # Long enough for the call to be sent, if it may be.
        if number < 2:
            eventually("it is in flight", lambda: in_flight(proxy, server)["calls"] > number)
        client.close()
    eventually("their clients have left", lambda: in_flight(proxy, server)["held"] == 0)
    load = in_flight(proxy, server)
    assert load == {"server": server, "calls": load["most"], "most": 2, "held": 0}
    began = time.monotonic()
    assert at_once(200, lambda: call(proxy)) == [200] * 200
    assert time.monotonic() - began < 30
    assert in_flight(proxy, server)["calls"] == load["most"], "they are still there"


def test_calls_wait_where_there_are_few_files():
    slack = FakeSlack()
    proxy = with_few_files(("/api/", slack.url), beside=slack.url)
    assert at_once(200, lambda: call(proxy)) == [200] * 200
    assert proxy.metric("slackwater_sheds_total") == 0
