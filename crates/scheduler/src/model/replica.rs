//! A scheduler that shares its limits, and the plainest driver that carries its messages.

use std::{collections::BTreeMap, time::Duration};

use limits::BucketKey;

use super::{
    InMemory, Keeper as _, closed,
    replicas::{Call, Message, Payload, Reply, TIME_OUT, TIMES},
    store::{Answered, Asked, Beat, Beaten, Name, Push, Step, Stepped, Times},
};
use crate::{
    Answer, Enqueued, Epoch, Event, Farewell, Hint, InCommon, Instant, Learning, Link, Noticed,
    Outcome, Permit, Policy, Prober, Scheduler, Shard, Share, Sharing, Shut, Standing, Ticket,
    Told,
};

/// A process that shares its limits.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) scheduler: Scheduler,
    pub(crate) name: Name,
    pub(crate) epoch: u64,
    /// The members that it has heard of, and since when those are none any more that were forgotten
    /// lately.
    pub(crate) others: Vec<(Name, Option<Instant>)>,
    /// The names that it has taken over from, and since when.
    pub(crate) ended: Vec<(Name, Instant)>,
    pub(crate) held: BTreeMap<u64, (Ticket, Call)>,
    pub(crate) in_flight: BTreeMap<u64, Permit>,
    /// What it does next by itself.
    pub(crate) wake: Option<Instant>,
    pub(crate) beat_at: Instant,
    /// Messages without an answer: by their number, until when each is waited for.
    waits: BTreeMap<u64, Instant>,
    /// When the last one was sent that was answered.
    pub(crate) confirmed: Instant,
    pub(crate) link: Link,
    /// When it is stopped, it hears nothing and does nothing.
    pub(crate) stopped: bool,
    pub(crate) alive: bool,
    times: Times,
    learning: Learning,
    /// What outlives its process.
    keeper: InMemory,
    notices: Notices,
}

/// What it tells the others of freezes, and hears of them.
#[derive(Debug)]
struct Notices {
    /// How they know it.
    name: Name,
    epoch: u64,
    version: u64,
    heard: bool,
    due: Instant,
    /// The message that is on its way: its number, until when it is waited for, and the batch.
    waits: Option<(u64, Instant, u64)>,
}

/// What becomes of calls.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    /// Calls that go.
    pub(crate) sent: Vec<(u64, Call)>,
    /// Messages to the store.
    pub(crate) messages: Vec<Payload>,
}

/// How many members that were forgotten it names at most: those that it has known for the shortest time.
const GONE: usize = 64;

/// The one shard that the model has.
const SHARD: Shard = Shard(0);

// === impl Replica ===

impl Replica {
    pub(crate) fn new(now: Instant, name: Name, replicas: Option<u32>) -> Self {
        Self::that_learns(now, name, replicas, TIMES, Learning::OFF)
    }

    /// One that learns in that way.
    pub(crate) fn that_learns(
        now: Instant,
        name: Name,
        replicas: Option<u32>,
        times: Times,
        learning: Learning,
    ) -> Self {
        let bounds = super::walk::WIDE;
        let mut scheduler =
            Scheduler::new(Policy { bounds, background: Share::default(), learning });
        scheduler.take_notes();
        scheduler.share(Sharing {
            shard: |_| Some(SHARD),
            replicas: replicas.map(|replicas| replicas.try_into().unwrap()),
            flight: times.flight(),
            lease: times.forget(),
        });
        Self {
            scheduler,
            name,
            epoch: 0,
            others: Vec::new(),
            ended: Vec::new(),
            held: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            wake: None,
            beat_at: now,
            waits: BTreeMap::new(),
            confirmed: now,
            link: Link::Alone,
            stopped: false,
            alive: true,
            times,
            learning,
            keeper: InMemory::default(),
            notices: Notices { name, epoch: 0, version: 0, heard: false, due: now, waits: None },
        }
    }

