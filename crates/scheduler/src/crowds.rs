//! The bound on buckets.
//!
//! A bucket lives as long as its limit remembers a call, so whoever makes up names, such as those of
//! `response_url`s, makes buckets. When there are as many as may be, a name that has no bucket shares one
//! with others, as all that have the same *crowd*. What is shared grants no more to all of them together
//! than each might have, so no limit is exceeded; names that have buckets do not notice.
//!
//! A crowd's bucket remembers calls of names that nobody knows any more. So as long as it is there, its names
//! keep to it, also when there is room again. There are many crowds: then few names of those that come later
//! meet one that is there, and a crowd that nobody meets is dropped like any bucket.

use alloc::sync::Arc;

use limits::{BucketKey, Rule, Values};

use super::{Scheduler, bucket::Bucket, buckets::Buckets};

/// So many buckets of one limit are shared at most.
pub(crate) const CROWDS: u32 = 1024;

// === impl Scheduler ===

impl Scheduler {
    /// From now on there are at most so many buckets, and beyond them 1,024 shared ones of each
    /// limit.
    pub fn bound_buckets(&mut self, most: usize) {
        self.most_buckets = most;
    }

    /// How many that are.
    pub fn most_buckets(&self) -> usize {
        self.most_buckets
    }

    /// The name of the bucket that a name without one gets: its own, or a shared one.
    pub(super) fn name_for(&self, key: &BucketKey) -> BucketKey {
        let has_room = self.buckets.len() < self.most_buckets;
        if (has_room && !self.buckets.has_crowds()) || !may_be_shared(key) {
            return key.clone();
        }
        let shared = crowd_of(key);
        if has_room && self.buckets.find(&shared).is_none() { key.clone() } else { shared }
    }
}

// === impl Buckets ===

impl Buckets {
    /// How many are not shared.
    fn len(&self) -> usize {
        self.count() - self.crowds
    }

    fn has_crowds(&self) -> bool {
        self.crowds > 0
    }
}

// === impl Bucket ===

impl Bucket {
    /// Whether several names share it.
    pub(super) fn is_crowd(&self) -> bool {
        self.key.values.is_crowd()
    }
}

/// Gates are few, and what stands before one is not to stand before another.
fn may_be_shared(key: &BucketKey) -> bool {
    key.limit.rule != Rule::Gate && !key.values.as_str().is_empty() && !key.values.is_crowd()
}

/// The name of a bucket for it and others: the same in all replicas and processes, which may share it or
/// restore it.
fn crowd_of(key: &BucketKey) -> BucketKey {
    // FNV-1a. Who looks for names of one crowd finds them; made-up names meet all crowds anyway.
    let hash = key
        .values
        .as_str()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let crowd = hash % CROWDS;
    let parts = key.values.as_str().split('/').count();
    BucketKey { limit: Arc::clone(&key.limit), values: Values::of_crowd(crowd, parts) }
}
