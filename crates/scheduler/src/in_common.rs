//! What schedulers that share their limits learn of them together: see [`Bucket`]'s part of it for how.
//!
//! The store keeps a record of each bucket of which something was learnt. All hear of each change that
//! matters to them, with what is told of [freezes](super::freezes) and in one order with it. So a scheduler
//! that has no call of such a bucket keeps to it from its first call on, takes it for a hint, and can show it.
//!
//! While the store is not heard, nothing is learnt: what was learnt holds.

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use limits::BucketKey;

use super::{Instant, Scheduler, bucket::Bucket, call_group::BucketId, freezes::Notice};

/// A record that is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tale {
    /// Of which bucket.
    pub bucket: BucketKey,
    /// The number of the record that it goes on from; 0 if there is none.
    pub serial: u64,
    /// Whether all are to hear of it.
    pub is_news: bool,
    /// Whether the store may have lost it: it counts if it is newer than what the store has.
    pub is_anew: bool,
    /// The record; nothing if nothing is left to learn.
    pub record: Option<String>,
}

/// What the store has of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InCommon {
    /// Which.
    pub bucket: BucketKey,
    /// The number of its record; 0 if there is none.
    pub serial: u64,
    /// What it is.
    pub is: Is,
}

/// What a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Is {
    /// What was told.
    Kept,
    /// There is none.
    Gone,
    /// What was told to all before.
    Same,
    /// This one.
    Record {
        /// Its text.
        text: String,
        /// How old it is.
        age: Duration,
    },
}

/// So many records are told at once.
const AT_ONCE: usize = 64;

// === impl Scheduler ===

impl Scheduler {
    /// What buckets have learnt is to be told by this batch.
    pub(super) fn tales(&mut self, now: Instant, out: &mut Vec<Notice>) {
        let Some(leases) = &mut self.leases else { return };
        let freezes = &mut leases.freezes;
        let at_once = freezes.learnt.len().min(AT_ONCE);
        let tales = freezes.learnt.drain(..at_once).filter_map(|id| {
            let bucket = self.buckets.get_mut(id)?;
            bucket.tale(now, freezes.batch)
        });
        out.extend(tales.map(Notice::Learnt));
        freezes.is_urgent = !freezes.learnt.is_empty();
    }

    /// Sees whether something is to be told of what a bucket has learnt, to the others and to who grants
    /// its slots.
    #[cold]
    pub(super) fn tell_lesson(&mut self, id: BucketId, has_changed: bool) {
        let (Some(leases), bucket) = (&mut self.leases, &mut self.buckets[id]) else { return };
        let spacing = bucket.spacing_of_all();
        if let Some(lease) = bucket.lease_mut() {
            lease.space(spacing);
            lease.again |= has_changed && lease.matters();
        }
        if let Some(is_urgent) = bucket.has_a_tale() {
            let freezes = &mut leases.freezes;
            if !freezes.learnt.contains(&id) {
                freezes.learnt.push(id);
            }
            freezes.is_urgent |= is_urgent;
        }
        self.touch(id);
    }

    /// The store has answered what was told of lessons, and has said all that it has, perhaps. `is_back` says
    /// that it was not heard before, and `is_new` that its memory is another one.
    pub(super) fn lessons_are(
        &mut self,
        now: Instant,
        batch: u64,
        (is_back, is_new): (bool, bool),
        told: &[InCommon],
        all: Option<&[InCommon]>,
    ) {
        for told in told.iter().filter(|told| !is_new || told.is != Is::Gone) {
            let Some(id) = self.buckets.find(&told.bucket) else { continue };
            let most = self.most_of(id);
            if self.buckets[id].tale_is_answered(now, batch, told, most)
                || told.is == Is::Gone && self.buckets[id].record_in_store().is_some()
            {
                self.forget_in_common(now, id);
            } else if self.buckets[id].learns {
                self.keep_to_pace(now, id);
            }
        }
        if is_back || is_new {
            self.hears_of_lessons(now, true, is_new);
        }
        let Some(all) = all else { return };
        let mut known = Vec::with_capacity(all.len());
        for it in all {
            if let Is::Record { text, age } = &it.is {
                self.hear_record(now, it, (text, *age), false);
            }
            known.extend(self.buckets.find(&it.bucket));
        }
        if is_new {
            return;
        }
        known.sort_unstable();
        for id in self.learning.clone() {
            let is_gone = known.binary_search(&id).is_err();
            let bucket = self.buckets.get(id).filter(|_| is_gone);
            if bucket.and_then(Bucket::record_in_store).is_some() {
                self.forget_in_common(now, id);
            }
        }
    }

