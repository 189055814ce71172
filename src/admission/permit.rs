//! The right to send one call now, and what its drop means.

use std::{sync::Arc, time::Duration};

use super::Shared;
use crate::scheduler::{self, Outcome};

/// The right to send one call now.
///
/// Dropped before the call is sent, it gives its slots back. Dropped after that, its slots
/// age as those of a call whose answer never came; after a refusal they age at once.
#[derive(Debug)]
pub struct Permit {
    inner: Option<scheduler::Permit>,
    /// What its drop says of the call.
    fate: Outcome,
    shared: Arc<Shared>,
}

// === impl Permit ===

impl Permit {
    pub(super) fn new(inner: scheduler::Permit, shared: &Arc<Shared>) -> Self {
        Self { inner: Some(inner), fate: Outcome::Unsent, shared: Arc::clone(shared) }
    }

    /// The call is being handed over: from now on Slack may have counted it.
    pub fn sent(&mut self) {
        self.fate = Outcome::Lost;
    }

    /// It certainly never left.
    pub fn unsent(mut self) {
        self.fate = Outcome::Unsent;
    }

    /// Its answer's headers are here.
    pub fn answered(mut self) {
        self.fate = Outcome::Answered;
    }

    /// Slack refused the call and asks for a pause: the bucket that most likely caused it is
    /// closed now. Tells whether there is one; then the call may queue again with this permit.
    pub fn refused(&mut self, retry_after: Duration) -> bool {
        self.fate = Outcome::Refused;
        let Some(inner) = &self.inner else { return false };
        let freezes = {
            let mut state = self.shared.lock();
            let now = self.shared.now();
            let refused = state.scheduler.refused(now, inner, retry_after);
            state.pump(&self.shared, now);
            refused.freezes
        };
        for freeze in &freezes {
            self.shared.metrics.froze(freeze.bucket.limit.scope);
            tracing::info!(
                limit = %freeze.bucket.limit.name,
                bucket = %freeze.bucket.values,
                seconds = retry_after.as_secs(),
                "Slack refused a call: its bucket is closed"
            );
        }
        !freezes.is_empty()
    }

    /// For a replay.
    pub(super) fn into_inner(mut self) -> Option<scheduler::Permit> {
        self.inner.take()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            let mut state = self.shared.lock();
            let now = self.shared.now();
            state.scheduler.settle(now, inner, self.fate);
            state.pump(&self.shared, now);
        }
    }
}
