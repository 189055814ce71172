#!/usr/bin/env python3
"""Tests of scripts/catalogue.py and of the data it reads: scripts/test_catalogue.py."""

import copy
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import catalogue

ROWS, OVERRIDES = catalogue.read(catalogue.ROOT)
BUILT = catalogue.build(ROWS, OVERRIDES)
METHODS = BUILT["methods"]


def reads():
    return {name for name, method in METHODS.items() if method.get("reads")}


class TheData(unittest.TestCase):
    def test_the_committed_catalogue_is_what_the_data_says(self):
        script = catalogue.ROOT / "scripts" / "catalogue.py"
        check = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
        self.assertEqual(check.returncode, 0, check.stderr)

    def test_every_method_of_the_table_is_in_it(self):
        self.assertEqual(set(METHODS), {row["method"] for row in ROWS})

    def test_no_write_is_a_read(self):
        # The first word of a method's last part: `add` of addAlias, `set` of setTopic.
        writes = (
            "accept acknowledge add append approve archive assign bulkArchive bulkDelete bulkMove"
            " bulkPut bulkSet bulkUpdate cancel clear close complete connect convert create"
            " decline delete deny disable disconnect edit enable end invalidate invite join kick"
            " leave link mark me open post present publish push put remove rename request reset"
            " restrict revoke rotate schedule set share start stop unarchive unfurl uninstall"
            " unlink unpublish update upload"
        ).split()
        for method in sorted(reads()):
            last = method.rsplit(".", 1)[-1]
            for word in writes:
                rest = last.removeprefix(word)
                self.assertFalse(rest != last and not rest[:1].islower(), method)

    def test_gets_that_write_and_posts_that_read(self):
        for method in (
            "admin.conversations.restrictAccess.addGroup",
            "admin.conversations.restrictAccess.removeGroup",
            "admin.emoji.add",
            "admin.emoji.remove",
            "admin.teams.settings.setIcon",
            "apps.connections.open",
            "auth.revoke",
            "conversations.declineSharedInvite",
            "files.getUploadURLExternal",
            "files.remote.share",
            "oauth.v2.access",
            "rtm.connect",
            "rtm.start",
            "users.deletePhoto",
        ):
            self.assertNotIn(method, reads())
        for method in ("auth.test", "bookmarks.list", "conversations.history", "admin.users.list"):
            self.assertIn(method, reads())

    def test_posting_is_a_message_a_second_per_channel_and_300_a_minute(self):
        post = METHODS["chat.postMessage"]
        self.assertEqual((post["tier"], post["channel"]), ("special", "channel"))
        self.assertEqual(post["in_order"], ["channel", "thread_ts"])
        per_channel, per_workspace = post["limits"]
        self.assertEqual(per_channel["age_from"], "send")
        self.assertEqual((per_channel["limit"], per_channel["per"]), (1, "1s"))
        self.assertEqual((per_workspace["limit"], per_workspace["per"]), (300, "1m"))

    def test_what_replaces_something_is_in_order(self):
        # By the first word of a method's last part. What is not, has its reason in the data: it is
        # about a list of things, or no source tells of its arguments.
        words = ("append clear disable edit enable mark pin remove rename set stop unarchive unpin"
                 " update").split()  # fmt: skip
        retired = ("channels.", "groups.", "im.", "mpim.", "stars.", "users.admin.",
                   "admin.conversations.whitelist.")  # fmt: skip
        others = {
            "admin.audit.anomaly.allow.updateItem",
            "admin.users.session.clearSettings",
            "admin.users.session.setSettings",
            "admin.workflows.collaborators.remove",
            "admin.workflows.triggers.types.permissions.set",
            "apps.icon.set",
            "developer.apps.owners.remove",
            "files.comments.edit",
            "files.edit",
            "users.setActive",
        }
        found = set()
        for name, method in METHODS.items():
            last = name.rsplit(".", 1)[-1]
            rests = [last.removeprefix(word) for word in words]
            replaces = any(rest != last and not rest[:1].islower() for rest in rests)
            if replaces and "in_order" not in method and not name.startswith(retired):
                found.add(name)
        self.assertEqual(found, others)

    def test_the_incident_is_in_it(self):
        close = METHODS["conversations.close"]
        self.assertEqual(close["tier"], "tier2")
        self.assertEqual(close["limits"], [
            {"name": "close_app_wide", "limit": 1, "per": "1s", "scope": ["app"]},
        ])  # fmt: skip

    def test_modals_are_held_no_longer_than_their_trigger_lives(self):
        for method in ("views.open", "views.push", "dialog.open"):
            self.assertEqual(METHODS[method]["class"], "interactive")
            self.assertLess(catalogue.seconds(METHODS[method]["max_wait"]), 3)


