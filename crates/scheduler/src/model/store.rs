//! The store of shared limits, by its plainest meaning: what a real one is held against, step for
//! step.
//!
//! It keeps one shard: who its members are, and of each bucket who holds how many slots. It knows
//! the time as it is told, in milliseconds, and may be copied, emptied, or started anew from a copy.

use std::collections::{BTreeMap, BTreeSet};

use crate::Ask;

/// The name of a scheduler.
pub type Name = u64;

/// One shard of the store.
#[derive(Clone, Debug, Default)]
pub struct Store {
    /// Its life; 0 if it has none.
    epoch: u64,
    /// The process that it is, and the one in which its life began.
    process: u64,
    began_in: u64,
    /// Since when it has waited for its members to tell what they hold.
    cold_since: Option<u64>,
    /// When it heard anybody last.
    heard: u64,
    /// When a member was forgotten last.
    forgot: Option<u64>,
    /// In the order of their coming, as in a small hash of Redis.
    members: Vec<Member>,
    /// Names that others have taken over from, and when.
    ended: Vec<(Name, u64)>,
    /// Other versions of the scripts: when somebody was heard last who has one, and how many have.
    versions: BTreeMap<u64, (u64, u32)>,
    /// When such a one was heard last, as the last beat has found.
    apart: Option<u64>,
    buckets: BTreeMap<String, Bucket>,
    /// Those of which slots were held when somebody asked last: no others are.
    held: BTreeSet<String>,
    /// When it was told the time last, and when it dropped last what had expired.
    now: u64,
    swept: u64,
}

#[derive(Clone, Debug)]
struct Member {
    name: Name,
    heard: u64,
    /// The life of the store in which it has told all.
    told: u64,
}

/// A bucket, as the store knows it.
#[derive(Clone, Debug, Default)]
struct Bucket {
    records: Vec<Record>,
    /// Slots of members that are gone.
    orphans: Vec<Orphans>,
    virtual_time: u64,
    passed_over: [u32; 2],
    people_until: u64,
    /// When the next slot is due by the pace of the limit, in milliseconds.
    due: f64,
    /// How far apart calls go, where that was learnt.
    apart: Option<Apart>,
    expires: u64,
    quota: u32,
    period: u64,
}

/// Slots are granted so far apart, the next one from then on, by what was said and holds until then.
#[derive(Clone, Copy, Debug)]
struct Apart {
    spacing: u64,
    next: u64,
    until: u64,
}

/// Slots of a member that is gone: how many, until when they are kept from others, and how long that was when
/// it began.
#[derive(Clone, Copy, Debug)]
struct Orphans {
    of: Name,
    slots: u32,
    until: u64,
    lasts: u64,
}

/// What one scheduler has of a bucket.
#[derive(Clone, Debug, Default)]
struct Record {
    name: Name,
    /// The life of the store in which it was told last.
    told: u64,
    life: u64,
    number: u64,
    granted: u64,
    taken: u64,
    returned: u64,
    wants: [u32; 3],
    weight: u64,
    tag: u64,
    /// The limit that it has been given.
    quota: u32,
    period: u64,
}

/// The limit that holds for all who hold slots or want some.
#[derive(Clone, Copy, Debug)]
struct Common {
    quota: u32,
    /// The longest of their periods.
    period: u64,
    /// Whether no slot may be granted to whoever has a shorter one.
    only_longest: bool,
    /// What another one has been given: another limit than the one who asks, if there is such a one.
    other: Option<(u32, u64)>,
}

/// What a scheduler says of some buckets.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name.
    pub name: Name,
    /// The life of the store, as it knows it.
    pub epoch: u64,
    /// The buckets.
    pub asks: Vec<Asked>,
    /// Whether it leaves, and has said all that it had to say.
    pub leaves: bool,
}

/// What a scheduler says of one bucket.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "they are those of an `Ask`")]
pub struct Asked {
    pub bucket: String,
    pub life: u64,
    pub number: u64,
    pub seen: u64,
    pub taken: u64,
    pub returned: u64,
    pub wants: [u32; 3],
    pub callers: u32,
    pub quota: u32,
    /// In milliseconds.
    pub period: u64,
    /// In milliseconds.
    pub spacing: Option<u64>,
    pub people: bool,
    /// If it leaves: for how long so many of its slots still count, in milliseconds.
    pub left: Option<Vec<(u32, u64)>>,
}

