//! A brute-force model that judges the scheduler: it keeps every grant that ever was and
//! counts anew at each step. Slow, simple, and sharing no line with what it judges.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use super::{
    Bounds, BucketKey, Call, Caller, CallerId, Class, Enqueued, Event, Instant, Outcome, Permit,
    Scheduler, Ticket, Weight,
};
use crate::slack::{AgeFrom, Dimension, Limit, Rate, Rule, Scope};

/// The scheduler under judgement, and all that the judge remembers.
pub(super) struct Judge {
    pub(super) scheduler: Scheduler,
    pub(super) now: Instant,
    /// Calls held, by their number.
    pub(super) held: BTreeMap<u64, (Ticket, Arriving)>,
    /// Calls in flight, by their number.
    pub(super) in_flight: BTreeMap<u64, (Permit, Arriving)>,
    /// Every grant: buckets, when, and when its answer came.
    grants: BTreeMap<u64, Vec<(BucketKey, Instant, Option<Instant>)>>,
    frozen: BTreeMap<String, Instant>,
    /// Buckets that may still be probing, which no model of ours predicts.
    probed: BTreeSet<String>,
    pub(super) ended: Vec<(u64, End)>,
    next: u64,
    wake: Option<Instant>,
}

/// A call, as the judge sees it.
#[derive(Clone, Debug)]
pub(super) struct Arriving {
    pub(super) number: u64,
    pub(super) buckets: Vec<BucketKey>,
    pub(super) class: Class,
    pub(super) caller: u64,
    pub(super) deadline: Instant,
    /// Of its class and caller, for the order.
    pub(super) granted_at: Option<Instant>,
}

/// How a call left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Answered,
    Cancelled,
    Expired,
    Refused,
}

/// The clock's grain that the scheduler adds to every period.
const GRAIN: Duration = Duration::from_millis(20);

/// A limit of so many calls per so many milliseconds.
pub(super) fn rate(name: &str, limit: u32, per_ms: u64, age_from: AgeFrom) -> Arc<Limit> {
    Arc::new(Limit {
        name: name.into(),
        rule: Rule::Rate(Rate {
            limit: NonZeroU32::new(limit).unwrap(),
            per: Duration::from_millis(per_ms),
            burst: None,
            tolerates: None,
        }),
        scope: Scope::of(&[Dimension::Workspace]),
        age_from,
    })
}

/// A limit of so many calls at once.
pub(super) fn at_once(name: &str, limit: u32) -> Arc<Limit> {
    Arc::new(Limit {
        name: name.into(),
        rule: Rule::Concurrency(NonZeroU32::new(limit).unwrap()),
        scope: Scope::of(&[Dimension::Channel, Dimension::Caller]),
        age_from: AgeFrom::Answer,
    })
}

/// That limit's bucket at this value.
pub(super) fn bucket(limit: &Arc<Limit>, value: &str) -> BucketKey {
    BucketKey { limit: Arc::clone(limit), values: value.into() }
}

impl Judge {
    pub(super) fn new() -> Self {
        Self::with_bounds(Bounds { per_bucket: 1_000_000, total: 1_000_000 })
    }

    pub(super) fn with_bounds(bounds: Bounds) -> Self {
        Self {
            scheduler: Scheduler::new(bounds),
            now: Instant::ZERO,
            held: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            grants: BTreeMap::new(),
            frozen: BTreeMap::new(),
            probed: BTreeSet::new(),
            ended: Vec::new(),
            next: 0,
            wake: None,
        }
    }

    /// A call arrives; `wait` says how long it may be held.
    pub(super) fn arrive(
        &mut self,
        buckets: &[BucketKey],
        class: Class,
        caller: u64,
        wait: Duration,
    ) -> u64 {
        self.next += 1;
        let call = Arriving {
            number: self.next,
            buckets: buckets.to_vec(),
            class,
            caller,
            deadline: self.now + wait,
            granted_at: None,
        };
        let enqueued = self.scheduler.enqueue(
            self.now,
            Call {
                buckets: call.buckets.clone(),
                class,
                caller: Caller { id: CallerId(caller), weight: Weight::ONE },
                deadline: call.deadline,
            },
        );
        self.enqueued(call, enqueued);
        self.next
    }

