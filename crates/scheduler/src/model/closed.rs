//! What the store keeps of freezes and of what was learnt, by its plainest meaning: what a real one is held
//! against.
//!
//! It knows the time as it is told, in milliseconds, and may be emptied, or started anew.

use std::{collections::BTreeMap, time::Duration};

use limits::BucketKey;

use super::store::Name;
use crate::{InCommon, Tale};

/// What is closed for all.
#[derive(Clone, Debug, Default)]
pub struct Closed {
    epoch: u64,
    /// The process that it is, and the one in which its memory began.
    process: u64,
    began_in: u64,
    /// For how long one may have the turn to probe.
    longest: u64,
    version: u64,
    /// When each was heard last, and the number of its message.
    heard: BTreeMap<Name, (u64, u64)>,
    buckets: BTreeMap<String, Bucket>,
    /// The last refusal under a wider bucket: until when, since when, and for which other bucket.
    refusals: BTreeMap<String, (u64, u64, String)>,
    /// What was learnt.
    lessons: BTreeMap<String, Lesson>,
    /// When it was seen last which of that is too old.
    swept: Option<u64>,
}

/// What was learnt of a bucket: its number, the version in which all were told, since when it is so, and what
/// that is. If it was forgotten, that is remembered, so that nobody who was away brings it back.
#[derive(Clone, Debug)]
struct Lesson {
    serial: u64,
    version: u64,
    since: u64,
    text: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    until: u64,
    lasts: u64,
    kept: u64,
    prober: Option<Name>,
    since: u64,
    version: u64,
}

/// What a scheduler tells.
#[derive(Clone, Debug)]
pub struct Tell {
    /// Its name.
    pub name: Name,
    /// Greater than that of any message before.
    pub number: u64,
    /// The epoch as it knows it; 0 if it knows none.
    pub epoch: u64,
    /// The version as it knows it.
    pub version: u64,
    /// A new epoch, should one be needed.
    pub new_epoch: u64,
    /// What there is to tell.
    pub notices: Vec<Notice>,
}

/// The same as those of the scheduler.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "they are those of a scheduler's")]
pub enum Notice {
    Closed { bucket: String, left: u64, kept: u64 },
    Witnessed { above: String, below: String, left: u64, kept: u64 },
    Thawed { bucket: String, kept: u64 },
    Claimed(Vec<String>),
    GivenUp(String),
    Passed(String),
    Learnt { bucket: String, serial: u64, is_news: bool, is_anew: bool, record: Option<String> },
    Forgotten(String),
}

/// What was learnt of a bucket: the number of its record, 0 if there is none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are those of a scheduler's")]
pub struct Learnt {
    pub bucket: String,
    pub serial: u64,
    pub is: Is,
}

/// What a record is; its age in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are those of a scheduler's")]
pub enum Is {
    Kept,
    Gone,
    Same,
    Record { text: String, age: u64 },
}

/// How a bucket stands: for how long it is closed, and who probes then.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are those of a scheduler's")]
pub struct Standing {
    pub bucket: String,
    pub version: u64,
    pub shut: Option<(u64, Option<Name>)>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are those of a scheduler's")]
pub struct Told {
    pub epoch: u64,
    pub version: u64,
    pub granted: Vec<bool>,
    pub standings: Vec<Standing>,
    pub all: Option<Vec<Standing>>,
    pub learnt: Vec<Learnt>,
    pub all_learnt: Option<Vec<Learnt>>,
}

/// What all are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Whose message made it so.
    pub by: Name,
    /// Of which epoch it is.
    pub epoch: u64,
    /// What all are told.
    pub what: Pushed,
}

/// How a bucket stands, or what was learnt of it, with the version.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are those of a scheduler's")]
pub enum Pushed {
    Stands(Standing),
    Learnt(u64, Learnt),
}

/// Two refusals at most so far apart have one cause, in milliseconds.
pub const WITHIN: u64 = 10_000;

/// So much is kept of what was learnt, for so long, and it is seen so often what is older.
const MOST: usize = 1024;
const DAY: u64 = 86_400_000;
const HOUR: u64 = 3_600_000;

// === impl Closed ===

impl Closed {
    /// It is emptied.
    pub fn flush(&mut self) {
        *self = Self { process: self.process, ..Self::default() };
    }

    /// Another process takes over with what it has.
    pub fn restart(&mut self) {
        self.process += 1;
    }

