"""The unit of systemd: systemd understands it, finds it tight, and slackwater does all its work within it.

No systemd runs here. The filters that the unit asks for are set up without it (`confined.py`).
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import tomllib
import yaml
from confined import directives
from sdk import Sdk
from stand import BINARY, ENVIRONMENT, REPO, FakeSlack, Process, eventually, http_get, listening

UNIT = REPO / "deploy/systemd/slackwater.service"
CONFINED = Path(__file__).resolve().parent / "confined.py"
CONFIG = REPO / "deploy/debian/slackwater.yaml"

systemd_is_there = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze: apt-get install systemd")


def analyze(*words) -> subprocess.CompletedProcess:
    return subprocess.run(["systemd-analyze", *map(str, words)], env=ENVIRONMENT | {"SYSTEMD_COLORS": "0"}, text=True,
                          capture_output=True, timeout=55)


@systemd_is_there
def test_systemd_understands_it(tmp_path):
    # Its commands have to be there.
    here = UNIT.read_text().replace("/usr/bin/slackwater", str(BINARY))
    unit = tmp_path / UNIT.name
    for text, is_good in ((here, True), (here.replace("ProtectSystem=strict", "ProtectSystem=strickt"), False)):
        unit.write_text(text)
        done = analyze("verify", "--man=no", unit)
        about_it = [line for line in (done.stdout + done.stderr).splitlines() if "slackwater" in line]
        assert (not about_it and done.returncode == 0) == is_good, done.stdout + done.stderr


@systemd_is_there
def test_it_is_tight(tmp_path):
    done = analyze("security", "--offline=true", "--threshold=15", UNIT)
    assert done.returncode == 0, done.stdout[-3000:]
    loose = tmp_path / UNIT.name
    loose.write_text(UNIT.read_text().replace("SystemCallFilter=", "#"))
    assert analyze("security", "--offline=true", "--threshold=15", loose).returncode != 0


def test_its_paths_are_those_of_the_package():
    has = directives(str(UNIT))
    package = tomllib.loads((REPO / "Cargo.toml").read_text())["package"]["metadata"]["deb"]
    assert package["conf-files"] == ["/etc/slackwater/slackwater.yaml"]
    assert "SLACKWATER_CONFIG=/etc/slackwater/slackwater.yaml" in has["Environment"]
    assert has["ExecStart"] == ["/usr/bin/slackwater run"]
    assert ["target/release/slackwater", "usr/bin/", "755"] in package["assets"]
    assert has["StateDirectory"] == ["slackwater"]
    assert yaml.safe_load(CONFIG.read_text())["state_file"] == "/var/lib/slackwater/state"
    # What it may take to end: drain_timeout, timeouts.headers, and the last answers.
    assert has["TimeoutStopSec"] == ["95s"]


@systemd_is_there
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user: run tests/run as root")
def test_it_does_all_its_work_within_its_filters(tmp_path):
    slack = FakeSlack()
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    os.chown(state, 65534, 65534)
    # Those that pytest made.
    for folder in (tmp_path, *tmp_path.parents):
        if Path(tempfile.gettempdir()) in folder.parents:
            folder.chmod(0o755)
    config = tmp_path / "slackwater.yaml"
    # A name, so that the C library resolves it; and who is not there.
    upstream = slack.url.replace("127.0.0.1", "localhost")
    text = CONFIG.read_text().replace("/var/lib/slackwater", str(state)) + (
        "listen: 127.0.0.1:0\nadmin: { listen: 127.0.0.1:0 }\n"
        f"upstreams: [{{ prefix: /api/, url: \"{upstream}/api/\", kind: web_api }}]\n"
    )
    config.write_text(text)
    # DynamicUser and CapabilityBoundingSet.
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
              "--no-new-privs"]
    process = Process("confined", [*nobody, sys.executable, CONFINED, UNIT, BINARY, "run", "--minute", "6s"],
                      variables={"SLACKWATER_CONFIG": str(config), "PYTHONPATH": os.pathsep.join(sys.path)}, cwd=tmp_path)
    listen, admin = process.wait_for("listening", listening, 30)
    status = Path(f"/proc/{process.child.pid}/status").read_text()
    assert "Seccomp:\t2\n" in status and "Uid:\t65534\t65534" in status and "CapBnd:\t0000000000000000\n" in status

    sdk = Sdk("python-sync", f"http://{listen}/api/")
    for _ in range(22):
        sdk.start("conversations.list", limit=200)
    eventually("two calls are held", lambda: '"held":2' in http_get(f"http://{admin}/status")[1].replace(" ", ""))
    assert (state / "state").stat().st_size > 0, "its state is written"

    config.write_text(text + "queue: { max_wait: 9s }\n")
    process.signal(signal.SIGHUP)
    eventually("it has reloaded", lambda: 'slackwater_config_reloads_total{result="applied"} 1' in
               http_get(f"http://{admin}/metrics")[1])
    process.signal(signal.SIGTERM)
    answers = sdk.finish(seconds=40)
    assert len(answers) == 22 and all(answer["ok"] or answer["error"] == "ratelimited" for answer in answers), answers
    # Against the filter it would end with SIGSYS.
    assert process.exit_code(seconds=40) == 0
