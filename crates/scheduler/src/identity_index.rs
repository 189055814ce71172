//! The identity index: buckets by the identity that they count for.

use alloc::{collections::BTreeSet, sync::Arc, vec::Vec};

use hashbrown::HashMap;

use foldhash::quality::RandomState;
use limits::{BucketKey, Scope};

use super::call_group::BucketId;

/// The buckets of each identity.
#[derive(Debug, Default)]
pub(super) struct IdentityIndex {
    buckets: HashMap<(Scope, Arc<str>), BTreeSet<BucketId>, RandomState>,
}

// === impl IdentityIndex ===

impl IdentityIndex {
    /// The buckets that count for that identity.
    pub(super) fn of(&self, scope: Scope, identity: &str) -> Vec<BucketId> {
        let of = self.buckets.get(&(scope, Arc::from(identity)));
        of.into_iter().flatten().copied().collect()
    }

    pub(super) fn insert(&mut self, key: &BucketKey, id: BucketId) {
        let (scope, identity) = key.identity();
        self.buckets.entry((scope, identity.into())).or_default().insert(id);
    }

    pub(super) fn remove(&mut self, key: &BucketKey, id: BucketId) {
        let (scope, identity) = key.identity();
        let of = (scope, Arc::from(identity));
        if let Some(buckets) = self.buckets.get_mut(&of) {
            buckets.remove(&id);
            if buckets.is_empty() {
                self.buckets.remove(&of);
            }
        }
    }

    #[cfg(any(test, feature = "model"))]
    pub(super) fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }
}
