//! What a refusal teaches, which buckets remember it, and who is told.
//!
//! What is learnt of a limit in three workspaces is a hint for the fourth: the first surprise there
//! starts at what the others have learnt. It is no verdict, because the quota grows again where
//! more is accepted. That several have learnt the same is told, too: then the catalogue is wrong, and
//! an operator can correct it. Schedulers that share a limit learn it together; see
//! [`in_common`](super::in_common).

use alloc::vec::Vec;
use core::time::Duration;

use limits::BucketKey;

use super::{Instant, Note, Scheduler, bucket::Bucket, call_group::BucketId};

/// How limits are learnt from refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learning {
    /// Whether a lower quota is learnt.
    pub down: bool,
    /// Up to what a higher quota is tried, in percent of the documented one; absent if none is.
    pub up: Option<u32>,
}

/// What a bucket has learnt of its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learnt {
    /// The documented quota.
    pub documented: u32,
    /// The documented period.
    pub per: Duration,
    /// The quota that is believed.
    pub quota: u32,
    /// Its period, which is longer than documented where not even one call in that is accepted.
    pub period: Duration,
    /// The quota that was refused last, if it has not been accepted since.
    pub refused: Option<u32>,
    /// How far apart calls go.
    pub spacing: Duration,
    /// Whether that is because bursts are refused.
    pub bursts: bool,
    /// When the last refusal taught something; absent if none has.
    pub since: Option<Instant>,
}

/// What is kept of it for a successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptLesson {
    /// The documented quota. What was learnt of another one says nothing.
    pub documented: u32,
    /// The documented period.
    pub per: Duration,
    /// The quota that is believed.
    pub quota: u32,
    /// Its period.
    pub period: Duration,
    /// The quota that was refused last, if it has not been accepted since.
    pub refused: Option<u32>,
    /// Whether bursts are refused.
    pub bursts: bool,
    /// When the last refusal taught something; absent if none has.
    pub since: Option<Instant>,
}

/// A bucket has learnt something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lesson {
    /// Which.
    pub bucket: BucketKey,
    /// What it believes now.
    pub learnt: Learnt,
    /// How many others of the same limit, and the same method if it counts by that, have learnt a
    /// lower quota.
    pub alike: usize,
}

/// So many buckets remember what they have learnt. Beyond that, the one that was used the longest
/// time ago forgets.
pub(super) const MEMORY: usize = 1024;

/// So many lessons are kept for a driver that does not fetch them.
const UNTOLD: usize = 64;

/// What so many others have learnt is a hint.
const HINT: usize = 3;

// === impl Learning ===

impl Learning {
    /// Nothing is learnt.
    pub const OFF: Self = Self { down: false, up: None };
}

impl Default for Learning {
    fn default() -> Self {
        Self { down: true, up: None }
    }
}

// === impl Scheduler ===

impl Scheduler {
    /// Moves what buckets have learnt since the last time into `lessons`: each slower pace, once.
    pub fn lessons(&mut self, lessons: &mut Vec<Lesson>) {
        lessons.append(&mut self.lessons);
    }

    /// A call was refused that a freeze or a full window does not explain.
    pub(super) fn teach(
        &mut self,
        now: Instant,
        id: BucketId,
        sent: Instant,
        retry_after: Duration,
    ) {
        if !self.policy.learning.down || !self.is_taught(id) {
            return;
        }
        let mut hint = None;
        if !self.buckets[id].learns {
            self.begin_to_learn(now, id);
            let alike = self.learnt_alike(id);
            hint = (alike.len() >= HINT).then(|| alike[alike.len() / 2]);
        }
        self.buckets[id].learn(now, sent, retry_after, hint);
        self.keep_to_pace(now, id);
    }

    /// Gives a bucket a learner. If too many have one, another one forgets.
    pub(super) fn begin_to_learn(&mut self, now: Instant, id: BucketId) {
        self.buckets[id].begin_to_learn(self.policy.learning.up);
        if let Some(leases) = &self.leases {
            self.buckets[id].is_heard_in_common(now, leases.freezes.is_heard());
        }
        let buckets = &self.buckets;
        self.learning.retain(|other| {
            *other != id && buckets.get(*other).is_some_and(|bucket| bucket.learns)
        });
        if self.learning.len() >= MEMORY {
            let used_at = |at: &usize| buckets[self.learning[*at]].used_at();
            if let Some(at) = (0..self.learning.len()).min_by_key(used_at) {
                let oldest = self.learning.swap_remove(at);
                self.forget_lesson(now, oldest);
            }
        }
        self.learning.push(id);
    }

