"""A gateway: the SDK over TLS, callers by certificate and by key, and certificates that change."""

import json
import socket
import ssl

import pytest
from authority import Authority
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from stand import FakeSlack, Proxy, eventually

NAME = "localhost"
KEY = "0123456789abcdef-cleanup"


@pytest.fixture
def bots(tmp_path) -> Authority:
    return Authority(tmp_path, "bots")


def gateway(bots: Authority, slack: FakeSlack) -> Proxy:
    key, cert = bots.sign(NAME, "own")
    return Proxy(("/api/", slack.url), variables={"CLEANUP_KEY": KEY}, more=f"""
listen_tls: {{ cert: {cert}, key: {key}, client_ca: {bots.pem} }}
allow:
  - {{ caller: reports, certificate: reports.bots.svc }}
  - {{ caller: cleanup, key: "${{CLEANUP_KEY}}" }}
""")


def trusting(bots: Authority, pair=None) -> ssl.SSLContext:
    """A client's side of TLS, with a key and its certificate."""
    tls = ssl.create_default_context(cafile=bots.pem)
    if pair:
        key, cert = pair
        tls.load_cert_chain(cert, key)
    return tls


def client(proxy: Proxy, bots: Authority, pair=None, lane: str = "", key: str | None = None) -> WebClient:
    url = f"https://{NAME}:{proxy.listen.split(':')[1]}{lane}/api/"
    headers = {"Slackwater-Key": key} if key else {}
    client = WebClient(token="xoxb-T1-A1-secret", base_url=url, ssl=trusting(bots, pair), headers=headers)
    client.proxy = None
    return client


def test_callers_are_let_in_by_certificate_or_key(bots, tmp_path):
    slack = FakeSlack()
    proxy = gateway(bots, slack)
    # Whatever it says, it is called as it has proved.
    reports = bots.sign("reports.bots.svc", "reports")
    assert client(proxy, bots, reports, lane="/@cleanup").users_info(user="U1")["ok"]
    assert client(proxy, bots, key=KEY, lane="/@reports").users_info(user="U1")["ok"]
    for stranger in (
        client(proxy, bots), client(proxy, bots, bots.sign("other.bots.svc", "other")), client(proxy, bots, key=KEY + "x"),
    ):  # fmt: skip
        with pytest.raises(SlackApiError) as refused:
            stranger.users_info(user="U1")
        assert refused.value.response.status_code == 403
        assert refused.value.response["error"] == "caller_not_allowed"
    forged = Authority(tmp_path, "others").sign("reports.bots.svc", "forged")
    with pytest.raises(OSError):
        client(proxy, bots, forged).users_info(user="U1")
    assert len(slack.calls("users.info")) == 2
    eventually("both are counted", lambda: {busy["name"] for busy in proxy.status()["top"]["callers"]} == {"reports", "cleanup"})
    said = proxy.process.err_path.read_text() + json.dumps(proxy.status())
    assert KEY not in said and "xoxb" not in said


def test_certificates_change_while_it_runs(bots):
    slack = FakeSlack()
    proxy = gateway(bots, slack)
    reports = bots.sign("reports.bots.svc", "reports")

    def served() -> bytes:
        """The certificate that a new connection meets."""
        host, port = proxy.listen.split(":")
        with (
            socket.create_connection((host, int(port)), timeout=5) as plain,
            trusting(bots, reports).wrap_socket(plain, server_hostname=NAME) as secured,
        ):
            return secured.getpeercert(binary_form=True)

    def reload(result: str) -> dict:
        return eventually(result, lambda: (last := proxy.status().get("reload")) and last["result"] == result and last)

    before = served()
    assert client(proxy, bots, reports).users_info(user="U1")["ok"]
    # What is wrong changes nothing.
    (bots.directory / "own.key").write_text("nonsense")
    assert "listen_tls.key" in reload("refused")["mistake"]
    assert served() == before
    bots.sign(NAME, "own")
    reload("applied")
    assert served() != before
    assert client(proxy, bots, reports).users_info(user="U1")["ok"]
