//! A process of the fleet: a scheduler, and what the shell around it says to the store and makes of
//! what it hears. It does what the proxy's shell does, by the same times, without sockets.

use std::{collections::HashMap, sync::Arc, time::Duration};

use limits::{BucketKey, Share};
use scheduler::{
    Answer, Bounds, Enqueued, Epoch, Event, Farewell, Hint, InCommon, Instant, Learning, Link,
    Noticed, Permit, Policy, Prober, Scheduler, Shard, Sharing, Shut, Standing, Told,
    model::{
        InMemory, Keeper as _, closed,
        store::{Answered, Asked, Beat, Beaten, Name, Push, Step, Stepped, Times},
    },
};

use super::catalogue::Catalogue;

/// A process that shares its limits.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) scheduler: Scheduler,
    /// The limits that it is configured with.
    pub(super) all: Arc<Catalogue>,
    groups: Vec<Group>,
    notices: Notices,
    /// Held calls by the numbers of their tickets.
    pub(super) held: HashMap<u64, u64>,
    wake: Option<Instant>,
    keeper: InMemory,
    number: u64,
    /// What came while it was stopped.
    pub(super) inbox: Vec<Message>,
    pub(super) stopped: bool,
}

/// What it knows of a part of the store.
#[derive(Debug)]
struct Group {
    name: Name,
    epoch: u64,
    others: Vec<(Name, Option<Instant>)>,
    ended: Vec<(Name, Instant)>,
    told_all: bool,
    waits: Vec<(u64, Instant)>,
    confirmed: Instant,
    state: State,
    beat_at: Instant,
    heard: u64,
    /// Whether it was forgotten, and has not told what it uses by its next name.
    owes: bool,
    /// Whether it grants nothing.
    cold: bool,
}

/// Parts of the store, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Apartness {
    /// Those that it does not reach.
    pub(super) apart: u8,
    /// Those that grant nothing.
    pub(super) cold: u8,
    /// Those that it has lost again before it has told what it used by a name that was forgotten.
    pub(super) lost: u8,
}

/// Whether a part of the store can be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unheard,
    Connected,
    Alone,
    Over,
}

/// What it tells the others of freezes.
#[derive(Debug)]
struct Notices {
    name: Name,
    epoch: u64,
    version: u64,
    heard: bool,
    due: Instant,
    waits: Option<(u64, Instant, u64)>,
}

/// A message on its way.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// The process that sent it, or gets it.
    pub(super) of: usize,
    pub(super) shard: u8,
    /// When the message was sent that led to it.
    pub(super) sent: Instant,
    pub(super) payload: Payload,
}

/// What is said, and what is answered.
#[derive(Clone, Debug)]
pub(super) enum Payload {
    Beat(u64, Beat),
    Step(u64, Step),
    Tell(u64, closed::Tell),
    Beaten(u64, Name, Beaten),
    Stepped(u64, Name, u64, Vec<Asked>, Stepped),
    Told(u64, closed::Told),
    Push(Push),
    Tells(closed::Push),
}

/// What follows from what happens to a process.
#[derive(Debug, Default)]
pub(super) struct Follows {
    /// Held calls that go.
    pub(super) sent: Vec<(u64, Permit)>,
    pub(super) expired: Vec<u64>,
    pub(super) shed: Vec<u64>,
    /// To which part of the store.
    pub(super) messages: Vec<(u8, Payload)>,
}

/// The parts of the store.
pub(super) const SHARDS: u8 = 2;
/// Where it keeps what is of no part.
pub(super) const OF_ALL: u8 = SHARDS;
pub(super) const TIMES: Times =
    Times { forget: 30_000, flight: 60_000, stale: 3_000, longest: 90_000 };
pub(super) const FLIGHT: Duration = Duration::from_secs(60);
pub(super) const LEASE: Duration = Duration::from_secs(30);
const BEAT: Duration = Duration::from_secs(1);
const TIME_OUT: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(90);
const GONE: usize = 64;