/// The answer to a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// What it says of each bucket, in their order.
    Told(Vec<Answered>),
    /// It lives another life, or none (0): a beat comes first.
    Cold(u64),
    /// It has forgotten the scheduler.
    Gone,
}

/// What it says of one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The life of the bucket.
    pub life: u64,
    /// GRANTED.
    pub granted: u64,
    /// How many slots all hold.
    pub used: u32,
    /// The weight of all who wait.
    pub weight: u64,
    /// When to ask again, in milliseconds; 0 if not.
    pub again: u64,
    /// The quota and the period of another one that holds slots or wants some: others than those of
    /// the ask, if there is such a one.
    pub other: Option<(u32, u64)>,
}

/// A scheduler is told that it has been granted slots.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are those of an answer")]
pub struct Push {
    pub to: Name,
    pub epoch: u64,
    pub bucket: String,
    pub life: u64,
    pub granted: u64,
}

/// A scheduler says that it is here.
#[derive(Clone, Debug)]
pub struct Beat {
    /// Its name.
    pub name: Name,
    /// The life of the store, as it knows it; 0 if it knows none.
    pub epoch: u64,
    /// A new life, should one be needed.
    pub new_epoch: u64,
    /// Whether it has told, in that life, all that it holds.
    pub told_all: bool,
    /// The others that it knows of.
    pub others: Vec<Name>,
    /// Those that it has taken over from: once it has told all, what they used is in it.
    pub ended: Vec<Name>,
}

/// The answer to a beat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beaten {
    /// It is a member.
    Member {
        /// The life of the store.
        epoch: u64,
        /// All members.
        members: Vec<Name>,
        /// How many they are.
        count: u32,
        /// Of limits with such a period, in milliseconds, or a longer one it grants nothing: some of them
        /// have not told what they hold.
        cold: Option<u64>,
        /// The buckets of which more than a member's part is used, or slots by others than members.
        hot: Vec<String>,
        /// How many have other versions of the scripts, of whose slots it knows nothing.
        apart: u32,
    },
    /// It was forgotten.
    Gone,
}

/// Times, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Who is silent for longer is forgotten.
    pub forget: u64,
    /// How long a call may be in flight.
    pub flight: u64,
    /// Who is silent for longer is granted nothing.
    pub stale: u64,
    /// The longest period of all limits.
    pub longest: u64,
}

/// A version that does not say that it is used: its members are found.
pub const SILENT: u64 = 1;

const DAY: u64 = 86_400_000;
const SWEEP: u64 = 60_000;

/// A turn of a scheduler of weight one. Divisible by the weights up to sixteen.
const STEP: u64 = 720_720;

// === impl Store ===

impl Store {
    /// It is emptied.
    pub fn flush(&mut self) {
        *self = Self { process: self.process, ..Self::default() };
    }

    /// Another process takes over with what it has.
    pub fn restart(&mut self) {
        self.process += 1;
    }

    /// So many say that they have that version of the scripts. They share nothing with the others.
    pub fn is_used_by(&mut self, now: u64, version: u64, members: u32) {
        self.versions.insert(version, (now, members));
    }

