//! What this replica says to the store and makes of what it hears: a state machine that is told the
//! time, beside the scheduler. It knows no socket.
//!
//! Each group of buckets is heard or not as a whole, is in an epoch of its own, and knows the replica by
//! a name of its own. What was sent and is not answered in time makes the replica alone in that group;
//! when it is answered late, that counts all the same. Only the order of beats matters: answers of one
//! connection come in the order in which it was asked, so of two beats the later one knows more.

use std::{collections::BTreeMap, time::Duration};

use aws_lc_rs::rand;
use limits::BucketKey;
use redis::Value;
use scheduler::{Answer, Ask, Epoch, Farewell, Hint, Link, Shard, Told};
use tokio::time::Instant;

use super::{
    differences::{Differences, Figures},
    fleet::Fleet,
    freezes::Freezes,
    keys::{self, Keys, SHARDS},
    members::Members,
    metrics::{Degraded, SharedMetrics},
    said::Saying,
    script::{Answered, Beat, Beaten, Given, Push, Step, Stepped, Times},
    versions::Versions,
    whose::Whose,
};
use crate::{
    identity::{Identities, Others},
    queue::{Admission, boot_time},
};

/// This replica, as the store knows it.
#[derive(Debug)]
pub(super) struct Replica {
    admission: Admission,
    keys: Keys,
    times: Times,
    time_out: Duration,
    forget_after: Duration,
    /// What its names and its channel begin with.
    id: u64,
    /// When it began.
    since: Instant,
    groups: Vec<Group>,
    freezes: Freezes,
    saying: Saying,
    whose: Whose,
    fleet: Fleet,
    /// The last number of a message.
    number: u64,
    /// The run id of the server that keeps what is of no group, while there is a connection to it.
    run_of_all: Option<String>,
    differences: Differences,
    versions: Versions,
    metrics: SharedMetrics,
    /// When that was measured which changes with every call.
    measured: Instant,
    /// Kept for its memory.
    asks: Vec<Ask>,
}

/// What it knows of a group.
#[derive(Debug)]
struct Group {
    shard: Shard,
    /// Whether there is a connection to the server that keeps it.
    connected: bool,
    /// The run id of that server, or of the one before: each process has another one.
    run: String,
    /// How often its name has changed.
    generation: u32,
    /// The names that it had before, and since when it has another one; the oldest first.
    ended: Vec<(String, Instant)>,
    epoch: Option<Epoch>,
    state: State,
    /// Since when the store was not heard.
    since: Instant,
    members: Members,
    /// Whether the store has been told, in its epoch, all that is held.
    told_all: bool,
    /// Whether the store waits for some to tell what they hold, and grants nothing meanwhile of what is used
    /// here.
    cold: bool,
    /// How many replicas share the limits that have other versions of the scripts.
    apart: u32,
    /// Messages without an answer, and until when each is waited for.
    waits: BTreeMap<u64, Instant>,
    beat_at: Instant,
    /// The last beat that was answered.
    heard: u64,
}

/// Whether it can be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connected,
    Alone,
    LeaseOver,
}

/// A message to the store.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) given: Given,
    pub(super) shard: Shard,
    generation: u32,
    number: u64,
    /// By the clock that includes suspensions.
    sent: Duration,
    pub(super) sent_at: Instant,
    epoch: Option<Epoch>,
    /// The buckets of a step, the numbers of its asks, and the limits.
    asks: Vec<(BucketKey, u64, Figures)>,
}

/// Which script it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Beat,
    Step,
    Freeze,
    Said,
    Whose,
}

/// How often a replica says that it is here.
pub(super) const BEAT: Duration = Duration::from_secs(1);

/// How many beats a replica is silent before it is granted nothing.
const STALE: u32 = 3;

/// How many names of before are told of at most: each is, for as long as what it used counts.
const ENDED: usize = 8;

/// How many buckets one step has at most: the server does nothing else meanwhile.
const BUCKETS: usize = 64;

// === impl Replica ===

