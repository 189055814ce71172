"""Clients that are told no host come to slackwater by a hosts entry, as docs/hosts-entry.md says.

On an island without any other network: the clients see slackwater at Slack's names, slackwater sees the real Slack
there, which is a fake one behind TLS. slackwater has its default upstreams.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import certifi
import pytest
import yaml
from authority import Authority
from island import Island, needs_root, seeing
from sdk import HERE, node_binary
from stand import BINARY, ENVIRONMENT, MINUTE, REPO, FakeSlack, Process, Proxy, listening

pytestmark = needs_root

DOCUMENT = (REPO / "docs/hosts-entry.md").read_text()
SLACK = ("slack.com", "hooks.slack.com", "api.slack.com")
# Where the real Slack is.
THERE = "127.0.0.2"
SYMFONY = Path("/usr/share/php/Symfony/Component/Notifier/Bridge/Slack/autoload.php")
BEGINS = "127.0.0.1 localhost\n"
# slackwater's in a pod. Here it has the place of DNS as well.
OWN = (REPO / "deploy/kubernetes/hosts-entry/hosts").read_text()


def written(language: str, number: int = 0) -> str:
    """An example of the document."""
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)[number]


ENTRY = re.search(r"^    (127\.0\.0\.1 slack\.com .*)$", DOCUMENT, re.MULTILINE)[1]


class Beside(Proxy):
    """slackwater, where it has a hosts file of its own."""

    def __init__(self, config: Path, hosts: Path):
        self.config = config
        self.process = Process("slackwater", [
            *seeing(hosts), BINARY, "run", "--config", config, "--minute", f"{round(MINUTE * 1000)}ms",
        ])  # fmt: skip
        self.listen, self.admin = self.process.wait_for("listening", listening)


class Stand:
    """Certificates and hosts files as the document has them, and a real Slack."""

    def __init__(self, folder: Path):
        self.folder = folder
        subprocess.run(["sh", "-ec", written("sh")], cwd=folder, check=True, capture_output=True)
        for name, roots in [("requests", certifi.where()), ("system", "/etc/ssl/certs/ca-certificates.crt")]:
            (folder / f"{name}.crt").write_bytes(Path(roots).read_bytes() + (folder / "ca.crt").read_bytes())
        self.led = folder / "client-hosts"
        self.led.write_text(f"{BEGINS}{ENTRY}\n")
        self.own = folder / "own-hosts"
        self.own.write_text(f"{OWN}{THERE} {' '.join(SLACK)}\n")
        self.slack = FakeSlack()
        real = Authority(folder, "real")
        self.real_ca = real.pem
        key, cert = real.sign(SLACK[0], "real-slack", *SLACK[1:])
        # What brings TLS to the fake, and nothing else.
        Proxy(("/api/", self.slack.url), beside=self.slack.url, listen=f"{THERE}:443", more=f"""
listen_tls: {{ cert: {cert}, key: {key} }}
mode: shadow
identity: {{ resolve: false }}
""")

    def config(self, ca: Path, without: tuple = ()) -> Path:
        """The document's, with Slack's CA, since the one of this Slack is not in Mozilla's list."""
        config = yaml.safe_load(written("yaml").replace("/etc/slackwater-tls", str(self.folder)))
        config["clients"] = [rule for rule in config["clients"] if rule["name"] not in without]
        more = {"admin": {"listen": "127.0.0.1:0"}, "tls": {"ca": str(ca)}, "log": {"format": "json"}}
        file = self.folder / "slackwater.yaml"
        file.write_text(json.dumps(config | more))
        return file

    def slackwater(self, **more) -> Proxy:
        return Beside(self.config(self.real_ca, **more), self.own)

    def run(self, *command, seconds: float = 40) -> str:
        """A client, as it is configured in the document."""
        variables = {
            "REQUESTS_CA_BUNDLE": f"{self.folder}/requests.crt", "SSL_CERT_FILE": f"{self.folder}/system.crt",
            "NODE_EXTRA_CA_CERTS": f"{self.folder}/ca.crt",
        }
        done = subprocess.run([*seeing(self.led), *map(str, command)], env=ENVIRONMENT | variables, text=True,
                              capture_output=True, timeout=seconds)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout

    def flood(self, client: str, calls: int, token: str = "xoxb-T1-A1-secret") -> list[dict]:
        said = self.run(sys.executable, "-B", HERE / "clients/python/fixed_host.py", client, calls, token)
        outcomes = [json.loads(line) for line in said.splitlines()]
        assert len(outcomes) == calls
        return outcomes


