//! Patterns in which a `*` stands for any text.
//!
//! Written here because nothing else of what globs are elsewhere is wanted: no `?`, no sets, no
//! paths, and no pattern whose matching takes longer than to read the pattern and the text.

use std::fmt;

use yaml::{Cursor, Report};

/// A pattern for a whole text: `*` stands for any part of it, everything else for itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Glob(Box<str>);

/// What is wrong with a pattern. Says what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// It is empty.
    #[error("is empty; write a text, with * for any part of it")]
    Empty,
    /// Two stars in a row.
    #[error("has two stars in a row, which mean no more than one; write one")]
    Stars,
    /// What stands for something elsewhere, and nothing here.
    #[error("has a ? or a [, which stand for nothing here; write * in its place")]
    Other,
    /// A control character.
    #[error("holds a control character, which nothing that is matched has; delete it")]
    Control,
}

// === impl Glob ===

impl Glob {
    /// The pattern that this text is.
    ///
    /// # Errors
    /// If it is none, with what to write instead.
    pub fn parse(pattern: &str) -> Result<Self, GlobError> {
        if pattern.is_empty() {
            Err(GlobError::Empty)
        } else if pattern.contains("**") {
            Err(GlobError::Stars)
        } else if pattern.contains(['?', '[']) {
            // Who writes them means what they are elsewhere, and would never see a match.
            Err(GlobError::Other)
        } else if pattern.contains(char::is_control) {
            Err(GlobError::Control)
        } else {
            Ok(Self(pattern.into()))
        }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A pattern for this text alone, which has no star.
    pub(super) fn exactly(text: &str) -> Self {
        Self(text.into())
    }

    /// Whether the whole text is like the pattern. Takes time linear in both.
    pub fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else { return *self.0 == *text };
        let Some(text) = text.strip_prefix(first) else { return false };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        let Some(mut text) = text.strip_suffix(last) else { return false };
        // The first place of a piece leaves the most for those after it, so no other is tried.
        for piece in middle.split('*') {
            let Some((_, after)) = text.split_once(piece) else { return false };
            text = after;
        }
        true
    }

    /// Whether it matches every text that the other does.
    ///
    /// The other's own text is one that it matches. In it a star is a letter that none but a
    /// star here can match, so whatever stood in its place would match too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }

    /// Whether it matches every text.
    pub(super) fn is_all(&self) -> bool {
        *self.0 == *"*"
    }
}

/// A pattern, from the file.
pub(super) fn read_glob(at: Cursor<'_>, report: &mut Report) -> Option<Glob> {
    let found: Result<Glob, GlobError> = Glob::parse(at.text()?);
    found.map_err(|error| report.add(at, format!("{} {error}", at.quoted()))).ok()
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// By trying every length that a star may have.
    fn like(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => (0..=text.len()).any(|at| like(rest, &text[at..])),
            (Some((one, rest)), Some((other, others))) => one == other && like(rest, others),
            _ => false,
        }
    }

    #[test]
    fn a_pattern_is_for_the_whole_text() {
        for (pattern, text, expected) in [
            ("cleanup/*", "cleanup/1.0 python", true),
            ("cleanup/*", "cleanup/", true),
            ("cleanup/*", "my cleanup/1.0", false),
            ("*clean*up*", "a clean b up c", true),
            ("a*a", "a", false),
            ("*", "", true),
            ("bot", "bots", false),
            ("Größe*", "Größe 1", true),
        ] {
            assert_eq!(Glob::parse(pattern).unwrap().matches(text), expected, "{pattern} {text}");
        }
    }

    /// Turned red by: a retry at the place after a match, for each star.
    #[test]
    fn no_pattern_takes_long() {
        let pattern = Glob::parse(&"*a".repeat(2_000)).unwrap();
        let text = "a".repeat(60_000);
        assert!(pattern.matches(&text) && !pattern.matches(&format!("{text}b")));
    }

    proptest! {
        #[test]
        fn it_matches_what_trying_everything_finds(pattern in "[ab*]{0,6}", text in "[ab]{0,7}") {
            let expected = like(pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(Glob(pattern.into()).matches(&text), expected);
        }

        /// Against every text of up to six letters, one of which is in neither pattern.
        #[test]
        fn it_covers_what_matches_nothing_else(one in "[ab*]{0,3}", other in "[ab*]{0,3}") {
            let (one, other) = (Glob(one.into()), Glob(other.into()));
            let mut texts = vec![String::new()];
            let mut longest = texts.clone();
            for _ in 0..6 {
                longest = longest
                    .iter()
                    .flat_map(|text| ["a", "b", "c"].map(|letter| format!("{text}{letter}")))
                    .collect();
                texts.extend_from_slice(&longest);
            }
            let expected = texts.iter().all(|text| !other.matches(text) || one.matches(text));
            prop_assert_eq!(one.covers(&other), expected);
        }
    }
}
