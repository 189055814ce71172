"""The lines of docs/gateway.md: its configuration and what it has for each SDK, run as they are written there.

On an island, where the gateway has its name and its port.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from authority import Authority
from island import Island, needs_root, seeing
from sdk import NODE_DIR, node_binary
from stand import ENVIRONMENT, REPO, FakeSlack, Proxy, eventually

pytestmark = needs_root

DOCUMENT = (REPO / "docs/gateway.md").read_text()
NAME = "slackwater.bots.svc"
KEY = "0123456789abcdef-cleanup"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)


class Gateway:
    """The document's gateway, and a folder of a bot with its certificate."""

    def __init__(self, folder: Path):
        self.folder, self.slack = folder, FakeSlack()
        authority = Authority(folder, "ca")
        authority.sign(NAME, "tls")
        authority.sign("reports.bots.svc", "reports")
        for name in ("ca", "tls", "reports"):
            (folder / f"{name}.pem").rename(folder / f"{name}.crt")
        (config,) = blocks("yaml")
        config = config.replace("/etc/slackwater/tls", str(folder))
        config, listens = re.subn("(?m)^listen: .*\n", "", config)
        assert listens == 1
        self.proxy = Proxy(("/api/", self.slack.url), listen="0.0.0.0:8443", more=config, variables={"CLEANUP_KEY": KEY})
        self.hosts = folder / "hosts"
        self.hosts.write_text(f"127.0.0.1 localhost {NAME}\n")

    def run(self, program: str, *command) -> str:
        done = subprocess.run(
            [*seeing(self.hosts), *map(str, command)], cwd=self.folder, text=True, capture_output=True, timeout=30, input=program,
            env=ENVIRONMENT | {"CLEANUP_KEY": KEY, "NODE_EXTRA_CA_CERTS": "ca.crt"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def assert_called_by(self, caller: str) -> None:
        eventually("it is counted", lambda: [busy["name"] for busy in self.proxy.status()["top"]["callers"]] == [caller])


@pytest.fixture
def gateway(tmp_path):
    with Island():
        yield Gateway(tmp_path)


@pytest.mark.parametrize("number, caller", [(0, "reports"), (1, "cleanup")])
def test_the_python_lines_work(gateway, number, caller):
    lines = blocks("python")
    assert len(lines) == 2
    program = f'token = "xoxb-T1-A1-secret"\n{lines[number]}\nprint(client.users_info(user="U1")["ok"])'
    assert gateway.run(program, sys.executable, "-").strip() == "True"
    gateway.assert_called_by(caller)


@pytest.mark.parametrize("number, package, caller", [
    (0, "web-api-7", "reports"), (1, "@slack/web-api", "reports"), (2, "web-api-7", "cleanup"), (2, "@slack/web-api", "cleanup"),
])  # fmt: skip
def test_the_node_lines_work(gateway, number, package, caller):
    lines = blocks("js")
    assert len(lines) == 3
    # As a bot has it whose only Slack SDK is that one.
    installed = gateway.folder / "node_modules"
    (installed / "@slack").mkdir(parents=True)
    (installed / "@slack/web-api").symlink_to((NODE_DIR / "node_modules" / package).resolve())
    (installed / "undici").symlink_to((NODE_DIR / "node_modules/undici").resolve())
    # A form, and one with a file, whose fields are all there.
    (gateway.folder / "bot.mjs").write_text(f"""
const token = "xoxb-T1-A1-secret";
{lines[number]}
console.log((await client.users.info({{ user: "U1" }})).ok);
console.log((await client.apiCall("chat.postMessage", {{ channel: "C1", text: "a file", file: Buffer.from("x") }})).ok);
process.exit();
""")
    assert gateway.run("", node_binary(), "bot.mjs").split() == ["true", "true"]
    assert [call["channel"] for call in gateway.slack.calls("chat.postMessage")] == ["C1"]
    gateway.assert_called_by(caller)