    /// The script `beat`.
    pub fn beat(&mut self, now: u64, times: Times, beat: Beat) -> Beaten {
        let Beat { name, epoch, new_epoch, told_all, others, ended } = beat;
        if self.has_ended(name) {
            return Beaten::Gone;
        }
        let is_lost = self.epoch == 0 || self.began_in != self.process;
        if is_lost || now.saturating_sub(self.heard) > times.stale {
            (self.epoch, self.began_in, self.cold_since) = (new_epoch, self.process, Some(now));
            self.members.iter_mut().for_each(|member| member.heard = now);
        } else if epoch == self.epoch && self.member(name).is_none() {
            return Beaten::Gone;
        }
        // Who says this in its life of now has heard of the others from it.
        if self.cold_since.is_some() && epoch != self.epoch {
            for other in others {
                if !self.has_ended(other) {
                    self.join(other, now, false);
                }
            }
        }
        self.join(name, now, true);
        self.heard = now;
        let life = self.epoch;
        if told_all && epoch == life {
            let own = self.members.iter_mut().filter(|member| member.name == name);
            own.for_each(|member| member.told = life);
            for ended in ended {
                self.members.retain(|member| member.name != ended);
                if !self.has_ended(ended) {
                    self.ended.push((ended, now));
                }
            }
        }
        let before = self.members.len();
        let longest = times.longest + times.flight;
        self.ended.retain(|(_, since)| now.saturating_sub(*since) <= longest);
        self.members.retain_mut(|member| {
            // Its clock may have gone back.
            member.heard = member.heard.min(now);
            let grace = if member.told == life { 0 } else { longest };
            now - member.heard <= times.forget + grace
        });
        let forgets = self.members.len() < before;
        self.forgot = if forgets { Some(now) } else { self.forgot.map(|at| at.min(now)) };
        let pending = self.members.iter().any(|member| member.told != life);
        if self.cold_since.is_some_and(|since| now.saturating_sub(since) >= times.stale) && !pending
        {
            self.cold_since = None;
        }
        self.expire(now);
        // As long as a call may count of whoever was silent since then.
        let counts = |at: u64| now.abs_diff(at) <= times.forget + longest;
        self.versions.retain(|version, (at, _)| *version == SILENT || counts(*at));
        let heard = || self.versions.values().filter(|(at, _)| counts(*at));
        let apart = heard().map(|(_, members)| members).sum();
        self.apart = heard().map(|(at, _)| now.min(*at)).max();
        let cold = self.cold_from(now, times);
        let members: Vec<_> = self.members.iter().map(|member| member.name).collect();
        let count = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let part = |quota: u32| quota / count.max(1);
        // Whoever was forgotten may use what it held for a period and a flight, and the last of its calls
        // counts as long again. Until then the parts of all members come on top of that, whatever is used.
        let is_hot = |bucket: &Bucket| {
            let total = bucket.total(now);
            let missed = 2 * (bucket.period + times.flight);
            let is_missed = self.forgot.is_some_and(|at| now - at < missed);
            total > part(bucket.quota) || bucket.orphans(now) > 0 || is_missed && total > 0
        };
        let held = self.held.iter().filter(|name| {
            let bucket = self.buckets.get(*name).filter(|bucket| bucket.expires > now);
            bucket.is_some_and(is_hot)
        });
        let hot = held.cloned().collect();
        Beaten::Member { epoch: life, members, count, cold, hot, apart }
    }

    /// The script `step`.
    pub fn step(&mut self, now: u64, times: Times, step: Step, pushes: &mut Vec<Push>) -> Stepped {
        let Step { name, epoch, asks, leaves } = step;
        if self.epoch != epoch || epoch == 0 {
            return Stepped::Cold(self.epoch);
        }
        if self.began_in != self.process || now.saturating_sub(self.heard) > times.stale {
            // Another process, perhaps with older data; or it has heard nobody for a while, and
            // cannot tell who has used what since.
            self.epoch = 0;
            return Stepped::Cold(0);
        }
        if self.member(name).is_none() {
            return Stepped::Gone;
        }
        if now < self.now {
            self.expire(now);
        }
        self.join(name, now, true);
        self.heard = now;
        let told = asks.into_iter().map(|ask| self.ask(now, times, name, &ask, pushes));
        let told = told.collect();
        if leaves {
            // What it used is kept for as long as it said, and nothing was forgotten.
            self.members.retain(|member| member.name != name);
        }
        Stepped::Told(told)
    }

