"""The operators' listener as a browser, a stranger and the command line meet it: who may look, who
may change, and what a pause does to a real client."""

import http.client
import http.server
import json
import subprocess
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from stand import BINARY, ENVIRONMENT, FakeSlack, Proxy, eventually

TOKEN = "0123456789abcdef-not-a-slack-token"
JSON = {"Content-Type": "application/json"}


def ask(proxy: Proxy, verb: str, path: str, body=None, **headers: str) -> tuple[int, dict]:
    """Status and JSON of a request with just these headers (and Host, unless given)."""
    host, port = proxy.admin.rsplit(":", 1)
    connection = http.client.HTTPConnection("127.0.0.1" if host == "0.0.0.0" else host, int(port), timeout=5)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    text = body if isinstance(body, (str, type(None))) else json.dumps(body)
    connection.request(verb, path, text, headers)
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    try:
        return answer.status, json.loads(said)
    except ValueError:
        return answer.status, {"text": said.decode()}


def change(proxy: Proxy, path: str, body, **headers: str) -> tuple[int, dict]:
    return ask(proxy, "POST", path, body, Content_Type="application/json", **headers)


def run(proxy: Proxy, *arguments: str, token: str | None = None) -> tuple[int, str]:
    variables = {"SLACKWATER_ADMIN_TOKEN": token} if token else {}
    done = subprocess.run(
        [BINARY, *arguments, "--admin", f"http://{proxy.admin}"], env=ENVIRONMENT | variables, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30,
    )
    assert TOKEN not in done.stdout
    return done.returncode, done.stdout


