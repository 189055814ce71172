#!/usr/bin/env python3
"""Writes deploy/grafana/slackwater.json, the Grafana dashboard.

    scripts/dashboard.py            write it anew
    scripts/dashboard.py --check    exit with 1 if it is not what would be written

Here are the queries; what all panels have in common (ids, places, data source, matchers) is put in
once. What to do at an alert is from deploy/README.md, so that a panel can link to it wherever the
dashboard is. tests/real/operators/test_grafana.py runs every query.

Needs Python 3.11 and nothing else.
"""

import argparse
import json
import re
import sys
from pathlib import Path

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
DASHBOARD = DEPLOY / "grafana/slackwater.json"

# The last that the classic model of a dashboard has: Grafana 12 and newer.
SCHEMA = 42
SOURCE = {"type": "prometheus", "uid": "${datasource}"}

# `All` of a variable is `.*`, which a series without the label matches too: a plain scrape has neither
# namespace nor pod.
MATCH = 'namespace=~"$namespace", pod=~"$pod", instance=~"$instance"'
WORDS = {
    "<all>": f"{{{MATCH}}}",
    "<method>": f'{{{MATCH}, method=~"$method"}}',
    "<surprise>": f'{{{MATCH}, method=~"$method", surprise="true"}}',
    "<proxy>": f'{{{MATCH}, kind="proxy"}}',
    "<methods>": f'{{{MATCH}, kind="method"}}',
    # 0 where the proxy runs and nothing is there to be counted; nothing where it does not run.
    "<or none>": f"or sum(0 * slackwater_build_info{{{MATCH}}})",
    # Other programs have metrics of these names.
    "<of ours>": f"and on (job, namespace, pod, instance) slackwater_build_info{{{MATCH}}}",
    "<rate>": "[$__rate_interval]",
}

GREEN, YELLOW, ORANGE, RED, BLUE = "green", "yellow", "orange", "red", "blue"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if stale")
    check = parser.parse_args().check
    text = json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"
    if not check:
        DASHBOARD.write_text(text)
    elif DASHBOARD.read_text() != text:
        print(f"{DASHBOARD} is stale: run scripts/dashboard.py", file=sys.stderr)
        return 1
    return 0


# === what is shown ===


def rows():
    """The title of each row, and its panels in order."""
    yield "Overview", overview()
    yield "Who waits", queues()
    yield "What Slack refuses", refusals()
    yield "What slackwater refuses", sheds()
    yield "Who calls", callers()
    yield "Slack", upstream()
    yield "The process", process()
    yield "Shadow: what would have been", shadow()


def overview():
    small = {"w": 3, "h": 4}
    yield stat("Calls", "reqps", "Calls answered per second, of the chosen methods.",
               "sum(rate(slackwater_requests_total<method><rate>)) <or none>", **small)
    yield stat("Held now", "short", "Calls that wait for their turn. A job's backlog is no harm; one that grows "
               "for hours is.", "sum(slackwater_queue_depth<method>) <or none>",
               steps=[(GREEN, None), (YELLOW, 100), (ORANGE, 1000)], **small)
    yield stat("Oldest wait", "s", "How long the oldest held call has waited. Python's SDK gives up after 30 s, Java's "
               "after 10 s; calls are refused before that.",
               "max(slackwater_queue_oldest_wait_seconds<method>) <or none>",
               steps=[(GREEN, None), (YELLOW, 8), (ORANGE, 25)], **small)
    yield stat("429s by surprise", "short", "Calls that Slack refused though a limit had room, in the time shown: "
               "somebody else spends this budget, or the limit is lower than believed.",
               "sum(increase(slackwater_upstream_429_total<surprise>[$__range])) <or none>",
               steps=[(GREEN, None), (YELLOW, 1), (RED, 20)], decimals=0,
               alerts=["SlackwaterSurprise429"], **small)
    yield stat("Refused", "percentunit", "The part of the calls that slackwater refused instead of holding them.",
               "sum(rate(slackwater_sheds_total<method><rate>)) / "
               "(sum(rate(slackwater_requests_total<method><rate>)) > 0) <or none>",
               steps=[(GREEN, None), (YELLOW, 0.001), (RED, 0.01)],
               alerts=["SlackwaterShedding", "SlackwaterQueueFull"], **small)
    yield stat("Longest freeze", "s", "For how much longer Slack keeps a limit closed: the longest of these pauses.",
               "max(slackwater_frozen_seconds<all>)",
               steps=[(GREEN, None), (YELLOW, 1), (RED, 300)],
               alerts=["SlackwaterFrozenLong", "SlackwaterFrozen"], **small)
    yield stat("Paused", "short", "Methods, callers and workspaces that somebody has paused (slackwater pause).",
               "sum(slackwater_paused<all>)", steps=[(GREEN, None), (YELLOW, 1)],
               alerts=["SlackwaterPausedLong"], **small)
    yield stat("Limits", "short", "Whether limits are kept, or calls only watched (shadow mode).",
               "max(slackwater_shadow<proxy>)", steps=[(GREEN, None), (BLUE, 1)],
               words={0: "kept", 1: "shadow"},
               alerts=["SlackwaterShadowLong"], **small)