@pytest.fixture
def stand(tmp_path):
    with Island():
        yield Stand(tmp_path)


def assert_all_arrived(stand: Stand, method: str, calls: int) -> None:
    """Each once, and Slack refused none."""
    arrived = stand.slack.calls(method)
    assert len(arrived) == calls and {call["status"] for call in arrived} == {200}
    assert stand.slack.ledger()["violations"] == []


@pytest.mark.parametrize("client, method", [
    ("slack_sdk", "conversations.list"), ("slackclient", "conversations.list"), ("slacker", "users.list"),
])  # fmt: skip
def test_a_flood_of_a_client_that_is_told_no_host_arrives(stand, client, method):
    stand.slackwater()
    # Two windows and a half of tier 2.
    outcomes = stand.flood(client, 50)
    assert all(outcome["ok"] for outcome in outcomes), outcomes
    assert_all_arrived(stand, method, 50)


@pytest.mark.parametrize("url, method", [
    ("slack://xoxb-T1-A1-secret/#C1", "chat.postMessage"), ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#C1", "webhook"),
])  # fmt: skip
def test_apprise_waits_beyond_its_own_time_out(stand, url, method):
    stand.slackwater()
    start = time.monotonic()
    # A channel takes one a second, which is a tenth of one here.
    outcomes = stand.flood("apprise", 60, url)
    assert all(outcome["ok"] for outcome in outcomes), outcomes
    assert time.monotonic() - start > 4, "the last ones waited longer than Apprise reads"
    assert_all_arrived(stand, method, 60)


@pytest.mark.skipif(not SYMFONY.exists(), reason="needs Debian's php-symfony-slack-notifier")
@pytest.mark.parametrize("host", ["default", "slack.com:443"])
def test_symfonys_bridge_posts(stand, host):
    stand.slackwater()
    settings = [word for name in ("curl.cainfo", "openssl.cafile") for word in ("-d", f"{name}={stand.folder}/system.crt")]
    dsn = f"slack://xoxb-T1-A1-secret@{host}?channel=C1"
    said = stand.run("php", *settings, HERE / "clients/php/symfony.php", dsn, 20)
    assert [json.loads(line) for line in said.splitlines()] == [{"ok": True}] * 20, said
    assert_all_arrived(stand, "chat.postMessage", 20)


def test_who_is_not_held_gets_a_429_that_its_client_understands(stand):
    proxy = stand.slackwater(without=("slackclient-1",))
    outcomes = stand.flood("slackclient", 60)
    refused = [outcome for outcome in outcomes if not outcome["ok"]]
    assert refused and all(outcome["error"] == "ratelimited" and int(outcome["retry_after"]) > 0 for outcome in refused)
    assert_all_arrived(stand, "conversations.list", 60 - len(refused))
    assert proxy.metric("slackwater_sheds_total") == len(refused)


def test_one_listener_is_all_of_slacks_hosts(stand):
    stand.slackwater()
    paths = {
        "https://slack.com/api/auth.test": "auth.test",
        "https://hooks.slack.com/services/T1/B1/x": "webhook",
        "https://hooks.slack.com/workflows/T1/A1/1/x": "trigger",
        "https://hooks.slack.com/triggers/T1/1/x": "trigger",
        "https://hooks.slack.com/actions/T1/1/x": "response_url",
        "https://hooks.slack.com/commands/T1/1/x": "response_url",
        "https://api.slack.com/scim/v1/Users": "scim.users.create",
        "https://api.slack.com/audit/v1/logs": "audit",
    }
    ask = """
import json, ssl, sys, urllib.request
tls = ssl.create_default_context()
tls.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 does
for url in sys.argv[1:]:
    request = urllib.request.Request(url, b"{}", {"Authorization": "Bearer xoxb-T1-A1-x", "Content-Type": "application/json"})
    print(urllib.request.urlopen(request, timeout=10, context=tls).status)
"""
    assert {*stand.run(sys.executable, "-c", ask, *paths).split()} <= {"200", "201"}
    arrived = [call["method"] for call in stand.slack.ledger()["calls"]]
    for method in paths.values():
        assert method in arrived, arrived
    # What is not Slack's API is not forwarded.
    with pytest.raises(AssertionError, match="HTTP Error 404"):
        stand.run(sys.executable, "-c", ask, "https://slack.com/openid/connect/keys")