    fn ask(
        &mut self,
        now: u64,
        times: Times,
        name: Name,
        ask: &Asked,
        pushes: &mut Vec<Push>,
    ) -> Answered {
        let is_cold = self.cold_from(now, times).is_some_and(|from| ask.period >= from);
        let kept = self.buckets.remove(&ask.bucket).filter(|bucket| bucket.expires > now);
        let mut bucket = kept.unwrap_or_default();
        bucket.hear(now, name, self.epoch, ask);
        bucket.orphans.retain(|orphans| !self.has_ended(orphans.of));
        if !is_cold {
            // Whoever has told all and says nothing of a bucket has nothing of it.
            let life = self.epoch;
            let has_told = |name: Name| self.member(name).is_some_and(|it| it.told == life);
            bucket.records.retain(|record| record.told == life || !has_told(record.name));
        }
        bucket.keeps_apart(now, ask);
        let mut common = bucket.common(name, ask);
        if bucket.apart.is_some() {
            // Others have not heard of it, or have heard more of it.
            common.other = None;
        }
        (bucket.quota, bucket.period) = (common.quota, common.period);
        self.forget_silent(now, times, name, common, &mut bucket);
        let mut told = Vec::new();
        let mut again = if is_cold { 100 } else { 0 };
        if !is_cold {
            let members = &self.members;
            let is_stale = |name: Name| {
                let heard = members.iter().find(|member| member.name == name);
                heard.is_none_or(|member| now.saturating_sub(member.heard) > times.stale)
            };
            again = bucket.grant(now, common, is_stale, &mut told);
        }
        for record in bucket.records.iter().filter(|record| told.contains(&record.name)) {
            if record.name != name {
                let Record { name: to, life, granted, .. } = *record;
                let (epoch, bucket) = (self.epoch, ask.bucket.clone());
                pushes.push(Push { to, epoch, bucket, life, granted });
            }
        }
        let weights = bucket.records.iter().filter(|record| record.waits());
        let weight = weights.map(|record| record.weight).sum();
        let used = bucket.total(now);
        // Whoever goes by its name no more is told of those who do.
        let gone = bucket.records.iter().filter(|record| record.weight == 0);
        let gone: u32 = gone.map(Record::held).sum();
        let told = if ask.callers == 0 { used - gone } else { used };
        // A slot may be kept for long by a call that waits for another one, and nothing is said of
        // it meanwhile.
        let is_live = weight > 0 || bucket.people_until > now;
        let period = common.period;
        let lasts = (10 * period).max(times.forget + times.flight + period);
        bucket.expires = now
            + match (used, is_live) {
                (1.., _) => DAY,
                (0, true) => lasts,
                (0, false) => 60_000,
            };
        let own = bucket.records.iter().find(|record| record.name == name);
        let (life, granted) = own.map_or((0, 0), |own| (own.life, own.granted));
        if used > 0 {
            self.held.insert(ask.bucket.clone());
        } else {
            self.held.remove(&ask.bucket);
        }
        self.buckets.insert(ask.bucket.clone(), bucket);
        Answered { life, granted, used: told, weight, again, other: common.other }
    }

    /// Who has been silent for too long is gone, as soon as its slots are missed: they age as if
    /// they had been used just now.
    fn forget_silent(
        &mut self,
        now: u64,
        times: Times,
        name: Name,
        common: Common,
        bucket: &mut Bucket,
    ) {
        let others_wait = |record: &Record| record.name != name && record.waits();
        // Or of the part of it that background calls may have: they would wait for ever.
        let is_full = bucket.total(now) >= share(common.quota).max(1);
        let others = bucket.records.iter().any(others_wait);
        let is_missed = others || is_full && bucket.records.iter().any(Record::waits);
        if !is_missed {
            return;
        }
        let (life, waits) = (self.epoch, times.forget + common.period + times.flight);
        let (members, forgot) = (&mut self.members, &mut self.forgot);
        let (orphans, ended) = (&mut bucket.orphans, &self.ended);
        bucket.records.retain(|record| {
            if ended.iter().any(|(name, _)| *name == record.name) {
                return false;
            }
            let heard = members.iter().find(|member| member.name == record.name);
            if let Some(untold) = heard.filter(|member| member.told != life) {
                // What it holds of others nobody knows, so it stays a member.
                return record.name == name || now.saturating_sub(untold.heard) <= waits;
            }
            let is_silent = heard.is_none_or(|it| now.saturating_sub(it.heard) > times.forget);
            if is_silent && record.name != name {
                if record.held() > 0 {
                    let lasts = common.period + times.flight;
                    orphans.push(Orphans::new(now, record.name, record.held(), lasts));
                }
                // For good: its name never comes back.
                if heard.is_some() {
                    *forgot = Some(now);
                }
                members.retain(|member| member.name != record.name);
                return false;
            }
            true
        });
    }