    /// The store tells all what it has of a bucket.
    pub(super) fn lesson_is(&mut self, now: Instant, it: &InCommon) {
        match &it.is {
            Is::Record { text, age } => self.hear_record(now, it, (text, *age), true),
            Is::Gone => {
                let id = self.buckets.find(&it.bucket);
                if let Some(id) = id.filter(|id| self.buckets[*id].record_in_store().is_some()) {
                    self.forget_in_common(now, id);
                }
            }
            Is::Kept | Is::Same => {}
        }
    }

    fn hear_record(
        &mut self,
        now: Instant,
        it: &InCommon,
        (text, age): (&str, Duration),
        is_push: bool,
    ) {
        if !self.policy.learning.down {
            return;
        }
        for id in self.resolve(now, core::slice::from_ref(&it.bucket)) {
            let most = self.most_of(id);
            let bucket = &self.buckets[id];
            if bucket.key != it.bucket {
                // There is no room for it: what others share a bucket with has learnt nothing.
                continue;
            }
            if !bucket.learns && bucket.lease().is_some() && bucket.reads(text, most) {
                self.begin_to_learn(now, id);
            }
            if self.buckets[id].learns_in_common() {
                self.buckets[id].hears_record(now, (it.serial, text, age), is_push, most);
                self.keeps_to_pace(now, id, false);
            }
        }
    }

    /// Up to what quota more than documented is tried.
    fn most_of(&self, id: BucketId) -> u32 {
        self.buckets[id].most(self.policy.learning.up)
    }

    /// The others have forgotten what a bucket has learnt.
    fn forget_in_common(&mut self, now: Instant, id: BucketId) {
        self.learning.retain(|other| *other != id);
        self.forget_lesson(now, id);
    }

    /// What the operator lets one of them forget all do.
    pub(super) fn tell_of_forgetting(&mut self, gone: &[BucketId]) {
        let Some(leases) = &mut self.leases else { return };
        let common = gone.iter().map(|id| &self.buckets[*id]).filter(|it| it.learns_in_common());
        for key in common.map(|bucket| bucket.key.clone()).collect::<Vec<_>>() {
            leases.freezes.keep(Notice::Forgotten(key));
        }
    }

    /// What was learnt under one name is told under another one.
    pub(super) fn lesson_is_renamed(&mut self, id: BucketId, before: BucketKey) {
        if !self.buckets[id].learns_in_common() {
            return;
        }
        self.buckets[id].is_renamed_in_common();
        if let Some(leases) = &mut self.leases {
            leases.freezes.keep(Notice::Forgotten(before));
        }
        self.tell_lesson(id, false);
    }

    /// Whether what a bucket is refused teaches something: nobody learns alone what all have.
    pub(super) fn is_taught(&self, id: BucketId) -> bool {
        let Some(leases) = &self.leases else { return true };
        leases.freezes.is_heard() && self.buckets[id].lease().is_some()
    }

    /// The store is heard, or not any more.
    pub(super) fn hears_of_lessons(&mut self, now: Instant, is_heard: bool, is_new: bool) {
        for id in self.learning.clone() {
            let Some(bucket) = self.buckets.get_mut(id).filter(|it| it.learns) else { continue };
            bucket.is_heard_in_common(now, is_heard);
            if is_new {
                bucket.is_told_anew();
            }
            self.tell_lesson(id, false);
        }
    }
}
