//! The fleet, event by event: processes, their store, what lies between, and Slack.

mod calls;
mod ends;
mod slack;
mod waits;
mod wire;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use limits::{BucketKey, Class, Weight};
use scheduler::{
    BlockReason, Call as Arriving, Caller, CallerId, Enqueued, Instant, Outcome, Permit, Scheduler,
    Ticket,
    model::{
        closed::Closed,
        store::{Beaten, Store},
    },
};

use super::{
    catalogue::{Catalogue, METHODS, quota_of},
    chance::Chance,
    faults::{End, Fault},
    judge::{How, Judge},
    process::{
        self, Apartness, FLIGHT, Follows, LEASE, Message, OF_ALL, Payload, Process, SHARDS, TIMES,
    },
    traffic::{Ask, Size, Source},
};

/// All that there is.
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) all: Arc<Catalogue>,
    pub(super) judge: Judge,
    /// Those that have ended are gone.
    pub(super) processes: Vec<Option<Process>>,
    /// Which process each pod has.
    pub(super) pods: Vec<Option<usize>>,
    /// The servers that each process does not reach, as bits.
    pub(super) cut: Vec<u8>,
    apart: Vec<Apartness>,
    /// The version of each process, and that of those that start.
    pub(super) versions: Vec<Version>,
    pub(super) version: Version,
    /// Whether those that start are configured with lower limits.
    pub(super) careful: bool,
    lower: Arc<Catalogue>,
    /// The processes that have ended lately.
    pub(super) gone: VecDeque<(usize, Instant)>,
    /// Each version has its own, in the same servers.
    pub(super) stores: Vec<Store>,
    pub(super) closed: [Closed; 2],
    /// By how many milliseconds each server's clock is ahead.
    pub(super) ahead: Vec<u64>,
    pub(super) down: Vec<bool>,
    pub(super) copies: Vec<Option<(Store, Closed)>>,
    pub(super) net: Net,
    pub(super) chance: Chance,
    pub(super) names: u64,
    pub(super) replicas: u32,
    /// How many things are wrong.
    pub(super) troubles: u32,
    calm_since: Instant,
    pub(super) counts: Counts,
    size: Size,
    /// How many of them were told of.
    hours: u64,
    /// When no more calls come.
    ends: Instant,
    traffic: Chance,
    heap: BinaryHeap<Entry>,
    sequence: u64,
    calls: HashMap<u64, Call>,
    numbers: u64,
    /// When each process is looked at.
    wakes: Vec<Instant>,
    /// The last beat on its way, by process, part and direction: those of a connection stay in order.
    beats: HashMap<(usize, u8, bool), Instant>,
    /// The calls that wait, by process and the bucket of their method, the oldest first.
    lines: BTreeMap<(usize, u32), VecDeque<u64>>,
    idle: HashMap<u64, (u32, Instant)>,
    busy: BTreeMap<u32, f64>,
    people: HashMap<u32, Instant>,
    /// What Slack refuses, until when.
    shut: BTreeMap<u32, Instant>,
    /// What operators have paused: workspaces.
    paused: BTreeSet<(usize, usize)>,
    /// What went wrong and well lately.
    pub(super) log: VecDeque<String>,
    pub(super) wrong: Option<String>,
}

/// Two versions whose scripts do not understand each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Other,
}

/// The network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Net {
    /// Of a thousand messages.
    pub(super) lost: u64,
    pub(super) doubled: u64,
    /// At most so long, in milliseconds.
    pub(super) delay: u64,
}

/// What has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) calls: u64,
    pub(super) answered: u64,
    pub(super) shed: u64,
    pub(super) expired: u64,
    pub(super) cancelled: u64,
    pub(super) lost: u64,
    pub(super) refused: u64,
    /// Those whose process has ended.
    pub(super) orphaned: u64,
    pub(super) messages: u64,
    pub(super) faults: u64,
    pub(super) killed: u64,
    pub(super) calm: u64,
}

