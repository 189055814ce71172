//! Which buckets a refusal closes.
//!
//! Slack's 429 does not say which limit it is. The bucket of the call with the highest used
//! share of its quota is the most likely, and it is frozen.
//!
//! But the limit may be a wider one, of which nothing is known: one 429 has been seen to shut a
//! whole app. That shows in what is refused next. A second channel within ten seconds freezes
//! the method; a second method freezes the workspace, and a second workspace the app, each
//! until the earlier of the two pauses is over, for ten minutes at most. Then one call probes. Only surprises count:
//! calls that were on their way when a bucket was frozen tell nothing new.
//!
//! Workspace and app are buckets like others, but [open](Rule::Open): any number of calls goes
//! through them until there is evidence.

use alloc::{vec, vec::Vec};
use core::{cmp::Ordering, time::Duration};

use limits::{BucketKey, Dimension, Rule};

use super::{Freeze, Instant, Permit, Refused, Scheduler, call::Slot, call_group::BucketId};

/// Two refusals at most this far apart have one cause.
pub(super) const EVIDENCE: Duration = Duration::from_secs(10);

/// The longest that a bucket is frozen on the evidence of others. No answer says that it is that one, and
/// much waits for it: its probe finds out.
pub(super) const WIDE: Duration = Duration::from_secs(600);

/// The last refusal under a bucket.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    /// The bucket that was frozen for it.
    below: BucketKey,
    pub(super) since: Instant,
    until: Instant,
}

/// How likely a bucket is the one that Slack refused a call for. Ordered: by the share of
/// its quota that was used, the call itself not counted, then the narrower, then the one
/// with the longer period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Suspicion {
    pub(super) used: u32,
    pub(super) quota: u32,
    pub(super) narrowness: u32,
    pub(super) period: Duration,
}

/// What is counted more narrowly than a method.
const NARROWER_THAN_A_METHOD: [Dimension; 4] =
    [Dimension::Channel, Dimension::User, Dimension::Url, Dimension::Caller];

// === impl Suspicion ===

impl Ord for Suspicion {
    fn cmp(&self, other: &Self) -> Ordering {
        let share = |one: &Self, of: &Self| u64::from(one.used) * u64::from(of.quota);
        share(self, other)
            .cmp(&share(other, self))
            .then(self.narrowness.cmp(&other.narrowness))
            .then(self.period.cmp(&other.period))
    }
}

impl PartialOrd for Suspicion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

// === impl Scheduler ===

impl Scheduler {
    /// Slack refused the call of `permit` for a limit and asks for a pause of `retry_after`:
    /// freezes the bucket that most likely refused it, and wider ones if there is evidence against
    /// them. Returns what it froze. The permit has still to be settled or replayed.
    pub fn refused(&mut self, now: Instant, permit: &Permit, retry_after: Duration) -> Refused {
        self.advance(now);
        let slots = self.granted.get(permit.index).map_or(&[][..], |granted| &granted.slots);
        let suspects = slots.iter().filter_map(|slot| {
            Some((self.buckets[slot.bucket].suspicion()?, slot.bucket, slot.taken))
        });
        let Some((_, culprit, taken)) = suspects.max() else { return Refused::default() };
        let until = now + retry_after;
        let surprise = self.buckets[culprit].is_surprised(taken);
        let levels = if surprise { self.levels(slots, culprit) } else { Vec::new() };
        let mut freezes = vec![self.close(now, culprit, until)];
        for (below, above) in levels {
            if self.leases.is_some() {
                self.tell_of_refusal(above, below, retry_after);
            }
            if let Some(until) = self.witness(now, above, below, until) {
                freezes.push(self.close(now, above, until.min(now + WIDE)));
            }
        }
        if surprise {
            self.teach(now, culprit, taken, retry_after);
        }
        self.run(now);
        Refused { freezes, surprise }
    }

    /// Ends the freezes of the buckets that are meant, and returns these. In each one call probes now,
    /// as at the end of any freeze.
    pub fn thaw(&mut self, now: Instant, meant: impl Fn(&BucketKey) -> bool) -> Vec<BucketKey> {
        self.advance(now);
        let frozen = self.buckets.iter_mut().filter_map(|(id, bucket)| {
            let is_meant = bucket.frozen_until(now).is_some() && meant(&bucket.key);
            is_meant.then_some(id)
        });
        let frozen: Vec<_> = frozen.collect();
        let thawed = frozen.into_iter().map(|id| {
            let bucket = &mut self.buckets[id];
            bucket.thaw(now);
            let key = bucket.key.clone();
            self.note_freeze(&Freeze { bucket: key.clone(), until: now });
            if self.leases.is_some() {
                self.tell_of_thaw(now, id);
            }
            self.look_again(id);
            key
        });
        let thawed = thawed.collect();
        self.run(now);
        thawed
    }

    /// Freezes a bucket.
    pub(super) fn close(&mut self, now: Instant, id: BucketId, until: Instant) -> Freeze {
        let freeze = self.shut(now, id, until);
        if self.leases.is_some() {
            self.tell_of_freeze(now, id);
        }
        freeze
    }

    /// The buckets from the culprit's level up, each beside the one below it.
    fn levels(&self, slots: &[Slot], culprit: BucketId) -> Vec<(BucketId, BucketId)> {
        let limit = |id: BucketId| &self.buckets[id].key.limit;
        let narrow = |id: BucketId| {
            NARROWER_THAN_A_METHOD.into_iter().any(|by| limit(id).scope.contains(by))
        };
        let ids = || slots.iter().map(|slot| slot.bucket);
        let rates = ids().filter(|id| matches!(limit(*id).rule, Rule::Rate(_)));
        let method = rates.filter(|id| !narrow(*id)).max_by_key(|id| limit(*id).scope.len());
        let mut open: Vec<_> = ids().filter(|id| limit(*id).rule == Rule::Open).collect();
        open.sort_by_key(|id| core::cmp::Reverse(limit(*id).scope.len()));
        let mut below = culprit;
        let mut levels = Vec::new();
        for above in method.into_iter().chain(open) {
            if above != culprit && (narrow(below) || limit(above).rule == Rule::Open) {
                levels.push((below, above));
            }
            below = above;
        }
        levels
    }

    /// Notes a refusal under a bucket. With another one just before, the bucket itself is
    /// suspect: until when it is to be frozen.
    fn witness(
        &mut self,
        now: Instant,
        above: BucketId,
        below: BucketId,
        until: Instant,
    ) -> Option<Instant> {
        let new = Evidence { below: self.buckets[below].key.clone(), since: now, until };
        let before = self.buckets[above].rare().evidence.replace(new)?;
        // It may have got another name since.
        let same = self.buckets.find(&before.below) == Some(below);
        let together = !same && now.since(before.since) <= EVIDENCE;
        let until = before.until.min(until);
        (together && until > now).then_some(until)
    }
}