    /// The script `freeze`; nothing if there was a later message. `stale` is after how much silence
    /// somebody is gone, and `longest` for how long one may have the turn to probe.
    pub fn tell(
        &mut self,
        now: u64,
        (stale, longest): (u64, u64),
        tell: Tell,
        pushes: &mut Vec<Push>,
    ) -> Option<Told> {
        let Tell { name, number, epoch, version: known, new_epoch, notices } = tell;
        if self.epoch == 0 || self.began_in != self.process {
            let process = self.process;
            *self = Self { epoch: new_epoch, process, began_in: process, ..Self::default() };
        }
        self.longest = longest;
        if self.heard.get(&name).is_some_and(|(_, last)| *last >= number) {
            return None;
        }
        let heard = self.heard.clone();
        self.heard.retain(|_, (at, _)| now.saturating_sub(*at) <= 10 * stale);
        let before = self.version;
        let (mut granted, mut touched, mut learnt) = (Vec::new(), Vec::new(), Vec::new());
        self.sweep(now, name, pushes);
        for notice in notices {
            let mut changed = Vec::new();
            match notice {
                Notice::Closed { bucket, left, kept } => {
                    self.close(now, &bucket, left, kept, &mut changed);
                    touched.push(bucket);
                }
                Notice::Witnessed { above, below, left, kept } => {
                    let new = (now + left, now, below.clone());
                    if let Some((until, since, other)) = self.refusals.insert(above.clone(), new)
                        && other != below
                        && now.abs_diff(since) <= WITHIN
                        && until.min(now + left) > now
                    {
                        let left = until.min(now + left) - now;
                        self.close(now, &above, left, kept, &mut changed);
                        touched.push(above);
                    }
                }
                Notice::Thawed { bucket, kept } => {
                    let kept = self.read(now, &bucket).map_or(0, |it| it.kept).max(kept);
                    let (until, lasts, prober, since, version) = (now, 0, None, now, 0);
                    let new = Bucket { until, lasts, kept, prober, since, version };
                    self.buckets.insert(bucket.clone(), new);
                    changed.push(bucket.clone());
                    touched.push(bucket);
                }
                Notice::Claimed(buckets) => {
                    let is_gone = |bucket: &Bucket, prober: &Name| {
                        let heard = heard.get(prober);
                        let is_silent = heard.is_none_or(|(at, _)| now.saturating_sub(*at) > stale);
                        is_silent || now - bucket.since >= longest
                    };
                    granted.push(self.claim(now, name, &buckets, is_gone, &mut changed));
                    touched.extend(buckets);
                }
                Notice::GivenUp(bucket) => {
                    if let Some(own) = self.read(now, &bucket)
                        && own.prober == Some(name)
                        && own.until <= now
                    {
                        let free = Bucket { prober: None, since: now, ..own };
                        self.buckets.insert(bucket.clone(), free);
                        changed.push(bucket.clone());
                    }
                    touched.push(bucket);
                }
                Notice::Passed(bucket) => {
                    if self.read(now, &bucket).is_some_and(|it| it.until <= now) {
                        self.buckets.remove(&bucket);
                        changed.push(bucket.clone());
                    }
                    touched.push(bucket);
                }
                what @ (Notice::Learnt { .. } | Notice::Forgotten(_)) => {
                    learnt.extend(self.is_told_of_lesson(now, name, what, pushes));
                }
            }
            for bucket in changed {
                self.version += 1;
                if let Some(own) = self.buckets.get_mut(&bucket) {
                    own.version = self.version;
                }
                let standing = self.standing(now, bucket);
                let what = Pushed::Stands(standing);
                pushes.push(Push { by: name, epoch: self.epoch, what });
            }
        }
        let mut standings: Vec<Standing> = Vec::new();
        for bucket in touched {
            if !standings.iter().any(|it| it.bucket == bucket) {
                standings.push(self.standing(now, bucket));
            }
        }
        let all = (epoch != self.epoch || known != before).then(|| {
            let names: Vec<_> = self.buckets.keys().cloned().collect();
            let all = names.into_iter().map(|name| self.standing(now, name));
            all.filter(|standing| standing.shut.is_some()).collect()
        });
        let all_learnt =
            (epoch != self.epoch || known != before).then(|| self.lessons(now, epoch, known));
        self.heard.insert(name, (now, number));
        let Self { epoch, version, .. } = *self;
        Some(Told { epoch, version, granted, standings, all, learnt, all_learnt })
    }