def queues():
    yield lines("Held, by method", "short", "Calls that wait for their turn.",
                ("sum by (method) (slackwater_queue_depth<method>)", "{{method}}"), stacked=True,
                alerts=["SlackwaterQueueGrowing"])
    yield lines("Held, by class", "short", "Interactive calls go first; many of them here means that people wait.",
                ("sum by (class) (slackwater_queue_depth<method>)", "{{class}}"), stacked=True)
    yield lines("Held, by reason", "short", "Why the oldest call of each queue does not go. in_flight: as many calls "
                "are in flight to a server, or in all, as may be.",
                ("sum by (why) (slackwater_queue_held<all>)", "{{why}}"), stacked=True)
    yield lines("Oldest wait, by method", "s", "How long the oldest held call has waited (solid), and how long its "
                "client lets it wait (dashed).",
                ("max by (method) (slackwater_queue_oldest_wait_seconds<method>)", "{{method}}"),
                ("min by (method) (slackwater_queue_hold_seconds<method>)", "{{method}} at most"), dashed=" at most",
                alerts=["SlackwaterOldestWait"])
    yield heat("Waits", "How long calls that were sent had waited, over all attempts. The lowest rows are calls that "
               "passed at once.", "sum by (le) (increase(slackwater_wait_seconds_bucket<all><rate>))")
    yield lines("Waits, by class", "s", "The median, and what one call in a hundred waited longer than.",
                *quantiles("slackwater_wait_seconds_bucket<all>", "class", 0.5, 0.99))
    yield lines("Places", "short", "Places kept in the line for calls that were told when to come back.",
                ("sum(slackwater_places<all>)", "places"))