    /// The shortest period of the limits of which it grants nothing: whoever has not told what it holds may
    /// use some. If that one is not heard, its lease ends, and each of its calls counts no longer than a
    /// flight and the period of the limit after that.
    fn cold_from(&self, now: u64, times: Times) -> Option<u64> {
        // Nobody tells what those hold who have another version.
        let apart = self.apart.map(|at| now.saturating_sub(at + times.forget + times.flight));
        let untold = self.cold_by_untold(now, times);
        apart.into_iter().chain(untold).min()
    }

    fn cold_by_untold(&self, now: u64, times: Times) -> Option<u64> {
        if now.saturating_sub(self.cold_since?) < times.stale {
            return Some(0);
        }
        let untold = self.members.iter().filter(|member| member.told != self.epoch);
        let last = untold.map(|member| member.heard).max()?;
        Some(now.saturating_sub(last + times.forget + times.flight))
    }

    fn member(&self, name: Name) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// Whether another one has taken over from that name.
    fn has_ended(&self, name: Name) -> bool {
        self.ended.iter().any(|(ended, _)| *ended == name)
    }

    /// A member is heard, or is known of.
    fn join(&mut self, name: Name, now: u64, is_heard: bool) {
        match self.members.iter_mut().find(|member| member.name == name) {
            Some(member) if is_heard => member.heard = now,
            Some(_) => {}
            None => self.members.push(Member { name, heard: now, told: 0 }),
        }
    }

    /// Whatever has expired is not there, also where nobody has looked. It is dropped now and then.
    fn expire(&mut self, now: u64) {
        // Nothing is there again because its clock went back.
        let latest = now.max(self.now);
        self.now = now;
        if latest == now && now - self.swept < SWEEP {
            return;
        }
        self.swept = now;
        let Self { buckets, held, .. } = self;
        buckets.retain(|_, bucket| bucket.expires > latest);
        held.retain(|name| buckets.contains_key(name));
    }

    /// Whether that scheduler is a member.
    pub fn knows(&self, name: Name) -> bool {
        self.member(name).is_some()
    }

    /// How many slots a scheduler holds, by what it has heard in this life of the store: the buckets of which
    /// it holds any.
    pub fn held_by(&self, now: u64, name: Name) -> Vec<(&str, u32)> {
        let buckets = self.buckets.iter().filter(|(_, bucket)| bucket.expires > now);
        let records = buckets.flat_map(|(key, it)| it.records.iter().map(|it| (&**key, it)));
        let own = records.filter(|(_, it)| it.name == name && it.told == self.epoch);
        own.map(|(key, record)| (key, record.held())).filter(|(_, held)| *held > 0).collect()
    }

    /// How many slots all hold of a bucket, by what it has heard.
    pub fn used(&self, now: u64, bucket: &str) -> u32 {
        let bucket = self.buckets.get(bucket).filter(|bucket| bucket.expires > now);
        bucket.map_or(0, |bucket| bucket.total(now))
    }

    /// Whether it knows how far apart slots of a bucket are granted.
    pub fn is_spaced(&self, bucket: &str) -> bool {
        self.buckets.get(bucket).is_some_and(|bucket| bucket.apart.is_some())
    }
}

// === impl Bucket ===

impl Bucket {
    fn total(&self, now: u64) -> u32 {
        self.records.iter().map(Record::held).sum::<u32>() + self.orphans(now)
    }

    fn orphans(&self, now: u64) -> u32 {
        let orphans = self.orphans.iter().filter(|orphans| orphans.until > now);
        orphans.map(|orphans| orphans.slots).sum()
    }