    /// The process that comes after it, with what outlives it.
    pub(crate) fn restarted(mut self, now: Instant, all: &[BucketKey]) -> Self {
        let kept = self.keeper.restart(now, all, false);
        let mut next = Self::that_learns(now, self.name + 16, None, self.times, self.learning);
        for (bucket, memory) in kept {
            next.scheduler.restore(now, bucket, &memory);
        }
        next.ended = self.ended;
        next.ended.push((self.name, now));
        Self { keeper: self.keeper, ..next }
    }

    /// Whether it can do something now.
    pub(crate) fn is_on(&self) -> bool {
        self.alive && !self.stopped
    }

    /// When it does something next.
    pub(crate) fn next(&self) -> Option<Instant> {
        let over = (self.epoch != 0 && self.link != Link::LeaseOver)
            .then(|| self.confirmed + self.times.forget());
        let waits = self.waits.values().min().copied();
        let notices = self.notices.waits.map_or(self.notices.due, |(_, until, _)| until);
        [self.wake, Some(self.beat_at), waits, over, Some(notices)].into_iter().flatten().min()
    }

    /// A call comes.
    pub(crate) fn arrive(&mut self, now: Instant, number: u64, call: Call, out: &mut Outcomes) {
        self.checks_lease(now);
        let enqueued = self.scheduler.enqueue(now, &call.call(now));
        self.enqueued(number, call, enqueued, out);
    }

    fn enqueued(&mut self, number: u64, call: Call, enqueued: Enqueued, out: &mut Outcomes) {
        match enqueued {
            Enqueued::Granted(permit) => {
                self.in_flight.insert(number, permit);
                out.sent.push((number, call));
            }
            Enqueued::Held(ticket) => {
                self.held.insert(number, (ticket, call));
            }
            Enqueued::Refused(_) => {}
        }
    }

    /// The answer of a call comes.
    pub(crate) fn settle(&mut self, now: Instant, number: u64, outcome: Outcome) {
        self.checks_lease(now);
        if let Some(permit) = self.in_flight.remove(&number) {
            self.scheduler.settle(now, permit, outcome);
        }
    }

    /// An attempt of a call ends so, and the call may be sent again.
    pub(crate) fn end_attempt(&mut self, now: Instant, number: u64, outcome: Outcome) {
        self.checks_lease(now);
        self.scheduler.end_attempt(now, &self.in_flight[&number], outcome);
    }

    /// The call whose attempt ended is to be sent again, by another number.
    pub(crate) fn again(
        &mut self,
        now: Instant,
        (number, next): (u64, u64),
        call: Call,
        outcome: Outcome,
        out: &mut Outcomes,
    ) {
        self.checks_lease(now);
        let Some(permit) = self.in_flight.remove(&number) else { return };
        let enqueued = self.scheduler.replay(now, permit, outcome, &[]);
        self.enqueued(next, call, enqueued, out);
    }

    /// Slack refuses a call in flight.
    pub(crate) fn refuse(&mut self, now: Instant, number: u64, retry_after: Duration) {
        self.checks_lease(now);
        if let Some(permit) = self.in_flight.remove(&number) {
            self.scheduler.refused(now, &permit, retry_after);
            self.scheduler.settle(now, permit, Outcome::Refused);
        }
    }

    /// The client of a held call is gone.
    pub(crate) fn cancel(&mut self, now: Instant, number: u64) {
        self.checks_lease(now);
        let (ticket, _) = self.held.remove(&number).unwrap();
        self.scheduler.cancel(now, ticket);
    }