    fn enqueued(&mut self, call: Arriving, enqueued: Enqueued) {
        match enqueued {
            Enqueued::Granted(permit) => self.granted(call, permit),
            Enqueued::Held(ticket) => {
                self.held.insert(call.number, (ticket, call));
            }
            Enqueued::Refused(refusal) => {
                assert!(refusal.retry_at >= self.now, "a refusal names a time to come");
                self.leave(call.number, End::Refused);
            }
        }
        self.poll();
    }

    /// A call in flight ends.
    pub(super) fn settle(&mut self, number: u64, outcome: Outcome) {
        let (permit, call) = self.in_flight.remove(&number).unwrap();
        self.scheduler.settle(self.now, permit, outcome);
        self.settled(&call, outcome);
        self.ended.push((number, End::Answered));
        self.poll();
    }

    /// Slack refuses a call in flight.
    pub(super) fn refuse(&mut self, number: u64, retry_after: Duration) {
        let (permit, _) = &self.in_flight[&number];
        if let Some(freeze) = self.scheduler.refused(self.now, permit, retry_after) {
            self.froze(&freeze.bucket, freeze.until);
        }
    }

    /// A call in flight is refused and waits again.
    pub(super) fn replay(&mut self, number: u64, retry_after: Duration) {
        self.refuse(number, retry_after);
        let (permit, call) = self.in_flight.remove(&number).unwrap();
        let enqueued = self.scheduler.replay(self.now, permit);
        self.age(call.number, self.now, |rule| matches!(rule, Rule::Rate(_)));
        self.enqueued(call, enqueued);
    }

    pub(super) fn cancel(&mut self, number: u64) {
        let (ticket, _) = self.held.remove(&number).unwrap();
        self.scheduler.cancel(self.now, ticket);
        self.leave(number, End::Cancelled);
        self.poll();
    }

    pub(super) fn freeze(&mut self, bucket: &BucketKey, until: Instant) {
        self.scheduler.freeze(self.now, bucket.clone(), until);
        self.froze(bucket, until);
        self.poll();
    }

