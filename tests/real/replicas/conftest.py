"""Which of these tests run: most of their time they wait, and what they promise is promised of a machine
that keeps up."""

import os

import pytest

# In each run of all tests. The others run by `tests/run replicas`.
ALWAYS = ("test_store.py", "test_harness.py", "test_no_window_is_exceeded_by_all_together[sliding-3]")

# What the store does not do yet: docs/replicas.md tells of it.
OPEN = {
    "a replica is killed and started again with its state file": "numbers of leases are not in the state file",
}


def pytest_collection_modifyitems(config, items):
    mine = [item for item in items if "/replicas/" in str(item.path)]
    for item in mine:
        for name, why in OPEN.items():
            if name in item.name:
                item.add_marker(pytest.mark.skip(reason=why))
    if os.environ.get("SLACKWATER_REPLICAS"):
        return
    left = [item for item in mine if not any(name in item.nodeid for name in ALWAYS)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]