    /// Does what is due, and sends what is to be said.
    pub(crate) fn act(&mut self, now: Instant, out: &mut Outcomes) {
        self.checks_lease(now);
        self.times_out(now);
        if self.beat_at <= now {
            self.beat(now, out);
        }
        self.reads_events(now, out);
        let mut asks = Vec::new();
        self.scheduler.asks(now, &mut asks);
        if let Some(last) = asks.last() {
            let number = last.number;
            let epochs_are_of_now = asks.iter().all(|ask| ask.epoch == Epoch(self.epoch));
            assert!(epochs_are_of_now, "what is said is said to the store of now");
            let asks: Vec<_> = asks.iter().map(Asked::from).collect();
            self.waits.insert(number, now + TIME_OUT);
            let step = Step { name: self.name, epoch: self.epoch, asks, leaves: false };
            out.messages.push(Payload::Step { number, step });
        }
        self.tells(now, out);
        self.reads_events(now, out);
    }

    /// Tells the others what there is to tell.
    fn tells(&mut self, now: Instant, out: &mut Outcomes) {
        if self.notices.waits.is_some_and(|(_, until, _)| until <= now) {
            // It asks for all, when it is heard again.
            self.notices = Notices { waits: None, heard: false, epoch: 0, ..self.notices };
            self.scheduler.notices_nobody(now);
        }
        let is_due = self.notices.due <= now;
        let has = self.notices.heard && self.scheduler.has_notices();
        if self.notices.waits.is_some() || !is_due && !has {
            return;
        }
        let mut notices = Vec::new();
        let batch = self.scheduler.notices(now, &mut notices);
        let Notices { name, epoch, version, .. } = self.notices;
        let number = now.as_nanos();
        self.notices.waits = Some((number, now + TIME_OUT, batch));
        self.notices.due = now + self.times.beat();
        let notices = notices.into_iter().map(closed::Notice::from).collect();
        let new_epoch = now.as_nanos() * 64 + name;
        let tell = closed::Tell { name, number, epoch, version, new_epoch, notices };
        out.messages.push(Payload::Tell(tell));
    }

    /// The store has answered that.
    fn is_noticed(&mut self, now: Instant, number: u64, told: closed::Told, all: &[BucketKey]) {
        let Some((_, _, batch)) = self.notices.waits.filter(|(it, ..)| *it == number) else {
            return;
        };
        let closed::Told { epoch, version, granted, standings, all: closed, learnt, all_learnt } =
            told;
        let name = self.notices.name;
        let stand = |it| standing(name, it, all);
        self.notices = Notices { epoch, version, heard: true, waits: None, ..self.notices };
        self.scheduler.noticed(
            now,
            Noticed {
                batch,
                epoch: Epoch(epoch),
                version,
                granted,
                standings: standings.into_iter().map(stand).collect(),
                all: closed.map(|all| all.into_iter().map(stand).collect()),
                learnt: learnt.into_iter().map(|it| in_common(it, all)).collect(),
                all_learnt: all_learnt
                    .map(|learnt| learnt.into_iter().map(|it| in_common(it, all)).collect()),
            },
        );
    }

    fn reads_events(&mut self, now: Instant, out: &mut Outcomes) {
        let mut events = Vec::new();
        self.wake = self.scheduler.poll(now, &mut events);
        self.keeper.keep(&mut self.scheduler);
        for event in events {
            match event {
                Event::Granted { ticket, permit } => {
                    let of = self.held.iter().find(|(_, (held, _))| *held == ticket);
                    let number = *of.unwrap().0;
                    let (_, call) = self.held.remove(&number).unwrap();
                    self.in_flight.insert(number, permit);
                    out.sent.push((number, call));
                }
                Event::Expired { ticket, .. } => {
                    self.held.retain(|_, (held, _)| *held != ticket);
                }
            }
        }
    }

    fn beat(&mut self, now: Instant, out: &mut Outcomes) {
        self.beat_at = now + self.times.beat();
        let number = BEATS | now.as_nanos();
        self.waits.insert(number, now + TIME_OUT);
        self.ended
            .retain(|(_, since)| now.since(*since) <= self.times.longest() + self.times.flight());
        let beat = Beat {
            name: self.name,
            epoch: self.epoch,
            // As good as random: no two of them are the same.
            new_epoch: now.as_nanos() * 64 + self.name,
            told_all: self.epoch != 0 && self.scheduler.has_told_all(SHARD),
            others: self.others.iter().map(|(name, _)| *name).collect(),
            ended: self.ended.iter().map(|(name, _)| *name).collect(),
        };
        out.messages.push(Payload::Beat { number, beat });
    }

