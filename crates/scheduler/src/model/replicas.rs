//! Several schedulers that share their limits through a store, over a network that may lose,
//! double, delay and reorder messages, and a Slack that counts every call that ever was.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use limits::{AgeFrom, BucketKey, Class, Rule};

use super::{
    closed::{self, Closed},
    of,
    replica::{Outcomes, Replica},
    store::{Asked, Beat, Beaten, Name, Push, Step, Stepped, Store, Times},
};
use crate::{BlockReason, Call as Arriving, Instant, Learning, Outcome};

/// Schedulers, their store, and what lies between.
pub(crate) struct World {
    pub(crate) now: Instant,
    times: Times,
    learning: Learning,
    /// The calls that went.
    gone: Vec<u64>,
    pub(crate) all: Vec<BucketKey>,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) store: Store,
    /// What it keeps of freezes.
    pub(crate) closed: Closed,
    /// Since when buckets are closed for all.
    closed_since: BTreeMap<String, Instant>,
    /// Whether all hear of it in a moment.
    pub(crate) all_hear: bool,
    pub(crate) net: Net,
    /// What is on its way, by the time of its arrival.
    wires: BTreeMap<(Instant, u64), Message>,
    /// The calls that were sent, and when each is answered at the latest.
    sent: BTreeMap<u64, Sent>,
    in_flight: BTreeSet<(Instant, u64)>,
    /// Attempts that have ended so, and whose calls are to be sent again.
    between: Vec<(u64, Outcome)>,
    /// How old the calls are that were sent again: the numbers that they had first.
    ages: BTreeMap<u64, u64>,
    /// By how many calls a limit may be exceeded, by its quota.
    pub(crate) allows: fn(u32) -> usize,
    /// When the last interactive call came to a bucket.
    people: BTreeMap<String, Instant>,
    /// Since when a call has waited in a bucket for slots that are free.
    waits_idly: BTreeMap<u64, (String, Instant)>,
    /// For how long it may.
    pub(crate) patience: Option<Duration>,
    /// Whether each slot is given back in the end: nothing is for ever but what dies.
    pub(crate) gives_back: bool,
    /// How many schedulers they are told to be.
    pub(crate) told_to_be: Option<u32>,
    /// An older copy of the store.
    pub(crate) copy: Option<Store>,
    numbers: u64,
    /// Whether a process has gone on with what outlived another one.
    has_restarted: bool,
}

/// The network.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Net {
    /// Of a hundred messages.
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    /// At most so long, in milliseconds.
    pub(crate) delay: u64,
    /// Schedulers that are cut off, as bits.
    pub(crate) cut: u8,
    pub(crate) random: u64,
}

/// A call, as it comes to a scheduler.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) buckets: Vec<BucketKey>,
    pub(crate) class: Class,
    pub(crate) caller: u64,
}

#[derive(Clone, Debug)]
struct Sent {
    by: usize,
    call: Call,
    /// Whether it may have reached Slack.
    counts: bool,
    at: Instant,
    /// Slack has counted it then at the latest.
    answered: Option<Instant>,
}

/// A message on its way.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The scheduler that sent it, or gets it.
    of: usize,
    /// When the ask that led to it was sent.
    pub(crate) sent: Instant,
    pub(crate) payload: Payload,
}

#[derive(Clone, Debug)]
pub(crate) enum Payload {
    Step { number: u64, step: Step },
    Beat { number: u64, beat: Beat },
    Reply { name: Name, number: u64, reply: Reply },
    Push(Push),
    Tell(closed::Tell),
    Told(Name, u64, closed::Told),
    Tells(closed::Push),
}

#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Step(u64, Vec<Asked>, Stepped),
    Beat(Beaten),
}

/// A second of the real one is a tenth of a second here.
pub(crate) const TIMES: Times = Times { forget: 1_500, flight: 1_000, stale: 300, longest: 1_000 };

/// Who has sent a call whose process has ended.
const NOBODY: usize = usize::MAX;

/// How long an answer is waited for.
pub(crate) const TIME_OUT: Duration = Duration::from_millis(25);

