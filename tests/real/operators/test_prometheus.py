"""What Prometheus is given: the metrics, the rules with their tests, the configuration."""

import re

import pytest
from prometheus import DEPLOY, promtool

RULES = DEPLOY / "prometheus/rules.yaml"
ALERTS = re.findall(r"- alert: (\w+)", RULES.read_text())


def test_the_metrics_are_as_prometheus_wants_them(watched):
    said = promtool("check", "metrics", text=watched.page)
    assert (said.returncode, said.stdout) == (0, "")


@pytest.mark.parametrize("words", [
    ("check", "rules", "--lint=all", "--lint-fatal", RULES),
    ("test", "rules", DEPLOY / "prometheus/rules.test.yaml"),
    ("check", "config", DEPLOY / "prometheus/prometheus.yml"),
], ids=lambda words: " ".join(words[:2]))  # fmt: skip
def test_promtool_finds_nothing(words):
    said = promtool(*words)
    assert said.returncode == 0 and "FAILED" not in said.stdout, said.stdout


def test_every_alert_has_a_test_in_which_it_fires_and_says_what_to_do():
    tests = (DEPLOY / "prometheus/rules.test.yaml").read_text()
    guide = (DEPLOY / "README.md").read_text()
    for alert in ALERTS:
        assert re.search(rf"alertname: {alert}\n +exp_alerts:\n +- exp_labels", tests), f"{alert} never fires"
        assert f"runbook: deploy/README.md#{alert.lower()}\n" in RULES.read_text()
        assert f"\n### {alert}\n" in guide, f"deploy/README.md does not tell of {alert}"
    assert re.findall(r"^### (Slackwater\w+)$", guide, re.M) == ALERTS, "in the same order, and no others"


def test_alerts_see_what_happened_to_a_real_proxy(watched):
    """Red when an expression has a name or a label wrong: the rules' own tests make series as they want them."""
    for group in watched.prometheus.get("rules")["groups"]:
        for rule in group["rules"]:
            assert rule["health"] == "ok", rule
    # Before the first scrape there is none, as there should be.
    seen = watched.prometheus.series('ALERTS{alertname!="SlackwaterAbsent"}', watched.start, watched.end)
    # Those that take longer than a test has are not here: a growing queue, and long freezes.
    assert {labels["alertname"] for labels, _ in seen} >= {
        "SlackwaterDown", "SlackwaterNotReady", "SlackwaterUpstreamFailing", "SlackwaterQueueFull",
        "SlackwaterShedding", "SlackwaterFrozen", "SlackwaterStoreDegraded", "SlackwaterConfigRefused",
        "SlackwaterPausedLong", "SlackwaterShadowLong",
    }  # fmt: skip
    assert all(labels["instance"] in ("plain", "pod") for labels, _ in seen)
