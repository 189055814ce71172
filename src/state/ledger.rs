//! What the lines of the file come to. Pure: time is an argument.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use foldhash::fast::RandomState;
use limits::{AgeFrom, BucketKey, Rule, Scope, Values};
use lru::LruCache;
use scheduler::{KeptLesson, Note};
use slack::{Facts, TokenHash};

use super::{
    clock::{Clock, ClockReading, Micros},
    names::Names,
    record::{Ages, Lesson, Record},
};
use crate::{identity::Learnt, pauses::Paused};

/// What the lines of the file come to.
#[derive(Debug)]
pub struct Ledger {
    /// Of which clock its times are.
    clock: Option<ClockReading>,
    /// When all was written that there was, if nothing has come since.
    closed: Option<ClockReading>,
    /// The latest time of anything that happened.
    latest: Micros,
    pub(super) doubt: Option<Micros>,
    pub(super) buckets: BTreeMap<u32, Entry>,
    ids: HashMap<(Arc<str>, Values), u32, RandomState>,
    next: u32,
    flying: BTreeMap<u64, Flying>,
    pub(super) paused: Vec<Paused>,
    pub(super) names: Names,
    tokens: LruCache<TokenHash, Facts, RandomState>,
    bots: LruCache<(Arc<str>, Arc<str>), Arc<str>, RandomState>,
}

/// A bucket.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) limit: Arc<str>,
    pub(super) by: Scope,
    pub(super) values: Values,
    per: Micros,
    ages: Ages,
    /// From when each slot ages.
    pub(super) slots: Vec<Micros>,
    pub(super) frozen_until: Option<Micros>,
    pub(super) learnt: Option<Lesson>,
}

/// A call without an answer.
#[derive(Debug)]
struct Flying {
    at: Micros,
    buckets: Vec<u32>,
}

/// A record speaks of what there is not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unheard;

/// Why the file does not tell all that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// A part of it cannot be read, or something could not be written.
    Damaged,
    /// A clock went back.
    ClockWentBack,
    /// The machine went down while the file was in use.
    MachineWentDown,
}

/// How long after the process was killed Slack may still count a call that was on its way: what was
/// written arrives, and nobody hears the answer.
const ON_ITS_WAY: Micros = 1_000_000;
/// How long it may be at work on it.
const AT_WORK: Micros = 60_000_000;
/// Slots are kept for so long beyond their period: the scheduler adds a little to it.
const SPARE: Micros = 1_000_000;
/// The wall clock may be set back by so much before that is taken to be more than a correction.
const CORRECTION: Micros = 1_000_000;
/// What was learnt of a limit is kept for so long after its last call: a day, as in the scheduler,
/// which also bounds how many buckets have learnt something.
const LEARNT: Micros = 24 * 60 * 60 * 1_000_000;
/// So many slots are in one line.
const LINE: usize = 256;
/// So many tokens and bots are kept; of more, those that were learnt last.
const KNOWN: usize = 50_000;

// === impl Ledger ===

impl Ledger {
    /// Nothing has happened yet.
    pub(super) fn new() -> Self {
        Self {
            clock: None,
            closed: None,
            latest: Micros::MIN,
            doubt: None,
            buckets: BTreeMap::new(),
            ids: HashMap::default(),
            next: 0,
            flying: BTreeMap::new(),
            paused: Vec::new(),
            names: Names::default(),
            tokens: LruCache::unbounded_with_hasher(RandomState::default()),
            bots: LruCache::unbounded_with_hasher(RandomState::default()),
        }
    }