    /// Merges what a scheduler says.
    fn hear(&mut self, now: u64, name: Name, epoch: u64, ask: &Asked) {
        if !self.records.iter().any(|record| record.name == name) {
            let Asked { quota, period, .. } = *ask;
            self.records.push(Record { name, weight: 1, quota, period, ..Record::default() });
        }
        let Some(own) = self.records.iter_mut().find(|record| record.name == name) else { return };
        if ask.life > own.life {
            // Whatever it had in an earlier life, it has given back.
            let Record { tag, quota, period, .. } = *own;
            let new = Record { name, life: ask.life, tag, quota, period, ..Record::default() };
            *own = Record { weight: 1, ..new };
        }
        if ask.life == own.life && own.told != epoch {
            // What it was granted in an earlier life of the store and had not heard of it never will. An
            // older copy may have granted it.
            own.granted = own.granted.min(ask.seen);
        }
        own.told = epoch;
        if ask.life == own.life {
            own.merge(ask);
        }
        if ask.people {
            self.people_until = now + 10 * ask.period;
        }
        // The clock may have gone back.
        self.orphans.retain_mut(|orphans| {
            orphans.until = orphans.until.min(now + orphans.lasts);
            orphans.until > now
        });
        if let Some(left) = &ask.left {
            // Whatever it held beyond that, it uses no more.
            self.records.retain(|record| record.name != name);
            let left = left.iter().map(|&(slots, ms)| Orphans::new(now, name, slots, ms));
            self.orphans.extend(left.filter(|orphans| orphans.until > now));
        }
    }

    /// How far apart its slots are granted, by whoever has learnt that.
    fn keeps_apart(&mut self, now: u64, ask: &Asked) {
        self.apart = self.apart.filter(|apart| apart.until > now);
        let next = self.apart.map_or(0, |apart| apart.next);
        if let Some(spacing) = ask.spacing {
            self.apart = Some(Apart { spacing, next, until: now + lasts(ask.period) });
        }
    }

    /// The limit that holds: in no period of anybody's limit there are more calls than it allows, if all
    /// slots age for the shortest period at least.
    fn common(&self, name: Name, ask: &Asked) -> Common {
        let own = self.records.iter().find(|record| record.name == name);
        // Who leaves has no record any more.
        let own = own.map_or((ask.quota, ask.period), |own| (own.quota, own.period));
        let counts = |it: &&Record| it.name != name && (it.held() > 0 || it.waits());
        let others = || self.records.iter().filter(counts).map(|it| (it.quota, it.period));
        let periods = || others().map(|(_, period)| period);
        let (shortest, longest) = periods().fold((own.1, own.1), |(shortest, longest), period| {
            (period.min(shortest), period.max(longest))
        });
        let least = |(quota, period): (u32, u64)| match period.checked_div(shortest) {
            _ if period == shortest => quota,
            Some(_) => quota / u32::try_from(period.div_ceil(shortest)).unwrap_or(u32::MAX),
            None => 0,
        };
        let quota = others().map(least).fold(least(own), u32::min);
        Common {
            quota: quota.max(1),
            period: longest,
            only_longest: quota == 0,
            other: others().min_by_key(|it| (*it == own, it.0, u64::MAX - it.1)),
        }
    }

