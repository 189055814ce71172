"""No token is shown: not in a log, a metric, a status, an answer of ours, whatever happens to a call.

Every token stands in another place, right or wrong, and meets another fate. Then all that slackwater
said, at its most talkative and in both formats, is searched for each of them, in plain text and in
the forms that programs write it in.
"""

import base64
import json
import re
import subprocess
import urllib.parse

import pytest
from authority import Authority
from marks import MARK, marks
from stand import BINARY, ENVIRONMENT, FakeSlack, Proxy, eventually
from test_raw import CLOSE, length, say
from test_upstream_down import closed_port
from test_way_out import https

HIDDEN_LIMIT = "users.info=1"


class Secrets:
    """Tokens that never repeat."""

    def __init__(self):
        self.count = 0

    def new(self, prefix="xoxb-") -> str:
        self.count += 1
        return f"{prefix}{4711 + self.count}-{MARK}+{self.count}"


def raw(line: str, *headers: str, body: bytes = b"") -> bytes:
    head = "\r\n".join([f"{line} HTTP/1.1", "Host: proxy", *headers])
    return head.encode() + b"\r\n" + CLOSE + length(body) + b"\r\n" + body


def requests(secrets: Secrets, method: str):
    """A call with a token in each place, right or wrong."""
    new, path = secrets.new, f"/api/{method}"
    form, plain = "Content-Type: application/x-www-form-urlencoded", secrets.new

    def quoted():
        return urllib.parse.quote(plain(), safe="")

    yield raw(f"POST {path}", f"Authorization: Bearer {new()}")
    yield raw(f"POST {path}", f"Authorization: {new()}")
    yield raw(f"POST {path}", f"Authorization: Bearer{new()}")
    yield raw(f"POST {path}", f"Authorization: Basic {base64.b64encode(b'user:' + new().encode()).decode()}")
    yield raw(f"POST {path}", f"authorisation: Bearer {new()}", f"X-Slack-Token: {new()}", f"Token: {new()}")
    yield raw(f"POST {path}", f"Cookie: b=1; d={new('xoxd-')}", f"Authorization: Bearer {new('xoxc-')}")
    yield raw(f"POST {path}", f"Proxy-Authorization: Basic {new()}", f"User-Agent: bot/{new()}")
    yield raw(f"POST {path}", "X-Request-Id: 1", f"Referer: http://x/?token={new()}")
    yield raw(f"POST {path}", form, body=f"token={quoted()}&user=U1".encode())
    yield raw(f"POST {path}", form, body=f"channel={quoted()}&user={quoted()}&text=x".encode())
    yield raw(f"GET {path}?token={quoted()}")
    yield raw(f"GET {path}?channel={quoted()}&user={quoted()}&team_id={quoted()}")
    body = json.dumps({"token": new("xoxe.xoxp-"), "channel": new(), "user": new()}).encode()
    yield raw(f"POST {path}", "Content-Type: application/json", body=body)
    yield raw(f"POST {path}", "Content-Type: application/json", body=b'{"token": "' + new().encode())
    part = "--cut\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n%s\r\n--cut--\r\n"
    yield raw(f"POST {path}", "Content-Type: multipart/form-data; boundary=cut", body=(part % new()).encode())
    # === where no token belongs ===
    yield raw(f"POST /@{quoted()}/api/{method}")
    yield raw(f"POST /@job;class={quoted()}/api/{method}")
    yield raw(f"POST /@job;max-wait={quoted()}/api/{method}")
    yield raw(f"POST /@job;{quoted()}/api/{method}")
    yield raw(f"POST {path}", f"Slackwater-Caller: {new()}")
    yield raw(f"POST {path}", f"Slackwater-Class: {new()}")
    yield raw(f"POST {path}", f"Slackwater-Max-Wait: {new()}")
    yield raw(f"POST {path}", f"Slackwater-Reason: {new()}")
    yield raw("POST /api/xoxb-" + new("").lstrip("-").replace("/", "-").replace("+", "-"))
    yield raw(f"POST /api/{plain()}")
    yield raw(f"POST /{plain()}")
    yield raw(f"POST /services/T1/B1/{plain('')}")
    yield raw(f"POST /api/{quoted()}")
    yield raw(f"GET http://{quoted()}@slack.com{path}")
    yield raw(f"CONNECT {quoted()}:443")
    # === no HTTP ===
    yield f"POST {path} HTTP/1.1\r\nHost: proxy\r\nAuthorization\x00: Bearer {new()}\r\n\r\n".encode()
    yield f"POST {path} HTTP/1.1\r\nHost: proxy\r\nContent-Length: x{new()}\r\n\r\n".encode()
    yield f"POST {path} HTTP/1.1\r\nHost: proxy\r\nX: {new()}".encode() + b"x" * 100_000 + b"\r\n\r\n"
    yield f"token {new()}\r\n\r\n".encode()
    yield f"POST {path} HTTP/1.1\r\nHost: proxy\r\nAuthorization: Bearer {new()}\r\nContent-Length: 9\r\n\r\ncut".encode()