    /// It ends, and says what is left of what it used.
    pub(crate) fn leave(&mut self, now: Instant, out: &mut Outcomes) {
        self.checks_lease(now);
        let mut farewells = Vec::new();
        self.scheduler.leave(now, &mut farewells);
        self.alive = false;
        if self.epoch == 0 || !matches!(self.link, Link::Connected { .. } | Link::Cold { .. }) {
            assert!(farewells.is_empty(), "it says nothing to a store that it does not hear");
            return;
        }
        let ms = |left: Duration| u64::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap();
        let asks = farewells.into_iter().map(|Farewell { ask, left }| {
            let left = left.into_iter().map(|(slots, left)| (slots, ms(left)));
            Asked { left: Some(left.collect()), ..Asked::from(&ask) }
        });
        let step = Step { name: self.name, epoch: self.epoch, asks: asks.collect(), leaves: true };
        out.messages.push(Payload::Step { number: 0, step });
    }

    /// Before anything goes: has the store answered lately?
    fn checks_lease(&mut self, now: Instant) {
        let known = self.epoch != 0 && self.link != Link::LeaseOver;
        if known && now.since(self.confirmed) >= self.times.forget() {
            self.link = Link::LeaseOver;
            self.scheduler.alone(now, SHARD, Link::LeaseOver);
        }
    }

    fn times_out(&mut self, now: Instant) {
        let before = self.waits.len();
        self.waits.retain(|_, until| *until > now);
        if self.waits.len() < before {
            self.is_alone(now);
        }
    }

    fn is_alone(&mut self, now: Instant) {
        self.waits.retain(|number, _| number & BEATS != 0);
        if self.link != Link::LeaseOver {
            self.link = Link::Alone;
        }
        self.scheduler.alone(now, SHARD, Link::Alone);
    }

    /// A message of the store comes.
    pub(crate) fn hear(&mut self, now: Instant, message: Message, all: &[BucketKey]) {
        self.checks_lease(now);
        let Message { sent, payload, .. } = message;
        match payload {
            // One that was killed hears no more.
            Payload::Told(name, ..) if name != self.notices.name => {}
            Payload::Told(_, number, told) => self.is_noticed(now, number, told, all),
            Payload::Tells(closed::Push { by, epoch, what }) => {
                let Notices { name, epoch: known, version, .. } = self.notices;
                let is = what.version();
                if epoch == known && is == version + 1 {
                    self.notices.version += 1;
                }
                match what {
                    _ if by == name => {}
                    closed::Pushed::Stands(it) => {
                        self.scheduler.stands_now(now, Epoch(epoch), standing(name, it, all));
                    }
                    // What came before is known by an answer.
                    closed::Pushed::Learnt(..) if epoch == known && is <= version => {}
                    closed::Pushed::Learnt(_, it) => {
                        self.scheduler.learns_now(now, Epoch(epoch), &in_common(it, all));
                    }
                }
            }
            Payload::Push(push) if push.to == self.name => {
                let Push { epoch, bucket, life, granted, .. } = push;
                let told = Told { epoch: Epoch(epoch), life, granted, answer: None };
                self.scheduler.leased(now, key(all, &bucket), told);
            }
            Payload::Reply { name, number, reply } if name == self.name => {
                let in_time = self.waits.remove(&number).is_some();
                match reply {
                    Reply::Step(epoch, asks, Stepped::Told(told)) => {
                        for (ask, answered) in asks.iter().zip(told) {
                            self.told(now, epoch, key(all, &ask.bucket), ask, &answered);
                        }
                    }
                    Reply::Beat(Beaten::Member { epoch, members, count, cold, hot, apart })
                        if in_time =>
                    {
                        self.confirmed = self.confirmed.max(sent);
                        self.names(now, &members);
                        let hot = hot.iter().map(|bucket| key(all, bucket).clone()).collect();
                        if epoch != self.epoch {
                            self.epoch = epoch;
                            self.waits.clear();
                            let link = Link::NewEpoch(Epoch(epoch));
                            self.scheduler.alone(now, SHARD, link);
                            self.beat_at = now + self.times.beat() / 4;
                        }
                        self.link = match cold {
                            Some(from) => Link::Cold {
                                from: Duration::from_millis(from),
                                apart: Some(count + apart).filter(|_| apart > 0),
                            },
                            None => Link::Connected { replicas: count, hot },
                        };
                        self.scheduler.alone(now, SHARD, self.link.clone());
                    }
                    Reply::Beat(Beaten::Gone) | Reply::Step(_, _, Stepped::Gone) => {
                        // Under its next name it tells what it uses: nobody has to wait for this one.
                        self.others.retain(|(name, _)| *name != self.name);
                        self.ended.push((self.name, now));
                        self.name += 16;
                        self.epoch = 0;
                        self.waits.clear();
                        self.link = Link::Forgotten;
                        self.scheduler.alone(now, SHARD, Link::Forgotten);
                        self.beat_at = now;
                    }
                    Reply::Step(_, _, Stepped::Cold(_)) if in_time => {
                        self.is_alone(now);
                        self.beat_at = now;
                    }
                    Reply::Beat(_) | Reply::Step(..) => {}
                }
            }
            _ => {}
        }
    }

