"""A real Alertmanager that notifies a Slack webhook, each alert by a message of its own."""

import json
import os
import re
import shutil
import urllib.request

from stand import REPO, Metrics, Process, eventually, http_get

# tests/run unpacks it there where the system has none, and its template.
UNPACKED = REPO / "target/tests/alertmanager/usr"
PATH = os.pathsep.join([str(UNPACKED / "bin"), os.environ.get("PATH", os.defpath)])
TEMPLATES = UNPACKED / "share/prometheus/alertmanager"


def binary() -> str:
    found = shutil.which("prometheus-alertmanager", path=PATH)
    assert found, "there is no prometheus-alertmanager: run tests/run prepare"
    return found


class Alertmanager:
    """Its intervals are those by default, but that a minute takes so many seconds."""

    def __init__(self, webhook: str, minute: float, group_wait: str = "1s"):
        home = Process.log_dir / f"{len(Process.register):02}-alertmanager"
        home.mkdir(parents=True)
        config = home / "alertmanager.yml"
        interval = round(5 * minute * 1000)
        # JSON is YAML. What is grouped would be one message.
        config.write_text(json.dumps({
            "route": {"receiver": "slack", "group_by": ["..."], "group_wait": group_wait,
                      "group_interval": f"{interval}ms", "repeat_interval": "4h"},
            "receivers": [{"name": "slack", "slack_configs": [
                {"api_url": webhook, "channel": "#alerts", "text": "{{ .CommonLabels.alertname }}"}]}],
        }))  # fmt: skip
        self.process = Process("alertmanager", [
            binary(), f"--config.file={config}", f"--storage.path={home}/data", "--web.listen-address=127.0.0.1:0",
            "--cluster.listen-address=", "--log.format=logfmt",
        ], cwd=TEMPLATES if TEMPLATES.exists() else None)
        self.url = self.process.wait_for("its address", lambda line: (
            m := re.search(r"Listening on.*? address=(127\.0\.0\.1:\d+)", line)) and f"http://{m[1]}")

    def fire(self, names: list[str]) -> None:
        """All alerts in one request."""
        alerts = json.dumps([{"labels": {"alertname": name}} for name in names]).encode()
        request = urllib.request.Request(f"{self.url}/api/v2/alerts", alerts, {"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert opener.open(request, timeout=10).status == 200

    def finish(self, calls: int, seconds: float) -> tuple[int, int]:
        """How many notifications it has sent and how many it gave up, once it is done with all of them."""

        def done():
            metrics = Metrics(http_get(f"{self.url}/metrics")[1])
            sent = metrics.sum("alertmanager_notifications_total", integration="slack")
            lost = metrics.sum("alertmanager_notifications_failed_total", integration="slack")
            requests = metrics.sum("alertmanager_notification_requests_total", integration="slack")
            return sent == requests == calls and (int(sent - lost), int(lost))

        return eventually(f"Alertmanager is done with {calls} notifications", done, seconds)
