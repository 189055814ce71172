//! All buckets, found by their names, and by the identity that they count for.
//!
//! A bucket is found by its key and, as long as it lives, by the last few keys that it had before.
//! A call that was classified just before its bucket was renamed may still arrive under one of
//! these.

use alloc::vec::Vec;
use core::{
    hash::BuildHasher,
    ops::{Index, IndexMut},
};

use hashbrown::HashMap;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use limits::{BucketKey, Scope};

use super::{bucket::Bucket, call_group::BucketId, identity_index::IdentityIndex, table::Table};

/// The buckets, each until it has nothing left to remember.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    all: Table<Bucket>,
    by_key: HashTable<BucketId>,
    hasher: RandomState,
    /// By the names that they had before.
    former: HashMap<BucketKey, BucketId, RandomState>,
    identities: IdentityIndex,
    /// How many of them several names share.
    pub(super) crowds: usize,
}

/// How many former names a bucket is still found by.
const FORMER: usize = 4;

// === impl Buckets ===

impl Buckets {
    /// The bucket that has that name, or had it.
    pub(super) fn find(&self, name: &BucketKey) -> Option<BucketId> {
        let of = self.by_key.find(self.hasher.hash_one(name), |id| {
            self.all.prefetch(*id);
            self.all[*id].key == *name
        });
        of.or_else(|| self.former.get(name)).copied()
    }

    /// The buckets that count for that identity.
    pub(super) fn of_identity(&self, scope: Scope, identity: &str) -> Vec<BucketId> {
        self.identities.of(scope, identity)
    }

    /// Adds a bucket whose name no other has.
    pub(super) fn insert(&mut self, bucket: Bucket) -> BucketId {
        self.crowds += usize::from(bucket.is_crowd());
        let id = self.all.insert(bucket);
        self.put_up(id);
        id
    }

    /// Drops a bucket, and all of its names.
    pub(super) fn remove(&mut self, id: BucketId) -> Bucket {
        self.take_down(id);
        let mut bucket = self.all.remove(id);
        self.crowds -= usize::from(bucket.is_crowd());
        for name in bucket.former().into_iter().flat_map(|former| former.iter()) {
            self.former.remove(name);
        }
        bucket
    }

    /// Gives a bucket that name. It is still found by the one that it had.
    pub(super) fn rename(&mut self, id: BucketId, key: BucketKey) {
        self.take_down(id);
        if self.former.remove(&key).is_some()
            && let Some(former) = self.all[id].former()
        {
            former.retain(|name| *name != key);
        }
        let before = core::mem::replace(&mut self.all[id].key, key);
        self.put_up(id);
        self.answer_to(id, before);
    }

    /// Lets a bucket be found by a name that it, or another one, had.
    pub(super) fn answer_to(&mut self, id: BucketId, name: BucketKey) {
        self.former.insert(name.clone(), id);
        let former = &mut self.all[id].rare().former;
        former.push(name);
        if former.len() > FORMER {
            self.former.remove(&former.remove(0));
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// Fetches it into the cache: it is needed soon.
    pub(super) fn prefetch(&self, id: BucketId) {
        self.all.prefetch(id);
    }

    pub(super) fn get(&self, id: BucketId) -> Option<&Bucket> {
        self.all.get(id)
    }

    pub(super) fn get_mut(&mut self, id: BucketId) -> Option<&mut Bucket> {
        self.all.get_mut(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (BucketId, &Bucket)> {
        self.all.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (BucketId, &mut Bucket)> {
        self.all.iter_mut()
    }

    /// Whether no name is kept.
    #[cfg(any(test, feature = "model"))]
    pub(super) fn knows_nobody(&self) -> bool {
        self.by_key.is_empty() && self.former.is_empty() && self.identities.is_empty()
    }

    /// Lets a bucket be found by its key.
    fn put_up(&mut self, id: BucketId) {
        let Self { all, by_key, hasher, identities, .. } = self;
        let hash = |id: &BucketId| hasher.hash_one(&all[*id].key);
        by_key.insert_unique(hash(&id), id, hash);
        identities.insert(&all[id].key, id);
    }

    /// Undoes [`Self::put_up`].
    fn take_down(&mut self, id: BucketId) {
        let key = &self.all[id].key;
        let hash = self.hasher.hash_one(key);
        if let Ok(entry) = self.by_key.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        self.identities.remove(key, id);
    }
}

impl Index<BucketId> for Buckets {
    type Output = Bucket;

    fn index(&self, id: BucketId) -> &Bucket {
        &self.all[id]
    }
}

impl IndexMut<BucketId> for Buckets {
    fn index_mut(&mut self, id: BucketId) -> &mut Bucket {
        &mut self.all[id]
    }
}