impl Replica {
    pub(super) fn new(
        (admission, fleet, known): (Admission, Fleet, (Identities, Others)),
        keys: Keys,
        settings: &config::Redis,
        flight: Duration,
        longest: Duration,
        metrics: SharedMetrics,
        now: Instant,
    ) -> Self {
        // Until it is heard.
        metrics.set(now, Degraded::Alone, 0);
        let times = Times {
            forget: millis(settings.forget_after),
            flight: millis(flight),
            stale: millis(BEAT * STALE),
            longest: millis(longest),
        };
        let id = random();
        let (name, time_out) = (format!("{id:x}"), settings.timeout);
        let of_freezes = (times.flight, times.stale);
        let freezes = Freezes::new(admission.clone(), name.clone(), of_freezes, time_out, now);
        let whose = Whose::new(admission.clone(), known, name.clone(), time_out, now);
        let saying = Saying::new(admission.clone(), fleet.clone(), name, time_out, now);
        Self {
            admission,
            keys,
            times,
            time_out: settings.timeout,
            forget_after: settings.forget_after,
            freezes,
            saying,
            whose,
            fleet,
            id,
            since: now,
            groups: (0..SHARDS).map(|shard| Group::new(Shard(shard), now)).collect(),
            number: 0,
            run_of_all: None,
            differences: Differences::default(),
            versions: Versions::default(),
            metrics,
            measured: now,
            asks: Vec::new(),
        }
    }

    /// The channels on which it is told what it is granted meanwhile, and what all are told.
    pub(super) fn channels(&self) -> [String; 2] {
        [format!("{}{:x}", self.keys.channels(), self.id), self.keys.channel_of_all()]
    }

    fn name(&self, shard: Shard) -> String {
        format!("{:x}.{}", self.id, self.groups[usize::from(shard.0)].generation)
    }

    /// When it does something next, if nothing happens before.
    pub(super) fn next(&self) -> Instant {
        let beat = |group: &Group| Some(group.beat_at).filter(|_| group.connected);
        let waits = |group: &Group| group.waits.values().min().copied();
        let groups = self.groups.iter().flat_map(|group| [beat(group), waits(group)]).flatten();
        let connected = self.run_of_all.is_some();
        let of_all =
            [self.freezes.next(connected), self.saying.next(connected), self.whose.next(connected)];
        let all = groups.chain(of_all.into_iter().flatten());
        all.fold(self.measured + BEAT, Instant::min)
    }

    /// There is a connection to the server that keeps a group, or [what is of none](keys::OF_ALL), and to its
    /// process with that run id: it says at once that it is here.
    pub(super) fn connects(&mut self, now: Instant, shard: Shard, run: &str) {
        if self.number == 0 {
            // In good time: what is said by a name that is not kept is kept from others for longer.
            self.admission.keep_name(self.name(Shard(0)));
        }
        let Some(group) = self.groups.get_mut(usize::from(shard.0)) else {
            self.run_of_all = Some(run.to_owned());
            self.freezes.connects(now);
            self.saying.connects(now);
            self.whose.connects(now);
            return;
        };
        group.connected = true;
        group.beat_at = now;
        run.clone_into(&mut group.run);
    }

    /// There is none any more, or to another server: nothing that is on its way is answered.
    pub(super) fn disconnects(&mut self, shard: Shard) {
        let at = usize::from(shard.0);
        let Some(group) = self.groups.get_mut(at) else {
            self.run_of_all = None;
            self.freezes.is_alone();
            self.saying.is_alone();
            self.whose.is_alone();
            return;
        };
        group.connected = false;
        self.is_alone(at);
    }

    /// Its server has said that it cannot answer now, and will soon.
    pub(super) fn beats_at(&mut self, shard: Shard, at: Instant) {
        if let Some(group) = self.groups.get_mut(usize::from(shard.0)) {
            group.beat_at = at;
        }
    }

    /// What is due, and what there is to say.
    pub(super) fn act(&mut self, now: Instant, out: &mut Vec<Message>) {
        // What is closed is known before any slot is granted.
        self.act_for_all(now, out);
        for at in 0..self.groups.len() {
            let before = self.groups[at].waits.len();
            self.groups[at].waits.retain(|_, until| *until > now);
            if self.groups[at].waits.len() < before {
                self.is_alone(at);
            }
            if self.groups[at].connected && self.groups[at].beat_at <= now {
                let beat = self.beat(at, now);
                out.push(beat);
            }
        }
        if self.groups.iter().any(|group| group.connected) {
            self.steps(now, out);
        }
        self.measure(now);
    }

    fn beat(&mut self, at: usize, now: Instant) -> Message {
        let shard = self.groups[at].shard;
        if !self.groups[at].told_all && self.groups[at].epoch.is_some() {
            // It goes on to be so: what is taken or granted later is told, or was by the store.
            self.groups[at].told_all = self.admission.has_told_all(shard);
        }
        let name = self.name(shard);
        let Group { epoch, told_all, ref members, .. } = self.groups[at];
        let new_epoch = Epoch(random());
        let others: Vec<_> = members.names(now, self.ages()).collect();
        // Who has just come tells what the processes before used.
        let processes = self.admission.ended();
        let processes = processes.iter().filter(|_| now - self.since <= self.ages());
        let own = self.groups[at].ended.iter().filter(|(_, since)| now - *since <= self.ages());
        let ended = processes.chain(own.map(|(name, _)| name)).map(String::as_str);
        let ended: Vec<_> = ended.collect();
        let others = &others;
        let (name, run, ended) = (&*name, &*self.groups[at].run, &*ended);
        let beat = Beat { name, run, epoch, new_epoch, told_all, others, ended };
        let given = Given::beat(&self.keys, shard, self.times, &beat);
        self.groups[at].beat_at = now + BEAT;
        self.message(Kind::Beat, given, at, now, Vec::new())
    }