    /// Forgets what buckets have learnt of which that is so. Returns how many.
    pub fn forget(&mut self, now: Instant, forgets: impl Fn(&BucketKey) -> bool) -> usize {
        self.advance(now);
        let all = core::mem::take(&mut self.learning).into_iter();
        let of = |id: &BucketId| {
            let bucket = self.buckets.get(*id).filter(|bucket| bucket.learns);
            bucket.is_some_and(|bucket| forgets(&bucket.key))
        };
        let (gone, kept): (Vec<_>, Vec<_>) = all.partition(of);
        self.learning = kept;
        self.tell_of_forgetting(&gone);
        for id in &gone {
            self.forget_lesson(now, *id);
        }
        self.run(now);
        gone.len()
    }

    pub(super) fn forget_lesson(&mut self, now: Instant, id: BucketId) {
        let (_, noted) = self.buckets[id].kept_and_noted();
        self.buckets[id].forget_lessons(now, self.policy.background, self.replica.as_ref());
        self.note_lesson(id, noted);
        self.tell_lesson(id, true);
        self.look_again(id);
    }

    /// Remembers what a bucket had learnt before a restart.
    pub(super) fn recall(&mut self, now: Instant, id: BucketId, lesson: KeptLesson) {
        let is_shared = self.leases.is_none() || self.buckets[id].lease().is_some();
        if self.policy.learning.down && is_shared && self.buckets[id].is_of_this(&lesson) {
            self.begin_to_learn(now, id);
            self.buckets[id].recall(now, lesson);
            self.buckets[id].keep_to_pace(now, self.policy.background, self.replica.as_ref());
        }
    }

    /// Notes what a bucket has learnt, if that is not what was noted before.
    fn note_lesson(&mut self, id: BucketId, before: Option<KeptLesson>) {
        let Some(notes) = &mut self.notes else { return };
        let bucket = &mut self.buckets[id];
        let (lesson, _) = bucket.kept_and_noted();
        if lesson != before {
            bucket.is_noted(lesson);
            notes.push(Note::Learnt { bucket: bucket.key.clone(), lesson });
        }
    }

    /// Forgets what all buckets have learnt.
    pub(super) fn forget_lessons(&mut self, now: Instant) {
        for id in core::mem::take(&mut self.learning) {
            if self.buckets.get(id).is_some_and(|bucket| bucket.learns) {
                self.forget_lesson(now, id);
            }
        }
    }

    /// Keeps to the pace that is believed now, and reports it if it is a slower one.
    #[cold]
    pub(super) fn keep_to_pace(&mut self, now: Instant, id: BucketId) {
        self.keeps_to_pace(now, id, true);
    }

    /// The same; it is not reported what others have learnt.
    pub(super) fn keeps_to_pace(&mut self, now: Instant, id: BucketId, reports: bool) {
        let bucket = &mut self.buckets[id];
        let (before, (_, noted)) = (bucket.learnt(), bucket.kept_and_noted());
        let changed = bucket.keep_to_pace(now, self.policy.background, self.replica.as_ref());
        if changed {
            let slower = bucket.learnt().zip(before).is_some_and(|(now, before)| {
                now.quota < before.quota || now.period > before.period
            });
            self.report(id, slower && reports);
            self.look_again(id);
        }
        self.note_lesson(id, noted);
        self.tell_lesson(id, changed);
    }

    /// Reports what a bucket has learnt: if it is new, or corrects what nobody has been told yet.
    fn report(&mut self, id: BucketId, is_new: bool) {
        let bucket = &self.buckets[id];
        let before = self.lessons.iter().position(|lesson| lesson.bucket == bucket.key);
        let Some(learnt) = bucket.learnt().filter(|_| is_new || before.is_some()) else { return };
        let (bucket, alike) = (bucket.key.clone(), self.learnt_alike(id).len());
        if let Some(at) = before {
            self.lessons.remove(at);
        } else if self.lessons.len() >= UNTOLD {
            self.lessons.remove(0);
        }
        self.lessons.push(Lesson { bucket, learnt, alike });
    }

    /// The lower quotas that other buckets of the same limit have learnt, lowest first: of other
    /// identities, but of the same method where it counts by methods.
    fn learnt_alike(&self, id: BucketId) -> Vec<u32> {
        let own = &self.buckets[id].key;
        let is_alike = |other: &BucketKey| {
            other.limit.name == own.limit.name
                && other.values.split(other.limit.scope).1 == own.values.split(own.limit.scope).1
        };
        let others = self.learning.iter().filter(|other| **other != id);
        let others = others.filter_map(|other| self.buckets.get(*other));
        let alike = others.filter(|bucket| is_alike(&bucket.key));
        let learnt = alike.filter_map(Bucket::learnt);
        let lower = learnt.filter(|learnt| learnt.quota < learnt.documented);
        let mut quotas: Vec<_> = lower.map(|learnt| learnt.quota).collect();
        quotas.sort_unstable();
        quotas
    }
}
