"""How tests are shared out where several workers run them (`-n`): what runs where, and what first.

The tests of a file stay in one worker, one after the other, since they share the fixtures of their module.
"""

import pytest

# Files whose tests share no fixture: each of them goes to any worker.
APART = {
    "cli/test_demo.py", "cli/test_drain.py", "cli/test_export.py", "cli/test_plan.py", "edges/test_hosts_entry.py",
    "replicas/test_mid_flood.py", "replicas/test_budget.py", "replicas/test_outage.py", "replicas/test_store.py",
    "sdk/test_clients.py", "sdk/test_node_stops.py", "sdk/test_order.py",
}  # fmt: skip

# Files that share one: the Prometheus that watches.
TOGETHER = {"operators/test_grafana.py": "watched", "operators/test_prometheus.py": "watched"}

# What takes long begins first, lest at the end one worker is left with it. The longest is the first.
FIRST = [
    "operators/test_page.py",
    "operators/test_grafana.py",
    "operators/test_prometheus.py",
    "sdk/test_clients.py", "sdk/test_order.py",
    "test_a_long_list_takes_no_more_memory",
    "sdk/test_flood.py",
    "replicas/test_budget.py", "replicas/test_mid_flood.py", "replicas/test_outage.py",
    "test_killed_at_any_moment",
    "edges/test_restart.py",
    "edges/test_soak.py",
    "test_lines_in_a_pipe",
    "test_a_page_in_a_terminal",
    "deploy/",
    "cli/test_plan.py",
    "sdk/",
    "edges/",
]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    # Not loadgroup: its groups have no effect with pytest 9.2 (pytest-xdist, issue 1386).
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            """What is run by one worker as a whole."""
            file = nodeid.split("::")[0]
            return nodeid if file in APART else TOGETHER.get(file, file)

    return Scheduling(config, log)


def pytest_collection_modifyitems(config, items):
    def place(item) -> int:
        return next((place for place, part in enumerate(FIRST) if part in item.nodeid), len(FIRST))

    if hasattr(config, "workerinput"):
        items.sort(key=place)
