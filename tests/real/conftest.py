"""Every test cleans up after itself, and a failed one shows what its processes said last."""

import shutil

import pytest
from sdk import SDKS
from stand import BINARY, Process

pytest_plugins = ["side_by_side"]


def pytest_sessionstart(session):
    if not BINARY.exists():
        pytest.exit(f"there is no {BINARY}: build it first, or run tests/run", returncode=4)
    # Not by a worker: the others have begun to write there.
    if not hasattr(session.config, "workerinput"):
        shutil.rmtree(Process.log_dir, ignore_errors=True)


@pytest.fixture(autouse=True)
def processes_end_with_their_test(request):
    """What a test starts ends with it; what a module's fixture starts, with the module."""
    request.node.first_process = len(Process.register)
    yield
    Process.kill_all_since(request.node.first_process)


@pytest.fixture(params=SDKS)
def sdk_name(request):
    return request.param


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        # Those of the module's fixture are the same for all its tests: the first that fails shows them.
        shared = item.module.__dict__.pop("SHARED_PROCESSES", [])
        own = Process.register[getattr(item, "first_process", 0):]
        for process in dict.fromkeys([*shared, *own]):
            report.sections.append((f"the end of {process.name}'s log", process.tail()))
    return report


def pytest_unconfigure(config):
    Process.kill_all_since(0)
