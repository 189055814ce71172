//! What the model remembers: who took which slot and when it was answered, and who left a place.

use std::{collections::BTreeSet, time::Duration};

use limits::{BucketKey, Class, Rule};

use super::{Arriving, End, Model};
use crate::{Call, Instant, Outcome, Permit, PlaceId};

/// A place that a call left when it was sent away.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) place: PlaceId,
    pub(super) age: u64,
    pub(super) buckets: Vec<BucketKey>,
    pub(super) class: Class,
    pub(super) due: Instant,
    /// Until when its client is on its way if it does what it was told.
    pub(super) awaited_until: Instant,
    pub(super) expires: Instant,
}

/// A slot that a call took.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) bucket: BucketKey,
    pub(super) class: Class,
    pub(super) at: Instant,
    /// When its answer came.
    pub(super) answered: Option<Instant>,
    /// Of calls in order: when it holds up the next no longer, unless it waits for its next attempt.
    pub(super) gives_up: Option<Instant>,
}

// === impl Grant ===

impl Grant {
    /// Whether it holds up the next call in order.
    pub(super) fn holds_up(&self, now: Instant) -> bool {
        matches!(self.bucket.limit.rule, Rule::InOrder(_))
            && self.answered.is_none()
            && self.gives_up.is_none_or(|at| at > now)
    }
}

/// Whether a limit counts calls in flight, and not those of a period.
pub(super) fn counts_in_flight(rule: &Rule) -> bool {
    matches!(rule, Rule::Concurrency(_) | Rule::InOrder(_))
}

// === impl Model ===

impl Model {
    pub(super) fn granted(&mut self, mut call: Arriving, permit: Permit) {
        self.goes_in_order(&call);
        call.granted_at = Some(self.now);
        self.sent.push((self.now, call.number));
        let grants = self.grants.entry(call.number).or_default();
        for bucket in &call.buckets {
            let gives_up = match bucket.limit.rule {
                Rule::InOrder(patience) => Some(self.now + patience),
                _ => None,
            };
            let has = |grant: &&mut Grant| grant.bucket == *bucket && grant.answered.is_none();
            match grants.iter_mut().find(has) {
                // A replayed call kept the slots of limits on calls in flight.
                Some(kept) => kept.gives_up = gives_up,
                None => grants.push(Grant {
                    bucket: bucket.clone(),
                    class: call.class,
                    at: self.now,
                    answered: None,
                    gives_up,
                }),
            }
        }
        if call.class == Class::Background {
            for bucket in &call.buckets {
                self.drained.insert(bucket.to_string(), self.now);
            }
        }
        self.within_its_limits(&call);
        self.in_flight.insert(call.number, (permit, call));
    }

    pub(super) fn settled(&mut self, call: &Arriving, outcome: Outcome) {
        let ended = self.ended_at(call.number);
        let answered = match outcome {
            Outcome::Lost => ended + Duration::from_secs(60),
            _ => ended,
        };
        if outcome == Outcome::Unsent {
            // Earlier attempts of the same call were sent.
            let grants = self.grants.get_mut(&call.number).unwrap();
            grants.retain(|grant| grant.answered.is_some());
        }
        self.age(call.number, answered, |_| true);
    }

    /// An attempt ended, if it had not, and its call may be sent again. One that was not sent, or
    /// refused, keeps its slots of limits on calls in flight.
    pub(super) fn attempt_ended(&mut self, number: u64, outcome: Outcome) {
        let ended = self.ended_at(number);
        if !self.between.insert(number) {
            return;
        }
        if matches!(outcome, Outcome::Refused | Outcome::Unsent) {
            self.keep_order(number);
        }
        match outcome {
            Outcome::Unsent => {
                let grants = self.grants.get_mut(&number).unwrap();
                grants
                    .retain(|it| it.answered.is_some() || counts_in_flight(&it.bucket.limit.rule));
            }
            Outcome::Refused => self.age(number, ended, |rule| !counts_in_flight(rule)),
            Outcome::Answered => self.age(number, ended, |_| true),
            Outcome::Lost => self.age(number, ended + Duration::from_secs(60), |_| true),
        }
    }

    /// Since when its slots age that ends now: the beginning of its answer, if that was told.
    pub(super) fn ended_at(&mut self, number: u64) -> Instant {
        self.began.remove(&number).unwrap_or(self.now)
    }

    /// A held call goes without having been granted again.
    pub(super) fn leave(&mut self, number: u64, end: End) {
        self.age(number, self.now, |_| true);
        self.ended.push((number, end));
    }

