"""Tests of scripts/mutate, without a build."""

import contextlib
import importlib.machinery
import importlib.util
import io
import unittest
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent


def load():
    """The script as a module; its name has no ending."""
    loader = importlib.machinery.SourceFileLoader("mutate", str(HERE / "mutate"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("mutate", loader))
    loader.exec_module(module)
    return module


mutate = load()


def mutation(**more):
    entry = {"name": "n", "promise": "p", "said": "README.md", "file": "scripts/mutating.py",
             "before": "def sources():", "after": "x", "what": "It breaks.",
             "test": "slackwater-scheduler window::tests::a_slot_ages_from_the_answer"}
    return mutate.Mutation({**entry, **more})


class Fits(unittest.TestCase):
    def problems(self, **more):
        return list(mutate.problems([mutation(**more)]))

    def test_one_that_fits_has_no_problems(self):
        self.assertEqual(self.problems(), [])

    def test_the_text_occurs_exactly_once(self):
        for before in ("no such text", "return"):
            self.assertIn("`before` occurs", self.problems(before=before)[0])

    def test_every_name_is_of_something(self):
        for key in ("said", "file"):
            self.assertEqual(self.problems(**{key: "no/such.md"}), ["n: there is no no/such.md"])
        two = list(mutate.problems([mutation(), mutation()]))
        self.assertEqual(two, ["n: two mutations have this name"])

    def test_a_test_is_found_where_its_path_says(self):
        for test in ("slackwater-scheduler tests::slots::a_lost_post_does_not_hold_up_the_next",
                     "slackwater-scheduler tests::whatever_happens_the_limits_hold",
                     "slackwater state::tests::whatever_byte_is_wrong_it_is_noticed",
                     "it drain::held_calls_are_shed_and_calls_in_flight_finish",
                     "tests/real/edges/test_shutdown.py::test_held_calls_are_answered_before_the_end"):
            self.assertTrue(mutate.exists(test), test)
        for test in ("slackwater-scheduler tests::slots::no_such_test",
                     "slackwater-scheduler window::a_slot_ages_from_the_answer",
                     # It is no test, but what tests use.
                     "slackwater-scheduler tests::slots::seconds",
                     "slackwater-scheduler tests::flood",
                     "it bodies::held_calls_are_shed_and_calls_in_flight_finish",
                     "tests/real/edges/test_shutdown.py::test_nothing"):
            self.assertFalse(mutate.exists(test), test)


class Failures(unittest.TestCase):
    def test_a_failure_is_told_by_its_panic(self):
        output = ("thread 'a::b' (12) panicked at src/a.rs:1:2:\nassertion failed: x\n"
                  "thread 'a::bc' panicked at src/a.rs:9:9:\nanother\n")
        self.assertEqual(mutate.why(output, "a::b"), "assertion failed: x")
        self.assertEqual(mutate.why(output, "a"), "no panic")


class Binaries:
    """Fails the tests of the mutations that are on, and others as they say."""

    def __init__(self, breaks=None):
        self.on, self.breaks, self.builds = [], breaks or {}, 0

    @contextlib.contextmanager
    def broken(self, mutations):
        self.on = [it.path for it in mutations]
        yield

    def build(self, _target):
        self.builds += 1

    def failed(self, _mutations):
        return {path: "" for on in self.on for path in self.breaks.get(on, [on])}, []


class Together(unittest.TestCase):
    def played(self, count=20, **breaks):
        """The names of those of which it is told that they are red, and how many builds that took."""
        mutations = [mutation(name=f"m{n}", before=f"text {n}.", test=f"slackwater m{n}") for n in range(count)]
        binaries = Binaries(breaks)
        with mock.patch.object(mutate, "broken", binaries.broken), contextlib.redirect_stdout(io.StringIO()):
            told = mutate.play_together(mutations, binaries)
        self.assertTrue(all(how == mutate.RED for how, _ in told.values()))
        return {name for name in told}, binaries.builds

    def test_twenty_take_six_builds(self):
        self.assertEqual(self.played(), ({f"m{n}" for n in range(20)}, 6))

    def test_what_stays_green_is_left_open(self):
        self.assertNotIn("m3", self.played(m3=[])[0])

    def test_a_test_that_another_mutation_breaks_is_left_open(self):
        for other in range(20):
            if other != 7:
                red, _ = self.played(**{f"m{other}": [f"m{other}", "m7"]})
                self.assertEqual({f"m{n}" for n in range(20)} - red, {"m7"}, other)
                # Also where its own mutation does nothing.
                red, _ = self.played(m7=[], **{f"m{other}": [f"m{other}", "m7"]})
                self.assertNotIn("m7", red)

    def test_few_are_played_alone(self):
        self.assertEqual(self.played(count=4), (set(), 0))


class Table(unittest.TestCase):
    def test_the_table_stands_between_its_marks(self):
        text = f"before\n{mutate.BEGIN}\nold\n{mutate.END}\nafter\n"
        written = mutate.with_table(text, [mutation(promise="a | b")])
        self.assertTrue(written.startswith(f"before\n{mutate.BEGIN}\n| promise |"), written)
        self.assertTrue(written.endswith(f"|\n{mutate.END}\nafter\n"), written)
        self.assertIn("a \\| b ([README.md](../README.md))", written)
        self.assertEqual(mutate.with_table(written, [mutation(promise="a | b")]), written)


if __name__ == "__main__":
    unittest.main()
