//! What the store keeps of freezes, by its plainest meaning: what a real one is held against.
//!
//! It knows the time as it is told, in milliseconds, and may be emptied, or started anew.

use std::{collections::BTreeMap, time::Duration};

use super::store::Name;

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
}

/// What all are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Whose message made it so.
    pub by: Name,
    /// Of which epoch it is.
    pub epoch: u64,
    /// How the bucket stands.
    pub standing: Standing,
}

/// Two refusals at most so far apart have one cause, in milliseconds.
pub const WITHIN: u64 = 10_000;

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
        let (mut granted, mut touched) = (Vec::new(), Vec::new());
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
            }
            for bucket in changed {
                self.version += 1;
                if let Some(own) = self.buckets.get_mut(&bucket) {
                    own.version = self.version;
                }
                let standing = self.standing(now, bucket);
                pushes.push(Push { by: name, epoch: self.epoch, standing });
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
        self.heard.insert(name, (now, number));
        let Self { epoch, version, .. } = *self;
        Some(Told { epoch, version, granted, standings, all })
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
        }
    }
}
