//! All call groups, found by the buckets that their calls need.

use core::{
    hash::BuildHasher,
    ops::{Index, IndexMut},
};

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use limits::Class;

use super::{
    call_group::{BucketId, BucketIds, CallGroup, GroupId},
    table::Table,
};

/// The call groups, each until its last call has left it.
#[derive(Debug, Default)]
pub(super) struct CallGroups {
    all: Table<CallGroup>,
    /// Of each class, by the buckets of the group.
    by_buckets: [HashTable<GroupId>; 3],
    hasher: RandomState,
}

// === impl CallGroups ===

impl CallGroups {
    /// The group of that class and these buckets; a new one is parked in the queue of `blocking`.
    pub(super) fn of(&mut self, class: Class, buckets: &[BucketId], blocking: BucketId) -> GroupId {
        let Self { all, by_buckets, hasher } = self;
        let ids = &mut by_buckets[class.index()];
        let hash = hasher.hash_one(buckets);
        if let Some(id) = ids.find(hash, |id| *all[*id].buckets == *buckets) {
            return *id;
        }
        let id = all.insert(CallGroup::new(BucketIds::from_slice(buckets), blocking));
        ids.insert_unique(hash, id, |id| hasher.hash_one(&*all[*id].buckets));
        id
    }

    /// Fetches it into the cache: it is needed soon.
    pub(super) fn prefetch(&self, id: GroupId) {
        self.all.prefetch(id);
    }

    /// Fetches the group of that class and these buckets into the cache. Returns which it is, by
    /// its hash alone.
    pub(super) fn prefetch_of(&self, class: Class, buckets: &[BucketId]) -> Option<GroupId> {
        let hash = self.hasher.hash_one(buckets);
        let id = self.by_buckets[class.index()].find(hash, |_| true).copied();
        id.inspect(|id| self.prefetch(*id))
    }

    /// Drops a group of that class.
    pub(super) fn remove(&mut self, class: Class, id: GroupId) {
        let hash = self.hasher.hash_one(&*self.all[id].buckets);
        if let Ok(entry) = self.by_buckets[class.index()].find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        self.all.remove(id);
    }
}

impl Index<GroupId> for CallGroups {
    type Output = CallGroup;

    fn index(&self, id: GroupId) -> &CallGroup {
        &self.all[id]
    }
}

impl IndexMut<GroupId> for CallGroups {
    fn index_mut(&mut self, id: GroupId) -> &mut CallGroup {
        &mut self.all[id]
    }
}
