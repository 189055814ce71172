"""What a held call takes of memory, with its connection. `benches/held/held.py` measures more of it."""

import resource

import pytest
from holding import Held, resident

# Half of it is the buffers of hyper's connection, which has 8 KiB to read and 8 to write.
KIB = 28
CALLS = 3000


@pytest.fixture
def held():
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    yield Held()
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_held_call_takes_little_with_its_connection(held):
    """Turned red by: a task that keeps room for all that a connection needed before it was served."""
    held.hold(CALLS)
    each = (resident(held.proxy) - held.rest) * 1024 / CALLS
    print(f"{each:.1f} KiB each")
    assert each < KIB
    held.go()


def test_a_held_call_of_http2_takes_little(held):
    """Turned red by: a buffer for each stream."""
    held.hold_http2(CALLS // 100, 100)
    each = (resident(held.proxy) - held.rest) * 1024 / CALLS
    print(f"{each:.1f} KiB each")
    assert each < 12
    held.go()