class Mistakes(unittest.TestCase):
    """Each is the real data with one thing wrong, and is refused with these words."""

    def refused(self, words, rows=ROWS, **changes):
        overrides = copy.deepcopy(OVERRIDES)
        for path, value in changes.items():
            *tables, key = path.split("__")
            table = overrides
            for name in tables:
                table = table[name]
            if value is None:
                del table[key]
            else:
                table[key] = value
        with self.assertRaises(catalogue.Mistakes) as raised:
            catalogue.build(rows, overrides)
        self.assertIn(words, str(raised.exception))

    def test_a_figure_without_a_source(self):
        for where in (
            "tiers__tier1", "unknown_method", "apps__unlisted", "limits__post_per_channel",
            "limits__bookmarks_at_once",
        ):  # fmt: skip
            for source in (None, "", " "):
                self.refused(f"{where.replace('__', '.')}: a figure without a source",
                             **{f"{where}__source": source})  # fmt: skip
        views = {"max_wait": "1.5s"}
        self.refused("views.open: a figure without a source", methods={"views.open": views})
        client = {"name": "x", "user_agent": "x", "max_wait": "1s"}
        self.refused("clients: x: a figure without a source", clients=[client])
        client["source"] = "somebody said so"
        self.refused("clients: x: the source has no address", clients=[client])

    def test_impossible_clients(self):
        client = {"name": "x", "user_agent": "x", "max_wait": "1s", "source": "https://example.org"}
        for words, change in (
            ("clients: x: nobody knows max_wiat", {"max_wiat": "1s"}),
            ("clients: x: neither user_agent nor headers", {"user_agent": ""}),
            ("clients: x: 'Accept' is no name of a header", {"headers": {"Accept": "present"}}),
            ("clients: x: keep_alive 'interval' is none of interim, none", {"keep_alive": "interval"}),
            ("clients: x: max_wait 'soon' is no duration", {"max_wait": "soon"}),
            ("clients: x: max_wait is not below read_timeout", {"read_timeout": "1s"}),
            ("clients: x: max_wait is not below total_timeout", {"total_timeout": "0.5s"}),
            ("clients: x: read_timeout and total_timeout", {"read_timeout": "2s", "total_timeout": "2s"}),
            ("clients: x: no interim response", {"total_timeout": "2s", "keep_alive": "interim"}),
        ):
            self.refused(words, clients=[{**client, **change}])
        self.refused("clients: x is there twice", clients=[client, client])

    def test_names_that_the_table_has_not(self):
        self.refused("no method chat.shout", **{"methods__chat.shout": {}})
        self.refused("no method chat.list", reads__methods=["chat.list"])
        self.refused("no method chat.list", **{"apps__unlisted__methods__chat.list": {}})

    def test_impossible_limits(self):
        limit = "limits__post_per_channel__"
        self.refused("scope team is none of", **{limit + "scope": ["team"]})
        self.refused("scope app is there twice", **{limit + "scope": ["app", "app"]})
        self.refused("scope is empty", **{limit + "scope": []})
        self.refused("age_from = send is only for", **{limit + "tolerates": None})
        self.refused("tolerates is a burst above", **{limit + "tolerates": 1})
        self.refused("burst is below the limit", **{limit + "burst": 1})
        self.refused("age_from 'sent' is none of", **{limit + "age_from": "sent"})
        self.refused("limit 0 is no whole number", **{limit + "limit": 0})
        self.refused("limit 0.5 is no whole number", **{limit + "limit": 0.5})
        self.refused("per '1 minute' is no duration", **{limit + "per": "1 minute"})
        self.refused("nobody knows brust", **{limit + "brust": 1})
        self.refused("nobody knows limit", limits__bookmarks_at_once__limit=1)

    def test_a_name_has_one_definition(self):
        self.refused("limits.tier2: a tier's limit has that name",
                     limits__tier2=OVERRIDES["limits"]["permalink"])  # fmt: skip
        with tempfile.TemporaryDirectory() as root:
            (Path(root) / "data").mkdir()
            (Path(root) / catalogue.METHODS).write_text("method,tier,per_minute,notes,source\n")
            twice = "[limits.a]\nlimit = 1\n[limits.a]\nlimit = 2\n"
            (Path(root) / catalogue.OVERRIDES).write_text(twice)
            with self.assertRaises(catalogue.Mistakes) as raised:
                catalogue.read(Path(root))
        self.assertIn("data/overrides.toml: ", str(raised.exception))

    def test_limits_without_methods_and_methods_without_limits(self):
        self.refused("limits.spare: no method is under it",
                     limits__spare=OVERRIDES["limits"]["permalink"])  # fmt: skip
        self.refused("limit spare is not defined", **{"methods__pins.add": {"limits": ["spare"]}})
        self.refused("auth.test: tier special, but no limit", **{"methods__auth.test": {}})

    def test_limits_that_count_by_an_argument_that_nobody_named(self):
        self.refused("users.info: a limit counts by channel",
                     **{"methods__users.info": {"limits": ["post_per_channel"]}})  # fmt: skip
        self.refused("users.info: user is named",
                     **{"methods__users.info": {"user": "user"}})  # fmt: skip

    def test_orders_that_cannot_be(self):
        order = {"by": ["channel"], "why": "because", "methods": ["chat.update"]}
        for text, change in (
            ("has no method chat.updaet", {"methods": ["chat.updaet"]}),
            ("users.info only reads", {"methods": ["users.info"]}),
            ("by is a list of arguments", {"by": []}),
            ("by is a list of arguments", {"by": ["Channel"]}),
            ("more than 6 arguments", {"by": ["a|b", "c|d", "e|f", "g"]}),
            ("an order without a reason", {"why": " "}),
        ):
            self.refused(text, in_order=[{**order, **change}])
        self.refused("chat.update is there twice", in_order=[order, {**order, "by": ["ts"]}])
        self.refused("in_order by ['channel'] is there twice",
                     in_order=[order, {**order, "methods": ["pins.add"]}])  # fmt: skip

    def test_edits_that_cannot_be(self):
        edit = {"methods": ["chat.update"], "content": ["text"], "source": "a page"}
        for text, change in (
            ("has no method chat.updaet", {"methods": ["chat.updaet"]}),
            ("chat.scheduleMessage is not in_order", {"methods": ["chat.scheduleMessage"]}),
            ("neither content nor fields", {"content": []}),
            ("'Text' is no name", {"content": ["Text"]}),
            ("'a|b' is no name", {"content": ["a|b"]}),
            ("the argument text is there twice", {"fields": ["text"]}),
            ("blocks of may_be_empty is no content", {"may_be_empty": ["blocks"]}),
            ("a figure without a source", {"source": " "}),
        ):
            self.refused(text, edits=[{**edit, **change}])
        self.refused("chat.update is there twice", edits=[edit, edit])

    def test_writes_that_make_nothing_old(self):
        drop = {"writes": ["users.profile.set"], "reads": ["users.info"]}
        for text, change in (
            ("has no method users.inf", {"reads": ["users.inf"]}),
            ("users.setPhoto is no read", {"reads": ["users.setPhoto"]}),
            ("users.list only reads", {"writes": ["users.list"]}),
            ("read_by and write_by belong together", {"read_by": "user"}),
            ("'USER' is no name", {"read_by": "USER", "write_by": "user"}),
        ):
            self.refused(text, drops=[{**drop, **change}])

    def test_reads_that_nobody_decided_on(self):
        less = [method for method in OVERRIDES["reads"]["methods"] if method != "users.info"]
        self.refused("users.info is not listed as a read", reads__methods=less)
        more = [*OVERRIDES["reads"]["methods"], "auth.revoke"]
        self.refused("auth.revoke is listed as a read", reads__methods=more)

    def test_the_table_and_the_overrides_contradict_each_other(self):
        self.refused("auth.test: data/slack-methods.csv has 600 a minute",
                     limits__auth_test__limit=60)  # fmt: skip
        row = {"method": "a.list", "tier": "tier5", "per_minute": "", "notes": "", "source": ""}
        self.refused("a.list: tier 'tier5' is none of Slack's", rows=[*ROWS, row])
        self.refused(f"{ROWS[0]['method']} is there twice", rows=[*ROWS, ROWS[0]])

    def test_every_problem_is_told_at_once(self):
        overrides = copy.deepcopy(OVERRIDES)
        del overrides["limits"]["permalink"]["source"]
        overrides["limits"]["auth_test"]["per"] = "soon"
        with self.assertRaises(catalogue.Mistakes) as raised:
            catalogue.build(ROWS, overrides)
        problems = "\n".join(raised.exception.problems)
        self.assertIn("limits.permalink", problems)
        self.assertIn("limits.auth_test", problems)


if __name__ == "__main__":
    unittest.main()
