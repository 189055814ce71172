//! The values of a bucket's dimensions, as one text: `A1/T1/conversations.close`.
//!
//! The text is what people see and what a state file has. Everything else asks for the value of a
//! dimension, so that how values are joined is known here alone.

use alloc::{format, string::String, sync::Arc};
use core::fmt;

use crate::{Dimension, Scope};

/// The values of a scope's dimensions, widest first. A value never has a slash in it, so no two lists
/// of values make the same text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Values(Arc<str>);

/// Joins values, one after the other, into memory that is used again.
#[derive(Debug)]
pub struct Joiner {
    text: String,
    is_empty: bool,
}

const SEPARATOR: char = '/';

/// What the values of a crowd begin with. No other values do: what stands for a long one has a single such
/// sign before its digest.
const CROWD: &str = "~~";

// === impl Values ===

impl Values {
    /// Those of a bucket that many names share, of which none has one of its own. There are so many parts
    /// as in other values, so that they are read like these.
    pub fn of_crowd(crowd: u32, parts: usize) -> Self {
        let mut text = format!("{CROWD}{crowd}");
        for _ in 1..parts {
            text.push(SEPARATOR);
            text.push_str(CROWD);
        }
        Self(text.into())
    }

    /// Whether these are a crowd's.
    pub fn is_crowd(&self) -> bool {
        self.0.starts_with(CROWD)
    }

    /// The value of a dimension, if the scope has it.
    pub fn get(&self, scope: Scope, by: Dimension) -> Option<&str> {
        self.iter(scope).find(|(dimension, _)| *dimension == by).map(|(_, value)| value)
    }

    /// The value of each dimension of the scope.
    pub fn iter(&self, scope: Scope) -> impl Iterator<Item = (Dimension, &str)> {
        scope.iter().zip(self.0.split(SEPARATOR))
    }

    /// Those of the identity in the scope, and all others.
    pub fn split(&self, scope: Scope) -> (&str, &str) {
        let mut ends = self.0.match_indices(SEPARATOR).map(|(at, _)| at);
        let end = match scope.identity().len() as usize {
            0 => 0,
            parts => ends.nth(parts - 1).unwrap_or(self.0.len()),
        };
        self.0.split_at(end)
    }

    /// The same values, of another identity.
    #[must_use]
    pub fn of_identity(&self, scope: Scope, identity: &str) -> Self {
        let (_, others) = self.split(scope);
        Self(format!("{identity}{others}").into())
    }

    /// All of them as one text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, shared.
    pub fn shared(&self) -> &Arc<str> {
        &self.0
    }
}

/// Values that are joined already, or one that is no text of a call's.
impl<T: Into<Arc<str>>> From<T> for Values {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Joiner ===

/// With room for the values of most buckets.
impl Default for Joiner {
    fn default() -> Self {
        Self { text: String::with_capacity(128), is_empty: true }
    }
}

impl Joiner {
    /// Begins anew.
    pub fn clear(&mut self) {
        self.text.clear();
        self.is_empty = true;
    }

    /// Adds a value. What stands for something in a joined text is escaped.
    pub fn push(&mut self, value: &str) {
        self.separate();
        // As bytes: these are none of another character's, and hardly any value has one of them.
        if value.bytes().any(|byte| matches!(byte, b'/' | b'~' | b'%')) {
            let value = value.replace('%', "%25").replace(SEPARATOR, "%2F").replace('~', "%7E");
            self.text.push_str(&value);
        } else {
            self.text.push_str(value);
        }
    }

    /// Adds a value of other [`Values`], which is escaped already.
    pub fn push_joined(&mut self, value: &str) {
        self.separate();
        self.text.push_str(value);
    }

    /// Adds what stands for a value that is too long, marked so that no value is taken for it.
    pub fn push_digest(&mut self, digest: &str) {
        self.separate();
        self.text.push('~');
        self.text.push_str(digest);
    }

    /// The values up to now.
    pub fn values(&self) -> Values {
        Values(self.text.as_str().into())
    }

    fn separate(&mut self) {
        if !self.is_empty {
            self.text.push(SEPARATOR);
        }
        self.is_empty = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: Scope = Scope::of(&[Dimension::App, Dimension::Workspace, Dimension::Method]);

    fn joined(values: &[&str]) -> Values {
        let mut joiner = Joiner::default();
        for value in values {
            joiner.push(value);
        }
        joiner.values()
    }

    #[test]
    fn each_dimension_has_its_value() {
        let values = joined(&["A1", "T1", "chat.update"]);
        assert_eq!(values.as_str(), "A1/T1/chat.update");
        assert_eq!(values.get(SCOPE, Dimension::Workspace), Some("T1"));
        assert_eq!(values.get(SCOPE, Dimension::Channel), None);
        assert_eq!(values.split(SCOPE), ("A1/T1", "/chat.update"));
        assert_eq!(values.of_identity(SCOPE, "A2/T2").as_str(), "A2/T2/chat.update");
    }

    /// Red when a slash is not escaped, and when the first value may be empty and is not separated.
    #[test]
    fn no_two_lists_make_the_same_text() {
        assert_ne!(joined(&["a/b"]), joined(&["a", "b"]));
        assert_ne!(joined(&["a%2Fb"]), joined(&["a/b"]));
        assert_ne!(joined(&["", "a"]), joined(&["a"]));
        let mut digest = Joiner::default();
        digest.push_digest("ab");
        assert_ne!(digest.values(), joined(&["~ab"]));
    }
}
