"""What sharing costs is of a plausible size: counts nearly, times roughly."""

import json
import os
import subprocess
import sys

from stand import BINARY, REPO


def test_what_sharing_costs():
    run = subprocess.run(
        [sys.executable, REPO / "benches/sharing/sharing.py", "--short", "--rate", "60", "--json"],
        env=os.environ | {"SLACKWATER_BIN": str(BINARY)}, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    found = {what: median for what, (median, _, _) in json.loads(run.stdout.splitlines()[-1]).items()}
    # One that asks for the slot, and one that returns it.
    assert 1.5 < found["a thousand buckets, shared: steps a call"] < 2.5, found
    assert found["a thousand buckets, slackwater, shared to alone"] < 4, found
    assert found["rest, the server for a replica at rest, ms of CPU a second"] < 20, found
    assert 150 < found["memory, server, bytes a bucket of 1 replicas"] < 500, found
    assert 250 < found["memory, server, bytes a bucket of 3 replicas"] < 1000, found
