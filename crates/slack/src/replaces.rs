//! Which held calls a newer one replaces: only those of which it says everything anew.
//!
//! Slack's edits are seldom whole. An update of a message keeps the blocks that it does not name, a
//! profile the fields. So a newer call replaces an older one only if nothing is lost by that:
//!
//! - each argument of the older one is also in the newer one;
//! - what is *content* may have another value, and what is a *map* of fields has each field of the older
//!   one; every other argument has the same value in both;
//! - neither has an argument that makes its success depend on what was there before (a `hash`).
//!
//! An empty value is no content, unless the documentation says what it means: whether Slack takes it for
//! one that is not there is not known for most arguments.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use aws_lc_rs::digest;
use serde_json::{Map, Value};

/// By what a newer call of a method replaces an older one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replaces {
    /// Arguments whose value the call replaces as a whole.
    pub content: Box<[Arc<str>]>,
    /// Arguments that are maps, of which the call replaces the fields that it has.
    pub fields: Box<[Arc<str>]>,
    /// Those of the content that may be empty: that has a meaning.
    pub may_be_empty: Box<[Arc<str>]>,
    /// Arguments that no call has that is replaced or replaces.
    pub never_with: Box<[Arc<str>]>,
}

/// What a call sets, as far as it decides which call may replace which. It keeps no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sets(BTreeMap<Box<str>, Set>);

/// What a call sets with one argument.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Set {
    /// All of it; whether nothing was said with it.
    Content { empty: bool },
    /// These fields, by their names from the outermost in.
    Fields(BTreeSet<Digest>),
    /// Exactly that value.
    Value(Digest),
}

type Digest = [u8; 16];

/// So many arguments, and fields in all, are compared. What has more is not replaced.
const MOST: usize = 256;

/// So deep may fields be.
const DEEP: usize = 8;

// === impl Replaces ===

impl Replaces {
    /// What a call sets with all its arguments; absent if it neither replaces nor is replaced. The value
    /// of one that is null is absent.
    pub fn sets<'a>(
        &self,
        arguments: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Option<Sets> {
        let among = |names: &[Arc<str>], name: &str| names.iter().any(|it| **it == *name);
        let mut sets = BTreeMap::new();
        let mut fields = 0;
        for (name, value) in arguments {
            if among(&self.never_with, name) {
                return None;
            }
            let set = if among(&self.content, name) {
                let empty = value.is_none_or(str::is_empty) && !among(&self.may_be_empty, name);
                Set::Content { empty }
            } else {
                let map = value.filter(|_| among(&self.fields, name)).and_then(map_of);
                match map {
                    Some(map) => {
                        let mut found = BTreeSet::new();
                        add_fields(&map, &mut String::new(), 0, &mut found)?;
                        fields += found.len();
                        Set::Fields(found)
                    }
                    None => Set::Value(digest_of(value)),
                }
            };
            sets.insert(name.into(), set);
            if sets.len() + fields > MOST {
                return None;
            }
        }
        Some(Sets(sets))
    }
}

// === impl Sets ===

impl Sets {
    /// Whether a call that sets these leaves nothing of one that sets the others.
    pub fn cover(&self, older: &Self) -> bool {
        older.0.iter().all(|(name, older)| match (self.0.get(name), older) {
            (Some(Set::Content { empty }), Set::Content { empty: was }) => !empty || *was,
            (Some(Set::Fields(newer)), Set::Fields(older)) => newer.is_superset(older),
            (Some(newer), older) => newer == older,
            (None, _) => false,
        })
    }
}

/// A map that is written as JSON. Of fields with one name the last counts, as in nearly every parser.
fn map_of(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(text).ok()
}

/// Adds the names of all fields, those of maps in maps too. Nothing if they are too many or too deep.
fn add_fields(
    map: &Map<String, Value>,
    path: &mut String,
    depth: usize,
    found: &mut BTreeSet<Digest>,
) -> Option<()> {
    if depth > DEEP {
        return None;
    }
    for (name, value) in map {
        let before = path.len();
        // As JSON writes it, so that no name looks like two.
        path.push_str(&Value::from(name.as_str()).to_string());
        match value {
            Value::Object(map) if !map.is_empty() => add_fields(map, path, depth + 1, found)?,
            _ => {
                found.insert(digest_of(Some(path)));
            }
        }
        path.truncate(before);
        if found.len() > MOST {
            return None;
        }
    }
    Some(())
}