    /// Grants free slots, one at a time: by class with floors, then in turns of the schedulers by
    /// their weights. Returns when to ask again; 0 if not.
    fn grant(
        &mut self,
        now: u64,
        common: Common,
        is_stale: impl Fn(Name) -> bool,
        told: &mut Vec<Name>,
    ) -> u64 {
        let Common { quota, period, only_longest, .. } = common;
        let pace = ms(period) / f64::from(quota);
        loop {
            let ready = |record: &&mut Record| {
                let may = !only_longest || record.period == period;
                record.waits() && may && !is_stale(record.name)
            };
            let mut wants = [0_u32; 3];
            for record in self.records.iter_mut().filter(ready) {
                wants.iter_mut().zip(record.wants).for_each(|(all, own)| *all += own);
            }
            let total = self.total(now);
            if total >= quota || wants == [0; 3] {
                return 0;
            }
            if let Some(apart) = self.apart.filter(|apart| apart.spacing > 0) {
                // The clock may have gone back.
                let next = apart.next.min(now + apart.spacing);
                if next > now {
                    return next - now;
                }
            }
            let [interactive, mut normal, mut background] = wants.map(|wants| wants > 0);
            if period > 0 && quota > 1 {
                let spread = self.people_until > now && total >= quota / 2 && self.due > ms(now);
                normal &= !spread;
                background &= !spread && (total < share(quota) || self.passed_over[1] >= 9);
            }
            let class = if background && self.passed_over[1] >= 9 {
                2
            } else if normal && self.passed_over[0] >= 3 {
                1
            } else if interactive {
                0
            } else if normal {
                1
            } else if background {
                2
            } else {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a time of a few periods at most"
                )]
                return (self.due - ms(now)).ceil().max(1.0) as u64;
            };
            let time = self.virtual_time;
            let able = self.records.iter_mut().filter(ready);
            let able = able.filter(|record| record.wants[class] > 0);
            let Some(next) = able.min_by_key(|record| record.tag.max(time)) else { return 0 };
            let at = next.tag.max(time);
            next.granted += 1;
            next.wants[class] -= 1;
            next.tag = at + STEP / next.weight;
            self.virtual_time = at;
            if !told.contains(&next.name) {
                told.push(next.name);
            }
            wants[class] -= 1;
            for (passed, other) in self.passed_over.iter_mut().zip([1, 2]) {
                *passed = if class != other && wants[other] > 0 { *passed + 1 } else { 0 };
            }
            self.due = self.due.max(ms(now) - pace) + pace;
            if let Some(apart) = &mut self.apart {
                apart.next = now + apart.spacing;
            }
        }
    }
}

// === impl Asked ===

impl From<&Ask> for Asked {
    fn from(ask: &Ask) -> Self {
        Self {
            bucket: ask.bucket.to_string(),
            life: ask.life,
            number: ask.number,
            seen: ask.seen,
            taken: ask.taken,
            returned: ask.returned,
            wants: ask.wants,
            callers: ask.callers,
            quota: ask.quota,
            period: u64::try_from(ask.period.as_millis()).unwrap(),
            spacing: ask
                .spacing
                .map(|it| u64::try_from(it.as_nanos().div_ceil(1_000_000)).unwrap()),
            people: ask.people,
            left: None,
        }
    }
}

// === impl Orphans ===

impl Orphans {
    fn new(now: u64, of: Name, slots: u32, lasts: u64) -> Self {
        Self { of, slots, until: now + lasts, lasts }
    }
}

// === impl Record ===

impl Record {
    fn held(&self) -> u32 {
        let held = (self.granted + self.taken).saturating_sub(self.returned);
        u32::try_from(held).unwrap_or(u32::MAX)
    }

    fn waits(&self) -> bool {
        self.wants != [0; 3]
    }

    fn merge(&mut self, ask: &Asked) {
        // Those that are on their way are for what it still says that it wants.
        let mut unseen = self.granted.saturating_sub(ask.seen);
        self.granted = self.granted.max(ask.seen);
        self.taken = self.taken.max(ask.taken);
        self.returned = self.returned.max(ask.returned);
        if ask.number <= self.number {
            return;
        }
        self.number = ask.number;
        (self.quota, self.period) = (ask.quota, ask.period);
        self.weight = u64::from(ask.callers);
        let wants = if ask.callers == 0 { [0; 3] } else { ask.wants };
        for (own, wants) in self.wants.iter_mut().zip(wants) {
            let less = u32::try_from(unseen).unwrap_or(u32::MAX).min(wants);
            *own = wants - less;
            unseen -= u64::from(less);
        }
    }
}

/// For how long the pace of a limit is known to be learnt.
fn lasts(period: u64) -> u64 {
    60_000 + 10 * period
}

/// What background calls may have of a quota.
fn share(quota: u32) -> u32 {
    (quota * 3 / 4).min(quota.saturating_sub(1))
}

/// Milliseconds are few enough for a float to be exact.
#[expect(clippy::cast_precision_loss, reason = "2^53 milliseconds are long")]
fn ms(ms: u64) -> f64 {
    ms as f64
}
