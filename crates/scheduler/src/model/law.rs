//! What is lawful, counted anew from every grant that ever was.

use std::time::Duration;

use limits::{AgeFrom, BucketKey, Class, Rate, Rule};

use super::{
    Arriving, Model,
    books::{Grant, counts_in_flight},
};
use crate::Call;

/// The clock's grain that the scheduler adds to every period.
const GRAIN: Duration = Duration::from_millis(20);

// === impl Model ===

impl Model {
    /// No window has more calls than it may have, and no bucket is closed, where this one has just
    /// gone.
    pub(super) fn within_its_limits(&self, call: &Arriving) {
        for bucket in &call.buckets {
            for (taken, quota) in self.windows(bucket) {
                assert!(taken <= quota, "{bucket}: {taken} of {quota} at {:?}", self.now);
            }
            let (background, most) = self.background(bucket);
            assert!(
                call.class != Class::Background || background <= most,
                "{bucket}: {background} of {most} are background's at {:?}",
                self.now
            );
            let frozen = self.frozen.get(&bucket.to_string());
            assert!(frozen.is_none_or(|until| *until <= self.now), "{bucket} is frozen");
        }
    }

    /// No queue grows beyond its bound by a call that comes; replays alone may do so.
    pub(super) fn stays_in_bounds(&mut self, call: &Call, before: usize, waiting: &[(u64, u64)]) {
        let grows = self.queued() > before;
        assert!(!grows || self.queued() <= self.bounds.total, "{call:?} joins a full queue");
        let after = self.waiting(call);
        assert!(self.scheduler.places() <= self.bounds.total, "{call:?} leaves a place too many");
        for (bucket, (before, after)) in call.buckets.iter().zip(waiting.iter().zip(after)) {
            let most = u64::try_from(self.bounds.per_bucket).unwrap();
            // What everything goes through has no queue of its own.
            let bounded = !matches!(bucket.limit.rule, Rule::Open | Rule::Gate);
            for (before, after) in [(before.0, after.0), (before.1, after.1)] {
                assert!(!bounded || after <= most.max(before), "{call:?} joins a full line");
            }
        }
        let own = self.held.values().filter(|(_, held)| held.caller == call.caller.id.0).count();
        let may = call.max_depth.is_none_or(|most| own < most);
        assert!(!grows || may, "{call:?} is one too many of its caller");
    }

    /// No call of the same class, caller and buckets has waited longer.
    pub(super) fn overtakes_nobody(&self, granted: &Arriving) {
        let older = self.held.values().find(|(_, other)| {
            other.age < granted.age
                && other.class == granted.class
                && other.caller == granted.caller
                && other.buckets == granted.buckets
                // One that is replayed keeps its slots of limits on calls in flight, and so
                // is in another group than its like; where these are several at once, one of
                // them may go in the same instant.
                && (other.granted_at.is_none() || !several_at_once(other))
        });
        // One that was on its way under another name, or counted against other buckets, with the
        // slot for which the older one waits, is before it when it is replayed.
        let concurrency = |bucket: &BucketKey| counts_in_flight(&bucket.limit.rule);
        let met = (self.rebucketed || !self.former.is_empty())
            && granted.granted_at.is_some()
            && granted.buckets.iter().any(concurrency);
        assert!(met || older.is_none(), "{granted:?} overtook {older:?}");
    }

    /// Of calls in order, no older one waits. One that kept its slot while it waited is first.
    pub(super) fn goes_in_order(&self, goes: &Arriving) {
        let own = self.grants.get(&goes.number);
        for bucket in &goes.buckets {
            let keeps = |grant: &Grant| grant.bucket == *bucket && grant.answered.is_none();
            if own.is_some_and(|own| own.iter().any(keeps)) {
                continue;
            }
            assert!(!self.is_behind(bucket, goes), "at {:?} {goes:?} overtook", self.now);
        }
    }

    /// Whether calls of a bucket go in order, and an older one waits for it.
    fn is_behind(&self, bucket: &BucketKey, call: &Arriving) -> bool {
        let waits = |other: &Arriving| other.age < call.age && other.buckets.contains(bucket);
        matches!(bucket.limit.rule, Rule::InOrder(_))
            && self.held.values().any(|(_, other)| waits(other))
    }

    /// No call waits while all of its buckets have a free slot, except where free slots are kept
    /// for others.
    pub(super) fn conserves_work(&mut self) {
        let idle = self.held.values().find(|(_, call)| {
            !call.buckets.iter().any(|bucket| {
                self.is_shut(bucket, call.number)
                    || self.keeps_slots(bucket, call)
                    || self.is_behind(bucket, call)
            })
        });
        if let Some((ticket, call)) = idle {
            let because = self.scheduler.waits_for(self.now, *ticket);
            panic!("at {:?} {call:?} waits for nothing, but {because:?}", self.now);
        }
    }

    /// How many are in the queue.
    pub(super) fn queued(&self) -> usize {
        self.scheduler.held()
    }

    /// How many calls are in the queue of each of a call's buckets, and how many places.
    pub(super) fn waiting(&mut self, call: &Call) -> Vec<(u64, u64)> {
        let states: Vec<_> = self.scheduler.buckets(self.now).collect();
        let waiting = |key: &BucketKey| {
            states
                .iter()
                .find(|state| state.key == *key)
                .map_or((0, 0), |state| (state.waiting, state.places))
        };
        call.buckets.iter().map(waiting).collect()
    }