fn digest_of(text: Option<&str>) -> Digest {
    let mut short = Digest::default();
    if let Some(text) = text {
        let whole = digest::digest(&digest::SHA256, text.as_bytes());
        short.iter_mut().zip(whole.as_ref()).for_each(|(to, from)| *to = *from);
    }
    short
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(names: &[&str]) -> Box<[Arc<str>]> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    fn update() -> Replaces {
        Replaces { content: names(&["text", "blocks"]), ..Replaces::default() }
    }

    fn replaces(by: &Replaces, older: &[(&str, &str)], newer: &[(&str, &str)]) -> bool {
        let sets = |call: &[(&str, &str)]| {
            by.sets(
                call.iter().map(|(name, value)| (*name, Some(*value).filter(|it| *it != "null"))),
            )
        };
        match (sets(older), sets(newer)) {
            (Some(older), Some(newer)) => newer.cover(&older),
            _ => false,
        }
    }

    /// Red when a part that the newer one does not name is lost, and when one that is no content may differ.
    #[test]
    fn an_update_replaces_what_it_says_anew() {
        let text = |text| vec![("channel", "C1"), ("ts", "1.2"), ("text", text)];
        assert!(replaces(&update(), &text("a"), &text("b")));
        let both = [text("b"), vec![("blocks", "[]")]].concat();
        assert!(replaces(&update(), &text("a"), &both));
        assert!(!replaces(&update(), &both, &text("b")), "the blocks would be lost");
        let broadcast = [text("a"), vec![("reply_broadcast", "true")]].concat();
        assert!(!replaces(&update(), &broadcast, &text("b")), "nobody would hear of it");
        let again = [text("c"), vec![("reply_broadcast", "true")]].concat();
        assert!(replaces(&update(), &broadcast, &again));
        let not = [text("c"), vec![("reply_broadcast", "false")]].concat();
        assert!(!replaces(&update(), &broadcast, &not));
    }

    #[test]
    fn an_empty_value_is_no_content_unless_it_means_something() {
        for empty in ["", "null"] {
            assert!(!replaces(&update(), &[("text", "a")], &[("text", empty)]), "{empty:?}");
            assert!(replaces(&update(), &[("text", empty)], &[("text", empty)]), "{empty:?}");
            assert!(replaces(&update(), &[("text", empty)], &[("text", "a")]), "{empty:?}");
        }
        let status = names(&["status"]);
        let by = Replaces { content: status.clone(), may_be_empty: status, ..Replaces::default() };
        assert!(replaces(&by, &[("status", "thinking")], &[("status", "")]));
    }

    /// Red when a map is one value, and when the fields of a map in it are not looked at.
    #[test]
    fn a_profile_replaces_the_fields_that_it_has() {
        let by = Replaces { fields: names(&["profile"]), ..Replaces::default() };
        let of =
            |older: &str, newer: &str| replaces(&by, &[("profile", older)], &[("profile", newer)]);
        let (text, both) =
            (r#"{"status_text":"a"}"#, r#"{"status_emoji":":x:", "status_text":"b"}"#);
        assert!(of(text, both) && of(text, text));
        assert!(!of(both, text));
        let (one, two) =
            (r#"{"fields":{"X1":{"value":"a"}}}"#, r#"{"fields":{"X2":{"value":"a"}}}"#);
        assert!(of(one, one) && !of(one, two) && !of(two, one));
        assert!(!of(one, r#"{"fields":{}}"#) && !of(one, r#"{"fields":null}"#));
        assert!(!of("[1]", "[2]") && of("[1]", "[1]"), "what is no map is a value");
        assert!(!of(r#"{"a":{"b":1}}"#, r#"{"a\"\"b":1}"#), "no name looks like two");
    }

    #[test]
    fn what_depends_on_what_was_there_is_left_alone() {
        let by = Replaces {
            content: names(&["view"]),
            never_with: names(&["hash"]),
            ..Replaces::default()
        };
        assert!(replaces(&by, &[("view", "a")], &[("view", "b")]));
        assert!(!replaces(&by, &[("view", "a"), ("hash", "1")], &[("view", "b"), ("hash", "1")]));
        assert!(!replaces(&by, &[("view", "a")], &[("view", "b"), ("hash", "1")]));
    }

    #[test]
    fn what_is_large_is_not_compared() {
        let many: Vec<String> = (0..=MOST).map(|i| format!("a{i}")).collect();
        let call = || many.iter().map(|name| (name.as_str(), Some("1")));
        assert_eq!(update().sets(call()), None);
        let by = Replaces { fields: names(&["profile"]), ..Replaces::default() };
        let deep = format!("{}1{}", r#"{"a":"#.repeat(12), "}".repeat(12));
        assert_eq!(by.sets([("profile", Some(&*deep))]), None);
        let wide: Vec<String> = many.iter().map(|name| format!("\"{name}\":1")).collect();
        assert_eq!(by.sets([("profile", Some(&*format!("{{{}}}", wide.join(","))))]), None);
    }

    proptest! {
        /// Whatever replaces whatever: a call that is laid over the older one gives the same as the newer
        /// alone, where an argument keeps what no later call says of it.
        #[test]
        fn nothing_that_the_older_said_is_lost(
            older in prop::collection::btree_map("text|blocks|as_user|x", "[ab]?", 0..4),
            newer in prop::collection::btree_map("text|blocks|as_user|x", "[ab]?", 0..4),
        ) {
            let sets = |call: &BTreeMap<String, String>| {
                let arguments = call.iter().map(|(name, value)| (name.as_str(), Some(value.as_str())));
                update().sets(arguments).unwrap()
            };
            if sets(&newer).cover(&sets(&older)) {
                // An empty value may count as none.
                let filled = |call: &BTreeMap<String, String>| {
                    let mut call = call.clone();
                    call.retain(|_, value| !value.is_empty());
                    call
                };
                for fill in [BTreeMap::clone as fn(&BTreeMap<_, _>) -> BTreeMap<_, _>, filled] {
                    let (mut laid, newer) = (fill(&older), fill(&newer));
                    laid.extend(newer.clone());
                    prop_assert_eq!(laid, newer);
                }
            }
        }
    }
}