    /// For how long what a replica holds may be in use when it says nothing any more.
    fn ages(&self) -> Duration {
        Duration::from_millis(self.times.longest.saturating_add(self.times.flight))
    }

    fn steps(&mut self, now: Instant, out: &mut Vec<Message>) {
        let mut asks = std::mem::take(&mut self.asks);
        self.admission.move_asks(&mut asks);
        // Those of one group in their order.
        asks.sort_by_key(|ask| ask.shard);
        for asks in asks.chunk_by(|one, other| (one.shard, one.epoch) == (other.shard, other.epoch))
        {
            for asks in asks.chunks(BUCKETS) {
                let (shard, epoch) = (asks[0].shard, asks[0].epoch);
                let longest = asks.iter().map(|ask| millis(ask.period)).max();
                self.times.longest = self.times.longest.max(longest.unwrap_or(0));
                let name = self.name(shard);
                let of = asks.iter().map(|ask| (ask.bucket.clone(), ask.number, Figures::of(ask)));
                let of = of.collect();
                let asks = asks.iter().map(|ask| (ask, None)).collect();
                let (name, run) = (&*name, &*self.groups[usize::from(shard.0)].run);
                let step = Step { name, run, epoch: Some(epoch), asks, leaves: false };
                let given = Given::step(&self.keys, shard, self.times, &step);
                let message = self.message(Kind::Step, given, shard.0.into(), now, of);
                out.push(message);
            }
        }
        asks.clear();
        self.asks = asks;
    }

    fn message(
        &mut self,
        kind: Kind,
        given: Given,
        at: usize,
        now: Instant,
        asks: Vec<(BucketKey, u64, Figures)>,
    ) -> Message {
        self.number += 1;
        let number = self.number;
        let group = &mut self.groups[at];
        group.waits.insert(number, now + self.time_out);
        let Group { shard, generation, epoch, .. } = *group;
        let sent = boot_time();
        Message { kind, given, shard, generation, number, sent, sent_at: now, epoch, asks }
    }

    /// What there is to say that is of no group.
    fn act_for_all(&mut self, now: Instant, out: &mut Vec<Message>) {
        let Some(run) = self.run_of_all.clone() else {
            self.fleet.is_alone();
            return;
        };
        let to = (&self.keys, &*run);
        let given = self.freezes.act(now, self.number + 1, to, Epoch(random()));
        if let Some(given) = given {
            out.push(self.message_of_all(Kind::Freeze, given, now));
        }
        let to = (&self.keys, &*run);
        let given = self.saying.act(now, self.number + 1, to, Epoch(random()));
        if let Some(given) = given {
            out.push(self.message_of_all(Kind::Said, given, now));
        }
        if let Some(given) = self.whose.act(now, self.number + 1, &self.keys) {
            out.push(self.message_of_all(Kind::Whose, given, now));
        }
    }

    /// A message that is of no group.
    fn message_of_all(&mut self, kind: Kind, given: Given, now: Instant) -> Message {
        self.number += 1;
        let (number, sent) = (self.number, boot_time());
        let (shard, generation, epoch) = (keys::OF_ALL, 0, None);
        Message {
            kind,
            given,
            shard,
            generation,
            number,
            sent,
            sent_at: now,
            epoch,
            asks: Vec::new(),
        }
    }

    fn is_alone(&mut self, at: usize) {
        let group = &mut self.groups[at];
        group.waits.clear();
        if group.state == State::Connected {
            group.state = State::Alone;
        }
        self.admission.link(group.shard, Link::Alone);
    }