// === impl Payload ===

impl Payload {
    /// A beat's answer names as many members.
    fn told_to_be(mut self, replicas: Option<u32>) -> Self {
        if let Self::Reply { reply: Reply::Beat(Beaten::Member { count, .. }), .. } = &mut self
            && let Some(replicas) = replicas
        {
            *count = replicas;
        }
        self
    }
}

// === impl Times ===

impl Times {
    pub(crate) fn forget(self) -> Duration {
        // Before the store does.
        Duration::from_millis(self.forget)
    }

    pub(crate) fn flight(self) -> Duration {
        Duration::from_millis(self.flight)
    }

    pub(crate) fn longest(self) -> Duration {
        Duration::from_millis(self.longest)
    }

    pub(crate) fn beat(self) -> Duration {
        Duration::from_millis(self.stale / 3)
    }
}

// === impl Call ===

impl Call {
    pub(crate) fn call(&self, now: Instant) -> Arriving {
        Arriving {
            buckets: self.buckets.clone(),
            class: self.class,
            caller: of(self.caller),
            deadline: now + super::PATIENT,
            max_depth: None,
            place: None,
            again: Duration::ZERO,
        }
    }
}

// === impl World ===

impl World {
    pub(crate) fn new(replicas: usize, all: Vec<BucketKey>, net: Net) -> Self {
        let now = Instant::ZERO + Duration::from_secs(1);
        let named = |name: usize| Replica::new(now, u64::try_from(name).unwrap() + 1, None);
        Self {
            now,
            times: TIMES,
            learning: Learning::OFF,
            gone: Vec::new(),
            all,
            replicas: (0..replicas).map(named).collect(),
            store: Store::default(),
            closed: Closed::default(),
            closed_since: BTreeMap::new(),
            all_hear: false,
            net,
            wires: BTreeMap::new(),
            sent: BTreeMap::new(),
            in_flight: BTreeSet::new(),
            between: Vec::new(),
            ages: BTreeMap::new(),
            allows: |_| 0,
            people: BTreeMap::new(),
            waits_idly: BTreeMap::new(),
            patience: Some(Duration::from_millis(50)),
            gives_back: true,
            told_to_be: None,
            copy: None,
            numbers: 0,
            has_restarted: false,
        }
    }

    /// Those that learn, with such times.
    pub(crate) fn that_learns(
        replicas: usize,
        all: Vec<BucketKey>,
        net: Net,
        times: Times,
        learning: Learning,
    ) -> Self {
        let mut new = Self::new(replicas, all, net);
        (new.times, new.learning) = (times, learning);
        for (at, replica) in new.replicas.iter_mut().enumerate() {
            let name = u64::try_from(at).unwrap() + 1;
            *replica = Replica::that_learns(new.now, name, None, times, learning);
        }
        new.patience = None;
        new
    }

    /// One of them that is on.
    pub(crate) fn first_on(&self) -> Option<usize> {
        self.replicas.iter().position(Replica::is_on)
    }

    /// One of them gives way to one that does not learn.
    pub(crate) fn does_not_learn(&mut self, at: usize) {
        let name = u64::try_from(at).unwrap() + 100;
        self.replicas[at] = Replica::that_learns(self.now, name, None, self.times, Learning::OFF);
    }

