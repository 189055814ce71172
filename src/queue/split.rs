//! The queue of one of several replicas: it has a part of every limit, and knows the wall clock that
//! all of them share.

use std::time::Duration;

use limits::Split;

use super::Admission;

/// Which replica it is, and what the wall clock said when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replica {
    pub(super) split: Split,
    pub(super) at: scheduler::Instant,
    pub(super) wall: Duration,
}

/// The queue's clock and the wall clock are read one after the other; what they are apart by less is
/// nothing.
const GRAIN: Duration = Duration::from_millis(1);

// === impl Admission ===

impl Admission {
    /// From now on it has only a part of every limit. `wall` is the time since 1970 by the clock that
    /// all replicas share. To be told again and again: that clock may be set.
    pub fn split(&self, split: Split, wall: Duration) {
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        let at = self.shared.now();
        let is_known = state.replica.is_some_and(|before| {
            before.split == split && (before.wall + at.since(before.at)).abs_diff(wall) < GRAIN
        });
        if is_known {
            return;
        }
        let replica = Replica { split, at, wall };
        state.replica = Some(replica);
        state.scheduler.split(at, split, wall);
        if let Some(ghosts) = &mut state.ghosts {
            ghosts.split(replica);
        }
        state.pump(&self.shared, at);
    }
}
