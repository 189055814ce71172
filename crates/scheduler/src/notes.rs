//! What a scheduler tells its successor: which slots are taken, and what is frozen.
//!
//! Windows have to outlive the process: Slack's go on when the proxy is started again. So a
//! scheduler that is [asked to](Scheduler::take_notes) notes every grant, the end of every call,
//! every freeze, every rename and what limits are learnt, in their order. From these its successor can be told what each
//! bucket [remembers](Scheduler::restore). Calls that wait are not noted: their clients'
//! connections end with the process. Neither is in what order callers were served, and who is
//! expected: that costs fairness for a moment, and breaks no limit.
//!
//! Where the notes have a gap, it is unknown which slots were taken. Then the successor is
//! [cautious](Scheduler::be_cautious): it counts every limit as just used up.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::time::Duration;

use limits::{BucketKey, Scope};

use super::{
    Bucket, Freeze, Instant, KeptLesson, Outcome, Scheduler,
    bucket::LOST_GRACE,
    call::{Sequence, Slot},
};

/// Something happened that is to outlive the process.
#[derive(Clone, Debug)]
pub enum Note {
    /// A call took a slot in each of these buckets.
    Granted {
        /// A number that no other call in flight has.
        call: u64,
        /// When.
        at: Instant,
        /// Where.
        buckets: Vec<BucketKey>,
    },
    /// It has ended.
    Ended {
        /// Which.
        call: u64,
        /// From when its slots age, but for those that age from the grant; nothing if it never
        /// left: then it has none.
        ages_from: Option<Instant>,
    },
    /// A bucket is closed until then, and no longer: also if that is now, and it was to be for longer.
    Frozen(Freeze),
    /// What a bucket has learnt of its limit has changed; without a lesson, it has forgotten that.
    Learnt {
        /// Which.
        bucket: BucketKey,
        /// What.
        lesson: Option<KeptLesson>,
    },
    /// What counted for one identity counts for another; see [`Scheduler::rename`].
    Renamed {
        /// By what.
        of: Scope,
        /// For whom.
        from: Box<str>,
        /// For whom from now on.
        to: Box<str>,
    },
}

/// What a bucket remembers from before the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// From when each of its slots ages.
    pub ages_from: Vec<Instant>,
    /// Until when it is closed.
    pub frozen_until: Option<Instant>,
    /// What it has learnt of its limit.
    pub learnt: Option<KeptLesson>,
}

// === impl Scheduler ===

impl Scheduler {
    /// Takes notes from now on. The driver has to fetch them with [`Self::notes`].
    pub fn take_notes(&mut self) {
        self.notes.get_or_insert_default();
    }

    /// Moves the notes since the last time into `notes`.
    pub fn notes(&mut self, notes: &mut Vec<Note>) {
        if let Some(own) = &mut self.notes {
            notes.append(own);
        }
    }

    /// Gives a bucket what it remembers from before the process.
    pub fn restore(&mut self, now: Instant, bucket: BucketKey, memory: &Memory) {
        for id in self.resolve(now, &[bucket]) {
            for ages_from in &memory.ages_from {
                self.buckets[id].remember(now, *ages_from);
            }
            if let Some(until) = memory.frozen_until.filter(|until| *until > now) {
                self.buckets[id].freeze(until);
            }
            if let Some(lesson) = memory.learnt {
                self.recall(now, id, lesson);
            }
            self.touch(id);
        }
        self.run(now);
    }

    /// Which slots were taken before that instant is unknown: for one period from then, each limit
    /// counts as used up.
    pub fn be_cautious(&mut self, since: Instant) {
        self.cautious_since = Some(since);
    }

    pub(super) fn new_bucket(&mut self, now: Instant, key: BucketKey) -> Bucket {
        let limit = Arc::clone(self.limit_of_now(&key.limit));
        let mut bucket = Bucket::of_replica(
            BucketKey { limit, ..key },
            self.policy.background,
            self.replica.as_ref(),
        );
        if let Some(since) = self.cautious_since
            && bucket.key.limit.is_remembered()
        {
            // A call that is not known may still be on its way.
            let grace = if bucket.counts_in_flight() { LOST_GRACE } else { Duration::ZERO };
            bucket.fill(now, since + grace);
        }
        self.share_bucket(now, &mut bucket);
        bucket
    }

    pub(super) fn note_grant(&mut self, at: Instant, call: Sequence, slots: &[Slot]) {
        let Some(notes) = &mut self.notes else { return };
        let keys = slots.iter().map(|slot| &self.buckets[slot.bucket].key);
        let buckets: Vec<_> = keys.filter(|key| key.limit.is_remembered()).cloned().collect();
        if !buckets.is_empty() {
            notes.push(Note::Granted { call, at, buckets });
        }
    }

    pub(super) fn note_end(
        &mut self,
        call: Sequence,
        slots: &[Slot],
        ended: Instant,
        outcome: Outcome,
    ) {
        let Some(notes) = &mut self.notes else { return };
        if !slots.iter().any(|slot| self.buckets[slot.bucket].key.limit.is_remembered()) {
            return;
        }
        let ages_from = match outcome {
            Outcome::Unsent => None,
            Outcome::Answered | Outcome::Refused => Some(ended),
            Outcome::Lost => Some(ended + LOST_GRACE),
        };
        notes.push(Note::Ended { call, ages_from });
    }

    pub(super) fn note_freeze(&mut self, freeze: &Freeze) {
        if let Some(notes) = &mut self.notes {
            notes.push(Note::Frozen(freeze.clone()));
        }
    }

    pub(super) fn note_rename(&mut self, of: Scope, from: &str, to: &str) {
        if let Some(notes) = &mut self.notes {
            notes.push(Note::Renamed { of, from: from.into(), to: to.into() });
        }
    }
}