    /// It is told what was learnt, or is forgotten. Returns what it has of that then.
    fn is_told_of_lesson(
        &mut self,
        now: u64,
        by: Name,
        notice: Notice,
        pushes: &mut Vec<Push>,
    ) -> Option<Learnt> {
        let (bucket, told) = match notice {
            Notice::Learnt { bucket, serial, is_news, is_anew, record } => {
                (bucket, Some((serial, is_news, is_anew, record)))
            }
            Notice::Forgotten(bucket) => (bucket, None),
            _ => return None,
        };
        let own = self.lessons.get(&bucket);
        let last = own.map_or(0, |it| it.serial);
        let live = own.filter(|it| it.text.is_some()).map_or(0, |it| it.serial);
        let next = now.max(last + 1);
        let is = match told {
            None => {
                self.keep(now, (by, next, true), &bucket, None, pushes);
                Is::Gone
            }
            Some((serial, is_news, false, record)) if serial == live => {
                self.keep(now, (by, next, is_news), &bucket, record, pushes);
                Is::Kept
            }
            Some((serial, _, true, record)) if last == 0 || serial > last => {
                self.keep(now, (by, serial.max(1), true), &bucket, record, pushes);
                Is::Kept
            }
            Some(_) => self.record(now, &bucket),
        };
        let serial = self.lessons.get(&bucket).map_or(0, |it| it.serial);
        Some(Learnt { bucket, serial, is })
    }

    /// All that was learnt; of what was told to all in the version that is known, only that it is there.
    fn lessons(&self, now: u64, epoch: u64, known: u64) -> Vec<Learnt> {
        let live = self.lessons.iter().filter(|(_, it)| it.text.is_some());
        let all = live.map(|(bucket, it)| {
            let is_same = epoch == self.epoch && it.version <= known;
            let is = if is_same { Is::Same } else { self.record(now, bucket) };
            Learnt { bucket: bucket.clone(), serial: it.serial, is }
        });
        all.collect()
    }

    /// What was learnt, as it is.
    fn record(&self, now: u64, bucket: &str) -> Is {
        let own = self.lessons.get(bucket).and_then(|it| Some((it.since, it.text.clone()?)));
        let is = |(since, text)| Is::Record { text, age: now.saturating_sub(since) };
        own.map_or(Is::Gone, is)
    }

    /// That was learnt; with nothing, it is forgotten.
    fn keep(
        &mut self,
        now: u64,
        (by, serial, is_news): (Name, u64, bool),
        bucket: &str,
        text: Option<String>,
        pushes: &mut Vec<Push>,
    ) {
        let before = self.lessons.get(bucket).map(|it| (it.version, it.text.is_some()));
        if before.is_none() && self.lessons.len() >= MOST {
            let oldest = self.lessons.iter().min_by_key(|(name, it)| (it.since, (*name).clone()));
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.drop(by, &oldest, pushes);
            }
        }
        let was_live = before.is_some_and(|(_, was_live)| was_live);
        let is_news = if text.is_some() { is_news } else { was_live };
        if is_news {
            let is = text.clone().map_or(Is::Gone, |text| Is::Record { text, age: 0 });
            self.tell_lesson(by, Learnt { bucket: bucket.to_owned(), serial, is }, pushes);
        }
        let version = before.filter(|_| !is_news).map_or(self.version, |(version, _)| version);
        self.lessons.insert(bucket.to_owned(), Lesson { serial, version, since: now, text });
    }

    fn tell_lesson(&mut self, by: Name, learnt: Learnt, pushes: &mut Vec<Push>) {
        self.version += 1;
        let what = Pushed::Learnt(self.version, learnt);
        pushes.push(Push { by, epoch: self.epoch, what });
    }

    /// It is too old, or too many are known.
    fn drop(&mut self, by: Name, bucket: &str, pushes: &mut Vec<Push>) {
        if let Some(Lesson { serial, text: Some(_), .. }) = self.lessons.remove(bucket) {
            let learnt = Learnt { bucket: bucket.to_owned(), serial, is: Is::Gone };
            self.tell_lesson(by, learnt, pushes);
        }
    }

    /// Forgets what is too old, once an hour.
    fn sweep(&mut self, now: u64, by: Name, pushes: &mut Vec<Push>) {
        if self.swept.is_some_and(|last| now.abs_diff(last) < HOUR) {
            return;
        }
        let is_old = |it: &Lesson| now.saturating_sub(it.since) > DAY;
        let old = self.lessons.iter().filter(|(_, it)| is_old(it)).map(|(name, _)| name.clone());
        for bucket in old.collect::<Vec<_>>() {
            self.drop(by, &bucket, pushes);
        }
        self.swept = Some(now);
    }

    fn close(&mut self, now: u64, name: &str, left: u64, kept: u64, changed: &mut Vec<String>) {
        let before = self.read(now, name);
        if before.is_some_and(|it| it.until > now && it.until >= now + left) {
            return;
        }
        let kept = before.map_or(0, |it| it.kept).max(kept);
        let (until, lasts, prober, since, version) = (now + left, left, None, now, 0);
        let new = Bucket { until, lasts, kept, prober, since, version };
        self.buckets.insert(name.to_owned(), new);
        changed.push(name.to_owned());
    }

    /// All of them, or none.
    fn claim(
        &mut self,
        now: u64,
        name: Name,
        buckets: &[String],
        is_gone: impl Fn(&Bucket, &Name) -> bool,
        changed: &mut Vec<String>,
    ) -> bool {
        let may = |bucket: &Bucket| {
            let prober = bucket.prober;
            bucket.until <= now && prober.is_none_or(|it| it == name || is_gone(bucket, &it))
        };
        let all: Vec<_> = buckets.iter().map(|it| (it, self.read(now, it))).collect();
        let may = all.iter().filter_map(|(_, own)| own.as_ref()).all(may);
        for (bucket, own) in all.into_iter().filter(|_| may) {
            let Some(own) = own else { continue };
            self.buckets.insert(bucket.clone(), Bucket { prober: Some(name), since: now, ..own });
            changed.push(bucket.clone());
        }
        may
    }

    fn standing(&mut self, now: u64, bucket: String) -> Standing {
        let own = self.read(now, &bucket);
        let shut = own.map(|own| (own.until.saturating_sub(now), own.prober));
        let version = own.map_or(self.version, |own| own.version);
        Standing { bucket, version, shut }
    }

    fn read(&mut self, now: u64, name: &str) -> Option<Bucket> {
        let own = self.buckets.get(name)?.at(now, self.longest);
        if own.is_none() {
            self.buckets.remove(name);
        }
        own
    }

    /// Of how many buckets something is learnt.
    pub fn learnt(&self) -> usize {
        self.lessons.values().filter(|it| it.text.is_some()).count()
    }

    /// For how long a bucket is closed, and since when it may be probed; nothing if it is open.
    pub fn stands(&self, now: u64, bucket: &str) -> Option<(u64, u64)> {
        let own = self.buckets.get(bucket)?.at(now, self.longest)?;
        Some((own.until.saturating_sub(now), own.until))
    }
}