#[derive(Debug)]
struct Call {
    ask: Ask,
    buckets: Vec<u32>,
    order: Option<u32>,
    by: usize,
    deadline: Instant,
    ticket: Option<Ticket>,
    permit: Option<Permit>,
    sent: Instant,
    attempts: u32,
    result: Outcome,
    /// Whether Slack may still count it.
    open: bool,
    /// Whether the answer is there, and its process stopped.
    unheard: bool,
    /// Whether nothing more becomes of it.
    ended: bool,
}

pub(super) enum Event {
    Wire(Message),
    Wake(usize),
    /// An attempt of a call ends.
    Answer(u64, u32),
    /// Slack has counted it.
    Counted(u64, u32),
    /// The call is to be sent again.
    Again(u64),
    HangsUp(u64),
    Deadline(u64),
    Source(Source),
    Shuts,
    Pauses,
    Paused(usize, usize, bool),
    Fault(Fault),
    End(End),
    Sample,
}

struct Entry {
    at: Instant,
    sequence: u64,
    event: Event,
}

/// How often it is looked who waits.
const SAMPLE: Duration = Duration::from_secs(2);
/// For how long a call may wait for a slot that is free, a beat and an answer.
const IDLE: Duration = Duration::from_secs(5);
/// After so long the store waits for nobody who was silent before: a lease, a flight and a period, twice.
const AGED: Duration = Duration::from_secs(370);
/// By then all know again what is closed.
const KNOWN: Duration = Duration::from_secs(5);
/// How often a call is sent at most.
const ATTEMPTS: u32 = 4;

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

// === impl World ===

impl World {
    pub(crate) fn new(
        seed: u64,
        size: Size,
        ends: Duration,
        replicas: u32,
        servers: usize,
    ) -> Self {
        let [all, lower] =
            [false, true].map(|careful| Arc::new(Catalogue::of(size.workspaces, careful)));
        let now = Instant::ZERO + Duration::from_secs(1);
        let mut world = Self {
            now,
            judge: Judge::of(&all, replicas),
            all,
            processes: Vec::new(),
            pods: Vec::new(),
            cut: Vec::new(),
            apart: Vec::new(),
            versions: Vec::new(),
            version: Version::One,
            careful: false,
            lower,
            gone: VecDeque::new(),
            stores: vec![Store::default(); 2 * usize::from(SHARDS)],
            closed: [Closed::default(), Closed::default()],
            ahead: vec![10_000_000; servers],
            down: vec![false; servers],
            copies: vec![None; 2 * usize::from(SHARDS)],
            net: Net::GOOD,
            chance: Chance::of(seed, 1),
            names: 0,
            replicas,
            troubles: 0,
            calm_since: now,
            counts: Counts::default(),
            size,
            hours: 0,
            ends: now + ends,
            traffic: Chance::of(seed, 2),
            heap: BinaryHeap::new(),
            sequence: 0,
            calls: HashMap::new(),
            numbers: 0,
            wakes: Vec::new(),
            beats: HashMap::new(),
            lines: BTreeMap::new(),
            idle: HashMap::new(),
            busy: BTreeMap::new(),
            people: HashMap::new(),
            shut: BTreeMap::new(),
            paused: BTreeSet::new(),
            log: VecDeque::new(),
            wrong: None,
        };
        (0..10).for_each(|_| world.starts(None));
        for source in Source::all(size) {
            world.after(Duration::from_secs(5), Event::Source(source));
        }
        world.after(Duration::from_secs(60), Event::Shuts);
        world.after(Duration::from_secs(60), Event::Pauses);
        world.after(SAMPLE, Event::Sample);
        world
    }