def call(proxy: Proxy, method: str, lane: str) -> int:
    request = urllib.request.Request(
        proxy.base_url(f"/{lane}") + method, b"", {"Authorization": "Bearer xoxb-T1-A1-secret"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as answer:
        return answer.status


def refused(proxy: Proxy, method: str, lane: str) -> int:
    try:
        return call(proxy, method, lane)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture
def slack():
    return FakeSlack(latency="0ms")


@pytest.fixture
def proxy(slack):
    return Proxy(("/api/", slack.url))


def test_no_web_page_looks_or_changes(proxy):
    """Red when Host or Origin are not looked at, and when a form is as good as JSON."""
    evil = "http://evil.example"
    for path in ("/status", "/", "/pause"):
        assert ask(proxy, "GET", path, Host="evil.example")[1]["error"] == "foreign_host", path
        assert ask(proxy, "GET", path, Origin=evil)[1]["error"] == "foreign_origin", path
    assert change(proxy, "/pause", {"caller": "a"}, Origin=evil)[0] == 403
    assert change(proxy, "/pause", {"caller": "a"}, Origin="null")[0] == 403
    assert change(proxy, "/pause", {"caller": "a"}, Host="evil.example")[0] == 403
    for form in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"):
        assert ask(proxy, "POST", "/pause", '{"caller":"a"}', Content_Type=form)[0] == 415, form
    assert proxy.status()["paused"] == []
    for path in ("/metrics", "/healthz", "/readyz"):
        assert ask(proxy, "GET", path, Host="prometheus.example", Origin=evil)[0] == 200, path
    assert ask(proxy, "GET", "/status", Host="localhost:1")[0] == 200
    assert change(proxy, "/pause", {"caller": "a"}, Origin=f"http://{proxy.admin}")[0] == 200
    assert ask(proxy, "GET", "/pause")[0] == 405
    assert ask(proxy, "DELETE", "/status")[0] == 405


def test_what_is_too_long_is_refused_as_all_else_is(proxy):
    """Red when the refusal is no JSON, and when the words are those of another change."""
    status, refusal = change(proxy, "/pause", {"caller": "a" * 100_000})
    assert (status, refusal["ok"], refusal["error"]) == (413, False, "too_large"), refusal
    assert "16 KiB" in refusal["message"]
    for path, more, word in (("/mode", {"mode": "shadow"}, "switched"), ("/pause", {}, "paused")):
        status, refusal = change(proxy, path, {"method": "nope"} | more)
        assert status == 404 and f"all methods that are not are {word} as `other`" in refusal["message"], refusal


def test_beyond_loopback_a_change_needs_a_token(slack):
    """Red when a listener without a token changes for everybody."""
    everywhere = "listen: 0.0.0.0:0"
    without = Proxy(("/api/", slack.url), admin=f"{{ {everywhere} }}")
    status, said = change(without, "/pause", {"caller": "a"})
    assert (status, said["error"]) == (403, "no_token_configured")
    assert ask(without, "GET", "/status")[0] == 200, "to look needs none"
    given = Proxy(("/api/", slack.url), admin=f"{{ {everywhere}, token: '${{ADMIN}}', hosts: [ops.example] }}",
                  variables={"ADMIN": TOKEN})
    for wrong in ({}, {"Authorization": "Bearer " + TOKEN[:-1]}, {"Authorization": TOKEN}):
        status, said = change(given, "/pause", {"caller": "a"}, **wrong)
        assert (status, said["error"]) == (401, "token_needed"), wrong
    right = {"Authorization": f"Bearer {TOKEN}", "Host": "ops.example", "Origin": "https://ops.example"}
    assert change(given, "/pause", {"caller": "a"}, **right)[0] == 200
    assert run(given, "resume", "--caller", "a")[0] == 1
    assert run(given, "resume", "--caller", "a", token=TOKEN) == (0, "caller a is no longer paused\n")
    for process in (without.process, given.process):
        assert TOKEN not in "\n".join(process.said())


@pytest.mark.parametrize("body, status, says", [
    ("", 400, "no JSON"),
    ("[]", 400, "no object"),
    ("{}", 400, "name one of method, caller, workspace"),
    ({"method": "chat.update", "caller": "a"}, 400, "name one of"),
    ({"caller": "a", "shedd": True}, 400, '"shedd" is no field here; the fields are method, caller, workspace, shed'),
    ({"caller": "a", "shed": 1}, 400, "shed is neither true nor false"),
    ({"caller": 1}, 400, "caller is no text"),
    ({"caller": ""}, 400, "no name of a caller"),
    ({"caller": "xoxb-1-1-secret"}, 400, "looks like a token"),
    ({"method": "chat.postMesage"}, 404, "like it: chat.postMessage"),
    ({"caller": "x" * 20_000}, 413, ""),
])
def test_what_cannot_be_paused_is_said(proxy, body, status, says):
    seen, said = change(proxy, "/pause", body)
    assert seen == status and says in said.get("message", ""), said
    assert "secret" not in str(said)
    assert proxy.status()["paused"] == []


def test_a_pause_holds_a_real_client_until_it_ends(proxy, slack):
    """Red when a paused call goes, and when one that was paused is lost."""
    code, said = run(proxy, "pause", "--caller", "job")
    assert code == 0 and said.startswith("caller job is paused: its calls wait\n"), said
    assert run(proxy, "pause", "--caller", "job")[1] == "caller job is paused already: its calls wait\n"
    with ThreadPoolExecutor(5) as pool:
        held = [pool.submit(call, proxy, "team.info", "@job;max-wait=20s") for _ in range(5)]
        eventually("all wait", lambda: proxy.held("team.info") == 5)
        assert call(proxy, "team.info", "@other") == 200
        [paused] = proxy.status()["paused"]
        assert (paused["caller"], paused["waiting"], paused["shed"]) == ("job", 5, False)
        assert proxy.metric("slackwater_paused", kind="caller") == 1
        assert run(proxy, "resume", "--caller", "job") == (0, "caller job is no longer paused\n")
        assert [one.result() for one in held] == [200] * 5
    assert run(proxy, "resume", "--caller", "job") == (0, "caller job was not paused\n")
    assert len(slack.calls("team.info")) == 6
    assert proxy.status()["paused"] == []


def test_the_command_line_says_what_is_wrong(proxy):
    code, said = run(proxy, "pause", "--method", "chat.postMesage")
    assert code == 1 and said.startswith("error: ") and "like it: chat.postMessage" in said
    assert run(proxy, "pause")[0] == 2
    assert run(proxy, "pause", "--method", "chat.update", "--caller", "a")[0] == 2
    nobody = subprocess.run([BINARY, "resume", "--caller", "a", "--admin", "http://127.0.0.1:1"], text=True,
                            env=ENVIRONMENT, stderr=subprocess.PIPE, timeout=30)
    assert nobody.returncode == 2 and "nothing answers at http://127.0.0.1:1" in nobody.stderr


def test_shadow_lets_what_is_held_go(proxy, slack):
    """Red when a switch is for new calls only."""
    method = "admin.apps.uninstall"  # once a minute
    assert call(proxy, method, "@job") == 200
    with ThreadPoolExecutor(2) as pool:
        held = [pool.submit(refused, proxy, method, "@job;max-wait=60s") for _ in range(2)]
        eventually("both wait", lambda: proxy.held(method) == 2)
        assert run(proxy, "shadow", "on") == (0, "all calls go at once; what would have been is counted\n")
        assert [one.result() for one in held] == [429, 429], "the fake Slack's own word"
    assert proxy.status()["mode"] == {"proxy": "shadow", "methods": {}}
    assert run(proxy, "shadow", "off", "--method", method)[1] == f"calls of method {method} keep to their limits\n"
    assert proxy.status()["mode"] == {"proxy": "shadow", "methods": {method: "enforce"}}
    assert change(proxy, "/mode", {"mode": "off"}) == (
        400, {"ok": False, "error": "invalid_request", "message": "mode is shadow or enforce"})
    assert run(proxy, "shadow", "off")[0] == 0
    assert proxy.status()["mode"] == {"proxy": "enforce", "methods": {}}


class Liar(http.server.BaseHTTPRequestHandler):
    """Something before Slack that asks the first two methods for a pause of thirty thousand years."""

    refused: set[str] = set()

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        lies = self.path not in self.refused and len(self.refused) < 2
        self.refused.add(self.path)
        body = b'{"ok":false,"error":"ratelimited"}' if lies else b'{"ok":true}'
        self.send_response(429 if lies else 200)
        if lies:
            self.send_header("Retry-After", str(10**12))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_pause_that_is_a_mistake_is_bounded_said_and_ended(tmp_path):
    """Red when two answers shut a workspace for as long as they like, and when nobody can open it again; also after
    a restart."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar) as liar:
        threading.Thread(target=liar.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{liar.server_port}"
        more = f"identity: {{ resolve: false }}\nstate_file: {tmp_path}/state\n"
        proxy = Proxy(("/api/", url), minute=60, more=more)
        lane = "@job;max-wait=1s"
        assert [refused(proxy, "users.list", lane), refused(proxy, "team.info", lane)] == [429, 429]
        assert refused(proxy, "conversations.info", lane) == 429, "the whole workspace is shut"
        frozen = {b["limit"]: b for b in proxy.status()["buckets"] if b["frozen_for_ms"]}
        assert frozen["tier2"]["frozen_for_ms"] <= 3_600_000
        whole = frozen["whole_workspace"]
        assert 590_000 < whole["frozen_for_ms"] <= 600_000
        [_, said] = [line for line in map(json.loads, proxy.process.err_path.read_text().splitlines())
                     if line["message"] == "Slack asks for a longer pause than is believed"]
        assert (said["level"], said["asked_seconds"], said["seconds"]) == ("WARN", 10**12, 3600)
        assert "slackwater thaw" in said["cure"]

        assert run(proxy, "thaw", "--workspace", "T404") == (0, "Slack has asked for no pause of it\n")
        assert run(proxy, "thaw")[0] == 2
        assert run(proxy, "thaw", "--bucket", f"whole_workspace:{whole['key']}") == (
            0, "1 limit is open again: one call tries it first\n")
        assert refused(proxy, "conversations.info", lane) == 200
        assert refused(proxy, "users.list", lane) == 429, "that one is shut still"
        assert change(proxy, "/thaw", {"all": True})[1]["thawed"] == 2
        assert refused(proxy, "users.list", lane) == 200

        proxy.process.kill()
        again = Proxy.of(proxy.config, minute=60)
        assert again.metric("slackwater_frozen_buckets") == 0
        liar.shutdown()


@pytest.mark.parametrize(
    ("verb", "path", "status", "error"),
    [
        ("GET", "/nowhere", 404, "unknown_page"),
        ("POST", "/nowhere", 404, "unknown_page"),
        ("GET", "/pause", 405, "wrong_verb"),
        ("POST", "/status", 405, "wrong_verb"),
        ("DELETE", "/status", 405, "wrong_verb"),
        ("DELETE", "/metrics", 405, "wrong_verb"),
    ],
)
def test_whatever_is_refused_is_told_in_one_shape(slack, verb, path, status, error):
    proxy = Proxy(("/api/", slack.url))
    headers = {"Content_Type": "application/json"} if verb == "POST" else {}
    code, said = ask(proxy, verb, path, {} if verb == "POST" else None, **headers)
    assert (code, said.get("ok"), said.get("error")) == (status, False, error), said
    assert said["message"]


def test_what_does_not_apply_is_left_out_of_the_status(slack):
    status = Proxy(("/api/", slack.url)).status()
    assert {"replica", "shared", "reload"}.isdisjoint(status), status