// === impl Bucket ===

impl Bucket {
    /// As it is then; nothing if it does not matter any more. Nothing lasts longer because the clock went
    /// back.
    fn at(self, now: u64, longest: u64) -> Option<Self> {
        let (until, since) = (self.until.min(now + self.lasts), self.since.min(now));
        let turn = since + if self.prober.is_some() { longest } else { 0 };
        (until.max(turn) + self.kept > now).then_some(Self { until, since, ..self })
    }
}

// === impl Learnt ===

impl Learnt {
    /// What a scheduler hears of that, which has a name of its own for the bucket.
    pub fn of(self, bucket: BucketKey) -> InCommon {
        let is = match self.is {
            Is::Kept => crate::Is::Kept,
            Is::Gone => crate::Is::Gone,
            Is::Same => crate::Is::Same,
            Is::Record { text, age } => crate::Is::Record { text, age: Duration::from_millis(age) },
        };
        InCommon { bucket, serial: self.serial, is }
    }
}

// === impl Pushed ===

impl Pushed {
    /// In which version all are told.
    pub fn version(&self) -> u64 {
        match self {
            Self::Stands(standing) => standing.version,
            Self::Learnt(version, _) => *version,
        }
    }
}

// === impl Notice ===

impl From<crate::Notice> for Notice {
    fn from(notice: crate::Notice) -> Self {
        let ms = |left: Duration| u64::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap();
        match notice {
            crate::Notice::Closed { bucket, left, kept } => {
                Self::Closed { bucket: bucket.to_string(), left: ms(left), kept: ms(kept) }
            }
            crate::Notice::Witnessed { above, below, left, kept } => Self::Witnessed {
                above: above.to_string(),
                below: below.to_string(),
                left: ms(left),
                kept: ms(kept),
            },
            crate::Notice::Thawed { bucket, kept } => {
                Self::Thawed { bucket: bucket.to_string(), kept: ms(kept) }
            }
            crate::Notice::Claimed(all) => {
                Self::Claimed(all.iter().map(ToString::to_string).collect())
            }
            crate::Notice::GivenUp(bucket) => Self::GivenUp(bucket.to_string()),
            crate::Notice::Passed(bucket) => Self::Passed(bucket.to_string()),
            crate::Notice::Learnt(Tale { bucket, serial, is_news, is_anew, record }) => {
                let bucket = bucket.to_string();
                Self::Learnt { bucket, serial, is_news, is_anew, record }
            }
            crate::Notice::Forgotten(bucket) => Self::Forgotten(bucket.to_string()),
        }
    }
}
