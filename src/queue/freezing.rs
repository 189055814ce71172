//! What Slack has refused is told to other replicas, and heard of them.

use std::{collections::HashMap, sync::Arc};

use limits::{BucketKey, Limit};
use scheduler::{Epoch, InCommon, Notice, Noticed, Standing};
use slack::{Catalogue, OPEN};

use super::Admission;

/// The limits that there are, by their names: others tell no more of them.
pub(super) type Limits = HashMap<Arc<str>, Arc<Limit>>;

pub(super) fn limits(catalogue: &Catalogue) -> Limits {
    let all = catalogue.limits().chain(&*OPEN);
    all.map(|limit| (Arc::clone(&limit.name), Arc::clone(limit))).collect()
}

// === impl Admission ===

impl Admission {
    /// What others tell is of these limits.
    pub fn know_limits(&self, catalogue: &Catalogue) {
        self.shared.lock().limits = limits(catalogue);
    }

    /// The bucket of that name; nothing if there is no such limit here.
    pub fn bucket(&self, named: BucketKey) -> Option<BucketKey> {
        let limit = Arc::clone(self.shared.lock().limits.get(&named.limit.name)?);
        Some(BucketKey { limit, ..named })
    }

    /// Whether there is something to tell the others.
    pub fn has_notices(&self) -> bool {
        self.shared.lock().scheduler.has_notices()
    }

    /// Moves what is to be told into `out`; see [`scheduler::Scheduler::notices`].
    pub fn move_notices(&self, out: &mut Vec<Notice>) -> u64 {
        let mut state = self.shared.lock();
        state.scheduler.notices(self.shared.now(), out)
    }

    /// The store has answered them.
    pub fn noticed(&self, noticed: Noticed) {
        let mut state = self.shared.lock();
        let now = self.shared.now();
        state.scheduler.noticed(now, noticed);
        state.pump(&self.shared, now);
    }

    /// The store tells all how a bucket stands.
    pub fn stands_now(&self, epoch: Epoch, standing: Standing) {
        let mut state = self.shared.lock();
        let now = self.shared.now();
        state.scheduler.stands_now(now, epoch, standing);
        state.pump(&self.shared, now);
    }

    /// The store tells all what it has learnt of a bucket.
    pub fn learns_now(&self, epoch: Epoch, learnt: &InCommon) {
        let mut state = self.shared.lock();
        let now = self.shared.now();
        state.scheduler.learns_now(now, epoch, learnt);
        state.pump(&self.shared, now);
    }

    /// Nobody hears what is told.
    pub fn notices_nobody(&self) {
        let mut state = self.shared.lock();
        let now = self.shared.now();
        state.scheduler.notices_nobody(now);
        state.pump(&self.shared, now);
    }
}