    /// Takes in a line.
    pub(super) fn apply(&mut self, record: Record) -> Result<(), Unheard> {
        if !matches!(record, Record::Closed(_)) {
            self.closed = None;
        }
        match record {
            Record::Clock(moment) => {
                self.latest = self.latest.max(moment.steady);
                self.clock = Some(moment);
            }
            Record::Closed(moment) => {
                self.latest = self.latest.max(moment.steady);
                self.closed = Some(moment);
            }
            Record::Doubt(since) => self.doubt = Some(since),
            Record::Bucket { id, limit, by, values, per, ages } => {
                let values = Values::from(values);
                self.next = self.next.max(id.saturating_add(1));
                self.ids.insert((Arc::clone(&limit), values.clone()), id);
                let (slots, frozen_until, learnt) = (Vec::new(), None, None);
                self.buckets.insert(
                    id,
                    Entry { limit, by, values, per, ages, slots, frozen_until, learnt },
                );
            }
            Record::Grant(call, at, buckets) => {
                self.latest = self.latest.max(at);
                for id in &buckets {
                    let entry = self.buckets.get_mut(id).ok_or(Unheard)?;
                    if entry.ages == Ages::Grant {
                        entry.slots.push(at);
                    }
                }
                self.flying.insert(call, Flying { at, buckets });
            }
            Record::Flying(call, at, buckets) => {
                self.flying.insert(call, Flying { at, buckets });
            }
            Record::End(call, from) => {
                let flying = self.flying.remove(&call).ok_or(Unheard)?;
                for id in flying.buckets {
                    self.buckets.get_mut(&id).ok_or(Unheard)?.end(flying.at, from);
                }
            }
            Record::Slots(id, slots) => {
                self.buckets.get_mut(&id).ok_or(Unheard)?.slots.extend(slots);
            }
            Record::Freeze(id, until) => {
                self.buckets.get_mut(&id).ok_or(Unheard)?.frozen_until = Some(until);
            }
            Record::Learnt(id, lesson) => {
                self.buckets.get_mut(&id).ok_or(Unheard)?.learnt = Some(lesson);
            }
            Record::Forgot(id) => self.buckets.get_mut(&id).ok_or(Unheard)?.learnt = None,
            Record::Rename { of, from, to } => self.rename(of, &from, &to),
            Record::Paused(all) => self.paused = all,
            Record::Name(name, ended) => self.names.add(name, ended),
            Record::Lock(device, number) => self.names.lock = Some((device, number)),
            Record::Written(at) => {
                self.latest = self.latest.max(at);
                self.names.written = self.names.written.max(at);
            }
            Record::Token { sha256, facts } => {
                let token = Record::token(&sha256).ok_or(Unheard)?;
                put(&mut self.tokens, token, facts);
            }
            Record::Bot { workspace, bot, app } => put(&mut self.bots, (workspace, bot), app),
        }
        Ok(())
    }

    /// The lines that say what the scheduler noted. They are taken in, too.
    pub(super) fn note(&mut self, note: Note, clock: Clock, text: &mut Vec<u8>) {
        let record = match note {
            Note::Granted { call, at, buckets } => {
                let ids = buckets.iter().map(|key| self.id(key, text)).collect();
                Record::Grant(call, clock.micros(at), ids)
            }
            // It began before a gap.
            Note::Ended { call, .. } if !self.flying.contains_key(&call) => return,
            Note::Ended { call, ages_from } => {
                Record::End(call, ages_from.map(|at| clock.micros(at)))
            }
            Note::Frozen(freeze) => {
                let id = self.id(&freeze.bucket, text);
                Record::Freeze(id, clock.micros(freeze.until))
            }
            Note::Learnt { bucket, lesson } => {
                let id = self.id(&bucket, text);
                match lesson {
                    Some(lesson) => Record::Learnt(id, Lesson::new(&lesson, clock, self.latest)),
                    None => Record::Forgot(id),
                }
            }
            Note::Renamed { of, from, to } => {
                Record::Rename { of, from: from.into(), to: to.into() }
            }
        };
        self.say(record, text);
    }

    /// Writes a line and takes it in.
    pub(super) fn say(&mut self, record: Record, text: &mut Vec<u8>) {
        record.write(text);
        // After a gap in the notes there may be an end without a beginning; then all is in doubt.
        let _ = self.apply(record);
    }

    /// The number of a bucket; it gets one if it has none.
    fn id(&mut self, key: &BucketKey, text: &mut Vec<u8>) -> u32 {
        let name = (Arc::clone(&key.limit.name), key.values.clone());
        if let Some(id) = self.ids.get(&name) {
            return *id;
        }
        let (limit, values) = (name.0, Arc::clone(name.1.shared()));
        let (per, ages) = match (key.limit.rule, key.limit.age_from) {
            (Rule::Rate(rate), age_from) => {
                let per = Micros::try_from(rate.per.as_micros()).unwrap_or(Micros::MAX);
                let ages = if age_from == AgeFrom::Send { Ages::Grant } else { Ages::Answer };
                (per, ages)
            }
            (_, _) => (0, Ages::Never),
        };
        let (id, by) = (self.next, key.limit.scope);
        self.say(Record::Bucket { id, limit, by, values, per, ages }, text);
        id
    }

