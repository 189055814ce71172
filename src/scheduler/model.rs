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
    PlaceId, Policy, Scheduler, Share, Ticket, Weight,
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
    /// Every grant, by its call.
    grants: BTreeMap<u64, Vec<Grant>>,
    /// When the last interactive call came to a bucket.
    people: BTreeMap<String, Instant>,
    /// When the last background call went through a bucket, even if it never left.
    drained: BTreeMap<String, Instant>,
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
    pub(super) place: Option<u64>,
    /// Of its class and caller, for the order.
    pub(super) granted_at: Option<Instant>,
}

/// A slot that a call took.
#[derive(Clone, Debug)]
struct Grant {
    bucket: BucketKey,
    class: Class,
    at: Instant,
    /// When its answer came.
    answered: Option<Instant>,
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
pub(super) fn at_once(name: &str, limit: u32, age_from: AgeFrom) -> Arc<Limit> {
    Arc::new(Limit {
        name: name.into(),
        rule: Rule::Concurrency(NonZeroU32::new(limit).unwrap()),
        scope: Scope::of(&[Dimension::Channel, Dimension::Caller]),
        age_from,
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
            scheduler: Scheduler::new(Policy { bounds, background: Share::default() }),
            now: Instant::ZERO,
            held: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            grants: BTreeMap::new(),
            people: BTreeMap::new(),
            drained: BTreeMap::new(),
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
        self.arrive_with(buckets, class, caller, wait, None)
    }

    /// The same for a call that keeps its place when it is sent away.
    pub(super) fn arrive_with(
        &mut self,
        buckets: &[BucketKey],
        class: Class,
        caller: u64,
        wait: Duration,
        place: Option<u64>,
    ) -> u64 {
        self.next += 1;
        let call = Arriving {
            number: self.next,
            buckets: buckets.to_vec(),
            class,
            caller,
            deadline: self.now + wait,
            place,
            granted_at: None,
        };
        if class == Class::Interactive {
            for bucket in buckets {
                self.people.insert(bucket.to_string(), self.now);
            }
        }
        let enqueued = self.scheduler.enqueue(
            self.now,
            Call {
                buckets: call.buckets.clone(),
                class,
                caller: Caller { id: CallerId(caller), weight: Weight::ONE },
                deadline: call.deadline,
                max_depth: None,
                place: place.map(PlaceId),
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
        for freeze in self.scheduler.refused(self.now, permit, retry_after).freezes {
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
            if !grants.iter().any(|grant| grant.bucket == *bucket && grant.answered.is_none()) {
                grants.push(Grant {
                    bucket: bucket.clone(),
                    class: call.class,
                    at: self.now,
                    answered: None,
                });
            }
        }
        for bucket in &call.buckets {
            if call.class == Class::Background {
                self.drained.insert(bucket.to_string(), self.now);
            }
            let (taken, quota) = self.taken(bucket, &Class::ALL);
            assert!(taken <= quota, "{bucket}: {taken} of {quota} at {:?}", self.now);
            let (background, most) = self.background(bucket);
            assert!(
                call.class != Class::Background || background <= most,
                "{bucket}: {background} of {quota} are background's at {:?}",
                self.now
            );
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
            grants.retain(|grant| grant.answered.is_some());
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
            if grant.answered.is_none() && which(&grant.bucket.limit.rule) {
                grant.answered = Some(answered);
            }
        }
    }

    fn froze(&mut self, bucket: &BucketKey, until: Instant) {
        let frozen = self.frozen.entry(bucket.to_string()).or_insert(until);
        *frozen = until.max(*frozen);
        self.probed.insert(bucket.to_string());
    }

    /// How many calls of these classes the server may have counted in the period that ends
    /// now, and how many it allows.
    fn taken(&self, bucket: &BucketKey, classes: &[Class]) -> (usize, usize) {
        let all = self.grants.values().flatten();
        let all = all.filter(|grant| grant.bucket == *bucket && classes.contains(&grant.class));
        match bucket.limit.rule {
            Rule::Concurrency(quota) => {
                // An answer that was given up may still be on the way.
                let lost = bucket.limit.age_from == AgeFrom::Answer;
                let counts = |grant: &&Grant| {
                    grant.answered.is_none_or(|answered| lost && answered > self.now)
                };
                (all.filter(counts).count(), quota.get() as usize)
            }
            Rule::Open => (0, usize::MAX),
            Rule::Rate(rate) => {
                let counts = |grant: &&Grant| {
                    let from = match bucket.limit.age_from {
                        AgeFrom::Answer => grant.answered,
                        AgeFrom::Send => Some(grant.at),
                    };
                    from.is_none_or(|from| from + (rate.per + GRAIN) > self.now)
                };
                (all.filter(counts).count(), rate.limit.get() as usize)
            }
        }
    }

    /// How many background calls are in a window, and how many may be.
    fn background(&self, bucket: &BucketKey) -> (usize, usize) {
        let (taken, quota) = self.taken(bucket, &[Class::Background]);
        match bucket.limit.rule {
            Rule::Rate(_) if quota > 1 => (taken, (quota * 3 / 4).min(quota - 1)),
            _ => (taken, quota),
        }
    }

    /// No call waits while all of its buckets have room, except where room is kept.
    fn conserves_work(&mut self) {
        let idle = self.held.values().find(|(_, call)| {
            !call
                .buckets
                .iter()
                .any(|bucket| self.is_shut(bucket, call.number) || self.keeps_room(bucket, call))
        });
        if let Some((ticket, call)) = idle {
            let because = self.scheduler.waits_for(self.now, *ticket);
            panic!("at {:?} {call:?} waits for nothing, but {because:?}", self.now);
        }
    }

    /// Whether no call may go through a bucket, not counting what `number` has of it.
    fn is_shut(&self, bucket: &BucketKey, number: u64) -> bool {
        let (taken, quota) = self.taken(bucket, &Class::ALL);
        let own = self.grants.get(&number);
        let keeps = |grant: &Grant| grant.bucket == *bucket && grant.answered.is_none();
        let kept = own.is_some_and(|grants| grants.iter().any(keeps));
        let name = bucket.to_string();
        taken - usize::from(kept) >= quota
            || self.frozen.get(&name).is_some_and(|until| *until > self.now)
            || self.probed.contains(&name)
    }

    /// Whether a bucket keeps its free slots for others: for people, or for a call that also
    /// needs another bucket, which is shut.
    fn keeps_room(&self, bucket: &BucketKey, call: &Arriving) -> bool {
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
        let last_one = taken + 1 >= quota;
        spread || background || (last_one && self.is_claimed(bucket, call.number))
    }

    fn is_claimed(&self, bucket: &BucketKey, number: u64) -> bool {
        self.held.values().any(|(_, other)| {
            other.number != number
                && other.buckets.contains(bucket)
                && other.buckets.iter().any(|elsewhere| {
                    elsewhere != bucket
                        && (self.is_shut(elsewhere, other.number)
                            || Self::keeps_people_out(elsewhere, other))
                })
        })
    }

    /// Whether room for people may keep that call out of a bucket.
    fn keeps_people_out(bucket: &BucketKey, call: &Arriving) -> bool {
        call.class > Class::Interactive && matches!(bucket.limit.rule, Rule::Rate(_))
    }

    /// Nobody of the same class, caller and buckets has waited longer.
    fn overtakes_nobody(&self, granted: &Arriving) {
        let older = self.held.values().find(|(_, other)| {
            other.number < granted.number
                && other.class == granted.class
                && other.caller == granted.caller
                && other.buckets == granted.buckets
                // One that returned is as old as it was when it was sent away.
                && granted.place.is_none()
                // One that is replayed keeps its slots of limits on calls in flight, and so
                // stands with others than its like; where these are several at once, one of
                // them may go in the same instant.
                && (other.granted_at.is_none() || !several_at_once(other))
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

/// Whether a call is under a limit on calls in flight that allows more than one.
fn several_at_once(call: &Arriving) -> bool {
    let several = |rule: &Rule| matches!(rule, Rule::Concurrency(quota) if quota.get() > 1);
    call.buckets.iter().any(|bucket| several(&bucket.limit.rule))
}