def refusals():
    yield lines("429s, by method", "short", "Calls that Slack refused for a limit. A surprise is one that came though no "
                "pause was on and the window had room.",
                ('sum by (method, surprise) (increase(slackwater_upstream_429_total<method><rate>))',
                 "{{method}} (surprise: {{surprise}})"), bars=True,
                alerts=["SlackwaterSurprise429"])
    yield lines("Freezes, by what they count per", "short", "Limits closed after a 429. app_workspace alone is a whole "
                "workspace, app a whole app.",
                ("sum by (scope) (increase(slackwater_freezes_total<all><rate>))", "{{scope}}"), bars=True)
    yield lines("Closed now", "short", "Limits that are closed because Slack said so.",
                ("sum(slackwater_frozen_buckets<all>)", "limits"),
                alerts=["SlackwaterFrozen", "SlackwaterFrozenLong"])
    yield lines("Learnt limits", "short", "Quotas that slackwater has learnt from refusals: the lowest of each limit "
                "and the lowest that was refused last (solid), and the configured one (dashed).",
                ("min by (limit, method) (slackwater_learnt_quota<method>)", "{{limit}} {{method}}"),
                ("max by (limit, method) (slackwater_learnt_configured_quota<method>)", "{{limit}} {{method}} configured"),
                ("min by (limit, method) (slackwater_learnt_refused_quota<method>)", "{{limit}} {{method}} refused"),
                dashed=" configured")
    yield lines("Last lesson", "s", "How long ago a refusal has last taught something of a limit.",
                ("min by (limit, method) (slackwater_learnt_age_seconds<method>)", "{{limit}} {{method}}"))
    yield lines("Buckets that learnt", "short", "Buckets that keep to another limit than the configured one, and why.",
                ("sum by (limit, why) (slackwater_learnt_buckets<method>)", "{{limit}} {{why}}"), stacked=True)
    yield lines("Sent again", "reqps", "Calls that went to the queue again after Slack had refused them, and calls sent "
                "again after an attempt that failed. Their callers notice nothing but the wait.",
                ("sum by (method) (rate(slackwater_replays_total<method><rate>))", "{{method}}"),
                ("sum by (reason) (rate(slackwater_retries_total<method><rate>))", "{{reason}}"))
    yield lines("Not sent", "reqps", "Calls that were answered and took no slot: superseded, a newer edit took their place; "
                "shared and remembered, the answer to another read was theirs.",
                ("sum by (method, how) (rate(slackwater_saved_calls_total<method><rate>))", "{{method}} {{how}}"), stacked=True)
    yield lines("Remembered responses", "short", "How many responses to reads are remembered.",
                ("sum(slackwater_remembered_answers<all>)", "responses"))
    yield lines("Memory of remembered responses", "bytes", "Memory that remembered responses to reads take, at most "
                "reads.cache.bytes.", ("sum(slackwater_remembered_bytes<all>)", "memory"))
    yield lines("Slots used", "percentunit", "The part of the limits' slots that is taken, by method, over all workspaces that "
                "call it. At 100 % calls wait.",
                ("sum by (method) (slackwater_slots_used<method>) / sum by (method) (slackwater_slots_quota<method>)",
                 "{{method}}"), most=1, steps=[(GREEN, None), (YELLOW, 0.8), (ORANGE, 1)])


def sheds():
    yield lines("Refused, by reason", "reqps", "deadline: it would wait longer than its client does. queue_full, memory: a bound "
                "of the queue. paused, disabled: somebody said so. upstream: Slack refused it to the last.",
                ("sum by (reason) (rate(slackwater_sheds_total<method><rate>))", "{{reason}}"), stacked=True,
                alerts=["SlackwaterQueueFull", "SlackwaterShedding"])
    yield lines("Refused, by method", "reqps", "Which calls are refused instead of held.",
                ("sum by (method) (rate(slackwater_sheds_total<method><rate>))", "{{method}}"), stacked=True,
                alerts=["SlackwaterShedding"])
    yield lines("Refused, by caller", "reqps", "Whose calls are refused, of the ten callers with the most. The log says for each what "
                "would help.",
                ("topk(10, sum by (caller) (rate(slackwater_caller_sheds_total<all><rate>)))", "{{caller}}"))
    yield lines("Dead tokens and webhooks", "short", "Those that Slack has called good for nothing, and the calls that were "
                "answered at once for it, by reason and minute. Whose they are is in `slackwater status`.",
                ("sum by (kind) (slackwater_dead<all>)", "{{kind}}"),
                ("sum by (reason) (60 * rate(slackwater_fail_fast_total<all><rate>))", "{{reason}}"))
    yield lines("Answers, by status", "reqps", "What callers got. 429 is slackwater's word or Slack's; 502 and 504 say "
                "that Slack was not reached or did not answer.",
                ("sum by (code) (rate(slackwater_requests_total<method><rate>))", "{{code}}"), stacked=True)