    /// All buckets that count for `from` count for `to`; of two that become one all slots count.
    fn rename(&mut self, of: Scope, from: &str, to: &str) {
        let renamed = |entry: &Entry| {
            let same = entry.by.identity() == of && entry.values.split(entry.by).0 == from;
            same.then(|| entry.values.of_identity(entry.by, to))
        };
        let all = self.buckets.iter().filter_map(|(id, entry)| Some((*id, renamed(entry)?)));
        let all: Vec<(u32, Values)> = all.collect();
        for (id, values) in all {
            let Some(mut entry) = self.buckets.remove(&id) else { continue };
            self.ids.remove(&(Arc::clone(&entry.limit), entry.values.clone()));
            let name = (Arc::clone(&entry.limit), values.clone());
            let other = self.ids.get(&name).copied();
            if let Some((other, into)) =
                other.and_then(|other| Some((other, self.buckets.get_mut(&other)?)))
            {
                into.slots.append(&mut entry.slots);
                into.frozen_until = into.frozen_until.max(entry.frozen_until);
                into.learnt =
                    [into.learnt, entry.learnt].into_iter().flatten().min_by_key(Lesson::pace);
                let ids = self.flying.values_mut().flat_map(|flying| &mut flying.buckets);
                ids.filter(|at| **at == id).for_each(|at| *at = other);
            } else {
                entry.values = values;
                self.ids.insert(name, id);
                self.buckets.insert(id, entry);
            }
        }
    }

    /// Another process takes over: every call without an answer is taken to be answered in a
    /// moment. Tells what speaks against believing it. `damaged` says whether there was more than could be read.
    pub(super) fn resume(&mut self, now: &ClockReading, damaged: bool) -> Option<Doubt> {
        let (shift, doubt) = self.passed(now);
        let doubt = damaged.then_some(Doubt::Damaged).or(doubt);
        let is_of_now = |clock: &ClockReading| clock.boot == now.boot && !now.boot.is_empty();
        if doubt.is_some() || !self.clock.as_ref().is_some_and(is_of_now) {
            self.names.forget();
        }
        self.names.end(now.steady);
        for entry in self.buckets.values_mut() {
            let until = entry.frozen_until.iter_mut();
            let learnt = entry.learnt.iter_mut();
            let learnt = learnt.flat_map(|it| it.since.iter_mut().chain([&mut it.used]));
            let all = entry.slots.iter_mut().chain(until).chain(learnt);
            all.for_each(|at| *at = at.saturating_add(shift));
        }
        self.doubt = self.doubt.map(|since| since.saturating_add(shift));
        if doubt.is_some() {
            self.doubt = Some(now.steady);
        }
        for flying in std::mem::take(&mut self.flying).into_values() {
            for id in flying.buckets {
                let Some(entry) = self.buckets.get_mut(&id) else { continue };
                match entry.ages {
                    Ages::Answer => entry.slots.push(now.steady.saturating_add(ON_ITS_WAY)),
                    Ages::Never => entry.slots.push(now.steady.saturating_add(AT_WORK)),
                    Ages::Grant => {}
                }
            }
        }
        (self.clock, self.closed, self.latest) = (Some(now.clone()), None, now.steady);
        self.forget(now.steady);
        doubt
    }

    /// What to add to its times so that they are of the clock of `now`.
    fn passed(&self, now: &ClockReading) -> (Micros, Option<Doubt>) {
        let Some(clock) = &self.clock else { return (0, Some(Doubt::Damaged)) };
        let ended = self.closed.as_ref().unwrap_or(clock);
        if !now.boot.is_empty() && clock.boot == now.boot {
            let expected = ended.wall.saturating_add(now.steady.saturating_sub(ended.steady));
            if now.steady < self.latest {
                return (now.steady.saturating_sub(self.latest), Some(Doubt::ClockWentBack));
            }
            let back = now.wall < expected.saturating_sub(CORRECTION);
            return (0, back.then_some(Doubt::ClockWentBack));
        }
        // Of another clock: its latest moment was now, less what is known to have passed since.
        let shift = now.steady.saturating_sub(self.latest);
        match self.closed.as_ref().map(|closed| now.wall.saturating_sub(closed.wall)) {
            None => (shift, Some(Doubt::MachineWentDown)),
            Some(passed) if passed < 0 => (shift, Some(Doubt::ClockWentBack)),
            Some(passed) => (shift.saturating_sub(passed), None),
        }
    }

    /// Forgets slots that have aged and freezes that are over.
    fn forget(&mut self, now: Micros) {
        let flying = |id: &u32| self.flying.values().any(|flying| flying.buckets.contains(id));
        self.buckets.retain(|id, entry| {
            let per = entry.per.saturating_add(SPARE);
            if let Some(lesson) = &mut entry.learnt {
                lesson.used = lesson.used.max(entry.slots.iter().copied().max().unwrap_or(0));
            }
            entry.learnt = entry.learnt.filter(|it| it.used.saturating_add(LEARNT) > now);
            entry.slots.retain(|from| from.saturating_add(per) > now);
            entry.frozen_until = entry.frozen_until.filter(|until| *until > now);
            let alive = !entry.slots.is_empty()
                || entry.frozen_until.is_some()
                || entry.learnt.is_some()
                || flying(id);
            if !alive {
                self.ids.remove(&(Arc::clone(&entry.limit), entry.values.clone()));
            }
            alive
        });
    }

