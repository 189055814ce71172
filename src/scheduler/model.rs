//! A brute-force model that judges the scheduler: it keeps every grant that ever was and
//! counts anew at each step. Slow, simple, and sharing no line with what it judges.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use super::{
    Bounds, BucketKey, Call, Caller, CallerId, Class, Enqueued, Event, Freeze, Instant, Outcome,
    Permit, PlaceId, Policy, Reason, Refusal, Scheduler, Share, Ticket, Weight,
};
use crate::{
    slack::{AgeFrom, Dimension, Limit, Rate, Rule, Scope},
    state::tests::Keeper,
};

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
    /// Which call went when, in order.
    pub(super) sent: Vec<(Instant, u64)>,
    /// What those were told that were sent away.
    pub(super) refusals: BTreeMap<u64, Refusal>,
    /// The calls that were refused.
    pub(super) away: Vec<Call>,
    /// The places that are kept, the oldest first.
    places: Vec<Kept>,
    bounds: Bounds,
    /// Names that were given away. A bucket may still answer to them.
    former: Vec<(Vec<Dimension>, String)>,
    /// Whether held calls have changed what they count against.
    rebucketed: bool,
    next: u64,
    wake: Option<Instant>,
    /// What outlives the scheduler.
    keeper: Keeper,
}

/// A call, as the judge sees it.
#[derive(Clone, Debug)]
pub(super) struct Arriving {
    pub(super) number: u64,
    /// Its number, or that of the call whose place it took.
    age: u64,
    pub(super) buckets: Vec<BucketKey>,
    pub(super) class: Class,
    pub(super) caller: u64,
    pub(super) deadline: Instant,
    pub(super) place: Option<PlaceId>,
    /// Of its class and caller, for the order.
    pub(super) granted_at: Option<Instant>,
}

/// A place that a call left when it was sent away.
#[derive(Clone, Debug)]
struct Kept {
    place: PlaceId,
    age: u64,
    buckets: Vec<BucketKey>,
    class: Class,
    due: Instant,
    expires: Instant,
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

/// How long a call may be held that says nothing else.
pub(super) const PATIENT: Duration = Duration::from_secs(3600);

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

/// The same limit, counted by these dimensions.
pub(super) fn per(limit: &Arc<Limit>, scope: &[Dimension]) -> Arc<Limit> {
    Arc::new(Limit { scope: Scope::of(scope), ..Limit::clone(limit) })
}

/// The same limit for a server that refuses more than so many in a burst.
pub(super) fn in_bursts(limit: &Arc<Limit>, burst: u32) -> Arc<Limit> {
    let Rule::Rate(rate) = limit.rule else { panic!("only a rate has bursts") };
    let rule = Rule::Rate(Rate { burst: NonZeroU32::new(burst), ..rate });
    Arc::new(Limit { rule, ..Limit::clone(limit) })
}

/// What is shut only on evidence.
pub(super) fn open(name: &str, scope: &[Dimension]) -> Arc<Limit> {
    let age_from = AgeFrom::Answer;
    Arc::new(Limit { name: name.into(), rule: Rule::Open, scope: Scope::of(scope), age_from })
}

/// What the operator has paused.
pub(super) fn gate(name: &str) -> Arc<Limit> {
    let (rule, scope) = (Rule::Gate, Scope::default());
    Arc::new(Limit { name: name.into(), rule, scope, age_from: AgeFrom::Answer })
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
            scheduler: scheduler(bounds),
            now: Instant::ZERO,
            held: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            grants: BTreeMap::new(),
            people: BTreeMap::new(),
            drained: BTreeMap::new(),
            frozen: BTreeMap::new(),
            probed: BTreeSet::new(),
            ended: Vec::new(),
            sent: Vec::new(),
            refusals: BTreeMap::new(),
            away: Vec::new(),
            places: Vec::new(),
            bounds,
            former: Vec::new(),
            rebucketed: false,
            next: 0,
            wake: None,
            keeper: Keeper::new(),
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
        let deadline = self.now + wait;
        self.offer(buckets, |call| {
            call.class = class;
            call.caller = of(caller);
            call.deadline = deadline;
        })
    }