/// Which part of the store keeps a bucket.
pub(super) fn shard(key: &BucketKey) -> Shard {
    let text = key.limit.name.bytes().chain(key.values.as_str().bytes());
    let hash =
        text.fold(0xcbf2_9ce4_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    Shard(u8::try_from((hash >> 16) % u32::from(SHARDS)).unwrap())
}

// === impl Process ===

impl Process {
    pub(super) fn new(now: Instant, names: &mut u64, replicas: u32, all: &Arc<Catalogue>) -> Self {
        let bounds = Bounds { per_bucket: 2_000, total: 10_000 };
        // Whom learnt limits keep waiting the judge does not know: those that learn have walks of their own.
        let (background, learning) = (Share::default(), Learning::OFF);
        let mut scheduler = Scheduler::new(Policy { bounds, background, learning });
        scheduler.take_notes();
        scheduler.share(Sharing {
            shard: |key| Some(shard(key)),
            replicas: replicas.try_into().ok(),
            flight: FLIGHT,
            lease: LEASE,
        });
        let mut name = || {
            *names += 1;
            *names
        };
        Self {
            scheduler,
            all: Arc::clone(all),
            groups: (0..SHARDS).map(|_| Group::new(now, name())).collect(),
            notices: Notices {
                name: name(),
                epoch: 0,
                version: 0,
                heard: false,
                due: now,
                waits: None,
            },
            held: HashMap::new(),
            wake: None,
            keeper: InMemory::default(),
            number: 0,
            inbox: Vec::new(),
            stopped: false,
        }
    }

    /// The process that goes on with the state file of this one, which is certainly dead.
    pub(super) fn succeeded(
        mut self,
        now: Instant,
        names: &mut u64,
        replicas: u32,
        all: &Arc<Catalogue>,
    ) -> Self {
        let kept = self.keeper.restart(now, &all.one_of_each_limit, false);
        let mut next = Self::new(now, names, replicas, all);
        for (bucket, memory) in kept {
            next.scheduler.restore(now, bucket, &memory);
        }
        for (group, before) in next.groups.iter_mut().zip(self.groups) {
            group.ended = before.ended;
            group.ended.push((before.name, now));
        }
        Self { keeper: self.keeper, ..next }
    }

    /// When it does something next by itself.
    pub(super) fn next(&self) -> Instant {
        let notices = self.notices.waits.map_or(self.notices.due, |(_, until, _)| until);
        let groups = self.groups.iter().map(Group::next);
        groups.chain(self.wake).fold(notices, Instant::min)
    }

    /// How it stands to each part of the store.
    pub(super) fn apart(&self) -> Apartness {
        let mut all = Apartness::default();
        for (group, bit) in self.groups.iter().zip((0..).map(|at| 1 << at)) {
            if group.state != State::Connected {
                all.apart |= bit;
            }
            if group.cold {
                all.cold |= bit;
            }
            if group.owes && group.state == State::Alone {
                all.lost |= bit;
            }
        }
        all
    }

    /// Whether it was forgotten there, and has not told what it uses.
    pub(super) fn owes(&self, shard: usize) -> bool {
        self.groups[shard].owes
    }

    pub(super) fn name(&self, shard: usize) -> Name {
        self.groups[shard].name
    }

    /// Whether it would name that one to a store that has lost its memory.
    pub(super) fn knows(&self, shard: usize, name: Name) -> bool {
        let group = &self.groups[shard];
        group.name == name || group.others.iter().any(|(other, _)| *other == name)
    }

    /// Before anything else: how long is it that the store has answered?
    pub(super) fn awakes(&mut self, now: Instant) {
        for at in 0..self.groups.len() {
            let group = &mut self.groups[at];
            let is_over = now.since(group.confirmed) >= LEASE;
            if is_over && group.epoch != 0 && group.state != State::Over {
                group.state = State::Over;
                self.scheduler.alone(now, shard_of(at), Link::LeaseOver);
            }
        }
    }

    /// A call is to wait, goes, or is shed.
    pub(super) fn enqueued(&mut self, call: u64, enqueued: Enqueued, out: &mut Follows) {
        match enqueued {
            Enqueued::Granted(permit) => out.sent.push((call, permit)),
            Enqueued::Held(ticket) => {
                self.held.insert(ticket.number(), call);
            }
            Enqueued::Refused(_) => out.shed.push(call),
        }
    }

    /// Does what is due, and says what there is to say.
    pub(super) fn acts(&mut self, now: Instant, out: &mut Follows) {
        self.reads_events(now, out);
        self.tells(now, out);
        for at in 0..self.groups.len() {
            let group = &mut self.groups[at];
            let before = group.waits.len();
            group.waits.retain(|(_, until)| *until > now);
            if group.waits.len() < before {
                self.is_alone(now, at);
            }
            if self.groups[at].beat_at <= now {
                self.beats(now, at, out);
            }
        }
        self.steps(now, out);
        self.reads_events(now, out);
        // What followed from that is said at once, too.
        self.tells(now, out);
        self.steps(now, out);
    }

    fn steps(&mut self, now: Instant, out: &mut Follows) {
        if !self.scheduler.has_asks() {
            return;
        }
        let mut asks = Vec::new();
        self.scheduler.asks(now, &mut asks);
        asks.sort_by_key(|ask| ask.shard);
        for asks in asks.chunk_by(|one, other| one.shard == other.shard) {
            let at = usize::from(asks[0].shard.0);
            let (name, epoch) = (self.groups[at].name, self.groups[at].epoch);
            assert!(asks.iter().all(|ask| ask.epoch == Epoch(epoch)), "it is said in this epoch");
            let asks = asks.iter().map(Asked::from).collect();
            let step = Step { name, epoch, asks, leaves: false };
            let number = self.number(now, at);
            out.messages.push((u8::try_from(at).unwrap(), Payload::Step(number, step)));
        }
    }

    fn number(&mut self, now: Instant, at: usize) -> u64 {
        self.number += 1;
        self.groups[at].waits.push((self.number, now + TIME_OUT));
        self.number
    }

    fn reads_events(&mut self, now: Instant, out: &mut Follows) {
        let mut events = Vec::new();
        self.wake = self.scheduler.poll(now, &mut events);
        self.keeper.keep(&mut self.scheduler);
        for event in events {
            match event {
                Event::Granted { ticket, permit } => {
                    let call = self.held.remove(&ticket.number()).unwrap();
                    out.sent.push((call, permit));
                }
                Event::Expired { ticket, .. } => {
                    out.expired.push(self.held.remove(&ticket.number()).unwrap());
                }
            }
        }
    }

    fn beats(&mut self, now: Instant, at: usize, out: &mut Follows) {
        let number = self.number(now, at);
        let group = &mut self.groups[at];
        if group.epoch != 0 && !group.told_all {
            group.told_all = self.scheduler.has_told_all(shard_of(at));
        }
        group.beat_at = now + BEAT;
        group.ended.retain(|(_, since)| now.since(*since) <= LONGEST + FLIGHT);
        let beat = Beat {
            name: group.name,
            epoch: group.epoch,
            new_epoch: now.as_nanos() * 64 + group.name % 64 + 1,
            told_all: group.told_all,
            others: group.others.iter().map(|(name, _)| *name).collect(),
            ended: group.ended.iter().map(|(name, _)| *name).collect(),
        };
        out.messages.push((u8::try_from(at).unwrap(), Payload::Beat(number, beat)));
    }

    fn is_alone(&mut self, now: Instant, at: usize) {
        let group = &mut self.groups[at];
        group.waits.clear();
        if group.state == State::Connected {
            group.state = State::Alone;
        }
        self.scheduler.alone(now, shard_of(at), Link::Alone);
    }

    /// Tells the others what there is to tell.
    fn tells(&mut self, now: Instant, out: &mut Follows) {
        if self.notices.waits.is_some_and(|(_, until, _)| until <= now) {
            self.notices_nobody(now);
        }
        let has = self.notices.heard && self.scheduler.has_notices();
        if self.notices.waits.is_some() || self.notices.due > now && !has {
            return;
        }
        let mut notices = Vec::new();
        let batch = self.scheduler.notices(now, &mut notices);
        self.number += 1;
        let Notices { name, epoch, version, .. } = self.notices;
        self.notices.waits = Some((self.number, now + TIME_OUT, batch));
        self.notices.due = now + BEAT;
        let tell = closed::Tell {
            name,
            number: self.number,
            epoch,
            version,
            new_epoch: now.as_nanos() * 64 + name % 64 + 1,
            notices: notices.into_iter().map(closed::Notice::from).collect(),
        };
        out.messages.push((OF_ALL, Payload::Tell(self.number, tell)));
    }

    fn notices_nobody(&mut self, now: Instant) {
        self.notices = Notices { epoch: 0, heard: false, waits: None, ..self.notices };
        self.scheduler.notices_nobody(now);
    }

    /// A message of the store comes.
    pub(super) fn hears(&mut self, now: Instant, message: Message, names: &mut u64) {
        let all = Arc::clone(&self.all);
        let all = &*all;
        let Message { shard, sent, payload, .. } = message;
        let at = usize::from(shard);
        match payload {
            Payload::Told(number, told) => self.is_noticed(now, number, told, all),
            Payload::Tells(closed::Push { by, epoch, what }) => {
                let Notices { name, epoch: known, version, .. } = self.notices;
                if epoch != known {
                    return;
                }
                if what.version() == version + 1 {
                    self.notices.version += 1;
                }
                match what {
                    _ if by == name => {}
                    closed::Pushed::Stands(it) => {
                        self.scheduler.stands_now(now, Epoch(epoch), standing(name, it, all));
                    }
                    closed::Pushed::Learnt(is, it) if is > version => {
                        self.scheduler.learns_now(now, Epoch(epoch), &in_common(it, all));
                    }
                    // It is known by an answer.
                    closed::Pushed::Learnt(..) => {}
                }
            }
            Payload::Push(push) if push.to == self.groups[at].name => {
                let Push { epoch, bucket, life, granted, .. } = push;
                let told = Told { epoch: Epoch(epoch), life, granted, answer: None };
                self.scheduler.leased(now, all.key(&bucket), told);
            }
            Payload::Stepped(number, name, epoch, asks, stepped)
                if name == self.groups[at].name =>
            {
                let in_time = self.groups[at].answered(number);
                match stepped {
                    Stepped::Told(told) => {
                        for (ask, answered) in asks.iter().zip(told) {
                            self.is_told(now, epoch, all.key(&ask.bucket), ask, &answered);
                        }
                    }
                    Stepped::Cold(_) if in_time => {
                        self.is_alone(now, at);
                        self.groups[at].beat_at = now;
                    }
                    Stepped::Cold(_) => {}
                    Stepped::Gone => self.is_forgotten(now, at, names),
                }
            }
            Payload::Beaten(number, name, beaten) if name == self.groups[at].name => {
                self.groups[at].answered(number);
                match beaten {
                    Beaten::Gone => self.is_forgotten(now, at, names),
                    Beaten::Member { epoch, members, count, cold, hot, apart }
                        if number >= self.groups[at].heard =>
                    {
                        self.groups[at].heard = number;
                        if epoch != self.groups[at].epoch {
                            self.lives_anew(now, at, epoch);
                        }
                        let group = &mut self.groups[at];
                        group.owes &= !group.told_all;
                        group.are_members(now, &members);
                        group.state = State::Connected;
                        group.confirmed = group.confirmed.max(sent);
                        group.cold = cold.is_some();
                        let link = match cold {
                            Some(from) => Link::Cold {
                                from: Duration::from_millis(from),
                                apart: Some(count + apart).filter(|_| apart > 0),
                            },
                            None => Link::Connected {
                                replicas: count,
                                hot: hot.iter().map(|name| all.key(name).clone()).collect(),
                            },
                        };
                        self.scheduler.alone(now, shard_of(at), link);
                    }
                    Beaten::Member { .. } => {}
                }
            }
            _ => {}
        }
    }

    fn lives_anew(&mut self, now: Instant, at: usize, epoch: u64) {
        let group = &mut self.groups[at];
        (group.epoch, group.told_all, group.cold) = (epoch, false, true);
        group.waits.clear();
        group.beat_at = now + BEAT / 4;
        self.scheduler.alone(now, shard_of(at), Link::NewEpoch(Epoch(epoch)));
    }

    fn is_forgotten(&mut self, now: Instant, at: usize, names: &mut u64) {
        *names += 1;
        let group = &mut self.groups[at];
        let before = std::mem::replace(&mut group.name, *names);
        group.others.retain(|(name, _)| *name != before);
        group.ended.push((before, now));
        (group.epoch, group.told_all, group.state) = (0, false, State::Over);
        group.owes = true;
        group.waits.clear();
        group.beat_at = now;
        self.scheduler.alone(now, shard_of(at), Link::Forgotten);
    }

    fn is_told(&mut self, now: Instant, epoch: u64, key: &BucketKey, ask: &Asked, told: &Answered) {
        let Answered { life, granted, used, weight, again, .. } = *told;
        let hint = match again {
            0 => Hint::Open,
            again => Hint::AskAgain(Duration::from_millis(again)),
        };
        let answer = Some(Answer { number: ask.number, used, weight, hint });
        self.scheduler.leased(now, key, Told { epoch: Epoch(epoch), life, granted, answer });
    }

    fn is_noticed(&mut self, now: Instant, number: u64, told: closed::Told, all: &Catalogue) {
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

    /// It ends, and says what is left of what it used.
    pub(super) fn leaves(&mut self, now: Instant, out: &mut Follows) {
        let mut farewells = Vec::new();
        self.scheduler.leave(now, &mut farewells);
        for (at, group) in self.groups.iter().enumerate() {
            if group.epoch == 0 || group.state != State::Connected {
                continue;
            }
            let of_group = farewells.iter().filter(|it| usize::from(it.ask.shard.0) == at);
            let asks = of_group.map(|Farewell { ask, left }| {
                let left = left.iter().map(|(slots, left)| (*slots, ms(*left)));
                Asked { left: Some(left.collect()), ..Asked::from(ask) }
            });
            let (name, epoch) = (group.name, group.epoch);
            let step = Step { name, epoch, asks: asks.collect(), leaves: true };
            out.messages.push((u8::try_from(at).unwrap(), Payload::Step(0, step)));
        }
    }
}

// === impl Group ===

impl Group {
    fn new(now: Instant, name: Name) -> Self {
        Self {
            name,
            epoch: 0,
            others: Vec::new(),
            ended: Vec::new(),
            told_all: false,
            waits: Vec::new(),
            confirmed: now,
            state: State::Unheard,
            beat_at: now,
            heard: 0,
            owes: false,
            cold: true,
        }
    }

    fn next(&self) -> Instant {
        let over = self.epoch != 0 && self.state != State::Over;
        let over = over.then(|| self.confirmed + LEASE);
        let waits = self.waits.iter().map(|(_, until)| *until);
        waits.chain(over).fold(self.beat_at, Instant::min)
    }

    /// Whether that answer comes in time.
    fn answered(&mut self, number: u64) -> bool {
        let at = self.waits.iter().position(|(it, _)| *it == number);
        at.map(|at| self.waits.swap_remove(at)).is_some()
    }

    /// A member that was forgotten is named for as long as its slots may be in use.
    fn are_members(&mut self, now: Instant, members: &[Name]) {
        self.others.retain_mut(|(name, gone)| {
            if members.contains(name) {
                *gone = None;
            } else {
                gone.get_or_insert(now);
            }
            gone.is_none_or(|since| now.since(since) <= LONGEST + FLIGHT)
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
}

fn shard_of(at: usize) -> Shard {
    Shard(u8::try_from(at).unwrap())
}

fn ms(left: Duration) -> u64 {
    u64::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap()
}

fn in_common(learnt: closed::Learnt, all: &Catalogue) -> InCommon {
    let bucket = all.key(&learnt.bucket).clone();
    learnt.of(bucket)
}

fn standing(own: Name, standing: closed::Standing, all: &Catalogue) -> Standing {
    let closed::Standing { bucket, version, shut } = standing;
    let shut = shut.map(|(left, prober)| Shut {
        left: Duration::from_millis(left),
        prober: match prober {
            None => Prober::Nobody,
            Some(name) if name == own => Prober::Own,
            Some(_) => Prober::Another,
        },
    });
    Standing { bucket: all.key(&bucket).clone(), version, shut }
}