    /// The calls that went since that was asked last.
    pub(crate) fn gone(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.gone)
    }

    /// When something happens next.
    pub(crate) fn next(&self) -> Option<Instant> {
        let wire = self.wires.keys().next().map(|(at, _)| *at);
        let answer = self.in_flight.first().map(|(at, _)| *at);
        let awake = self.replicas.iter().filter(|replica| replica.is_on());
        [wire, answer, awake.filter_map(Replica::next).min()].into_iter().flatten().min()
    }

    /// Calls that were answered so long ago count no more.
    pub(crate) fn forget(&mut self, before: Instant) {
        self.sent.retain(|_, sent| sent.answered.is_none_or(|at| at > before));
    }

    /// A call comes to a scheduler.
    pub(crate) fn arrive(&mut self, at: usize, call: Call) {
        if self.replicas[at].is_on() {
            let number = self.next_number();
            if call.class == Class::Interactive {
                let names = call.buckets.iter().map(ToString::to_string);
                self.people.extend(names.map(|name| (name, self.now)));
            }
            self.lets(at, |replica, now, out| replica.arrive(now, number, call, out));
        }
    }

    /// A call is answered.
    pub(crate) fn settle(&mut self, number: u64, outcome: Outcome) {
        let Some(sent) = self.sent.get_mut(&number).filter(|sent| sent.answered.is_none()) else {
            return;
        };
        let at = sent.by;
        if !self.replicas.get(at).is_none_or(Replica::is_on) {
            return;
        }
        if outcome == Outcome::Unsent {
            self.sent.remove(&number);
        } else {
            sent.answered = Some(self.now);
        }
        self.in_flight.retain(|(_, other)| *other != number);
        if at != NOBODY {
            self.lets(at, |replica, now, _| replica.settle(now, number, outcome));
        }
    }

    /// An attempt of a call ends, and the call is to be sent again.
    pub(crate) fn end_attempt(&mut self, number: u64, outcome: Outcome) {
        let Some(sent) = self.sent.get_mut(&number).filter(|sent| sent.answered.is_none()) else {
            return;
        };
        let at = sent.by;
        if !self.replicas.get(at).is_some_and(Replica::is_on) {
            return;
        }
        (sent.answered, sent.counts) = (Some(self.now), outcome != Outcome::Unsent);
        self.in_flight.retain(|(_, other)| *other != number);
        self.between.push((number, outcome));
        self.lets(at, |replica, now, _| replica.end_attempt(now, number, outcome));
    }

    /// Of those whose attempts have ended, one waits again.
    pub(crate) fn again(&mut self, which: usize) {
        let Some(nth) = which.checked_rem(self.between.len()) else { return };
        let (number, outcome) = self.between[nth];
        let Sent { by: at, call, .. } = self.sent[&number].clone();
        if !self.replicas[at].is_on() {
            return;
        }
        self.between.remove(nth);
        let next = self.next_number();
        self.ages.insert(next, self.age(number));
        self.lets(at, |replica, now, out| replica.again(now, (number, next), call, outcome, out));
    }

    fn age(&self, number: u64) -> u64 {
        self.ages.get(&number).copied().unwrap_or(number)
    }

    pub(crate) fn cancel(&mut self, at: usize, number: u64) {
        self.lets(at, |replica, now, _| replica.cancel(now, number));
    }

    /// The calls in flight.
    pub(crate) fn flying(&self) -> Vec<u64> {
        self.in_flight.iter().map(|(_, number)| *number).collect()
    }

    /// Slack refuses a call that is on its way.
    pub(crate) fn refuse(&mut self, number: u64, retry_after: Duration) {
        let Some(sent) = self.sent.get_mut(&number).filter(|sent| sent.answered.is_none()) else {
            return;
        };
        let at = sent.by;
        if !self.replicas.get(at).is_some_and(Replica::is_on) {
            return;
        }
        sent.answered = Some(self.now);
        self.in_flight.retain(|(_, other)| *other != number);
        self.lets(at, |replica, now, _| replica.refuse(now, number, retry_after));
    }

    /// An operator ends a freeze.
    pub(crate) fn thaw(&mut self, at: usize, bucket: usize) {
        if self.replicas[at].is_on() {
            let key = self.all[bucket].clone();
            self.lets(at, |replica, now, _| {
                replica.scheduler.thaw(now, |it| *it == key);
            });
        }
    }

    /// A scheduler stops, for good or not. Its calls are answered, or not, all the same.
    pub(crate) fn stop(&mut self, at: usize, for_good: bool) {
        let replica = &mut self.replicas[at];
        (replica.stopped, replica.alive) = (true, replica.alive && !for_good);
    }

    /// A process is killed, and another one goes on with what outlives it. The calls of the old one are
    /// answered, and nobody hears it.
    pub(crate) fn restart(&mut self, at: usize) {
        let Self { replicas, sent, now, all, .. } = self;
        replicas.push(Replica::new(*now, 0, None));
        let next = replicas.swap_remove(at).restarted(*now, all);
        replicas[at] = next;
        self.between.retain(|(number, _)| sent[number].by != at);
        sent.values_mut().filter(|sent| sent.by == at).for_each(|sent| sent.by = NOBODY);
        self.has_restarted = true;
    }

    /// A scheduler ends, and says so.
    pub(crate) fn leave(&mut self, at: usize) {
        if !self.replicas[at].is_on() {
            return;
        }
        let mut out = Outcomes::default();
        self.replicas[at].leave(self.now, &mut out);
        self.replicas[at].stopped = true;
        for payload in out.messages {
            self.post(&Message { of: at, sent: self.now, payload });
        }
    }

    /// A scheduler that was stopped goes on.
    pub(crate) fn go_on(&mut self, at: usize) {
        let replica = &mut self.replicas[at];
        if !replica.alive || !std::mem::take(&mut replica.stopped) {
            return;
        }
        // What Slack answered meanwhile it hears only now.
        let answered =
            self.sent.iter().filter(|(_, sent)| sent.by == at && sent.answered.is_some());
        let answered: Vec<_> = answered.map(|(number, _)| *number).collect();
        for number in answered {
            self.lets(at, |replica, now, _| replica.settle(now, number, Outcome::Answered));
        }
        self.lets(at, |_, _, _| {});
    }

    /// Whether all have heard of each other. A store that is emptied learns from them who there is:
    /// whoever they have not heard of, and is cut off, it cannot wait for.
    pub(crate) fn all_are_known(&self) -> bool {
        let names = || self.replicas.iter().map(|replica| replica.name);
        self.replicas.iter().all(|replica| {
            names().all(|name| replica.others.iter().any(|(other, _)| *other == name))
        })
    }

    /// Whether the store knows all. A process that is new has heard of nobody else.
    pub(crate) fn store_knows_all(&self) -> bool {
        self.replicas.iter().all(|replica| self.store.knows(replica.name))
    }

    /// A scheduler that is new.
    pub(crate) fn comes(&mut self) -> usize {
        let name = u64::try_from(self.replicas.len()).unwrap() + 1;
        let new = Replica::that_learns(self.now, name, None, self.times, self.learning);
        self.replicas.push(new);
        self.replicas.len() - 1
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let wire = self.wires.keys().next().map(|(at, _)| *at);
            let answer = self.in_flight.first().map(|(at, _)| *at);
            let awake = self.replicas.iter().filter(|replica| replica.is_on());
            let own = awake.filter_map(Replica::next).min();
            let Some(at) = [wire, answer, own].into_iter().flatten().min().filter(|at| *at <= end)
            else {
                break;
            };
            self.now = self.now.max(at);
            if wire == Some(at) {
                let (_, message) = self.wires.pop_first().unwrap();
                self.arrives(message);
            } else if answer == Some(at) {
                let (_, number) = self.in_flight.pop_first().unwrap();
                self.ends(number);
            } else {
                for at in 0..self.replicas.len() {
                    let replica = &self.replicas[at];
                    if replica.is_on() && replica.next().is_some_and(|at| at <= self.now) {
                        self.lets(at, |_, _, _| {});
                    }
                }
            }
            self.nobody_waits_idly();
        }
        self.now = end;
    }

    /// No call is in flight for longer.
    fn ends(&mut self, number: u64) {
        let Some(sent) = self.sent.get_mut(&number) else { return };
        sent.answered = Some(self.now);
        let at = sent.by;
        if self.replicas.get(at).is_some_and(Replica::is_on) {
            self.lets(at, |replica, now, _| replica.settle(now, number, Outcome::Answered));
        }
    }

    /// Lets something happen to a scheduler, and then what follows from it.
    fn lets(&mut self, at: usize, what: impl FnOnce(&mut Replica, Instant, &mut Outcomes)) {
        let mut out = Outcomes::default();
        let replica = &mut self.replicas[at];
        what(replica, self.now, &mut out);
        replica.act(self.now, &mut out);
        for (number, call) in out.sent {
            self.gone.push(number);
            self.in_order(at, number, &call);
            let buckets = call.buckets.clone();
            let sent = Sent { by: at, call, counts: true, at: self.now, answered: None };
            self.sent.insert(number, sent);
            self.in_flight.insert((self.now + self.times.flight(), number));
            self.within_limits(&buckets);
            self.is_open_to_it(&buckets);
        }
        assert!(self.replicas[at].scheduler.collects_in_turn(), "a call in order waits its turn");
        for payload in out.messages {
            self.post(&Message { of: at, sent: self.now, payload });
        }
    }

    /// A message leaves, if it is not lost.
    fn post(&mut self, message: &Message) {
        let bit = 1_u16 << message.of;
        let copies = if u16::from(self.net.cut) & bit != 0 || self.net.hits(self.net.lost) {
            0
        } else {
            1 + u64::from(self.net.hits(self.net.doubled))
        };
        for _ in 0..copies {
            let delay = Duration::from_micros(200 + self.net.below(1 + self.net.delay * 1000));
            let number = self.next_number();
            self.wires.insert((self.now + delay, number), message.clone());
        }
    }

    fn arrives(&mut self, message: Message) {
        let Message { of, sent, payload } = message;
        let now = self.store_time();
        match payload {
            Payload::Step { number, step } => {
                let (name, epoch, asks) = (step.name, step.epoch, step.asks.clone());
                let mut pushes = Vec::new();
                let stepped = self.store.step(now, self.times, step, &mut pushes);
                let reply = Reply::Step(epoch, asks, stepped);
                self.post(&Message { of, sent, payload: Payload::Reply { name, number, reply } });
                for push in pushes {
                    let named = |replica: &Replica| replica.name == push.to;
                    if let Some(of) = self.replicas.iter().position(named) {
                        self.post(&Message { of, sent: self.now, payload: Payload::Push(push) });
                    }
                }
            }
            Payload::Beat { number, beat } => {
                let name = beat.name;
                let reply = Reply::Beat(self.store.beat(now, self.times, beat));
                self.post(&Message { of, sent, payload: Payload::Reply { name, number, reply } });
            }
            Payload::Tell(tell) => {
                let (name, number, mut pushes) = (tell.name, tell.number, Vec::new());
                // A turn is used within a second.
                let times = (self.times.stale, self.times.flight + 1_000);
                let told = self.closed.tell(now, times, tell, &mut pushes);
                for push in pushes {
                    if let closed::Pushed::Stands(standing) = &push.what {
                        let bucket = standing.bucket.clone();
                        if standing.shut.is_some_and(|(left, _)| left > 0) {
                            self.closed_since.insert(bucket, self.now);
                        } else {
                            self.closed_since.entry(bucket).or_insert(self.now);
                        }
                    }
                    for other in (0..self.replicas.len()).filter(|other| *other != of) {
                        let payload = Payload::Tells(push.clone());
                        self.post(&Message { of: other, sent: self.now, payload });
                    }
                }
                if let Some(told) = told {
                    self.post(&Message { of, sent, payload: Payload::Told(name, number, told) });
                }
            }
            Payload::Reply { .. } | Payload::Push(_) | Payload::Told(..) | Payload::Tells(_) => {
                // One that is stopped reads it when it goes on; here it is lost.
                if self.replicas[of].is_on() {
                    let all = self.all.clone();
                    let payload = payload.told_to_be(self.told_to_be);
                    let message = Message { of, sent, payload };
                    self.lets(of, |replica, now, _| replica.hear(now, message, &all));
                }
            }
        }
    }

    /// No call goes through a bucket that is closed for all, and one of all through one that is half-open.
    fn is_open_to_it(&self, buckets: &[BucketKey]) {
        let moment = Duration::from_millis(3);
        for bucket in buckets.iter().map(ToString::to_string).filter(|_| self.all_hear) {
            let Some((left, until)) = self.closed.stands(self.store_time(), &bucket) else {
                continue;
            };
            let since = self.closed_since[&bucket];
            if left > 2 {
                assert!(self.now.since(since) < moment, "{bucket} is closed for {left} ms");
                continue;
            }
            let until = Instant::ZERO + Duration::from_millis(until);
            let probes = |sent: &&Sent| {
                let is_of = sent.call.buckets.iter().any(|it| it.to_string() == bucket);
                is_of && sent.at >= until.max(since + moment)
            };
            let probes: Vec<_> = self.sent.values().filter(probes).collect();
            let passed = |sent: &&Sent| sent.answered.is_some_and(|at| self.now.since(at) < moment);
            if probes.iter().any(passed) {
                // Who has sent it goes on from there; the store hears of it in a moment.
                continue;
            }
            // A scheduler keeps its turn while a call from before the freeze is between two attempts, and the store
            // does not wait for so long: docs/decisions/0062-facts-in-the-store.md.
            if !self.between.is_empty() || !self.ages.is_empty() {
                continue;
            }
            let open = probes.iter().filter(|sent| sent.answered.is_none()).count();
            assert!(open <= 1, "{bucket} is half-open, and {open} calls try it");
        }
    }

    /// Slack never counts more than the quota in any period, over all schedulers.
    fn within_limits(&self, buckets: &[BucketKey]) {
        for bucket in buckets {
            let (quota, per) = match bucket.limit.rule {
                Rule::Rate(rate) => (rate.limit.get(), rate.per),
                Rule::Concurrency(quota) => (quota.get(), Duration::ZERO),
                _ => continue,
            };
            let from = |sent: &Sent| match bucket.limit.age_from {
                AgeFrom::Answer => sent.answered,
                AgeFrom::Send => Some(sent.at),
            };
            let counts = |sent: &&Sent| {
                sent.counts
                    && sent.call.buckets.contains(bucket)
                    && from(sent).is_none_or(|from| from + per > self.now)
            };
            let count = self.sent.values().filter(counts).count();
            let most = quota as usize + (self.allows)(quota);
            assert!(count <= most, "{bucket}: {count} of {quota} at {:?}", self.now);
        }
    }

    /// No call in order goes while an older one waits, unless it had its turn before, or before the
    /// one that went last is answered or given up.
    fn in_order(&self, at: usize, number: u64, call: &Call) {
        let orders = |bucket: &&BucketKey| matches!(bucket.limit.rule, Rule::InOrder(_));
        for order in call.buckets.iter().filter(orders) {
            let Rule::InOrder(patience) = order.limit.rule else { continue };
            let is_held_up = |sent: &Sent| {
                let (here, open) = (sent.by == at, sent.answered.is_none());
                here && open && sent.call.buckets.contains(order) && sent.at + patience > self.now
            };
            assert!(!self.sent.values().any(is_held_up), "{call:?} goes beside another");
            let waits = self.replicas[at].held.iter();
            let mut waits = waits.filter(|(_, (_, other))| other.buckets.contains(order));
            let had_its_turn = self.ages.contains_key(&number);
            let is_before = |other: u64| !had_its_turn && self.age(other) < number;
            assert!(!waits.any(|(other, _)| is_before(*other)), "{call:?} overtakes another");
        }
    }

    /// Something goes wrong: whoever waits has to wait anew.
    pub(crate) fn goes_wrong(&mut self) {
        self.waits_idly.clear();
    }

    /// No call stands still in a bucket of which the store has free slots, if its scheduler is heard.
    fn nobody_waits_idly(&mut self) {
        let Some(patience) = self.patience else { return };
        let now = self.store_time();
        let before = std::mem::take(&mut self.waits_idly);
        let is_slow = 2 * self.net.delay >= u64::try_from(TIME_OUT.as_millis()).unwrap();
        if !self.gives_back && (is_slow || self.net.lost > 0) {
            // It is a matter of luck whether an answer comes in time, and whether the store hears nobody for
            // three beats and waits anew for who is missing.
            return;
        }
        let cut = self.net.cut;
        let hears = |(at, replica): &(usize, &mut Replica)| replica.is_on() && cut & (1 << at) == 0;
        for (_, replica) in self.replicas.iter_mut().enumerate().filter(hears) {
            for (number, (ticket, call)) in &replica.held {
                let Some((at, block)) = replica.scheduler.waits_for(self.now, *ticket) else {
                    continue;
                };
                if matches!(block.reason, BlockReason::Frozen | BlockReason::Probing) {
                    continue;
                }
                let name = at.to_string();
                let is_full = self.store.used(now, &name) >= quota(&at);
                if is_full
                    || !at.limit.is_remembered()
                    || is_reserved(&self.people, self.now, &at, call.class)
                {
                    continue;
                }
                let since = before.get(number).filter(|(bucket, _)| *bucket == name);
                let since = since.map_or(self.now, |(_, since)| *since);
                let waits = self.now.since(since);
                assert!(waits <= patience, "{call:?} waits in {name} for {waits:?}");
                self.waits_idly.insert(*number, (name, since));
            }
        }
    }

    /// Everything that waits has its turn.
    pub(crate) fn wind_up(&mut self) {
        self.net = Net { random: self.net.random, ..Net::default() };
        (0..self.replicas.len()).for_each(|at| self.go_on(at));
        (0..self.between.len()).rev().for_each(|which| self.again(which));
        // What a process that was killed had at work is kept for a minute.
        for _ in 0..if self.has_restarted { 5_000 } else { 2_000 } {
            self.flying().into_iter().for_each(|number| self.settle(number, Outcome::Answered));
            let on = self.replicas.iter().filter(|replica| replica.is_on());
            if on.clone().all(|replica| replica.held.is_empty() && replica.in_flight.is_empty()) {
                break;
            }
            self.pass(Duration::from_millis(20));
        }
        let waits = self.replicas.iter().filter(|it| it.is_on()).map(|it| it.held.len());
        assert_eq!(waits.sum::<usize>(), 0, "whoever waits has its turn");
        self.pass(Duration::from_secs(if self.has_restarted { 80 } else { 20 }));
        for replica in self.replicas.iter_mut().filter(|replica| replica.is_on()) {
            let left = replica.scheduler.buckets(self.now);
            let left: Vec<_> = left.filter(|left| left.key.limit.is_remembered()).collect();
            assert!(left.is_empty(), "memory follows live traffic: {left:?}");
            assert!(replica.scheduler.collects_nothing(), "nor does anybody collect");
        }
        let now = self.store_time();
        for bucket in self.all.iter().filter(|_| self.gives_back) {
            assert_eq!(self.store.used(now, &bucket.to_string()), 0, "{bucket}: all is given back");
        }
    }

    fn store_time(&self) -> u64 {
        self.now.as_nanos() / 1_000_000
    }

    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

/// Whether free slots of a bucket may be kept from calls of that class.
fn is_reserved(
    people: &BTreeMap<String, Instant>,
    now: Instant,
    bucket: &BucketKey,
    class: Class,
) -> bool {
    let Rule::Rate(rate) = bucket.limit.rule else { return false };
    let seen = people.get(&bucket.to_string());
    match class {
        Class::Interactive => false,
        Class::Normal => seen.is_some_and(|seen| *seen + rate.per * 11 > now),
        Class::Background => true,
    }
}

fn quota(bucket: &BucketKey) -> u32 {
    match bucket.limit.rule {
        Rule::Rate(rate) => rate.limit.get(),
        Rule::Concurrency(quota) => quota.get(),
        Rule::InOrder(_) => 1,
        Rule::Open | Rule::Gate => u32::MAX,
    }
}

// === impl Net ===

impl Net {
    /// One whose whims follow from that number.
    pub(crate) fn of(random: u64) -> Self {
        Self { random: random | 1, ..Self::default() }
    }

    /// Whether one of a hundred hits.
    fn hits(&mut self, percent: u64) -> bool {
        percent > 0 && self.below(100) < percent
    }

    fn below(&mut self, bound: u64) -> u64 {
        // Marsaglia's xorshift.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }
}
