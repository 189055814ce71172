//! A brute-force model that checks the scheduler: it keeps every grant that ever was and
//! counts anew at each step. It is slow and simple, and shares no line with what it checks.

mod books;
mod changes;
pub mod closed;
mod keeper;
mod law;
mod limits;
#[cfg(test)]
mod replica;
#[cfg(test)]
pub(super) mod replicas;
pub mod store;
mod walk;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ::limits::{BucketKey, Class, Dimension, Rule, Share, Weight};

use self::books::{Grant, Kept};
pub(super) use self::limits::{at_once, bucket, gate, in_bursts, in_order, open, rate};
pub use self::{
    keeper::{InMemory, Keeper},
    walk::{Step, bounds, steps, walk},
};
#[cfg(test)]
pub(super) use self::{
    limits::per,
    walk::{WIDE, narrow},
};
use super::{
    Bounds, Call, Caller, CallerId, Enqueued, Event, Freeze, Instant, Outcome, Permit, PlaceId,
    Policy, Refusal, RefusalReason, Scheduler, Ticket,
};

/// The scheduler under test, and all that the model remembers of it.
pub(super) struct Model {
    pub(super) scheduler: Scheduler,
    pub(super) now: Instant,
    /// Calls held, by their number.
    pub(super) held: BTreeMap<u64, (Ticket, Arriving)>,
    /// Calls in flight, by their number.
    pub(super) in_flight: BTreeMap<u64, (Permit, Arriving)>,
    /// When the answers of some of them began.
    began: BTreeMap<u64, Instant>,
    /// Those of them that are between two attempts.
    between: BTreeSet<u64>,
    /// Every grant, by its call.
    grants: BTreeMap<u64, Vec<Grant>>,
    /// When the last interactive call came to a bucket.
    people: BTreeMap<String, Instant>,
    /// When the last background call went through a bucket, even if it never left.
    drained: BTreeMap<String, Instant>,
    frozen: BTreeMap<String, Instant>,
    /// Buckets that may still be probing, or have learnt a lower limit, which the model does not
    /// predict.
    probed: BTreeSet<String>,
    pub(super) ended: Vec<(u64, End)>,
    /// Which call went when, in order.
    pub(super) sent: Vec<(Instant, u64)>,
    /// What those were told that were sent away.
    pub(super) refusals: BTreeMap<u64, Refusal>,
    /// The calls that were refused.
    pub(super) away: Vec<Call>,
    /// The places that are kept.
    places: Vec<Kept>,
    bounds: Bounds,
    /// Names that were given away. A bucket may still answer to them.
    former: Vec<(Vec<Dimension>, String)>,
    /// Whether held calls have changed what they count against.
    rebucketed: bool,
    next: u64,
    wake: Option<Instant>,
    /// What outlives the scheduler.
    keeper: Box<dyn Keeper>,
}

/// A call, as the model sees it.
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

/// How a call left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Answered,
    Cancelled,
    Expired,
    Refused,
}

/// How long a call may be held that says nothing else.
pub(super) const PATIENT: Duration = Duration::from_secs(3600);

// === impl Model ===

impl Model {
    pub(super) fn new() -> Self {
        Self::with_bounds(Bounds { per_bucket: 1_000_000, total: 1_000_000 })
    }

