//! A caller's name.

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

use serde::{Deserialize, Serialize};
use slack::holds_token;

/// A caller's name: 1 to 64 printable characters. It is shown in many places, so it is no token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct CallerName(Arc<str>);

/// A text that no caller may have for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a caller's name is 1 to 64 printable characters, and no token")]
pub struct NotAName;

/// The longest name, in characters.
const LONGEST: usize = 64;

// === impl CallerName ===

impl CallerName {
    /// The name that this text is.
    ///
    /// # Errors
    /// If no caller may have it.
    pub fn new(name: impl AsRef<str> + Into<Arc<str>>) -> Result<Self, NotAName> {
        let text = name.as_ref();
        let printable = |c: char| !c.is_control() && c != '\u{fffd}';
        let is_name = (1..=LONGEST).contains(&text.chars().count())
            && text.trim() == text
            && text.chars().all(printable)
            && !holds_token(text);
        if is_name { Ok(Self(name.into())) } else { Err(NotAName) }
    }

    /// The name of the proxy's own calls: `slackwater`.
    pub fn of_the_proxy() -> Self {
        Self("slackwater".into())
    }

    /// As a text that is shared.
    pub fn shared(&self) -> &Arc<str> {
        &self.0
    }
}

impl Deref for CallerName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A name hashes and compares as its text does.
impl Borrow<str> for CallerName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for CallerName {
    type Error = NotAName;

    fn try_from(text: &str) -> Result<Self, NotAName> {
        Self::new(text)
    }
}

impl TryFrom<String> for CallerName {
    type Error = NotAName;

    fn try_from(text: String) -> Result<Self, NotAName> {
        Self::new(text)
    }
}

/// The name of calls that give none: `default`.
impl Default for CallerName {
    fn default() -> Self {
        Self("default".into())
    }
}

impl fmt::Display for CallerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