    /// The store has answered. Returns whether that is something it ever answers.
    pub(super) fn hear(&mut self, now: Instant, message: &Message, answer: Value) -> bool {
        match message.kind {
            Kind::Freeze => return self.freezes.hear(message.number, answer),
            Kind::Said => return self.saying.hear(now, message.number, answer),
            Kind::Whose => return self.whose.hear(message.number, answer),
            Kind::Beat | Kind::Step => {}
        }
        let at = usize::from(message.shard.0);
        let group = &mut self.groups[at];
        if message.generation != group.generation {
            return true;
        }
        let in_time = group.waits.remove(&message.number).is_some();
        match message.kind {
            Kind::Beat => match Beaten::of(answer) {
                Some(Beaten::Gone) => self.is_forgotten(at, now),
                Some(Beaten::Member { epoch, cold, members, hot, apart }) => {
                    let link = match cold {
                        Some(from) => {
                            let all = apart.saturating_add(count(&members));
                            let apart = Some(all).filter(|_| apart > 0);
                            Link::Cold { from: Duration::from_millis(from), apart }
                        }
                        None => connected(&members, hot),
                    };
                    // Later no more than a call of the slowest limits counts of theirs.
                    group.apart = if cold == Some(0) { apart } else { 0 };
                    self.is_member(at, now, message, epoch, members, link);
                }
                None => return false,
            },
            Kind::Step => match Stepped::of(answer) {
                Some(Stepped::Gone) => self.is_forgotten(at, now),
                Some(Stepped::Told(told)) if told.len() == message.asks.len() => {
                    self.is_told(at, now, message, told);
                }
                Some(Stepped::Cold) => {
                    if in_time {
                        self.is_alone(at);
                        self.groups[at].beat_at = now;
                    }
                }
                Some(Stepped::Told(_)) | None => return false,
            },
            Kind::Freeze | Kind::Said | Kind::Whose => {}
        }
        true
    }

    /// A message got no answer but an error.
    pub(super) fn fails(&mut self, message: &Message) {
        match message.kind {
            Kind::Freeze => return self.freezes.fails(message.number),
            Kind::Said => return self.saying.fails(message.number),
            Kind::Whose => return self.whose.fails(message.number),
            Kind::Beat | Kind::Step => {}
        }
        let at = usize::from(message.shard.0);
        if self.groups[at].waits.remove(&message.number).is_some() {
            self.is_alone(at);
        }
    }

    fn is_member(
        &mut self,
        at: usize,
        now: Instant,
        message: &Message,
        epoch: Epoch,
        members: Vec<String>,
        link: Link,
    ) {
        let ages = self.ages();
        let group = &mut self.groups[at];
        if message.number < group.heard {
            return;
        }
        group.heard = message.number;
        let shard = group.shard;
        if group.epoch != Some(epoch) {
            if group.epoch.is_some() {
                self.metrics.epochs.inc();
            }
            group.epoch = Some(epoch);
            group.told_all = false;
            group.waits.clear();
            // It is told soon that all is told.
            group.beat_at = now + BEAT / 4;
            self.admission.link(shard, Link::NewEpoch(epoch));
        }
        let group = &mut self.groups[at];
        group.members.are(now, members, ages);
        group.state = State::Connected;
        group.since = now;
        // Steps do not do that: only a beat tells whom the others are.
        self.admission.lease(shard, message.sent + self.forget_after);
        self.admission.link(shard, link);
        self.groups[at].cold = self.admission.is_cold(shard);
    }

    fn is_told(&mut self, at: usize, now: Instant, message: &Message, told: Vec<Answered>) {
        let Some(epoch) = message.epoch else { return };
        let group = &mut self.groups[at];
        if group.epoch == Some(epoch) && group.state != State::LeaseOver {
            group.since = now;
        }
        self.metrics.step.observe(now.duration_since(message.sent_at).as_secs_f64());
        for ((bucket, _, here), told) in message.asks.iter().zip(&told) {
            self.differences.hear(now, bucket, *here, told.other.map(Figures::told));
        }
        self.admission.hear(message.asks.iter().zip(told).map(|((bucket, number, _), told)| {
            let Answered { life, granted, used, weight, again, .. } = told;
            let hint = match again {
                0 => Hint::Open,
                again => Hint::AskAgain(Duration::from_millis(again)),
            };
            let answer = Some(Answer { number: *number, used, weight, hint });
            (bucket.clone(), Told { epoch, life, granted, answer })
        }));
    }

    /// It is another member from now on.
    fn is_forgotten(&mut self, at: usize, now: Instant) {
        let name = self.name(self.groups[at].shard);
        let group = &mut self.groups[at];
        group.members.renames(&name);
        group.ended.push((name, now));
        let too_many = group.ended.len().saturating_sub(ENDED);
        group.ended.drain(..too_many);
        group.generation += 1;
        group.epoch = None;
        group.told_all = false;
        group.waits.clear();
        group.state = State::LeaseOver;
        group.beat_at = now;
        let shard = group.shard;
        self.admission.keep_name(self.name(shard));
        self.admission.link(shard, Link::Forgotten);
    }

