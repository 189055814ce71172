"""`slackwater check --live` asks Slack what the file claims."""

import resource
import subprocess

import pytest

from stand import BINARY, ENVIRONMENT, FakeSlack

BOT, PERSON = "xoxb-T1-A1-secret", "xoxp-T1-A1-secret"


@pytest.fixture
def check(tmp_path):
    def run(address: str, tokens: str, *flags: str):
        file = tmp_path / "slackwater.yaml"
        file.write_text(
            f"upstreams: [{{ prefix: /api/, url: '{address}/api/', kind: web_api }}]\n"
            f"identity: {{ tokens: [{tokens}] }}\n"
            "timeouts: { connect: 1s }\n"
        )
        environment = ENVIRONMENT | {"BOT": BOT, "PERSON": PERSON, "WRONG": "nonsense"}
        done = subprocess.run([BINARY, "check", file, *flags], env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
        assert "secret" not in done.stdout
        return done.returncode, done.stdout

    return run


def test_what_is_right_is_told(check):
    slack = FakeSlack()
    tokens = "{ token_env: BOT, app: A1, workspace: T1 }, { token_env: PERSON, app: A1, workspace: T1 }"
    code, said = check(slack.url, tokens, "--live")
    assert code == 0, said
    assert "reached" in said and slack.url in said
    bot = next(line for line in said.splitlines() if " BOT: " in line)
    assert "of app A1, workspace T1 (Workspace T1)" in bot
    person = next(line for line in said.splitlines() if " PERSON: " in line)
    assert "a person's" in person and "the file says A1" in person
    # Without the flag nobody is asked.
    before = slack.ledger()["totals"]["calls"]
    assert check(slack.url, tokens)[0] == 0
    assert slack.ledger()["totals"]["calls"] == before


def test_what_is_wrong_is_told_with_a_remedy(check):
    slack = FakeSlack()
    tokens = "{ token_env: BOT, app: A2, workspace: T9 }, { token_env: WRONG, app: A1, workspace: T1 }"
    code, said = check(slack.url, tokens, "--live")
    assert code == 1, said
    assert "BOT: its app is A1, and the file says A2; its workspace is T1, and the file says T9" in said
    assert "WRONG: Slack says invalid_auth" in said


def test_an_upstream_that_is_not_there(check):
    code, said = check("http://127.0.0.1:1", "", "--live")
    assert code == 1, said
    assert "NOT REACHED http://127.0.0.1:1/api/" in said and "refused" in said.lower()


def test_no_file_takes_long_or_much(tmp_path):
    """Red when what costs grows with the square of the file, or when variables come to more than a file may."""
    head = "callers:\n"
    for name, text, says in (
        ("braces", "x: " + "${" * (350 << 10), "without a name and a closing brace"),
        ("callers", head + "".join(f"- {{ name: c{n} }}\n" for n in range(40_000)), "more than 1000 items"),
        ("variables", "log: { level: '" + "${BIG}" * 150_000 + "' }\n", "comes to more than 1 MiB"),
    ):
        file = tmp_path / name
        file.write_text(text)
        done = subprocess.run(
            [BINARY, "check", file], env=ENVIRONMENT | {"BIG": "x" * 10_000}, text=True, capture_output=True, timeout=15,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20)),
        )
        assert done.returncode == 1 and says in done.stdout + done.stderr, (name, done)
