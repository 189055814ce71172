//! Ordering keys: which calls of one caller go one at a time, in the order in which they came.
//!
//! A method names the arguments that say what its calls change: the thread that a message is posted
//! to, the message that is updated. Their names and values are the ordering key of a call, and calls
//! of one key are in order. The names are part of it, so methods that name what they change by the
//! same arguments share their keys: an update of a message and its deletion. Methods that name it by
//! others do not: a post to a channel does not wait for a new topic.

use std::{iter, sync::Arc};

use aws_lc_rs::digest;

use crate::{holds_token, push_hex};

/// The arguments that say what a call changes, as `in_order` lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderingArguments(Box<[OrderingArgument]>);

/// One of them: alternatives, of which the first counts that a call has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderingArgument(Box<[Arc<str>]>);

/// In place of an argument: the call's token, whose own settings are changed.
const TOKEN: &str = "token";
/// In place of an argument: the method, where each changes something of its own.
const METHOD: &str = "method";

/// So many names are listed at most, alternatives counted: each is looked for in each call.
const MOST: usize = 6;

/// The longest name of an argument.
const LONGEST_NAME: usize = 32;

/// The longest value that is part of a key as it is. Slack's ids and timestamps are shorter.
const LONGEST: usize = 24;

// === impl OrderingArguments ===

impl OrderingArguments {
    /// These, in this order; nothing if there are none, or too many.
    pub fn new(arguments: Vec<OrderingArgument>) -> Option<Self> {
        let names: usize = arguments.iter().map(|argument| argument.0.len()).sum();
        (1..=MOST).contains(&names).then(|| Self(arguments.into()))
    }

    /// The names of the arguments to look for in a call.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let all = self.0.iter().flat_map(|argument| &argument.0);
        all.map(|name| &**name).filter(|name| ![TOKEN, METHOD].contains(name))
    }

    /// The key of a call of that method with these arguments, and with a token that goes by this
    /// name. A call that lacks the first argument has none. Of the others, one that is not there
    /// tells calls apart as a value would: a post to a channel itself is in no thread.
    pub fn key<'v>(
        &self,
        method: &str,
        token: &str,
        value: impl Fn(&str) -> Option<&'v str>,
    ) -> Option<String> {
        let mut key = String::new();
        for (at, OrderingArgument(names)) in self.0.iter().enumerate() {
            let has =
                |name: &&Arc<str>| [TOKEN, METHOD].contains(&&***name) || value(name).is_some();
            let found = names.iter().find(has);
            if found.is_none() && at == 0 {
                return None;
            }
            let name = found.or(names.first())?;
            if at > 0 {
                key.push(',');
            }
            key.push_str(name);
            key.push('=');
            match &**name {
                TOKEN => key.push_str(token),
                METHOD => key.push_str(method),
                name => push(&mut key, value(name).unwrap_or_default()),
            }
        }
        Some(key)
    }

    /// As the catalogue writes them.
    pub fn words(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|OrderingArgument(names)| names.join("|"))
    }
}

// === impl OrderingArgument ===

impl OrderingArgument {
    /// The alternatives' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    /// An argument by its name, or several with a stroke between them: `view_id|external_id`.
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = |name: &str| {
            let letter =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(letter)
        };
        let names = text.split('|');
        names.clone().all(is_name).then(|| Self(names.map(Arc::from).collect()))
    }
}

impl From<Arc<str>> for OrderingArgument {
    fn from(name: Arc<str>) -> Self {
        Self(iter::once(name).collect())
    }
}

/// Adds a value. What does not look like an id is hashed: keys are shown, and no text of a message
/// and no token is.
fn push(key: &mut String, value: &str) {
    let letter =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'#');
    if value.len() <= LONGEST && value.bytes().all(letter) && !holds_token(value) {
        key.push_str(value);
    } else {
        let hash = digest::digest(&digest::SHA256, value.as_bytes());
        // No value that is part of a key as it is begins like this.
        key.push(':');
        push_hex(key, hash.as_ref().get(..8).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(names: &[&str]) -> OrderingArguments {
        let parsed = names.iter().map(|name| OrderingArgument::parse(name).unwrap());
        OrderingArguments::new(parsed.collect()).unwrap()
    }

    fn key(names: &[&str], call: &[(&str, &str)]) -> Option<String> {
        let value = |name: &str| call.iter().find(|(it, _)| *it == name).map(|(_, value)| *value);
        arguments(names).key("a.b", "token-0123456789ab", value)
    }

    /// Red when the names are no part of it, and when a reply and a post are the same.
    #[test]
    fn a_key_has_the_names_and_the_values() {
        let thread = ["channel", "thread_ts"];
        let reply = key(&thread, &[("channel", "C1"), ("thread_ts", "1700000000.000100")]);
        assert_eq!(reply.as_deref(), Some("channel=C1,thread_ts=1700000000.000100"));
        let post = key(&thread, &[("channel", "C1"), ("ts", "1700000000.000100")]);
        assert_eq!(post.as_deref(), Some("channel=C1,thread_ts="));
        assert_eq!(key(&["channel"], &[("channel", "C1")]).as_deref(), Some("channel=C1"));
        assert_eq!(key(&thread, &[("thread_ts", "1700000000.000100")]), None);
    }

    #[test]
    fn the_first_alternative_counts_that_a_call_has() {
        let view = ["view_id|external_id"];
        assert_eq!(key(&view, &[("external_id", "mine")]).as_deref(), Some("external_id=mine"));
        let both = [("external_id", "mine"), ("view_id", "V1")];
        assert_eq!(key(&view, &both).as_deref(), Some("view_id=V1"));
        assert_eq!(key(&view, &[]), None);
        let user = ["user|token"];
        assert_eq!(key(&user, &[("user", "U1")]).as_deref(), Some("user=U1"));
        assert_eq!(key(&user, &[]).as_deref(), Some("token=token-0123456789ab"));
    }

    #[test]
    fn a_method_may_have_keys_of_its_own() {
        let mine = ["channel", "method"];
        let found = key(&mine, &[("channel", "C1"), ("method", "x"), ("token", "xoxb-1")]);
        assert_eq!(found.as_deref(), Some("channel=C1,method=a.b"));
        assert_eq!(arguments(&mine).names().collect::<Vec<_>>(), ["channel"]);
    }

    /// Red when a value is taken as it is whatever it is.
    #[test]
    fn no_text_and_no_token_is_part_of_a_key() {
        let long = "x".repeat(LONGEST + 1);
        for secret in ["good morning", "xoxb-1-2", "C1,thread_ts=1", "ä", &long] {
            let key = key(&["channel"], &[("channel", secret)]).unwrap();
            assert!(key.starts_with("channel=:") && !key.contains(secret), "{key}");
            assert_eq!(key.len(), "channel=:".len() + 16);
        }
    }

    #[test]
    fn a_list_has_a_bound_and_names_are_names() {
        let many = vec![OrderingArgument::parse("a|b").unwrap(); 4];
        assert_eq!(OrderingArguments::new(many), None);
        assert_eq!(OrderingArguments::new(Vec::new()), None);
        for wrong in ["", "a|", "A", "a b", "a-b", &"a".repeat(33)] {
            assert_eq!(OrderingArgument::parse(wrong), None, "{wrong}");
        }
    }
}