def callers():
    yield lines("Busiest callers", "reqps", "Calls answered, of the ten callers with the most. Name yours with a lane in "
                "the base URL.",
                ("topk(10, sum by (caller) (rate(slackwater_caller_requests_total<all><rate>)))", "{{caller}}"))
    yield lines("Callers that wait", "short", "Calls held, of the ten callers with the most.",
                ("topk(10, sum by (caller) (slackwater_caller_queue_depth<all>))", "{{caller}}"))
    yield lines("Busiest workspaces", "reqps", "Calls answered, of the ten workspaces with the most.",
                ("topk(10, sum by (workspace) (rate(slackwater_workspace_requests_total<all><rate>)))", "{{workspace}}"))


def upstream():
    yield lines("Time to answer", "s", "From the sending of a call to the headers of Slack's answer.",
                *quantiles("slackwater_upstream_seconds_bucket<all>", "upstream", 0.5, 0.95, 0.99))
    yield lines("In flight", "short", "Calls that were sent and have no answer yet (solid), and how many there may be "
                "(dashed).", ("sum by (upstream) (slackwater_in_flight<all>)", "{{upstream}}"),
                ("sum by (to) (slackwater_in_flight_most<all>)", "{{to}} at most"), dashed=" at most")
    yield lines("Connections", "short", "Clients' connections, by instance. A held call keeps one open, unless its client speaks HTTP/2.",
                ("sum by (instance) (slackwater_connections<all>)", "{{instance}}"))
    yield lines("Spans", "reqps", "Spans of traces: sent, or dropped because there was no room for them, or the collector "
                "was away or refused them.",
                ("sum by (result) (rate(slackwater_trace_spans_total<all><rate>))", "{{result}}"), stacked=True)
    yield lines("Slack's answers", "reqps", "By status; error where there was none.",
                ("sum by (code) (rate(slackwater_upstream_seconds_count<all><rate>))", "{{code}}"), stacked=True,
                alerts=["SlackwaterUpstreamFailing"])


