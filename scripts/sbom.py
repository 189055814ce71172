#!/usr/bin/env python3
"""Writes the list of parts (SBOM) of a release's binary, in CycloneDX:

    scripts/sbom.py --target x86_64-unknown-linux-gnu dist/slackwater-0.1.0-linux-amd64.cdx.json

cargo-cyclonedx finds the parts. It also lists what builds them, and optional crates that nobody has switched on, with
paths of this machine: those are taken out, so that what remains is what `cargo tree` says of the binary. What is part
of the binary and no crate is put in. The same commit gives the same file.

Needs Python 3.11, cargo and cargo-cyclonedx 0.5.9 (`cargo install --locked cargo-cyclonedx@0.5.9`).
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UPLOT = "src/admin/page/uPlot.iife.min.js"


class Wrong(Exception):
    """The list would not be true."""


def uplot(text: str) -> dict:
    """The one part that is no crate, from the first line of its source."""
    if not (found := re.match(r"/\*! (https://\S+) \(v([\d.]+)\) \*/", text)):
        raise Wrong(f"{UPLOT} does not begin with its address and version")
    url, version = found.groups()
    purl = f"pkg:npm/uplot@{version}"
    return {"type": "library", "bom-ref": purl, "name": "uPlot", "version": version, "scope": "required",
            "licenses": [{"expression": "MIT"}], "purl": purl, "externalReferences": [{"type": "vcs", "url": url}]}


def of_the_workspace(part: dict, listed: dict) -> None:
    """A crate of this repository is known by its name, and not by where it lies."""
    path, purl = part["bom-ref"], f"pkg:cargo/{part['name']}@{part['version']}"
    part |= {"bom-ref": purl, "purl": purl}
    part.pop("components", None)
    for entry in listed["dependencies"]:
        entry["ref"] = purl if entry["ref"] == path else entry["ref"]
        entry["dependsOn"] = [purl if ref == path else ref for ref in entry.get("dependsOn", [])]


def prune(listed: dict, linked: set[str], others: list[dict]) -> dict:
    """The list with the crates in `linked` (`name version`) and the others alone, and without paths."""
    for part in listed["components"]:
        if part["bom-ref"].startswith("path+file:"):
            of_the_workspace(part, listed)
    own = listed["metadata"]["component"]
    known = {f"{part['name']} {part['version']}": part for part in listed["components"]}
    if missing := sorted(linked - set(known)):
        raise Wrong(f"cargo-cyclonedx did not list {', '.join(missing)}")
    parts = [part for name, part in known.items() if name in linked]
    for part in parts:
        part["scope"] = "required"
        if not part.get("licenses"):
            raise Wrong(f"{part['name']} {part['version']} has no licence")
    kept = {part["bom-ref"] for part in parts}

    path, purl = own["bom-ref"], f"pkg:cargo/{own['name']}@{own['version']}"
    own = {name: value for name, value in own.items() if name != "components"} | {"bom-ref": purl, "purl": purl}
    needs = [{"ref": purl if entry["ref"] == path else entry["ref"],
              "dependsOn": [ref for ref in entry.get("dependsOn", []) if ref in kept]}
             for entry in listed["dependencies"] if entry["ref"] in kept | {path}]
    for entry in needs:
        if entry["ref"] == purl:
            entry["dependsOn"] += [other["bom-ref"] for other in others]
    needs += [{"ref": other["bom-ref"], "dependsOn": []} for other in others]

    pruned = listed | {"metadata": listed["metadata"] | {"component": own}, "components": parts + others,
                       "dependencies": needs}
    if local := re.search(r"[^\"]*file:[^\"]*", json.dumps(pruned)):
        raise Wrong(f"a path is in it: {local[0]}")
    return pruned


def said(*command: str, **variables: str) -> str:
    return subprocess.run(command, cwd=ROOT, env=os.environ | variables, text=True, check=True, stdout=subprocess.PIPE).stdout


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--target", required=True, help="for which the binary is built")
    arguments.add_argument("file", type=Path, help="where to write it")
    asked = arguments.parse_args()

    name = f"sbom-{asked.target}"
    made = ROOT / f"{name}.json"
    try:
        said("cargo", "cyclonedx", "--format", "json", "--spec-version", "1.5", "--target", asked.target,
             "--override-filename", name, SOURCE_DATE_EPOCH=said("git", "log", "-1", "--format=%ct").strip())
        listed = json.loads(made.read_text())
    finally:
        # One for each crate of the workspace.
        for other in [made, *ROOT.glob(f"crates/*/{name}.json")]:
            other.unlink(missing_ok=True)
    tree = said("cargo", "tree", "--locked", "--edges", "normal", "--target", asked.target, "--prefix", "none", "--format", "{p}")
    linked = {" ".join(line.split()[:2]).replace(" v", " ") for line in tree.splitlines() if line}
    linked.remove(f"slackwater {listed['metadata']['component']['version']}")
    pruned = prune(listed, linked, [uplot((ROOT / UPLOT).read_text())])
    asked.file.write_text(json.dumps(pruned, indent=2) + "\n")
    print(f"{asked.file}: {len(pruned['components'])} parts")


if __name__ == "__main__":
    try:
        main()
    except (Wrong, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"scripts/sbom.py: {error}")
