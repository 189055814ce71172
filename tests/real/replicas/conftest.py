"""Which of these tests run: most of their time they wait, and what they promise is promised of a machine
that keeps up."""

import os

import pytest
from replicas import LONG

# In each run of all tests. The others run by `tests/run replicas`.
ALWAYS = ("test_store.py", "test_harness.py", "test_other_servers.py", "test_no_window_is_exceeded_by_all_together[sliding-3]")


# How long one may take in the long form, in seconds: its minute is five times as long.
LONGEST = 300


def pytest_collection_modifyitems(config, items):
    if LONG:
        for item in items:
            item.add_marker(pytest.mark.timeout(LONGEST), append=False)
    if os.environ.get("SLACKWATER_REPLICAS"):
        return
    mine = [item for item in items if "/replicas/" in str(item.path)]
    left = [item for item in mine if not any(name in item.nodeid for name in ALWAYS)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]