    /// A normal call of caller 1 arrives, or what `change` makes of it.
    pub(super) fn offer(&mut self, buckets: &[BucketKey], change: impl FnOnce(&mut Call)) -> u64 {
        self.next += 1;
        let mut call = Call {
            buckets: buckets.to_vec(),
            class: Class::Normal,
            caller: of(1),
            deadline: self.now + PATIENT,
            max_depth: None,
            place: None,
        };
        change(&mut call);
        if call.class == Class::Interactive {
            for bucket in buckets {
                self.people.insert(bucket.to_string(), self.now);
            }
        }
        let (before, waiting) = (self.queued(), self.waiting(&call));
        let arriving = Arriving {
            number: self.next,
            age: self.take_place(&call).unwrap_or(self.next),
            buckets: call.buckets.clone(),
            class: call.class,
            caller: call.caller.id.0,
            deadline: call.deadline,
            place: call.place,
            granted_at: None,
        };
        let enqueued = self.scheduler.enqueue(self.now, &call);
        self.stays_in_bounds(&call, before, &waiting);
        if matches!(enqueued, Enqueued::Refused(_)) {
            self.away.push(call);
        }
        self.enqueued(arriving, enqueued);
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
                self.keep_place(&call, refusal.retry_at);
                self.refusals.insert(call.number, refusal);
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

    /// Slack refuses a call in flight. Tells what is closed for it.
    pub(super) fn refuse(&mut self, number: u64, retry_after: Duration) -> Vec<Freeze> {
        let (permit, _) = &self.in_flight[&number];
        let freezes = self.scheduler.refused(self.now, permit, retry_after).freezes;
        for freeze in &freezes {
            self.froze(&freeze.bucket, freeze.until);
        }
        freezes
    }

    /// A call in flight is refused and waits again.
    pub(super) fn replay(&mut self, number: u64, retry_after: Duration) {
        self.refuse(number, retry_after);
        let (permit, call) = self.in_flight.remove(&number).unwrap();
        let enqueued = self.scheduler.replay(self.now, permit);
        self.age(call.number, self.now, |rule| !matches!(rule, Rule::Concurrency(_)));
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

    /// What counted for one identity counts for another: each call of the past, too. `all` are
    /// the buckets that there are.
    pub(super) fn rename(&mut self, all: &mut [BucketKey], of: &[Dimension], from: &str, to: &str) {
        self.scheduler.rename(self.now, Scope::of(of), from, to);
        self.former.push((of.to_vec(), from.into()));
        let names: BTreeMap<_, _> = all
            .iter_mut()
            .map(|key| {
                let before = key.to_string();
                *key = renamed(key, of, from, to);
                (before, key.to_string())
            })
            .collect();
        let change = |keys: &mut Vec<BucketKey>| {
            let mut once = BTreeSet::new();
            *keys = keys.iter().map(|key| renamed(key, of, from, to)).collect();
            keys.retain(|key| once.insert(key.to_string()));
        };
        self.held.values_mut().for_each(|(_, call)| change(&mut call.buckets));
        self.in_flight.values_mut().for_each(|(_, call)| change(&mut call.buckets));
        self.away.iter_mut().for_each(|call| change(&mut call.buckets));
        self.places.iter_mut().for_each(|kept| change(&mut kept.buckets));
        for grant in self.grants.values_mut().flatten() {
            grant.bucket = renamed(&grant.bucket, of, from, to);
        }
        for times in [&mut self.people, &mut self.drained, &mut self.frozen] {
            for (name, at) in std::mem::take(times) {
                let latest = times.entry(names[&name].clone()).or_insert(at);
                *latest = at.max(*latest);
            }
        }
        self.probed = self.probed.iter().map(|name| names[name].clone()).collect();
        self.poll();
    }

    /// The process is killed and started again: who waits is gone, and what is in flight has no
    /// answer. `shorter` says whether the file was written anew before.
    pub(super) fn restart(&mut self, all: &[BucketKey], shorter: bool) {
        while let Some((number, _)) = self.held.pop_first() {
            self.leave(number, End::Cancelled);
        }
        while let Some((number, _)) = self.in_flight.pop_first() {
            for grant in self.grants.get_mut(&number).into_iter().flatten() {
                // Of calls at once, the one without an answer may still be on its way.
                let at_once = matches!(grant.bucket.limit.rule, Rule::Concurrency(_));
                let grace = Duration::from_secs(if at_once { 60 } else { 1 });
                grant.answered.get_or_insert(self.now + grace);
            }
            self.ended.push((number, End::Answered));
        }
        self.places.clear();
        // It is not kept who is expected, and what background calls have.
        self.people.clear();
        self.drained.clear();
        self.grants.values_mut().flatten().for_each(|grant| grant.class = Class::Normal);
        self.scheduler = scheduler(self.bounds);
        for (bucket, memory) in self.keeper.restart(self.now, all, shorter) {
            self.scheduler.restore(self.now, bucket, &memory);
        }
        self.poll();
    }

    /// Held calls count against other buckets.
    pub(super) fn rebucket(&mut self, changes: Vec<(u64, Vec<BucketKey>)>) {
        let tickets = changes.iter().map(|(number, to)| (self.held[number].0, to.clone()));
        let tickets = tickets.collect();
        for (number, to) in changes {
            let concurrency =
                |grant: &&mut Grant| grant.answered.is_none() && !to.contains(&grant.bucket);
            let grants = self.grants.get_mut(&number).into_iter().flatten();
            grants.filter(concurrency).for_each(|grant| grant.answered = Some(self.now));
            self.held.get_mut(&number).unwrap().1.buckets = to;
        }
        self.rebucketed = true;
        self.scheduler.rebucket(self.now, tickets);
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

    /// The same, with every call answered as soon as it goes.
    pub(super) fn pass_answering(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            while let Some(number) = self.in_flight.keys().next().copied() {
                self.settle(number, Outcome::Answered);
            }
            match self.wake.filter(|wake| *wake <= end) {
                Some(wake) => self.pass(wake.since(self.now)),
                None => break,
            }
        }
        self.pass(end.since(self.now));
    }

    fn poll(&mut self) {
        self.places.retain(|kept| kept.expires > self.now);
        let mut events = Vec::new();
        self.wake = self.scheduler.poll(self.now, &mut events);
        self.keeper.keep(&mut self.scheduler);
        assert!(self.wake.is_none_or(|wake| wake > self.now), "it never asks for the past");
        for event in events {
            match event {
                Event::Granted { ticket, permit } => {
                    let number = self.number_of(ticket);
                    let (_, call) = self.held.remove(&number).unwrap();
                    self.overtakes_nobody(&call);
                    self.granted(call, permit);
                }
                Event::Expired { ticket, refusal } => {
                    let number = self.number_of(ticket);
                    let (_, call) = self.held.remove(&number).unwrap();
                    assert!(call.deadline <= self.now, "nobody is sent away before time");
                    let paused = call.buckets.iter().any(|key| key.limit.rule == Rule::Gate);
                    assert_eq!(refusal.reason == Reason::Paused, paused, "{call:?}: {refusal:?}");
                    self.keep_place(&call, refusal.retry_at);
                    self.refusals.insert(number, refusal);
                    self.leave(number, End::Expired);
                }
            }
        }
        self.conserves_work();
        assert_eq!(self.scheduler.held(), self.held.len(), "none lost, none made up");
        assert_eq!(self.scheduler.places(), self.places.len(), "a place is kept for its time");
    }

    /// The age of the place that a call finds when it returns.
    fn take_place(&mut self, call: &Call) -> Option<u64> {
        let place = call.place?;
        let found = self.places.iter().position(|kept| kept.place == place)?;
        let Kept { buckets, class, due, .. } = &self.places[found];
        let set = |buckets: &[BucketKey]| -> BTreeSet<String> {
            let limits = buckets.iter().filter(|key| key.limit.rule != Rule::Gate);
            limits.map(ToString::to_string).collect()
        };
        let same = *class == call.class && set(buckets) == set(&call.buckets);
        (same && *due <= self.now).then(|| self.places.remove(found).age)
    }

    /// A call is sent away; it keeps its place if the queue has space for it.
    fn keep_place(&mut self, call: &Arriving, due: Instant) {
        let (Some(place), true) = (call.place, self.scheduler.places() > self.places.len()) else {
            return;
        };
        let expires = due + (due.since(self.now) / 10).max(Duration::from_secs(2));
        let (age, buckets, class) = (call.age, call.buckets.clone(), call.class);
        self.places.push(Kept { place, age, buckets, class, due, expires });
        self.places.sort_by_key(|kept| kept.age);
    }

    /// How many are in the queue, as calls or as places.
    fn queued(&self) -> usize {
        self.scheduler.held() + self.scheduler.places()
    }

    /// How many are in the line of each of a call's buckets, as calls or as places.
    fn waiting(&mut self, call: &Call) -> Vec<u64> {
        let states: Vec<_> = self.scheduler.buckets(self.now).collect();
        let waiting = |key: &BucketKey| {
            states
                .iter()
                .find(|state| state.key == *key)
                .map_or(0, |state| state.waiting + state.places)
        };
        call.buckets.iter().map(waiting).collect()
    }

    /// No queue grows beyond its bound by a call that comes; replays alone may do so.
    fn stays_in_bounds(&mut self, call: &Call, before: usize, waiting: &[u64]) {
        let grows = self.queued() > before;
        assert!(!grows || self.queued() <= self.bounds.total, "{call:?} joins a full queue");
        let after = self.waiting(call);
        for (bucket, (before, after)) in call.buckets.iter().zip(waiting.iter().zip(after)) {
            let most = u64::try_from(self.bounds.per_bucket).unwrap();
            // What everything goes through has no queue of its own.
            let bounded = !matches!(bucket.limit.rule, Rule::Open | Rule::Gate);
            assert!(!bounded || after <= most.max(*before), "{call:?} joins a full line");
        }
        let own = self.held.values().filter(|(_, held)| held.caller == call.caller.id.0).count();
        let may = call.max_depth.is_none_or(|most| own < most);
        assert!(!grows || may, "{call:?} is one too many of its caller");
    }

    fn number_of(&self, ticket: Ticket) -> u64 {
        let found = self.held.iter().find(|(_, (held, _))| *held == ticket);
        *found.expect("an event names a held call").0
    }

    fn granted(&mut self, mut call: Arriving, permit: Permit) {
        call.granted_at = Some(self.now);
        self.sent.push((self.now, call.number));
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
            let of_it = self.grants.values().flatten().filter(|grant| grant.bucket == *bucket);
            let taken = of_it.filter(|grant| self.counts(grant, per)).count();
            windows.push((taken, burst.get() as usize));
        }
        windows
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

    /// Whether the name was given away.
    pub(super) fn is_former(&self, of: &[Dimension], name: &str) -> bool {
        self.former.iter().any(|(scope, former)| scope == of && former == name)
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
        let last_one = self.windows(bucket).into_iter().any(|(taken, quota)| taken + 1 >= quota);
        spread || background || (last_one && self.is_claimed(bucket, call.number))
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

    /// Nobody of the same class, caller and buckets has waited longer.
    fn overtakes_nobody(&self, granted: &Arriving) {
        let older = self.held.values().find(|(_, other)| {
            other.age < granted.age
                && other.class == granted.class
                && other.caller == granted.caller
                && other.buckets == granted.buckets
                // One that is replayed keeps its slots of limits on calls in flight, and so
                // stands with others than its like; where these are several at once, one of
                // them may go in the same instant.
                && (other.granted_at.is_none() || !several_at_once(other))
        });
        // One that was on its way under another name, or counted against other buckets, with the
        // slot for which the older one waits, is before it when it is replayed.
        let concurrency = |bucket: &BucketKey| matches!(bucket.limit.rule, Rule::Concurrency(_));
        let met = (self.rebucketed || !self.former.is_empty())
            && granted.granted_at.is_some()
            && granted.buckets.iter().any(concurrency);
        assert!(met || older.is_none(), "{granted:?} overtook {older:?}");
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
        assert!(self.held.is_empty() && self.in_flight.is_empty() && self.places.is_empty());
        assert_eq!(self.scheduler.buckets(self.now).count(), 0, "memory follows live traffic");
        assert!(self.scheduler.buckets.knows_nobody(), "no name is kept for longer");
        let mut ended: Vec<_> = self.ended.iter().map(|(number, _)| *number).collect();
        ended.sort_unstable();
        let arrived: Vec<_> = (1..=self.next).collect();
        assert_eq!(ended, arrived, "each call ends exactly once");
    }
}

/// An empty one that takes notes.
fn scheduler(bounds: Bounds) -> Scheduler {
    let mut scheduler = Scheduler::new(Policy { bounds, background: Share::default() });
    scheduler.take_notes();
    scheduler
}

/// A caller of weight one.
pub(super) fn of(caller: u64) -> Caller {
    Caller { id: CallerId(caller), weight: Weight::ONE }
}

/// A bucket's name once `from` is called `to`.
fn renamed(key: &BucketKey, of: &[Dimension], from: &str, to: &str) -> BucketKey {
    let identity = [Dimension::Org, Dimension::App, Dimension::Workspace];
    let just_these = from.split('/').count() == of.len()
        && identity.iter().all(|by| key.limit.scope.contains(*by) == of.contains(by));
    match key.values.strip_prefix(from) {
        Some(rest) if just_these && (rest.is_empty() || rest.starts_with('/')) => {
            bucket(&key.limit, &format!("{to}{rest}"))
        }
        _ => key.clone(),
    }
}

/// Whether a call is under a limit on calls in flight that allows more than one.
fn several_at_once(call: &Arriving) -> bool {
    let several = |rule: &Rule| matches!(rule, Rule::Concurrency(quota) if quota.get() > 1);
    call.buckets.iter().any(|bucket| several(&bucket.limit.rule))
}

/// Whether room for people may keep that call out of a bucket.
fn keeps_people_out(bucket: &BucketKey, call: &Arriving) -> bool {
    call.class > Class::Interactive && matches!(bucket.limit.rule, Rule::Rate(_))
}
