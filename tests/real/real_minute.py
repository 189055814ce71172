"""Every client floods at Slack's real minute, with its own time-out and nothing scaled: what tests/real-minute runs.

It prints what came of each, and fails if that is not what docs/clients.md promises.
"""

import argparse
import shutil
import sys
import time

from alertmanager import Alertmanager
from fleet import CALLS, CLIENTS, FLEET, MESSAGES, REAL_MINUTE, Bout, Promise, flood, rows
from stand import REPO, FakeSlack, Process, Proxy

# As people call them.
ALIASES = {"node-8": "node"}
# Beyond what is promised, for a flood and for a click beside it.
LATE, CLICK = 6.0, 2.0
MODES = ("plain", "background", "set")


def promise(bout: Bout, promises: dict[str, Promise]) -> Promise:
    """What the documentation says; with another number of calls, that all come through if all of 60 do."""
    promised = promises[bout.mode]
    if bout.calls in (CALLS, MESSAGES) or promised.through != (CALLS, CALLS):
        return promised
    return Promise((bout.calls, bout.calls), None)


def judged(bout: Bout, promises: dict[str, Promise]) -> list[str]:
    wrong = bout.broken(promise(bout, promises), REAL_MINUTE, LATE)
    if bout.clicked is not None and bout.clicked > CLICK:
        wrong.append(f"a click took {bout.clicked:.1f} s")
    return [f"{bout.client.name}, {bout.mode}: {what}" for what in wrong]


def thirty_alerts() -> tuple[int, int]:
    """How many notifications of Alertmanager arrive, of thirty at once, and how many it gives up."""
    slack = FakeSlack(minute=REAL_MINUTE)
    proxy = Proxy(("/api/", slack.url), minute=REAL_MINUTE, beside=slack.url)
    alertmanager = Alertmanager(f"http://{proxy.listen}/services/T1/B1/secret", REAL_MINUTE)
    alertmanager.fire([f"Alert{n}" for n in range(MESSAGES)])
    _, lost = alertmanager.finish(MESSAGES, seconds=90)
    return len(slack.calls("webhook")), lost


def line(*cells: str) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, (16, 44, 20, 20, 20, 8))).rstrip()


def report(bouts: list[Bout]) -> str:
    lines = [line("client", "version", "nothing set", "background", "as documented", "a click")]
    for name in dict.fromkeys(bout.client.name for bout in bouts):
        modes = {bout.mode: bout for bout in bouts if bout.client.name == name}
        cells = [f"{b.through} of {b.calls} in {b.seconds:.0f} s" if (b := modes.get(mode)) else "" for mode in MODES]
        clicked = modes["plain"].clicked
        lines.append(line(name, modes["plain"].sdk.version, *cells, "" if clicked is None else f"{clicked:.2f} s"))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/real-minute", description=__doc__.split("\n")[0])
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help="these only; --list names them")
    parser.add_argument("--calls", type=int, default=CALLS, help="how many calls at once; 60 without it")
    parser.add_argument("--list", action="store_true", help="name the clients, and end")
    options = parser.parse_args()
    if options.list:
        print("\n".join(CLIENTS))
        return 0
    names = [ALIASES.get(name, name) for name in options.clients] or list(CLIENTS)
    if unknown := [name for name in names if name not in CLIENTS]:
        parser.error(f"there is no client {unknown[0]!r}; there are: {', '.join(CLIENTS)}")

    # Of each workspace 15 a minute in class background, and nobody waits for another one's.
    minutes = max(4.0, -(-options.calls // 15))
    print(f"{len(names)} clients send {options.calls} calls at once each; it takes {minutes + 0.5:.0f} minutes.", flush=True)
    # Not where tests/run writes, and what it empties.
    Process.log_dir = REPO / "target/tests/real-minute"
    shutil.rmtree(Process.log_dir, ignore_errors=True)
    start = time.monotonic()
    try:
        bouts = flood(names, REAL_MINUTE, options.calls, MODES)
        arrived, lost = (MESSAGES, 0) if options.clients else thirty_alerts()
    finally:
        Process.kill_all_since(0)
    print(report(bouts))
    promises = {client.name: row.promises for row in rows() for client in FLEET[row.client]}
    wrong = [what for bout in bouts for what in judged(bout, promises[bout.client.name])]
    if not options.clients:
        print(f"{arrived} of {MESSAGES} alerts of Alertmanager arrived.")
    if lost or arrived != MESSAGES:
        wrong.append(f"Alertmanager: {arrived} of {MESSAGES} alerts arrived, and {lost} were lost")
    print(f"\nSlack refused nothing. {time.monotonic() - start:.0f} s")
    if wrong:
        print("Not as docs/clients.md has it:", *wrong, sep="\n  ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
