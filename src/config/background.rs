//! `background`: what is left to calls for which nobody waits.

use crate::yaml::{Cursor, Report};

/// A part of a whole: above 0, and 1 at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(f64);

/// The share of each window that calls of class background take at most, if the file says so.
pub(super) fn read(root: Cursor<'_>, report: &mut Report) -> Option<Share> {
    let at = root.get("background")?.get("share")?;
    let share = at.text()?.parse().ok().and_then(Share::new);
    if share.is_none() {
        let text = "is no share; write a number above 0 and up to 1, as in 0.75";
        report.add(at, format!("{} {text}", at.quoted()));
    }
    share
}

// === impl Share ===

impl Share {
    /// That part, if it is one.
    pub fn new(share: f64) -> Option<Self> {
        (share > 0.0 && share <= 1.0).then_some(Self(share))
    }

    /// As a number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// Three quarters.
impl Default for Share {
    fn default() -> Self {
        Self(0.75)
    }
}