def process():
    small = {"w": 4, "h": 4}
    yield stat("Ready", "short", "What /readyz says. 0 from SIGTERM on: held calls have their turn, and then it ends.",
               "min(slackwater_ready<all>)", steps=[(RED, None), (GREEN, 1)], words={0: "draining", 1: "ready"},
               alerts=["SlackwaterNotReady"], **small)
    yield stat("State file", "short", "Whether the state file says what is so. Otherwise calls go on, and after a restart every "
               "limit counts as used up.", "max(slackwater_store_degraded<all>)",
               steps=[(GREEN, None), (RED, 1)], words={0: "sound", 1: "degraded"},
               alerts=["SlackwaterStoreDegraded"], **small)
    yield stat("Last configuration", "short", "Whether the last change of the configuration was applied. A refused one changes "
               "nothing; slackwater status says what is wrong with it.",
               "min(slackwater_config_last_reload_successful<all>)",
               steps=[(RED, None), (GREEN, 1)], words={0: "refused", 1: "in use"},
               alerts=["SlackwaterConfigRefused"], **small)
    yield stat("In use since", "dateTimeFromNow", "Since when the configuration is in use: its last reload, or the start.",
               "max(slackwater_config_last_reload_success_timestamp_seconds<all>) * 1000", **small)
    yield stat("Methods in shadow", "short", "Methods whose calls are only watched.",
               "max(slackwater_shadow<methods>)", steps=[(GREEN, None), (BLUE, 1)], **small)
    yield stat("Version", "short", "How many processes run each version.",
               "count by (version) (slackwater_build_info<all>)", legend="{{version}}", names=True,
               alerts=["SlackwaterDown", "SlackwaterAbsent"], **small)
    yield lines("State file errors", "short", "Times that the state file could not be written, or not within a second.",
                ("sum by (instance) (increase(slackwater_store_errors_total<all><rate>))", "{{instance}}"), bars=True)
    yield stat("Shared store", "short", "Whether the store that replicas share grants slots. Alone, a replica uses what it holds; "
               "when its lease is over, the store may have forgotten it.", "max(slackwater_shared_degraded<all>)",
               steps=[(GREEN, None), (RED, 1)], words={0: "connected", 1: "alone", 2: "lease over"},
               alerts=["SlackwaterSharedDegraded"], **small)
    yield stat("Replicas", "short", "How many replicas share their limits, as each of them knows.",
               "max(slackwater_shared_members<all>)", **small)
    yield stat("Servers of the store", "short", "How many servers of the shared store the replica with the fewest is connected to: one, "
               "or in a cluster each node that keeps limits.", "min(slackwater_shared_servers<all>)", **small)
    yield stat("Memory losses", "short", "Times in the last hour that a part of the shared store had lost its memory: emptied, "
               "restarted, or another server.", "max(increase(slackwater_shared_epoch_changes_total<all>[1h]))", **small)
    yield lines("Shared store's errors", "short", "What went wrong between the replicas and their store.",
                ("sum by (reason) (increase(slackwater_shared_errors_total<all><rate>))", "{{reason}}"), bars=True)
    yield lines("Shared store's answers", "s", "How long the store takes, 99 of 100 answers.",
                ("histogram_quantile(0.99, sum by (le, instance) (rate(slackwater_shared_step_seconds_bucket<all><rate>)))",
                 "{{instance}}"))
    yield lines("Slots on lease", "short", "Slots of shared limits that each replica holds.",
                ("slackwater_shared_held_slots<all>", "{{pod}} {{instance}}"))
    yield lines("New configurations", "short", "Applied or refused.",
                ("sum by (result) (increase(slackwater_config_reloads_total<all><rate>))", "{{result}}"), bars=True)
    yield lines("Memory", "bytes", "Resident. It grows with the calls that are held, and stays below what the bounds of the "
                "queue allow.", ("process_resident_memory_bytes<all> <of ours>", "{{pod}} {{instance}}"))
    yield lines("CPU", "percentunit", "Of one core. Calls are served by one thread, so at 100 % they wait for it.",
                ("rate(process_cpu_seconds_total<all><rate>) <of ours>", "{{pod}} {{instance}}"),
                steps=[(GREEN, None), (ORANGE, 0.8)])
    yield lines("Lines of the log lost", "short", "Lines that standard error did not take in time: whoever reads it is too slow, or gone.",
                ("sum by (instance) (increase(slackwater_log_lines_dropped_total<all><rate>))", "{{instance}}"), bars=True)
    yield lines("Open files", "percentunit", "Of those that the process may open. Each held call has a connection.",
                ("process_open_fds<all> / process_max_fds<all> <of ours>", "{{pod}} {{instance}}"), most=1,
                steps=[(GREEN, None), (ORANGE, 0.75)], alerts=["SlackwaterFilesShort"])


def shadow():
    yield heat("Would have waited", "How long watched calls would have waited; at the bottom those that would have gone at once.",
               "sum by (le) (increase(slackwater_shadow_wait_seconds_bucket<all><rate>))")
    yield lines("Would have waited, by class", "s", "The median, and what one call in a hundred would have waited longer than.",
                *quantiles("slackwater_shadow_wait_seconds_bucket<all>", "class", 0.5, 0.99))
    yield lines("Would have been refused, by reason", "reqps", "Watched calls that would have been refused instead of held.",
                ("sum by (reason) (rate(slackwater_shadow_sheds_total<method><rate>))", "{{reason}}"), stacked=True)
    yield lines("Sent without room", "reqps", "Watched calls that were sent while one of their limits had no room: Slack "
                "should have refused them.",
                ("sum by (method) (rate(slackwater_shadow_429_total<method><rate>))", "{{method}}"), stacked=True)


def runbook():
    """What to do at each alert, in the order of its chapter."""
    _, alerts = (DEPLOY / "README.md").read_text().split("\n## Alerts\n")
    general, *chapters = re.split(r"^### (\w+)\n", alerts.split("\n## ")[0], flags=re.M)
    yield text("What to do first", general)
    for name, chapter in zip(chapters[::2], chapters[1::2]):
        yield text(name, chapter)