def ours(answer: bytes) -> str:
    """What of an answer is slackwater's: all but the body of what Slack answered."""
    return answer.decode(errors="replace")


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_token_is_shown(tmp_path, form):
    secrets, said = Secrets(), []
    slack = FakeSlack(latency="0ms", limits=[HIDDEN_LIMIT])
    authority = Authority(tmp_path, "Ours")
    ways = {
        # Answered, refused by Slack, told to come back, refused for its form. The others don't get
        # so far: nobody is there, or somebody who is not trusted.
        "/api/": slack.url,
        "/gone/": closed_port(),
        "/strange/": https(authority, "localhost"),
        # Behind a proxy that is gone.
        "/far/": "https://slack.test",
    }
    login = secrets.new("user:")
    proxy = Proxy(
        *ways.items(), log=f"{{ format: {form}, level: trace }}",
        variables={
            "RUST_LOG": "trace", "RUST_BACKTRACE": "1", "SLACK_BOT_TOKEN": (known := secrets.new()),
            "HTTPS_PROXY": f"http://{urllib.parse.quote(login, safe=':')}@{closed_port().removeprefix('http://')}",
        },
        more="queue: { max_wait: 0s }\ntimeouts: { body_idle: 1s }\n"
        "on_429: { max_attempts: 2 }\n"
        "identity: { tokens: [ { token_env: SLACK_BOT_TOKEN, app: A1, workspace: T1 } ] }\n",
    )
    statuses = set()
    for method in ("auth.test", "users.info", "admin.apps.uninstall", "chat.postMessage"):
        for prefix in ways:
            calls = list(requests(secrets, method)) + [raw(f"POST /api/{method}", f"Authorization: Bearer {known}")] * 3
            for bytes_of in calls:
                answer = say(proxy, bytes_of.replace(b"/api/", prefix.encode(), 1), hang_up=bytes_of.endswith(b"cut"))
                if answer:
                    statuses.add(int(answer.split(b" ", 2)[1]))
                # Slack's own answer may say what it likes; the fake says back nothing of a call.
                said.append(ours(answer))
            said += [proxy.admin_get(path)[1] for path in ("/metrics", "/status", "/readyz", "/healthz", "/")]
    assert {200, 400, 404, 429, 431, 502} <= statuses, statuses
    checked = subprocess.run(
        [BINARY, "check", proxy.config], capture_output=True, text=True,
        env=ENVIRONMENT | {"SLACK_BOT_TOKEN": known, "HTTPS_PROXY": f"socks5://{login}@x"},
    )
    assert checked.returncode == 1
    said.append(checked.stdout + checked.stderr)
    proxy.process.signal(15)
    proxy.process.exit_code(10)
    log = "\n".join(proxy.process.said())
    assert len(re.findall("call answered", log)) > 100, "it is talkative"
    said.append(log)
    everything = "\n".join(said)
    for mark in marks():
        for found in mark.finditer(everything):
            raise AssertionError(everything[max(0, found.start() - 300) : found.end() + 100])


def test_the_search_finds_what_there_is():
    """Were a token shown in one of these forms, the test above would see it."""
    token = Secrets().new()
    shown = [token, urllib.parse.quote(token, safe=""), json.dumps({"x": token}), f"/{token[5:]}/".lower()]
    for before in (b"", b"d=", b"user:", b"Bearer "):
        shown += [encode(before + token.encode()).decode() for encode in (base64.b64encode, base64.urlsafe_b64encode)]
    for text in shown:
        assert any(mark.search(text) for mark in marks()), text
    assert not any(mark.search("tokens are not shown; token-0123456789ab is") for mark in marks())