    /// A member that was forgotten is named as long as its slots may be in use: if the store loses its
    /// memory, it has to wait for it.
    fn names(&mut self, now: Instant, members: &[Name]) {
        self.others.retain_mut(|(name, gone)| {
            if members.contains(name) {
                *gone = None;
            } else {
                gone.get_or_insert(now);
            }
            gone.is_none_or(|since| now.since(since) <= self.times.longest() + self.times.flight())
        });
        for name in members {
            if !self.others.iter().any(|(other, _)| other == name) {
                self.others.push((*name, None));
            }
        }
        let gone = self.others.iter().filter(|(_, gone)| gone.is_some()).count();
        let mut too_many = gone.saturating_sub(GONE);
        self.others.retain(|(_, gone)| {
            let drops = gone.is_some() && too_many > 0;
            too_many -= usize::from(drops);
            !drops
        });
    }

    fn told(&mut self, now: Instant, epoch: u64, key: &BucketKey, ask: &Asked, told: &Answered) {
        let Answered { life, granted, used, weight, again, .. } = *told;
        let hint = match again {
            0 => Hint::Open,
            again => Hint::AskAgain(Duration::from_millis(again)),
        };
        let answer = Some(Answer { number: ask.number, used, weight, hint });
        let told = Told { epoch: Epoch(epoch), life, granted, answer };
        self.scheduler.leased(now, key, told);
    }
}

/// Beats have numbers of their own.
const BEATS: u64 = 1 << 63;

fn in_common(learnt: closed::Learnt, all: &[BucketKey]) -> InCommon {
    let bucket = key(all, &learnt.bucket).clone();
    learnt.of(bucket)
}

fn standing(own: Name, standing: closed::Standing, all: &[BucketKey]) -> Standing {
    let closed::Standing { bucket, version, shut } = standing;
    let shut = shut.map(|(left, prober)| Shut {
        left: Duration::from_millis(left),
        prober: match prober {
            None => Prober::Nobody,
            Some(name) if name == own => Prober::Own,
            Some(_) => Prober::Another,
        },
    });
    Standing { bucket: key(all, &bucket).clone(), version, shut }
}

fn key<'a>(all: &'a [BucketKey], name: &str) -> &'a BucketKey {
    all.iter().find(|key| key.to_string() == name).unwrap()
}