    /// Lets time pass, stopping wherever the scheduler wants to be asked.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(wake) = self.wake
            && wake <= end
        {
            self.now = self.now.max(wake);
            self.poll();
        }
        self.now = end;
        self.poll();
    }

    fn poll(&mut self) {
        let mut events = Vec::new();
        self.wake = self.scheduler.poll(self.now, &mut events);
        assert!(self.wake.is_none_or(|wake| wake > self.now), "it never asks for the past");
        for event in events {
            match event {
                Event::Granted { ticket, permit } => {
                    let number = self.number_of(ticket);
                    let (_, call) = self.held.remove(&number).unwrap();
                    self.overtakes_nobody(&call);
                    self.granted(call, permit);
                }
                Event::Expired { ticket, .. } => {
                    let number = self.number_of(ticket);
                    let (_, call) = self.held.remove(&number).unwrap();
                    assert!(call.deadline <= self.now, "nobody is sent away before time");
                    self.leave(number, End::Expired);
                }
            }
        }
        self.conserves_work();
        assert_eq!(self.scheduler.held(), self.held.len(), "none lost, none made up");
    }

    fn number_of(&self, ticket: Ticket) -> u64 {
        let found = self.held.iter().find(|(_, (held, _))| *held == ticket);
        *found.expect("an event names a held call").0
    }

    fn granted(&mut self, mut call: Arriving, permit: Permit) {
        call.granted_at = Some(self.now);
        let grants = self.grants.entry(call.number).or_default();
        for bucket in &call.buckets {
            // A replayed call kept the slots of limits on calls in flight.
            if !grants.iter().any(|(key, _, answered)| key == bucket && answered.is_none()) {
                grants.push((bucket.clone(), self.now, None));
            }
        }
        for bucket in &call.buckets {
            let (taken, quota) = self.taken(bucket);
            assert!(taken <= quota, "{bucket}: {taken} of {quota} at {:?}", self.now);
            let frozen = self.frozen.get(&bucket.to_string());
            assert!(frozen.is_none_or(|until| *until <= self.now), "{bucket} is frozen");
        }
        self.in_flight.insert(call.number, (permit, call));
    }

    fn settled(&mut self, call: &Arriving, outcome: Outcome) {
        let answered = match outcome {
            Outcome::Lost => self.now + Duration::from_secs(60),
            _ => self.now,
        };
        if outcome == Outcome::Unsent {
            // Earlier attempts of the same call were sent.
            let grants = self.grants.get_mut(&call.number).unwrap();
            grants.retain(|(.., answered)| answered.is_some());
        }
        self.age(call.number, answered, |_| true);
    }

    /// A held call goes without having been granted again.
    fn leave(&mut self, number: u64, end: End) {
        self.age(number, self.now, |_| true);
        self.ended.push((number, end));
    }

    fn age(&mut self, number: u64, answered: Instant, which: impl Fn(&Rule) -> bool) {
        for grant in self.grants.get_mut(&number).into_iter().flatten() {
            if grant.2.is_none() && which(&grant.0.limit.rule) {
                grant.2 = Some(answered);
            }
        }
    }

    fn froze(&mut self, bucket: &BucketKey, until: Instant) {
        let frozen = self.frozen.entry(bucket.to_string()).or_insert(until);
        *frozen = until.max(*frozen);
        self.probed.insert(bucket.to_string());
    }

    /// How many calls the server may have counted in the period that ends now.
    fn taken(&self, bucket: &BucketKey) -> (usize, usize) {
        let all = self.grants.values().flatten().filter(|(key, ..)| key == bucket);
        match bucket.limit.rule {
            Rule::Concurrency(quota) => {
                (all.filter(|(.., answered)| answered.is_none()).count(), quota.get() as usize)
            }
            Rule::Rate(rate) => {
                let counts = |(_, granted, answered): &&(BucketKey, Instant, Option<Instant>)| {
                    let from = match bucket.limit.age_from {
                        AgeFrom::Answer => *answered,
                        AgeFrom::Send => Some(*granted),
                    };
                    from.is_none_or(|from| from + (rate.per + GRAIN) > self.now)
                };
                (all.filter(counts).count(), rate.limit.get() as usize)
            }
        }
    }

    /// No call waits while all of its buckets have room.
    fn conserves_work(&self) {
        for (_, call) in self.held.values() {
            let own = self.grants.get(&call.number);
            let blocked = call.buckets.iter().any(|bucket| {
                let (taken, quota) = self.taken(bucket);
                let keeps = |(key, _, answered): &(BucketKey, _, Option<Instant>)| {
                    key == bucket && answered.is_none()
                };
                let kept = own.is_some_and(|grants| grants.iter().any(keeps));
                let taken = taken - usize::from(kept);
                let name = bucket.to_string();
                taken >= quota
                    || self.frozen.get(&name).is_some_and(|until| *until > self.now)
                    || self.probed.contains(&name)
            });
            assert!(blocked, "call {} waits for nothing: {call:?}", call.number);
        }
    }

    /// Nobody of the same class, caller and buckets has waited longer.
    fn overtakes_nobody(&self, granted: &Arriving) {
        let older = self.held.values().find(|(_, other)| {
            other.number < granted.number
                && other.class == granted.class
                && other.caller == granted.caller
                && other.buckets == granted.buckets
        });
        assert!(older.is_none(), "{granted:?} overtook {older:?}");
    }

    /// Ends everything and looks whether anything is left.
    pub(super) fn wind_up(&mut self) {
        for _ in 0..100_000 {
            let Some(number) = self.in_flight.keys().next().copied() else {
                if self.held.is_empty() {
                    break;
                }
                self.pass(Duration::from_secs(1));
                continue;
            };
            self.settle(number, Outcome::Answered);
        }
        self.pass(Duration::from_secs(100_000));
        assert!(self.held.is_empty() && self.in_flight.is_empty());
        assert_eq!(self.scheduler.buckets(self.now).count(), 0, "memory follows live traffic");
        let mut ended: Vec<_> = self.ended.iter().map(|(number, _)| *number).collect();
        ended.sort_unstable();
        let arrived: Vec<_> = (1..=self.next).collect();
        assert_eq!(ended, arrived, "each call ends exactly once");
    }
}