    pub(super) fn with_bounds(bounds: Bounds) -> Self {
        Self {
            scheduler: scheduler(bounds),
            now: Instant::ZERO,
            held: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            began: BTreeMap::new(),
            between: BTreeSet::new(),
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
            keeper: Box::new(keeper::InMemory::default()),
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
            again: Duration::ZERO,
        };
        change(&mut call);
        if call.class == Class::Interactive {
            for bucket in buckets {
                self.people.insert(bucket.to_string(), self.now);
            }
        }
        let (before, waiting) = (self.queued(), self.waiting(&call));
        let found = self.take_place(&call);
        let arriving = Arriving {
            number: self.next,
            // Who comes before its time counts as new.
            age: found.filter(|(_, is_due)| *is_due).map_or(self.next, |(age, _)| age),
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
        self.enqueued(arriving, found.map(|(age, _)| age), enqueued);
        self.next
    }

    /// What becomes of a call, which found a place of that age if it found one.
    fn enqueued(&mut self, call: Arriving, found: Option<u64>, enqueued: Enqueued) {
        match enqueued {
            Enqueued::Granted(permit) => self.granted(call, permit),
            Enqueued::Held(ticket) => {
                self.held.insert(call.number, (ticket, call));
            }
            Enqueued::Refused(refusal) => {
                assert!(refusal.retry_at >= self.now, "a refusal names a time to come");
                if refusal.reason == RefusalReason::Deadline || found.is_some() {
                    self.keep_place(&call, found.unwrap_or(call.age), refusal.retry_at);
                }
                self.refusals.insert(call.number, refusal);
                self.leave(call.number, End::Refused);
            }
        }
        self.poll();
    }

    /// The answer of a call in flight begins.
    pub(super) fn begins(&mut self, number: u64) {
        self.scheduler.answered(self.now, &self.in_flight[&number].0);
        self.began.insert(number, self.now);
    }

    /// A call in flight ends.
    pub(super) fn settle(&mut self, number: u64, outcome: Outcome) {
        let (permit, call) = self.in_flight.remove(&number).unwrap();
        self.scheduler.settle(self.now, permit, outcome);
        // Between two attempts it has nothing on its way.
        let between = self.between.remove(&number);
        self.settled(&call, if between { Outcome::Unsent } else { outcome });
        self.ended.push((number, End::Answered));
        self.poll();
    }

    /// Slack refuses a call in flight. Returns what is closed for it.
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
        // The pause may have let another call go.
        self.poll();
        self.again(number, Outcome::Refused);
    }

    /// An attempt of a call ends so, and the call may be sent again later.
    pub(super) fn end_attempt(&mut self, number: u64, outcome: Outcome) {
        self.scheduler.end_attempt(self.now, &self.in_flight[&number].0, outcome);
        self.attempt_ended(number, outcome);
        self.poll();
    }

    /// An attempt of a call ends so, or has ended, and the call waits again.
    pub(super) fn again(&mut self, number: u64, outcome: Outcome) {
        let (permit, call) = self.in_flight.remove(&number).unwrap();
        let enqueued = self.scheduler.replay(self.now, permit, outcome, &[]);
        self.attempt_ended(number, outcome);
        self.between.remove(&number);
        self.enqueued(call, None, enqueued);
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

    pub(super) fn thaw(&mut self, meant: impl Fn(&BucketKey) -> bool) -> Vec<String> {
        let thawed = self.scheduler.thaw(self.now, meant);
        for bucket in &thawed {
            self.thawed(bucket);
        }
        self.poll();
        thawed.iter().map(ToString::to_string).collect()
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
                    assert_eq!(
                        refusal.reason == RefusalReason::Paused,
                        paused,
                        "{call:?}: {refusal:?}"
                    );
                    if !paused {
                        self.keep_place(&call, call.age, refusal.retry_at);
                    }
                    self.refusals.insert(number, refusal);
                    self.leave(number, End::Expired);
                }
            }
        }
        self.conserves_work();
        assert_eq!(self.scheduler.held(), self.held.len(), "none lost, none made up");
        assert_eq!(self.scheduler.places(), self.places.len(), "a place is kept for its time");
    }

    fn number_of(&self, ticket: Ticket) -> u64 {
        let found = self.held.iter().find(|(_, (held, _))| *held == ticket);
        *found.expect("an event names a held call").0
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
        assert!(self.scheduler.between.is_empty(), "nor what a call needs that is gone");
        assert!(self.scheduler.buckets.knows_nobody(), "no name is kept for longer");
        assert_eq!(self.scheduler.callers.len(), 0, "nor a caller");
        let mut ended: Vec<_> = self.ended.iter().map(|(number, _)| *number).collect();
        ended.sort_unstable();
        let arrived: Vec<_> = (1..=self.next).collect();
        assert_eq!(ended, arrived, "each call ends exactly once");
    }
}

fn policy(bounds: Bounds) -> Policy {
    Policy { bounds, background: Share::default(), learning: crate::Learning::default() }
}

/// An empty one that takes notes.
fn scheduler(bounds: Bounds) -> Scheduler {
    let mut scheduler = Scheduler::new(policy(bounds));
    scheduler.take_notes();
    scheduler
}

/// A caller of weight one.
pub(super) fn of(caller: u64) -> Caller {
    Caller { id: CallerId(caller), weight: Weight::ONE }
}
