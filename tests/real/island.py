"""A network of its own for a test, and hosts files of their own for programs.

On an island there is loopback and nothing else: whatever a program believes to be Slack is on it, and nothing leaves.
Ports below 1024 are free. A program with a hosts file of its own has it as a container of a pod has: mounted over
/etc/hosts for itself alone. Both take root.
"""

import ctypes
import fcntl
import os
import shutil
import socket
import struct
from pathlib import Path

import pytest

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="namespaces take root: run tests/run as root"
)


def system(call: str, *arguments: int) -> None:
    if getattr(LIBC, call)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), call)


def loopback_up() -> None:
    SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
    with socket.socket() as any_socket:
        asked = struct.pack("16sH14x", b"lo", 0)
        _, flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, asked))
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


class Island:
    """While it is entered, the test and what it starts are there."""

    def __enter__(self) -> "Island":
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        system("unshare", CLONE_NEWNET)
        loopback_up()
        assert {name for _, name in socket.if_nameindex()} == {"lo"}
        return self

    def __exit__(self, *_) -> None:
        system("setns", self.home, CLONE_NEWNET)
        os.close(self.home)


def seeing(hosts: Path) -> list[str]:
    """What runs the program after it with this hosts file."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", 'mount --bind "$0" /etc/hosts; exec "$@"', str(hosts)]
