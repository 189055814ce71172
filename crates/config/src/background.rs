//! `background`: what is left to calls for which nobody waits.

use limits::Share;
use yaml::{Cursor, Report};

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
