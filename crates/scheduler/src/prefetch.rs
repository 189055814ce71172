//! Prefetching: what is needed soon is fetched into the cache, all at once.
//!
//! Among a million held calls nothing that a step needs was touched lately, and one thing leads to
//! the next: a bucket to its callers, these to their turns and the next call, that to its group.
//! To wait for the memory of each in turn takes longer than all the rest. So as soon as it is known
//! where the memory lies that a step needs, all of it is fetched, before the first of it is read.
//! Prefetching is a hint: it changes nothing but the time that a step takes.

use branches::prefetch_read_data;
use limits::Class;

use super::{
    Scheduler,
    call_group::{BucketId, BucketIds, CallId, GroupId},
};

/// A line of the cache.
const LINE: usize = 64;
/// Of a list no more than so many cache lines: code that needs more of a long one reads it in
/// order, which the processor foresees.
const LINES: usize = 4;

/// Fetches a thing.
#[inline]
pub(super) fn prefetch<T>(thing: &T) {
    lines(core::ptr::from_ref(thing).cast(), size_of::<T>());
}

/// Fetches the beginning of a list.
#[inline]
pub(super) fn prefetch_list<T>(list: &[T]) {
    lines(list.as_ptr().cast(), size_of_val(list).min(LINES * LINE));
}

#[inline]
fn lines(start: *const u8, length: usize) {
    for line in (0..length).step_by(LINE) {
        prefetch_read_data::<_, 0>(start.wrapping_add(line));
    }
}

// === impl Scheduler ===

impl Scheduler {
    /// Fetches what is needed for a call that has arrived and needs these buckets.
    pub(super) fn prefetch_arrival(&self, class: Class, buckets: &[BucketId]) {
        let group = self.groups.prefetch_of(class, buckets);
        for &id in buckets {
            self.buckets[id].prefetch();
        }
        for &id in buckets {
            self.buckets[id].queue.prefetch_turns();
        }
        if let Some(group) = group {
            self.groups[group].prefetch();
        }
    }

    /// Fetches what is needed for a held call that may go. Returns the buckets that it needs.
    pub(super) fn prefetch_going(&self, index: CallId, group: GroupId) -> BucketIds {
        self.held.prefetch(index);
        self.groups.prefetch(group);
        let buckets = self.groups[group].needs();
        for &id in &buckets {
            self.buckets.prefetch(id);
        }
        self.groups[group].prefetch();
        for &id in &buckets {
            self.buckets[id].prefetch();
        }
        buckets
    }
}
