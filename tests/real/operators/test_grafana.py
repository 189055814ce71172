"""The dashboard for Grafana: a sound one, and every query in it shows something of a real proxy."""

import json
import math
import re

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus import DEPLOY

DASHBOARD = json.loads((DEPLOY / "grafana/slackwater.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
# The last row is closed and has its panels in it.
CHAPTERS = DASHBOARD["panels"][-1]["panels"]
SOURCE = {"type": "prometheus", "uid": "${datasource}"}

METHODS = ("users.list", "users.info", "chat.postMessage", "conversations.list", "users.conversations", "bots.info")  # fmt: skip
# What Grafana puts in for the variables: where nothing is chosen, all of them; of several, an expression.
ALL = ".*"
VIEWS = {
    "nothing chosen": {},
    "a plain scrape": {"instance": "plain"},
    "a pod": {"namespace": "bots", "pod": "bot-0",
              "method": "(" + "|".join(name.replace(".", r"\\.") for name in METHODS) + ")"},
}  # fmt: skip
# These may be 0 all the time: the CPU time of a process is told in whole seconds.
IDLE = {"CPU", "Lines of the log lost"}
# What has to be seen of these, as it was done; where nothing is chosen it is seen twice.
SEEN = {
    "Ready": {0, 1}, "State file": {0, 1}, "Last configuration": {0, 1}, "Limits": {0, 1}, "Paused": {0, 1},
    "Methods in shadow": {0, 1},
}  # fmt: skip


def interpolated(query: str, view: dict) -> str:
    values = {"namespace": ALL, "pod": ALL, "instance": ALL, "method": ALL, "__rate_interval": "4s", "__range": "60s"}
    for name, value in (values | view).items():
        query = re.sub(rf"\${name}\b", lambda _, value=value: value, query)
    assert "$" not in query, query
    return query


def test_grafanas_own_model_takes_every_key():
    """Red when a key of it, a panel's or an option's is misspelt: the model does not have it then."""
    register_default_plugins()
    took = json.loads(json.dumps(Dashboard.from_json(DASHBOARD), cls=JSONEncoder))
    # What the data source of Prometheus has in an annotation is not in the model.
    left = [key for key in lost(DASHBOARD, took)
            if not re.fullmatch(r"dashboard\.annotations\.list\[\d\]\.(expr|step|useValueForTime|titleFormat|textFormat)", key)]
    assert not left, left


def lost(given, took, at="dashboard"):
    """Where something was given that was not taken."""
    if isinstance(given, dict) and isinstance(took, dict):
        for key, value in given.items():
            if key in took:
                yield from lost(value, took[key], f"{at}.{key}")
            # Absent is the same as nothing.
            elif value not in (None, [], {}):
                yield f"{at}.{key}"
    elif isinstance(given, list) and isinstance(took, list) and len(given) == len(took):
        for number, (one, other) in enumerate(zip(given, took)):
            yield from lost(one, other, f"{at}[{number}]")
    elif given != took:
        yield f"{at}: {given!r} became {took!r}"


def test_panels_have_places_of_their_own_and_say_what_they_show():
    numbers = [panel["id"] for panel in DASHBOARD["panels"] + CHAPTERS]
    assert len(set(numbers)) == len(numbers)
    taken = {}
    for panel in DASHBOARD["panels"] + CHAPTERS:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                other = taken.setdefault((x, y), panel["title"])
                assert other == panel["title"], f"{panel['title']} lies on {other}"
    titles = [panel["title"] for panel in PANELS]
    assert len(set(titles)) == len(titles)
    for panel in PANELS:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert [target["datasource"] for target in panel["targets"]] == [SOURCE] * len(panel["targets"])
        assert panel["targets"] and panel["datasource"] == SOURCE, panel["title"]


def test_a_panel_says_when_the_chosen_method_does_not_apply():
    """Red when a metric with a label method is shown without the variable, and nothing is said of it."""
    for panel in PANELS:
        applies = all("$method" in target["expr"] for target in panel["targets"])
        said = "The variable Method does not apply here." in panel["description"]
        assert applies != said, panel["title"]
        if not applies and panel["title"] not in ("Methods in shadow",):
            assert not any("{{method}}" in target["legendFormat"] for target in panel["targets"]), panel["title"]


def test_a_panel_leads_to_what_to_do_at_its_alert():
    """Red when a link leads to another chapter, an alert has no panel, or a chapter is not the runbook's."""
    guide = (DEPLOY / "README.md").read_text()
    alerts = re.findall(r"- alert: (\w+)", (DEPLOY / "prometheus/rules.yaml").read_text())
    assert [chapter["title"] for chapter in CHAPTERS] == ["What to do first", *alerts]
    for chapter in CHAPTERS[1:]:
        _, there = guide.split(f"\n### {chapter['title']}\n")
        words = re.sub(r"\]\([^)]*\)|\[", "", there.split("\n#")[0]).split()
        said = re.sub(r"\]\([^)]*\)|\[", "", chapter["options"]["content"]).split()
        assert said == words, chapter["title"]
        assert not re.search(r"\]\((?!https:)", chapter["options"]["content"]), "a link into the repository"
    titles = {chapter["id"]: chapter["title"] for chapter in CHAPTERS}
    linked = []
    for panel in PANELS:
        for link in panel["links"]:
            (number,) = re.findall(r"viewPanel=(\d+)&", link["url"])
            assert link["title"] == f"{titles[int(number)]}: what to do"
            linked.append(titles[int(number)])
    assert set(linked) == set(alerts)
    assert DASHBOARD["editable"]


def test_every_metric_is_shown_and_is_there():
    """Red when a metric is added, renamed or dropped, and the dashboard is not changed with it."""
    queries = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bslackwater_\w+", queries)}
    documented = set(re.findall(r"^\| `(slackwater_\w+)` \|", (DEPLOY.parent / "docs/watching.md").read_text(), re.M))
    assert shown == documented


@pytest.mark.parametrize("view", VIEWS)
def test_every_query_shows_something(watched, view):
    """Red when a name or a label in a query is wrong, and when a matcher wants a label that a plain scrape
    does not have."""
    empty = []
    for panel in PANELS:
        for target in panel["targets"]:
            if "slackwater_shared_" in target["expr"]:
                # This proxy shares no limits: tests/real/replicas/test_store.py has one that does.
                continue
            query = interpolated(target["expr"], VIEWS[view])
            series = watched.prometheus.series(query, watched.start, watched.end)
            values = {value for _, values in series for value in values if math.isfinite(value)}
            what = f"{panel['title']} ({target['refId']}): {query}"
            if not values or panel["title"] not in IDLE and max(values) == 0:
                empty.append(what)
            if VIEWS[view]:
                assert SEEN.get(panel["title"], set()) <= values, f"{what} has {values}"
            told = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            for labels, _ in series:
                assert not told or set(told) & labels.keys(), f"{what} has {labels} for {told}"
            if panel["type"] == "heatmap":
                assert sum(max(values, default=0) > 0 for _, values in series) > 2, what
    assert not empty, "\n".join(empty)


def test_the_variables_offer_what_there_is(watched):
    offered = {}
    for variable in DASHBOARD["templating"]["list"][1:]:
        series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
        answer = watched.prometheus.get("series", **{"match[]": interpolated(series, {}), "start": watched.start, "end": watched.end})
        offered[variable["name"]] = {one[label] for one in answer if label in one}
        assert variable["allValue"] == ALL
    assert offered["namespace"] == {"bots"} and offered["pod"] == {"bot-0"}
    assert offered["instance"] == {"plain", "pod"}
    assert set(METHODS) <= offered["method"]


def test_marks_are_at_times_in_view(watched):
    """A start and a new configuration are marked at the time that the metric has."""
    for mark in DASHBOARD["annotations"]["list"]:
        series = watched.prometheus.series(interpolated(mark["expr"], {}), watched.start, watched.end)
        times = {value / 1000 for _, values in series for value in values}
        assert times and all(watched.start - 60 < at < watched.end + 1 for at in times), (mark["name"], times)
