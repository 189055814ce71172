"""The short form of tests/soak: a minute of mixed load, and what the process takes under it and after it."""

import contextlib
import resource

import pytest
from soak import Soak


@pytest.mark.timeout(240)
def test_memory_and_descriptors_stay_as_they_are_under_a_mixed_load():
    """The hour has five percent: in the first minute the allocator still grows, and other workers take processors."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        soak = Soak(held=500, streams=6, windows=4, window=7, warm_up=15, reloads=20, flat=0.15, cools=10, idle=80)
        soak.run()
        print(soak.report())
        assert soak.wrong() == []
