#!/usr/bin/env python3
"""Tests of scripts/sbom.py: scripts/test_sbom.py."""

import copy
import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import sbom

PATH = "path+file:///home/somebody/slackwater#slackwater@1.2.3"


def part(name, **more):
    return {"bom-ref": f"crates.io#{name}@1.0.0", "name": name, "version": "1.0.0", "scope": "excluded",
            "licenses": [{"expression": "MIT"}]} | more


# As cargo-cyclonedx writes it: a crate that is linked, one that builds it, one that is switched off.
LISTED = {
    "metadata": {"component": {"bom-ref": PATH, "name": "slackwater", "version": "1.2.3",
                               "purl": "pkg:cargo/slackwater@1.2.3?download_url=file://.",
                               "components": [{"purl": "pkg:cargo/slackwater@1.2.3?download_url=file://.#src/lib.rs"}]}},
    "components": [part("linked"), part("builder"), part("off")],
    "dependencies": [{"ref": PATH, "dependsOn": ["crates.io#builder@1.0.0", "crates.io#linked@1.0.0"]},
                     {"ref": "crates.io#linked@1.0.0", "dependsOn": ["crates.io#off@1.0.0"]},
                     {"ref": "crates.io#builder@1.0.0"}, {"ref": "crates.io#off@1.0.0"}],
}
PLOTS = sbom.uplot("/*! https://example.com/uplot (v9.8.7) */\n")


class TheList(unittest.TestCase):
    def test_it_has_what_is_linked_and_nothing_else(self):
        pruned = sbom.prune(copy.deepcopy(LISTED), {"linked 1.0.0"}, [PLOTS])
        self.assertEqual([(part["name"], part["scope"]) for part in pruned["components"]],
                         [("linked", "required"), ("uPlot", "required")])
        self.assertEqual(pruned["dependencies"], [
            {"ref": "pkg:cargo/slackwater@1.2.3", "dependsOn": ["crates.io#linked@1.0.0", "pkg:npm/uplot@9.8.7"]},
            {"ref": "crates.io#linked@1.0.0", "dependsOn": []},
            {"ref": "pkg:npm/uplot@9.8.7", "dependsOn": []},
        ])

    def test_it_has_no_path_of_this_machine(self):
        pruned = json.dumps(sbom.prune(copy.deepcopy(LISTED), {"linked 1.0.0"}, [PLOTS]))
        self.assertNotIn("file:", pruned)
        self.assertNotIn("somebody", pruned)
        listed = copy.deepcopy(LISTED)
        listed["components"][0]["purl"] = "pkg:cargo/linked@1.0.0?download_url=file://.."
        with self.assertRaisesRegex(sbom.Wrong, "a path is in it: .*linked"):
            sbom.prune(listed, {"linked 1.0.0"}, [])

    def test_a_crate_of_the_workspace_is_known_by_its_name(self):
        listed = copy.deepcopy(LISTED)
        where = "path+file:///home/somebody/slackwater/crates/limits#slackwater-limits@1.2.3"
        listed["components"].append(part("slackwater-limits") | {
            "bom-ref": where, "version": "1.2.3", "purl": "pkg:cargo/slackwater-limits@1.2.3?download_url=file://crates",
            "components": [{"purl": "pkg:cargo/slackwater-limits@1.2.3?download_url=file://crates#src/lib.rs"}]})
        listed["dependencies"][0]["dependsOn"].append(where)
        listed["dependencies"].append({"ref": where, "dependsOn": ["crates.io#linked@1.0.0"]})
        pruned = sbom.prune(listed, {"linked 1.0.0", "slackwater-limits 1.2.3"}, [])
        own = "pkg:cargo/slackwater-limits@1.2.3"
        self.assertIn(own, [part["bom-ref"] for part in pruned["components"]])
        self.assertIn({"ref": own, "dependsOn": ["crates.io#linked@1.0.0"]}, pruned["dependencies"])
        self.assertNotIn("file:", json.dumps(pruned))

    def test_what_is_linked_and_not_listed_is_an_error(self):
        with self.assertRaisesRegex(sbom.Wrong, "did not list forgotten 1.0.0"):
            sbom.prune(copy.deepcopy(LISTED), {"linked 1.0.0", "forgotten 1.0.0"}, [])

    def test_what_has_no_licence_is_an_error(self):
        listed = copy.deepcopy(LISTED)
        listed["components"][0]["licenses"] = []
        with self.assertRaisesRegex(sbom.Wrong, "linked 1.0.0 has no licence"):
            sbom.prune(listed, {"linked 1.0.0"}, [])

    def test_the_plots_of_the_live_page_are_found_in_their_source(self):
        found = sbom.uplot((sbom.ROOT / sbom.UPLOT).read_text())
        self.assertEqual((found["name"], found["licenses"]), ("uPlot", [{"expression": "MIT"}]))
        with self.assertRaisesRegex(sbom.Wrong, "its address and version"):
            sbom.uplot("var uPlot=1")


if __name__ == "__main__":
    unittest.main()
