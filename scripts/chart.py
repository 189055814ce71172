#!/usr/bin/env python3
"""Writes the list of values in deploy/helm/slackwater/README.md from values.yaml beside it.

    scripts/chart.py            write it anew
    scripts/chart.py --check    exit with 1 if it is not what would be written

Each value has a comment directly above it, which becomes its row. A key without a comment is a group of
values.

Needs Python 3.11 and nothing else.
"""

import argparse
import re
import sys
from pathlib import Path

CHART = Path(__file__).resolve().parent.parent / "deploy/helm/slackwater"
BEGIN, END = "<!-- scripts/chart.py writes this list -->\n", "<!-- the end of the list -->\n"

# A longer default is not shown.
LONGEST = 40


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if stale")
    check = parser.parse_args().check
    readme = CHART / "README.md"
    text = readme.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    new = before + BEGIN + table(values((CHART / "values.yaml").read_text())) + END + after
    if not check:
        readme.write_text(new)
    elif new != text:
        print(f"{readme} is stale: run scripts/chart.py", file=sys.stderr)
        return 1
    return 0


def values(text):
    """The path, default and comment of each value, in their order."""
    lines, found, at = text.splitlines(), [], 0
    groups, comment = [], []
    while at < len(lines):
        line, at = lines[at], at + 1
        depth = (len(line) - len(line.lstrip())) // 2
        if line.lstrip().startswith("# "):
            comment.append(line.lstrip()[2:])
            continue
        if not line.strip():
            comment = []
            continue
        key, default = re.fullmatch(r"([A-Za-z]+):(.*)", line.strip()).groups()
        groups = [*groups[:depth], key]
        path = ".".join(groups)
        if not comment:
            if default:
                raise SystemExit(f"values.yaml:{at}: {path} has no comment")
            continue
        below = []
        while at < len(lines) and lines[at].strip() and len(lines[at]) - len(lines[at].lstrip()) > 2 * depth:
            below.append(lines[at].strip())
            at += 1
        found.append((path, shown(default.strip(), below), " ".join(comment)))
        comment = []
    return found


def shown(default, below):
    if len(below) == 1:
        default = f"{{{below[0]}}}"
    return f"`{default}`" if default and len(default) <= LONGEST else "see [values.yaml](values.yaml)"


def table(rows):
    lines = ["| value | default | |", "|---|---|---|"]
    lines += [f"| `{path}` | {default} | {comment.replace('|', '&#124;')} |" for path, default, comment in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
