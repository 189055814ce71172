#!/usr/bin/env python3
"""Writes the licence texts of everything that is linked into slackwater, as their licences ask of whoever
passes the binary on.

    scripts/licences.py dist/linux-amd64/THIRD-PARTY.txt
    scripts/licences.py --target aarch64-unknown-linux-gnu FILE

It needs the sources that cargo has fetched, and nothing else. The output depends on Cargo.lock and the target
only. It fails if a part has no licence text: then TEXTS has to say which text is meant. Python 3.11.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
# How a file is called that has a licence's text, or what has to go with it.
FILES = re.compile(r"(licen[cs]e|copying|notice|copyright|unlicense)", re.IGNORECASE)
# Crates that name a licence and have no file with its text: where the text is.
TEXTS = {"Apache-2.0": REPO / "LICENSE-APACHE"}
# What is linked and is no crate: its name, its licence, and the file with the text.
BESIDE = [("uPlot", "MIT", REPO / "src/admin/page/uPlot.LICENSE")]
HEAD = """slackwater contains the software listed here. Each has the licence that stands beside it; the texts follow.
The Rust standard library is linked too: MIT OR Apache-2.0, copyright The Rust Project contributors; its texts
are those of LICENSE-MIT and LICENSE-APACHE of slackwater, with that copyright.
"""
RULE = "=" * 100


def cargo(*words: str) -> str:
    return subprocess.check_output(["cargo", *words], cwd=REPO, text=True)


def host() -> str:
    said = subprocess.check_output(["rustc", "-vV"], cwd=REPO, text=True)
    return re.search(r"^host: (\S+)$", said, re.M)[1]


def linked(target: str) -> set[tuple[str, str]]:
    """Name and version of each crate that is linked."""
    tree = cargo("tree", "-p", "slackwater", "--locked", "--edges", "normal", "--prefix", "none", "--target", target,
                 "--format", "{p}")
    return {match.groups() for line in tree.splitlines() if (match := re.match(r"(\S+) v(\S+)", line))}


def texts(folder: Path) -> list[str]:
    """The licences in a crate, those of what it has taken over included."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and FILES.match(file.name)
             and file.suffix not in (".rs", ".py", ".go", ".json", ".toml", ".h", ".c")
             # The sources of its tests are not linked.
             and not {"tests", "test", "target", "googletest"} & set(file.relative_to(folder).parts[:-1])]
    return [text.strip() for file in files if (text := file.read_text(errors="replace")).strip()]


def collect(target: str) -> tuple[list[str], dict[str, list[str]], list[str]]:
    """A line for each part, the names of the parts that have a text, and the parts that have none."""
    packages = {(one["name"], one["version"]): one
                for one in json.loads(cargo("metadata", "--format-version", "1", "--locked"))["packages"]}
    lines, by_text, missing = [], {}, []
    for key in sorted(linked(target)):
        package = packages[key]
        if package["source"] is None:
            continue
        name, licence = " ".join(key), package["license"] or "see its text"
        found = texts(Path(package["manifest_path"]).parent)
        if not found and licence in TEXTS:
            found = [TEXTS[licence].read_text().strip()]
        if not found:
            missing.append(f"{name} ({licence})")
        lines.append(f"{name}: {licence}")
        for text in found:
            by_text.setdefault(text, []).append(name)
    for name, licence, file in BESIDE:
        lines.append(f"{name}: {licence}")
        by_text.setdefault(file.read_text().strip(), []).append(name)
    return lines, by_text, missing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", help="for which the binary is built; else the machine's own")
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    lines, by_text, missing = collect(args.target or host())
    if missing:
        print("no licence text: " + ", ".join(missing), file=sys.stderr)
        return 1
    parts = [HEAD, "\n".join(lines), ""]
    for text, names in by_text.items():
        parts += [RULE, ", ".join(dict.fromkeys(names)), "", text, ""]
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text("\n".join(parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
