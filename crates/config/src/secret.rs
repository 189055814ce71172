//! What somebody proves with that he may do something: a token, a key.

use std::{fmt, sync::Arc};

use aws_lc_rs::{constant_time, digest};
use yaml::{Cursor, Report};

/// A secret. Only a hash of it is kept.
#[derive(Clone)]
pub struct Secret {
    hash: Arc<[u8]>,
}

/// So many characters it has at least: fewer are guessed.
const SHORTEST: usize = 16;

// === impl Secret ===

impl Secret {
    /// That secret.
    pub fn of(text: &str) -> Self {
        Self { hash: digest::digest(&digest::SHA256, text.as_bytes()).as_ref().into() }
    }

    /// Whether it is that one.
    pub fn is(&self, text: &str) -> bool {
        *self == Self::of(text)
    }

    /// The one that stands there. Messages do not repeat it.
    pub(super) fn read(at: Cursor<'_>, report: &mut Report) -> Option<Self> {
        let text = at.text()?;
        let wrong = if text.len() < SHORTEST {
            "is too short; write 16 characters or more, as `openssl rand -hex 16` makes them"
        } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            "has a character that no header can have; write printable ASCII without spaces"
        } else {
            return Some(Self::of(text));
        };
        report.add(at, wrong);
        None
    }
}

/// Takes as long whatever is right of it.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.hash, &other.hash).is_ok()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
