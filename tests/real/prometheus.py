"""A real Prometheus: one that scrapes, and the tool that checks files."""

import json
import os
import re
import shutil
import subprocess
import urllib.parse
from pathlib import Path

from stand import ENVIRONMENT, REPO, Process, eventually, http_get

# tests/run unpacks it there where the system has none.
PATH = os.pathsep.join([str(REPO / "target/tests/prometheus/usr/bin"), os.environ.get("PATH", os.defpath)])
DEPLOY = REPO / "deploy"


def binary(name: str) -> str:
    found = shutil.which(name, path=PATH)
    assert found, f"there is no {name}: run tests/run operators, or apt-get install prometheus"
    return found


def promtool(*words, text: str | None = None) -> subprocess.CompletedProcess:
    """What it says, on both streams."""
    return subprocess.run([binary("promtool"), *map(str, words)], env=ENVIRONMENT, input=text, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)


class Prometheus:
    """It scrapes a target twice a second, in two ways: as a static target, and as one in Kubernetes."""

    def __init__(self, target: str, rules: Path, every: str = "500ms"):
        home = Process.log_dir / f"{len(Process.register):02}-prometheus"
        home.mkdir(parents=True)
        static = {"targets": [target]}
        (home / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": every, "evaluation_interval": every},
            "rule_files": [str(rules)],
            "scrape_configs": [
                {"job_name": "plain", "static_configs": [static | {"labels": {"instance": "plain"}}]},
                {"job_name": "bots/bot", "static_configs": [
                    static | {"labels": {"instance": "pod", "namespace": "bots", "pod": "bot-0"}}]},
            ],
        }))
        self.process = Process("prometheus", [
            binary("prometheus"), f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data",
            "--web.listen-address=127.0.0.1:0", "--log.format=logfmt",
        ])
        self.url = self.process.wait_for("its address", lambda line: (
            m := re.search(r'Listening on.*? address=(127\.0\.0\.1:\d+)', line)) and f"http://{m[1]}")
        eventually("Prometheus is ready", lambda: http_get(f"{self.url}/-/ready")[0] == 200, 15)

    def get(self, path: str, **arguments) -> dict | list:
        """What the API answers; an error is one of the test's."""
        status, body = http_get(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(arguments)}", 10)
        said = json.loads(body) if body.startswith("{") else {}
        assert status == 200 and said["status"] == "success", f"{path} {arguments}: {status} {body[:500]}"
        return said["data"]

    def series(self, query: str, start: float, end: float, step: float = 0.25) -> list[tuple[dict, list[float]]]:
        """The labels of each series of a query's answer, and its values."""
        answer = self.get("query_range", query=query, start=start, end=end, step=step)["result"]
        return [(one["metric"], [float(value) for _, value in one["values"]]) for one in answer]

    def now(self, query: str) -> list[tuple[dict, float]]:
        """The same at this moment."""
        answer = self.get("query", query=query)["result"]
        return [(one["metric"], float(one["value"][1])) for one in answer]

    def until(self, what: str, query: str, seconds: float = 10) -> None:
        """Waits until it has seen that at both targets."""
        eventually(f"Prometheus sees {what}",
                   lambda: {labels["instance"] for labels, _ in self.now(query)} == {"plain", "pod"}, seconds)