def test_http_2_and_nodes_sdk_come_by_the_entry(stand):
    stand.slackwater()
    ask = """
const http2 = require('node:http2');
const { createRequire } = require('node:module');
const packages = createRequire(process.env.SDK_TEST_NODE_DIR + '/package.json');
const session = http2.connect('https://slack.com');
const stream = session.request({ ':method': 'POST', ':path': '/api/api.test' });
stream.on('response', async (headers) => {
  console.log(session.alpnProtocol, headers[':status']);
  session.close();
  for (const name of ['@slack/web-api', 'web-api-7']) {
    console.log((await new (packages(name).WebClient)('xoxb-T1-A1-secret').users.info({ user: 'U1' })).ok);
  }
});
stream.end();
"""
    assert stand.run(node_binary(), "-e", ask).split() == ["h2", "200", "true", "true"]
    assert len(stand.slack.calls("users.info")) == 2


def assert_refused_as_a_loop(stand: Stand, proxy: Proxy, hint: str) -> None:
    start = time.monotonic()
    outcomes = stand.flood("slack_sdk", 3)
    assert time.monotonic() - start < 10
    for outcome in outcomes:
        assert outcome["error"] == "upstream_loop", outcome
        assert hint in outcome["message"] and "docs/hosts-entry.md" in outcome["message"], outcome
    metrics = proxy.metrics()
    assert metrics.sum("slackwater_requests_total") == 3, "none came in again"
    assert metrics.sum("slackwater_upstream_seconds_sum") < 1
    assert all(bucket["used"] == 0 for bucket in proxy.status()["buckets"]), "it cost no slot"
    assert stand.slack.ledger()["calls"] == []


def test_a_proxy_that_finds_itself_at_slack_refuses_to_call_itself(stand):
    """As in a pod, where all containers have the same hosts file. It trusts its own CA, lest TLS refuse the loop."""
    proxy = Beside(stand.config(stand.folder / "ca.crt"), stand.led)
    assert_refused_as_a_loop(stand, proxy, "slack.com is 127.0.0.1:443 here, where slackwater itself listens")
    checked = subprocess.run([*seeing(stand.led), BINARY, "check", proxy.config, "--live"], env=ENVIRONMENT, text=True,
                             capture_output=True, timeout=20)
    assert checked.returncode == 1 and "where slackwater itself listens" in checked.stdout, checked.stdout


def test_a_proxy_that_finds_itself_behind_another_address_refuses_too(stand):
    """As behind a Service, whose address is translated."""
    with_relay = stand.folder / "relayed-hosts"
    with_relay.write_text(f"{BEGINS}127.0.0.3 {' '.join(SLACK)}\n")
    relay = Process("relay", [sys.executable, "-B", "-c", RELAY])
    relay.wait_for("listening", lambda line: line == "relaying")
    proxy = Beside(stand.config(stand.folder / "ca.crt"), with_relay)
    assert_refused_as_a_loop(stand, proxy, "shows the certificate of listen_tls")
    # Before anybody has followed the advice to trust it.
    proxy.kill()
    Beside(stand.config(stand.real_ca), with_relay)
    (outcome,) = stand.flood("slack_sdk", 1)
    assert outcome["error"] == "upstream_unreachable", outcome
    assert "UnknownIssuer" in outcome["message"] and "docs/hosts-entry.md" in outcome["message"], outcome


RELAY = """
import socket, threading
def pump(a, b):
    while data := a.recv(65536):
        b.sendall(data)
    b.shutdown(socket.SHUT_WR)
server = socket.create_server(("127.0.0.3", 443))
print("relaying", flush=True)
while True:
    near, _ = server.accept()
    far = socket.create_connection(("127.0.0.1", 443))
    for pair in ((near, far), (far, near)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
"""