    pub(super) fn age(&mut self, number: u64, answered: Instant, which: impl Fn(&Rule) -> bool) {
        for grant in self.grants.get_mut(&number).into_iter().flatten() {
            if grant.answered.is_none() && which(&grant.bucket.limit.rule) {
                grant.answered = Some(answered);
            }
        }
    }

    /// A call that was refused keeps its slots of calls in order while it waits, but for those that
    /// were given up and have gone to another.
    pub(super) fn keep_order(&mut self, number: u64) {
        let taken: BTreeSet<_> = self
            .grants
            .iter()
            .filter(|(other, _)| **other != number)
            .flat_map(|(_, grants)| grants)
            .filter(|grant| grant.holds_up(self.now))
            .map(|grant| grant.bucket.to_string())
            .collect();
        let now = self.now;
        let in_order = |grant: &&mut Grant| matches!(grant.bucket.limit.rule, Rule::InOrder(_));
        let grants = self.grants.get_mut(&number).into_iter().flatten().filter(in_order);
        for grant in grants.filter(|grant| grant.answered.is_none()) {
            let lost = !grant.holds_up(now) && taken.contains(&grant.bucket.to_string());
            grant.answered = lost.then_some(now);
            grant.gives_up = None;
        }
    }

    pub(super) fn froze(&mut self, bucket: &BucketKey, until: Instant) {
        let frozen = self.frozen.entry(bucket.to_string()).or_insert(until);
        *frozen = until.max(*frozen);
        self.probed.insert(bucket.to_string());
    }

    pub(super) fn thawed(&mut self, bucket: &BucketKey) {
        self.frozen.remove(&bucket.to_string());
    }

    /// The age of the place that a call finds when it returns, and whether its time has come. The
    /// place is gone then, also where the call is another one by now.
    pub(super) fn take_place(&mut self, call: &Call) -> Option<(u64, bool)> {
        let place = call.place?;
        let found = self.places.iter().position(|kept| kept.place == place)?;
        let Kept { buckets, class, due, age, .. } = self.places.remove(found);
        let set = |buckets: &[BucketKey]| -> BTreeSet<String> {
            let limits = buckets.iter().filter(|key| key.limit.rule != Rule::Gate);
            limits.map(ToString::to_string).collect()
        };
        let same = class == call.class && set(&buckets) == set(&call.buckets);
        same.then_some((age, due <= self.now + call.again))
    }

    /// A call is sent away, and is as old as this when it returns.
    pub(super) fn keep_place(&mut self, call: &Arriving, age: u64, due: Instant) {
        let Some(place) = call.place else { return };
        let wait = due.since(self.now);
        let expires = due + (wait / 10).max(Duration::from_secs(2));
        // Whole seconds, and the way.
        let seconds = (wait + Duration::from_nanos(999_999_999)).as_secs();
        let awaited_until = self.now + Duration::from_millis(seconds * 1000 + 200);
        let like_it = self.places.iter().position(|kept| kept.place == place);
        let before = like_it.map(|at| self.places.remove(at));
        let age = before.map_or(age, |before| before.age.min(age));
        let (buckets, class) = (call.buckets.clone(), call.class);
        let kept = Kept { place, age, buckets, class, due, awaited_until, expires };
        self.places.push(kept);
        self.drop_latest();
    }

    /// Where there are too many places, those with the latest times are gone.
    fn drop_latest(&mut self) {
        let scheduler = &self.scheduler;
        let is_gone = |kept: &Kept| !scheduler.has_place(kept.place);
        for gone in self.places.iter().filter(|kept| is_gone(kept)) {
            let others = |key: Option<&BucketKey>| {
                let same = |kept: &&Kept| {
                    !is_gone(kept) && key.is_none_or(|key| kept.buckets.contains(key))
                };
                self.places.iter().filter(same).map(|kept| kept.due).collect::<Vec<_>>()
            };
            let full = |key: Option<&BucketKey>, most: usize| {
                let others = others(key);
                others.len() >= most && others.iter().all(|due| *due <= gone.due)
            };
            let lines = gone.buckets.iter();
            let mut lines = lines.filter(|key| !matches!(key.limit.rule, Rule::Open | Rule::Gate));
            let lawful = full(None, self.bounds.total)
                || lines.any(|key| full(Some(key), self.bounds.per_bucket));
            assert!(lawful, "at {:?} {gone:?} is gone, though there is space", self.now);
        }
        self.places.retain(|kept| scheduler.has_place(kept.place));
    }
}