# === kinds of panels ===


def panel(kind, title, unit, description, targets, *, w=8, h=8, steps=(), decimals=None, options, defaults=None, alerts=()):
    if not all("$method" in one["expr"] for one in targets):
        description += " The variable Method does not apply here."
    defaults = {"unit": unit, "color": {"mode": "thresholds" if kind == "stat" else "palette-classic"},
                "thresholds": {"mode": "absolute", "steps": [{"color": color, "value": at}
                                                             for color, at in steps or [(GREEN, None)]]},
                "mappings": [], **(defaults or {})}  # fmt: skip
    if decimals is not None:
        defaults["decimals"] = decimals
    return {
        "type": kind, "title": title, "description": description, "datasource": SOURCE,
        "gridPos": {"w": w, "h": h}, "targets": targets, "links": list(alerts),
        "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options,
    }  # fmt: skip


def stat(title, unit, description, query, *, words=None, legend="", names=False, **more):
    defaults = {}
    if words:
        texts = {str(value): {"text": text, "index": at} for at, (value, text) in enumerate(words.items())}
        defaults["mappings"] = [{"type": "value", "options": texts}]
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "orientation": "auto", "textMode": "value_and_name" if names else "value", "colorMode": "value",
        "graphMode": "none", "justifyMode": "auto", "wideLayout": True, "showPercentChange": False,
        "percentChangeColorMode": "standard",
    }  # fmt: skip
    targets = [target("A", query, legend, instant=True)]
    return panel("stat", title, unit, description, targets, options=options, defaults=defaults, **more)