    /// Whether no call may go through a bucket, not counting what `number` has of it.
    fn is_shut(&self, bucket: &BucketKey, number: u64) -> bool {
        let own = self.grants.get(&number);
        let keeps = |grant: &Grant| grant.bucket == *bucket && grant.answered.is_none();
        let kept = own.is_some_and(|grants| grants.iter().any(keeps));
        let name = bucket.to_string();
        if bucket.limit.rule == Rule::Gate {
            return true;
        }
        let full = |(taken, quota)| taken - usize::from(kept) >= quota;
        self.windows(bucket).into_iter().any(full)
            || self.frozen.get(&name).is_some_and(|until| *until > self.now)
            || self.probed.contains(&name)
    }

    /// Whether a bucket keeps its free slots for others: for people, or for a call that also
    /// needs another bucket, which is shut.
    fn keeps_slots(&self, bucket: &BucketKey, call: &Arriving) -> bool {
        let Rule::Rate(rate) = bucket.limit.rule else {
            return self.is_claimed(bucket, call.number);
        };
        let (taken, quota) = self.taken(bucket, &Class::ALL);
        let people = self.people.get(&bucket.to_string());
        let expected = people.is_some_and(|seen| *seen + rate.per * 10 > self.now);
        let spread = call.class > Class::Interactive && expected && (taken + 1) * 2 > quota;
        let background = call.class == Class::Background && {
            let (taken, most) = self.background(bucket);
            let pace = (rate.per + GRAIN) / u32::try_from(most).unwrap();
            let last = self.drained.get(&bucket.to_string());
            quota > 1 && (taken >= most || last.is_some_and(|last| *last + pace > self.now))
        };
        let others = self.places.iter().filter(|kept| {
            let until = kept.awaited_until.min(kept.due + (rate.per + GRAIN) / 50);
            let is_awaited = kept.due <= self.now && self.now < until;
            let goes_first = kept.class <= call.class;
            is_awaited && goes_first && kept.buckets.contains(bucket)
        });
        let others = others.count();
        let paced = expected || call.class == Class::Background;
        let free = self.windows(bucket).into_iter().map(|(taken, quota)| quota - taken).min();
        let for_others = others > 0 && (paced || free.is_some_and(|free| free <= others));
        let last_one = self.windows(bucket).into_iter().any(|(taken, quota)| taken + 1 >= quota);
        spread || background || for_others || (last_one && self.is_claimed(bucket, call.number))
    }

    fn is_claimed(&self, bucket: &BucketKey, number: u64) -> bool {
        self.held.values().any(|(_, other)| {
            other.number != number
                && other.buckets.contains(bucket)
                && other.buckets.iter().any(|elsewhere| {
                    elsewhere != bucket
                        && (self.is_shut(elsewhere, other.number)
                            || keeps_people_out(elsewhere, other))
                })
        })
    }

    /// How many calls of these classes the server may have counted in the period that ends
    /// now, and how many it allows.
    fn taken(&self, bucket: &BucketKey, classes: &[Class]) -> (usize, usize) {
        let all = self.grants_of(bucket).filter(|grant| classes.contains(&grant.class));
        match bucket.limit.rule {
            Rule::Concurrency(quota) => {
                // An answer that was given up may still be on the way.
                let counts =
                    |grant: &&Grant| grant.answered.is_none_or(|answered| answered > self.now);
                (all.filter(counts).count(), quota.get() as usize)
            }
            Rule::InOrder(_) => (all.filter(|grant| grant.holds_up(self.now)).count(), 1),
            Rule::Open | Rule::Gate => (0, usize::MAX),
            Rule::Rate(rate) => {
                let counts = |grant: &&Grant| self.counts(grant, rate.per);
                (all.filter(counts).count(), rate.limit.get() as usize)
            }
        }
    }

    /// The same for each window of a bucket: a limit that refuses bursts has two.
    fn windows(&self, bucket: &BucketKey) -> Vec<(usize, usize)> {
        let mut windows = vec![self.taken(bucket, &Class::ALL)];
        if let Rule::Rate(Rate { limit, per, burst: Some(burst), .. }) = bucket.limit.rule {
            let per = per * burst.get() / limit.get();
            let taken = self.grants_of(bucket).filter(|grant| self.counts(grant, per)).count();
            windows.push((taken, burst.get() as usize));
        }
        windows
    }

    /// Every slot that was ever taken in a bucket.
    fn grants_of(&self, bucket: &BucketKey) -> impl Iterator<Item = &Grant> {
        self.grants.values().flatten().filter(move |grant| grant.bucket == *bucket)
    }

    /// Whether the server may have counted a call in the `period` that ends now.
    fn counts(&self, grant: &Grant, period: Duration) -> bool {
        let from = match grant.bucket.limit.age_from {
            AgeFrom::Answer => grant.answered,
            AgeFrom::Send => Some(grant.at),
        };
        from.is_none_or(|from| from + (period + GRAIN) > self.now)
    }

    /// How many background calls are in a window, and how many may be.
    fn background(&self, bucket: &BucketKey) -> (usize, usize) {
        let (taken, quota) = self.taken(bucket, &[Class::Background]);
        match bucket.limit.rule {
            Rule::Rate(_) if quota > 1 => (taken, (quota * 3 / 4).min(quota - 1)),
            _ => (taken, quota),
        }
    }
}

/// Whether a call is under a limit on calls in flight that allows more than one.
fn several_at_once(call: &Arriving) -> bool {
    let several = |rule: &Rule| matches!(rule, Rule::Concurrency(quota) if quota.get() > 1);
    call.buckets.iter().any(|bucket| several(&bucket.limit.rule))
}

/// Whether slots that are reserved for people may keep that call out of a bucket.
fn keeps_people_out(bucket: &BucketKey, call: &Arriving) -> bool {
    call.class > Class::Interactive && matches!(bucket.limit.rule, Rule::Rate(_))
}
