"""Runs a program under the system call filter of a unit, as systemd would set it up: `confined.py UNIT PROGRAM...`

What is against the unit kills the program, where systemd would let the call fail: nothing passes unnoticed.
MemoryDenyWriteExecute and RestrictAddressFamilies are such filters too.
"""

import mmap
import os
import socket
import subprocess
import sys

from pyseccomp import ALLOW, EQ, KILL_PROCESS, MASKED_EQ, Arg, SyscallFilter


def directives(unit: str) -> dict[str, list[str]]:
    """All values of each directive, in their order."""
    found: dict[str, list[str]] = {}
    for line in open(unit):
        name, separator, value = line.strip().partition("=")
        if separator and not name.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def members(group: str) -> set[str]:
    """The calls of a group, and of the groups in it."""
    if not group.startswith("@"):
        return {group}
    said = subprocess.run(["systemd-analyze", "syscall-filter", group], text=True, capture_output=True, check=True).stdout
    words = [line.strip() for line in said.splitlines() if line.startswith("    ") and not line.strip().startswith("#")]
    return set().union(*(members(word) for word in words))


def allowed(lines: list[str]) -> set[str]:
    """As systemd.exec(5) has it: the first line is a list of what is allowed, those with ~ take away."""
    calls = members("@default")
    for line in lines:
        named = set().union(*(members(word) for word in line.lstrip("~").split()))
        calls = calls - named if line.startswith("~") else calls | named
    return calls


def main() -> None:
    unit, *program = sys.argv[1:]
    has = directives(unit)
    special = {"mmap", "mprotect", "pkey_mprotect", "socket"}
    filter = SyscallFilter(KILL_PROCESS)
    calls = allowed(has["SystemCallFilter"])
    assert "mount" not in calls and "openat" in calls, "the lists were read"
    for call in calls - special:
        try:
            filter.add_rule(ALLOW, call)
        except (OSError, RuntimeError, ValueError):
            pass  # of another architecture
    assert has["MemoryDenyWriteExecute"] == ["yes"]
    # Either not writable or not executable; made executable never.
    for writable_or_executable in (0, mmap.PROT_WRITE, mmap.PROT_EXEC):
        both = mmap.PROT_WRITE | mmap.PROT_EXEC
        filter.add_rule(ALLOW, "mmap", Arg(2, MASKED_EQ, both, writable_or_executable))
    filter.add_rule(ALLOW, "mprotect", Arg(2, MASKED_EQ, mmap.PROT_EXEC, 0))
    for family in has["RestrictAddressFamilies"][0].split():
        filter.add_rule(ALLOW, "socket", Arg(0, EQ, getattr(socket, family)))
    os.closerange(3, 100)
    filter.load()
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
