"""The way to Slack: a real HTTPS server with a CA of its own, and a real CONNECT proxy before it."""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from authority import Authority
from sdk import HERE, node_binary
from stand import BINARY, ENVIRONMENT, Process, Proxy, eventually
from test_upstream_down import closed_port

# A name that only the proxy knows.
NAME = "slack.test"
LOGIN = "sidecar:p%40ss"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "Ours")


def https(authority, host) -> str:
    """The URL of a server with that name."""
    server = Process("https", [node_binary(), HERE / "clients/node/https.js", *authority.sign(host)])
    port = server.wait_for("its port", lambda line: (m := re.fullmatch(r"port (\d+)", line)) and m[1])
    return f"https://{host}:{port}"


class Middle:
    """proxy.py, a proxy that asks for a user and a password."""

    def __init__(self, directory, login=LOGIN):
        file = directory / "port"
        file.unlink(missing_ok=True)
        words = ["--basic-auth", login.replace("%40", "@")] if login else []
        self.process = Process("proxy", [
            sys.executable, "-m", "proxy", "--hostname", "127.0.0.1", "--port", "0",
            "--num-workers", "1", "--num-acceptors", "1", "--port-file", file, "--plugins", "names.Names", *words,
        ], cwd=HERE)
        self.address = f"127.0.0.1:{eventually('its port', lambda: file.exists() and file.read_text().strip(), 15)}"

    def tunnels(self) -> list[str]:
        """Where to it made tunnels that have ended."""
        return [m[1] for line in self.process.said() if (m := re.search(r"CONNECT (\S+)", line))]


def call(proxy) -> tuple[int, dict]:
    request = urllib.request.Request(proxy.base_url() + "auth.test", data=b"a=1", method="POST")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def assert_no_way(proxy, *hints):
    status, answer = call(proxy)
    assert (status, answer["error"]) == (502, "upstream_unreachable"), answer
    for hint in hints:
        assert hint in answer["message"]
    assert all(bucket["used"] == 0 for bucket in proxy.status()["buckets"]), "it cost no slot"


@pytest.mark.parametrize("http2, version", [("false", "1.1"), ("true", "2.0")])
def test_a_ca_of_ones_own_is_trusted(authority, http2, version):
    url = https(authority, "localhost")
    proxy = Proxy(("/api/", url), more=f"tls: {{ ca: {authority.pem}, http2: {http2} }}\n")
    for _ in range(3):
        assert call(proxy) == (200, {"ok": True, "version": version, "host": url.removeprefix("https://")})


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_the_systems_roots_are_trusted_if_asked(authority, variable):
    url = https(authority, "localhost")
    where = authority.pem
    if variable == "SSL_CERT_DIR":
        where = authority.directory / "roots"
        where.mkdir()
        (where / "ours.pem").write_bytes(authority.pem.read_bytes())
    variables = {variable: str(where)}
    assert call(Proxy(("/api/", url), more="tls: { roots: native }\n", variables=variables))[0] == 200
    assert_no_way(Proxy(("/api/", url), variables=variables), "UnknownIssuer", "tls.ca")


def test_nobody_else_is_trusted(authority):
    other = Authority(authority.directory, "Theirs")
    trusting = f"tls: {{ ca: {authority.pem} }}\n"
    assert_no_way(Proxy(("/api/", https(other, "localhost")), more=trusting), "UnknownIssuer")
    wrong = https(authority, "slack.example").replace("slack.example", "localhost")
    assert_no_way(Proxy(("/api/", wrong), more=trusting), "not valid for name")


def test_the_check_tells_what_is_wrong_and_what_comes_of_it(authority):
    file = authority.directory / "slackwater.yaml"

    def check(text, **variables):
        file.write_text(text)
        done = subprocess.run([BINARY, "check", file], env=ENVIRONMENT | variables, capture_output=True, text=True)
        return done.returncode, done.stdout

    code, said = check("tls:\n  ca: /no/such.pem\n", HTTPS_PROXY=f"socks5://{LOGIN}@x")
    assert code == 1
    first, second = said.splitlines()
    assert first.startswith("HTTPS_PROXY: names a proxy of a kind") and "p%40ss" not in first
    assert second.startswith(f"{file}:2:7: tls.ca: cannot be read (No such file"), second
    code, said = check("tls: { roots: native }\n", SSL_CERT_FILE="/no/such.pem", SSL_CERT_DIR="")
    assert code == 1 and "1:15: tls.roots: finds no certificates of the system's (" in said, said
    code, said = check(f"tls: {{ ca: {authority.pem} }}\n", https_proxy=f"{LOGIN}@proxy:1")
    assert code == 0
    assert "(web_api), through the proxy http://proxy:1\n" in said
    assert "bundled roots and 1 of your own; HTTP/1.1\n" in said


@pytest.mark.parametrize("http2", ["false", "true"])
@pytest.mark.parametrize("login", [None, LOGIN])
def test_calls_go_through_a_proxy(authority, login, http2):
    url, middle = https(authority, NAME), Middle(authority.directory, login)
    proxy = Proxy(
        ("/api/", url), more=f"tls: {{ ca: {authority.pem}, http2: {http2} }}\n",
        variables={"HTTPS_PROXY": f"http://{login}@{middle.address}" if login else middle.address},
    )
    for _ in range(3):
        status, answer = call(proxy)
        assert (status, answer["ok"], answer["host"]) == (200, True, url.removeprefix("https://"))
    proxy.kill()
    eventually("the proxy's log", middle.tunnels)


def test_a_proxy_that_does_not_help_is_named(authority):
    url, middle = https(authority, NAME), Middle(authority.directory)
    trusting = f"tls: {{ ca: {authority.pem} }}\n"

    def through(address, more=trusting):
        return Proxy(("/api/", url), more=more, variables={"HTTPS_PROXY": address})

    named = f"the proxy http://{middle.address}"
    assert_no_way(through(middle.address), named, "(407)")
    assert_no_way(through(f"sidecar:wrong@{middle.address}"), named, "(407)")
    gone = closed_port()
    assert_no_way(through(gone), f"the proxy {gone} cannot be reached", "refused")
    # Trust is in who answers behind it.
    assert_no_way(through(f"{LOGIN}@{middle.address}", more=""), "UnknownIssuer")


def test_no_proxy_is_heard(authority):
    url, middle = https(authority, NAME), Middle(authority.directory, None)
    trusting = f"tls: {{ ca: {authority.pem} }}\n"
    variables = {"HTTPS_PROXY": middle.address, "NO_PROXY": "example.com, .test"}
    # Straight there, where nobody knows the name.
    assert_no_way(Proxy(("/api/", url), more=trusting, variables=variables), "dns error")
    assert call(Proxy(("/api/", https(authority, "localhost")), more=trusting, variables=variables))[0] == 200
    assert middle.tunnels() == []