    /// A new process, in the first pod that has none.
    pub(crate) fn starts(&mut self, before: Option<Process>) {
        let all = Arc::clone(self.configured());
        let process = match before {
            None => Process::new(self.now, &mut self.names, self.replicas, &all),
            Some(before) => before.succeeded(self.now, &mut self.names, self.replicas, &all),
        };
        let at = self.processes.len();
        self.versions.push(self.version);
        self.processes.push(Some(process));
        self.cut.push(0);
        self.apart.push(Apartness::default());
        self.wakes.push(Instant::FAR);
        match self.pods.iter_mut().find(|pod| pod.is_none()) {
            Some(pod) => *pod = Some(at),
            None => self.pods.push(Some(at)),
        }
        self.lets(at, |_, _, _| {});
    }

    /// Lets it all happen, until nothing more comes and all calls have ended.
    pub(crate) fn runs(&mut self) -> Result<(), String> {
        while let Some(Entry { at, event, .. }) = self.heap.pop() {
            self.now = at;
            self.happens(event);
            let hours = self.now.since(Instant::ZERO).as_secs() / 3600;
            if hours >= self.hours + 12 {
                self.hours = hours;
                println!("{hours} h: {:?}", self.counts);
            }
            if let Some(wrong) = self.wrong.take() {
                return Err(format!("{wrong}\nat {at:?}, after {:#?}", self.log));
            }
            if at > self.ends && self.is_over() {
                break;
            }
        }
        self.judge.is_used()?;
        self.leaves_nothing()
    }

    /// Whether no call is left, and all is as it was for long enough.
    fn is_over(&self) -> bool {
        self.is_calm()
            && self.now > self.ends.max(self.calm_since) + 3 * AGED
            && self.calls.is_empty()
    }

    fn leaves_nothing(&mut self) -> Result<(), String> {
        let Self { processes, now, .. } = self;
        for process in processes.iter_mut().flatten() {
            let left = process.scheduler.buckets(*now);
            let left: Vec<_> = left.filter(|left| left.key.limit.is_remembered()).collect();
            if !left.is_empty() {
                return Err(format!("left in memory: {left:?}"));
            }
            if !process.scheduler.collects_nothing() {
                return Err("somebody still collects".into());
            }
        }
        // What a process held that was killed is kept until somebody misses it.
        for (nth, process) in self.processes.iter().enumerate() {
            let Some(process) = process else { continue };
            for shard in 0..SHARDS {
                let now = self.store_time(self.server(shard));
                let store = &self.stores[self.versions[nth].store(shard)];
                let held = store.held_by(now, process.name(shard.into()));
                if !held.is_empty() {
                    return Err(format!("process {nth} does not give back {held:?}"));
                }
            }
        }
        if self.judge.is_quiet() { Ok(()) } else { Err("a call is still in flight".into()) }
    }