    /// There is a gap in the notes: nobody knows what was taken.
    pub(super) fn lose(&mut self, now: Micros) {
        self.flying.clear();
        self.names.forget();
        self.buckets.values_mut().for_each(|entry| {
            entry.slots.clear();
            entry.frozen_until = None;
        });
        let learnt = |id: &u32| self.buckets.get(id).is_some_and(|entry| entry.learnt.is_some());
        self.ids.retain(|_, id| learnt(id));
        self.buckets.retain(|_, entry| entry.learnt.is_some());
        self.doubt = Some(now);
    }

    /// Writes all of it, as short as can be.
    pub(super) fn write(&mut self, now: Micros, text: &mut Vec<u8>) {
        self.forget(now);
        let mut say = |record: Record| record.write(text);
        if let Some(clock) = &self.clock {
            say(Record::Clock(clock.clone()));
        }
        if let Some(since) = self.doubt {
            say(Record::Doubt(since));
        }
        for (&id, entry) in &self.buckets {
            let Entry { by, per, ages, .. } = *entry;
            let (limit, values) = (Arc::clone(&entry.limit), Arc::clone(entry.values.shared()));
            say(Record::Bucket { id, limit, by, values, per, ages });
            for slots in entry.slots.chunks(LINE) {
                say(Record::Slots(id, slots.to_vec()));
            }
            if let Some(until) = entry.frozen_until {
                say(Record::Freeze(id, until));
            }
            if let Some(lesson) = entry.learnt {
                say(Record::Learnt(id, lesson));
            }
        }
        for (&call, Flying { at, buckets }) in &self.flying {
            say(Record::Flying(call, *at, buckets.clone()));
        }
        if !self.paused.is_empty() {
            say(Record::Paused(self.paused.clone()));
        }
        self.names.write(now, &mut say);
        for learnt in self.learnt() {
            say(Record::learnt(&learnt));
        }
    }

    /// What is known of tokens, in the order in which it was learnt; of bots first.
    pub(super) fn learnt(&self) -> impl Iterator<Item = Learnt> {
        let bots = self.bots.iter().rev().map(|((workspace, bot), app)| {
            let (workspace, bot) = (Arc::clone(workspace), Arc::clone(bot));
            Learnt::Bot { workspace, bot, app: Arc::clone(app) }
        });
        let tokens = self.tokens.iter().rev();
        bots.chain(tokens.map(|(token, facts)| Learnt::Token(*token, facts.clone())))
    }
}

fn put<K: std::hash::Hash + Eq, V>(cache: &mut LruCache<K, V, RandomState>, key: K, value: V) {
    cache.put(key, value);
    if cache.len() > KNOWN {
        cache.pop_lru();
    }
}

// === impl Entry ===

impl Entry {
    /// A call that took a slot here `at` has ended.
    fn end(&mut self, at: Micros, ages_from: Option<Micros>) {
        match (self.ages, ages_from) {
            (Ages::Grant, None) => {
                if let Some(slot) = self.slots.iter().rposition(|slot| *slot == at) {
                    self.slots.remove(slot);
                }
            }
            (Ages::Answer | Ages::Never, Some(from)) => self.slots.push(from),
            (Ages::Grant, Some(_)) | (Ages::Answer | Ages::Never, None) => {}
        }
    }
}

// === impl Lesson ===

impl Lesson {
    fn new(kept: &KeptLesson, clock: Clock, now: Micros) -> Self {
        let micros = |per: Duration| Micros::try_from(per.as_micros()).unwrap_or(Micros::MAX);
        Self {
            documented: kept.documented,
            per: micros(kept.per),
            quota: kept.quota,
            period: micros(kept.period),
            refused: kept.refused,
            bursts: kept.bursts,
            since: kept.since.map(|since| clock.micros(since)),
            used: now,
        }
    }

    pub(super) fn kept(&self, clock: Clock) -> KeptLesson {
        let duration = |per: Micros| Duration::from_micros(u64::try_from(per).unwrap_or(0));
        KeptLesson {
            documented: self.documented,
            per: duration(self.per),
            quota: self.quota,
            period: duration(self.period),
            refused: self.refused,
            bursts: self.bursts,
            since: self.since.map(|since| clock.instant(since)),
        }
    }

    /// The slower, the less.
    fn pace(&self) -> (u32, std::cmp::Reverse<Micros>) {
        (self.quota, std::cmp::Reverse(self.period))
    }
}

// === impl Doubt ===

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Damaged => "a part of it cannot be read, or was not written",
            Self::ClockWentBack => "the clock went back",
            Self::MachineWentDown => "the machine went down while it was in use",
        })
    }
}