    /// It was granted a slot meanwhile, or all are told something.
    pub(super) fn hear_push(&mut self, now: Instant, text: &str) {
        if self.freezes.hear_push(text)
            || self.saying.hear_push(now, text)
            || self.whose.hear_push(text)
        {
            return;
        }
        let Some(Push { to, epoch, life, granted, bucket }) = Push::of(text) else { return };
        let Some(key) = keys::bucket(bucket) else { return };
        if to == self.name(keys::shard(&key)) {
            let told = Told { epoch, life, granted, answer: None };
            self.admission.hear([(key, told)]);
        }
    }

    /// It uses nothing any more, and says for how long what it has used counts. Then its names are gone.
    pub(super) fn leave(&mut self, now: Instant) -> Vec<Message> {
        let mut farewells = Vec::new();
        self.admission.leave(&mut farewells);
        let mut out = Vec::new();
        for at in 0..self.groups.len() {
            let Group { shard, epoch, state, .. } = self.groups[at];
            if epoch.is_none() || state != State::Connected {
                continue;
            }
            let of_group = |it: &&Farewell| it.ask.shard == shard && Some(it.ask.epoch) == epoch;
            let all: Vec<_> = farewells.iter().filter(of_group).collect();
            let all = all.iter().map(|it| (&it.ask, Some(&*it.left))).collect::<Vec<_>>();
            let mut chunks: Vec<_> = all.chunks(BUCKETS).map(<[_]>::to_vec).collect();
            // The last one says so, even if there is nothing else to say.
            let last = chunks.pop().unwrap_or_default();
            let chunks = chunks.into_iter().map(|asks| (asks, false));
            for (asks, leaves) in chunks.chain([(last, true)]) {
                let (name, run) = (&*self.name(shard), &*self.groups[at].run);
                let step = Step { name, run, epoch, asks, leaves };
                let given = Given::step(&self.keys, shard, self.times, &step);
                out.push(self.message(Kind::Step, given, at, now, Vec::new()));
            }
        }
        out
    }

    fn measure(&mut self, now: Instant) {
        let over = self.forget_after;
        let state = |group: &Group| match group.state {
            State::Connected if !group.cold => Degraded::No,
            _ if now.duration_since(group.since) >= over => Degraded::LeaseOver,
            State::Connected | State::Alone | State::LeaseOver => Degraded::Alone,
        };
        // What all are told is of no group.
        let of_all = if self.run_of_all.is_some() { Degraded::No } else { Degraded::Alone };
        let worst = self.groups.iter().map(state).chain([of_all]).max().unwrap_or(of_all);
        let members = self.groups.iter().map(|group| group.members.count()).max();
        self.metrics.set(now, worst, members.unwrap_or(0));
        if now >= self.measured + BEAT {
            self.metrics
                .differ(self.differences.heard_since(self.measured), self.differences.shown(now));
            let apart = self.groups.iter().map(|group| group.apart).max().unwrap_or(0);
            if self.versions.are(apart) {
                self.metrics.meet_other_versions();
            }
            self.measured = now;
            self.metrics.hold(self.admission.held_on_lease());
        }
    }
}

// === impl Group ===

impl Group {
    fn new(shard: Shard, now: Instant) -> Self {
        Self {
            shard,
            connected: false,
            run: String::new(),
            generation: 0,
            ended: Vec::new(),
            epoch: None,
            state: State::Alone,
            since: now,
            members: Members::default(),
            told_all: false,
            cold: true,
            apart: 0,
            waits: BTreeMap::new(),
            beat_at: now,
            heard: 0,
        }
    }
}

/// What a store says that grants slots.
fn connected(members: &[String], hot: Option<Vec<String>>) -> Link {
    // Where too many buckets are hot to be told of, none is cold.
    let replicas = match hot {
        Some(_) => count(members),
        None => u32::MAX,
    };
    let hot = hot.unwrap_or_default();
    let hot = hot.iter().filter_map(|name| keys::bucket(name)).collect();
    Link::Connected { replicas, hot }
}

fn count(members: &[String]) -> u32 {
    u32::try_from(members.len()).unwrap_or(u32::MAX)
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// A number that no other replica has, and never zero.
fn random() -> u64 {
    let mut bytes = [0; 8];
    if rand::fill(&mut bytes).is_err() {
        // A seed that the standard library takes from the system.
        use std::hash::{BuildHasher, RandomState};
        return RandomState::new().hash_one(boot_time()) | 1;
    }
    u64::from_ne_bytes(bytes) | 1
}