    pub(crate) fn after(&mut self, time: Duration, event: Event) {
        self.sequence += 1;
        self.heap.push(Entry { at: self.now + time, sequence: self.sequence, event });
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.now >= self.ends
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Wire(message) => self.arrives(message),
            Event::Wake(at) => {
                if self.wakes[at] <= self.now {
                    self.wakes[at] = Instant::FAR;
                    if self.is_on(at) {
                        self.lets(at, |_, _, _| {});
                    }
                }
            }
            Event::Answer(call, attempt) => self.is_answered(call, attempt),
            Event::Counted(call, attempt) => self.is_counted(call, attempt),
            Event::Again(call) => self.goes_again(call),
            Event::HangsUp(call) => self.hangs_up(call),
            Event::Deadline(call) => self.must_have_ended(call),
            Event::Source(source) => {
                if self.is_ending() {
                    return;
                }
                let mut asks = Vec::new();
                let next = source.next(self.now, self.size, &mut self.traffic, &mut asks);
                for ask in asks {
                    self.comes(ask);
                }
                for (time, next) in next {
                    self.after(time, Event::Source(next));
                }
            }
            Event::Shuts => self.slack_shuts(),
            Event::Pauses => self.operator_pauses(),
            Event::Paused(at, workspace, is_paused) => self.is_paused(at, workspace, is_paused),
            Event::Fault(fault) => {
                self.notes(&format!("{fault:?}"));
                self.goes_wrong(fault);
            }
            Event::End(end) => {
                self.notes(&format!("the end of {end:?}"));
                self.goes_well(end);
            }
            Event::Sample => self.samples(),
        }
    }

    pub(crate) fn notes(&mut self, text: &str) {
        self.log.push_back(format!("{:?}: {text}", self.now));
        if self.log.len() > 16 {
            self.log.pop_front();
        }
    }

    /// Whether nothing is wrong, and all share the same limits.
    pub(crate) fn is_calm(&self) -> bool {
        let is_new = |at: &usize| {
            let has_limits = |it: &Process| Arc::ptr_eq(&it.all, self.configured());
            self.versions[*at] == self.version
                && self.processes[*at].as_ref().is_some_and(has_limits)
        };
        self.troubles == 0 && self.pods.iter().flatten().all(is_new)
    }

    /// The limits that replicas are configured with from now on.
    fn configured(&self) -> &Arc<Catalogue> {
        if self.careful { &self.lower } else { &self.all }
    }

    pub(crate) fn is_on(&self, at: usize) -> bool {
        self.processes[at].as_ref().is_some_and(|process| !process.stopped)
    }

    /// Lets something happen to a process, and then what follows from it.
    fn lets<T: Default>(
        &mut self,
        at: usize,
        what: impl FnOnce(&mut Process, Instant, &mut Follows) -> T,
    ) -> T {
        let Some(process) = &mut self.processes[at] else { return T::default() };
        let mut out = Follows::default();
        process.awakes(self.now);
        let made = what(process, self.now, &mut out);
        process.acts(self.now, &mut out);
        let next = process.next();
        let apart = process.apart();
        self.is_apart(at, apart);
        for (shard, payload) in out.messages {
            self.posts(&Message { of: at, shard, sent: self.now, payload });
        }
        for call in out.expired {
            self.counts.expired += 1;
            self.ends(call);
        }
        // Before others go, who may have waited for them.
        for call in out.shed {
            self.counts.shed += 1;
            self.ends(call);
        }
        for (call, permit) in out.sent {
            self.goes(call, permit);
        }
        if next < self.wakes[at] {
            self.wakes[at] = next;
            self.after(next.since(self.now), Event::Wake(at));
        }
        made
    }

    /// The parts of the store that a process does not reach, and where it has not told what it uses.
    fn is_apart(&mut self, at: usize, new: Apartness) {
        let before = std::mem::replace(&mut self.apart[at], new);
        for shard in (0..SHARDS).filter(|_| new != before) {
            let changed = |one: u8, other: u8| (one ^ other) >> shard & 1 == 1;
            let is_so = |bits: u8| bits >> shard & 1 == 1;
            if changed(new.apart, before.apart) {
                self.judge.is_apart(self.now, at, shard, (How::Apart, is_so(new.apart)));
            }
            if changed(new.cold, before.cold) {
                self.judge.is_apart(self.now, at, shard, (How::Cold, is_so(new.cold)));
            }
            if changed(new.lost, before.lost) && is_so(new.lost) {
                self.judge.is_lost(self.now, at, shard);
            }
        }
    }
}

// === impl Version ===

impl Version {
    pub(super) const BOTH: [Self; 2] = [Self::One, Self::Other];

    pub(super) fn other(self) -> Self {
        Self::BOTH[1 - self as usize]
    }

    /// Its store of a part.
    pub(super) fn store(self, shard: u8) -> usize {
        self as usize * usize::from(SHARDS) + usize::from(shard)
    }

    /// As the servers know it.
    pub(super) fn number(self) -> u64 {
        2 + self as u64
    }
}

// === impl Net ===

impl Net {
    pub(super) const GOOD: Self = Self { lost: 0, doubled: 0, delay: 2 };
}

const _: () = assert!(LEASE.as_millis() == TIMES.forget as u128);