def lines(title, unit, description, *queries, stacked=False, bars=False, dashed=None, most=None, steps=(), **more):
    custom = {
        "drawStyle": "bars" if bars else "line", "lineWidth": 1, "lineInterpolation": "linear",
        "fillOpacity": 60 if bars else 15 if stacked else 0, "gradientMode": "none", "showPoints": "never",
        "spanNulls": False, "axisPlacement": "auto", "axisSoftMin": 0,
        "stacking": {"mode": "normal" if stacked or bars else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if steps else "off"},
    }  # fmt: skip
    defaults = {"custom": custom, "min": 0}
    if most is not None:
        defaults["max"] = most
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }  # fmt: skip
    targets = [target("ABCDEF"[at], query, legend) for at, (query, legend) in enumerate(queries)]
    made = panel("timeseries", title, unit, description, targets, steps=steps, options=options, defaults=defaults, **more)
    if dashed:
        made["fieldConfig"]["overrides"] = [{
            "matcher": {"id": "byRegexp", "options": f".*{dashed}"},
            "properties": [{"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 8]}}],
        }]  # fmt: skip
    return made


def heat(title, description, query, **more):
    options = {
        "calculate": False, "cellGap": 1, "cellValues": {"unit": "short", "decimals": 0},
        "color": {"mode": "scheme", "scheme": "Oranges", "fill": "dark-orange", "scale": "exponential",
                  "exponent": 0.5, "steps": 64, "reverse": False},
        "filterValues": {"le": 1e-9}, "legend": {"show": True}, "rowsFrame": {"layout": "auto"},
        "showValue": "never", "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": True},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "yAxis": {"axisPlacement": "left", "unit": "s", "reverse": False},
    }  # fmt: skip
    targets = [target("A", query, "{{le}}") | {"format": "heatmap"}]
    return panel("heatmap", title, "s", description, targets, options=options, **more)


def text(title, markdown):
    """A link of the file leads nowhere from here, unless it is on the web."""
    content = re.sub(r"\[([^]]+)\]\((?!https?:)[^)]*\)", r"\1", markdown).strip()
    return {
        "type": "text", "title": title, "description": "", "gridPos": {"w": 12, "h": 9},
        "options": {"mode": "markdown", "content": content},
    }  # fmt: skip


def quantiles(metric, by, *parts):
    for part in parts:
        query = f"histogram_quantile({part}, sum by (le, {by}) (rate({metric}<rate>)))"
        yield query, f"{{{{{by}}}}} p{part * 100:g}"


def target(ref, query, legend, instant=False):
    return {"refId": ref, "datasource": SOURCE, "expr": spelt_out(query), "legendFormat": legend,
            "instant": instant, "range": not instant, "editorMode": "code"}  # fmt: skip


def spelt_out(query):
    for word, meaning in WORDS.items():
        query = query.replace(word, meaning)
    return query


# === the whole ===


def dashboard():
    panels, number, y = [], 1, 0
    for title, content in rows():
        row = {"type": "row", "id": number, "title": title, "collapsed": False, "panels": [],
               "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}}  # fmt: skip
        number, y = number + 1, y + 1
        content, number, y = placed(content, number, y)
        panels += [row, *content]
    row = {"type": "row", "id": number, "title": "What to do at an alert", "collapsed": True,
           "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}}  # fmt: skip
    row["panels"], _, _ = placed(runbook(), number + 1, y + 1)
    chapters = {chapter["title"]: chapter["id"] for chapter in row["panels"]}
    for one in panels:
        if one["type"] != "row":
            one["links"] = [to_chapter(alert, chapters[alert]) for alert in one["links"]]
    panels.append(row)
    return {
        "uid": "slackwater", "title": "slackwater", "tags": ["slackwater", "slack"],
        "description": "Calls of Slack bots that wait their turn: who waits and why, what Slack refuses, what slackwater does.",
        "schemaVersion": SCHEMA, "version": 1, "editable": True, "graphTooltip": 1, "timezone": "",
        "time": {"from": "now-3h", "to": "now"}, "refresh": "30s",
        "timepicker": {"refresh_intervals": ["5s", "10s", "30s", "1m", "5m", "15m"]},
        "annotations": {"list": [
            mark("New configuration", BLUE, "slackwater_config_last_reload_success_timestamp_seconds<all> * 1000"),
            mark("Start", "purple", "process_start_time_seconds<all> * 1000 <of ours>"),
        ]},
        "templating": {"list": [
            {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus", "hide": 0},
            variable("namespace", "Namespace", "slackwater_build_info", 2),
            variable("pod", "Pod", 'slackwater_build_info{namespace=~"$namespace"}', 2),
            variable("instance", "Instance", 'slackwater_build_info{namespace=~"$namespace", pod=~"$pod"}', 2),
            variable("method", "Method", f"slackwater_requests_total{{{MATCH}}}", 2),
        ]},
        "links": [], "panels": panels,
    }  # fmt: skip


def placed(content, number, y):
    """Panels with ids and places, line by line; and the next id and place."""
    panels, x, height = [], 0, 0
    for one in content:
        place = one["gridPos"]
        if x + place["w"] > 24:
            x, y, height = 0, y + height, 0
        one["id"], number = number, number + 1
        place |= {"x": x, "y": y}
        x, height = x + place["w"], max(height, place["h"])
        panels.append(one)
    return panels, number, y + height


def to_chapter(alert, number):
    """The runbook's chapter alone, which the row holds also while it is closed."""
    return {"title": f"{alert}: what to do", "targetBlank": True,
            "url": f"/d/${{__dashboard.uid}}?viewPanel={number}&${{__all_variables}}&${{__url_time_range}}"}  # fmt: skip


def mark(name, color, query):
    """A line at the time that a metric has."""
    return {"name": name, "enable": True, "iconColor": color, "datasource": SOURCE, "expr": spelt_out(query),
            "step": "60s", "useValueForTime": "on", "titleFormat": name, "textFormat": "{{pod}} {{instance}}"}  # fmt: skip


def variable(name, label, series, refresh):
    query = f"label_values({series}, {name})"
    return {
        "type": "query", "name": name, "label": label, "datasource": SOURCE,
        "query": {"query": query, "refId": name}, "refresh": refresh, "sort": 1, "hide": 0,
        "multi": True, "includeAll": True, "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"], "selected": True},
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
