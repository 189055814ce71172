//! Other versions of the scripts: said once when replicas come that have one, and when these are gone.
//!
//! Such replicas share nothing with this one, so each uses its part of a limit only.

/// Whether there are any.
#[derive(Debug, Default)]
pub(super) struct Versions {
    are_others: bool,
}

/// What it is counted as.
pub(super) const REASON: &str = "other_version";

// === impl Versions ===

impl Versions {
    /// So many replicas have another one. Returns whether there are any.
    pub(super) fn are(&mut self, others: u32) -> bool {
        let are_others = others > 0;
        if are_others && !self.are_others {
            tracing::warn!(
                reason = REASON,
                "{others} replicas share the server and shared.prefix that have another version of \
                 slackwater: until these have ended and no call of theirs counts, each replica uses only its \
                 part of each limit, quota / shared.replicas: update all replicas to one version"
            );
        } else if self.are_others && !are_others {
            tracing::info!("no other version of slackwater is heard any more");
        }
        self.are_others = are_others;
        are_others
    }
}
