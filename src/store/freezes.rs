//! What this replica tells the others of Slack's refusals and of what they teach, and hears of them: one message
//! at a time, at once where there is something to tell, and once a second. What the words mean is told in
//! [`scheduler::Notice`]'s module.

use std::time::Duration;

use redis::{FromRedisValue, Value};
use scheduler::{Epoch, InCommon, Is, Notice, Noticed, Prober, Shut, Standing, Tale};
use tokio::time::Instant;

use super::{
    keys::{self, Keys},
    outbox::Outbox,
    replica::millis,
    script::Given,
};
use crate::queue::Admission;

/// What it has told and heard.
#[derive(Debug)]
pub(super) struct Freezes {
    admission: Admission,
    /// How the others know this replica.
    name: String,
    /// Until when somebody may have the turn to probe, and after how much silence one is gone.
    longest: u64,
    stale: u64,
    epoch: Option<Epoch>,
    version: u64,
    /// With the batch of notices of the message that is on its way.
    outbox: Outbox<u64>,
}

/// What is published of a bucket: two words say what.
#[derive(Debug, PartialEq, Eq)]
struct Push<'a> {
    by: &'a str,
    epoch: Epoch,
    version: u64,
    number: i64,
    word: &'a str,
    bucket: &'a str,
}

/// The script.
pub(super) const FREEZE: &str = include_str!("freeze.lua");

/// Two refusals at most so far apart have one cause, in milliseconds.
const WITHIN: u64 = 10_000;
/// The turn to probe is used within that, in milliseconds, or given up.
const UNUSED: u64 = 1_000;
/// What comes first where the others are told of a bucket.
const PUSHED: &str = "closed ";
/// And where they are told what was learnt of one.
const LEARNT: &str = "learnt ";
/// How a bucket is told: its name, its version, for how long it is closed, and whose turn it is.
type Told = (String, u64, i64, u8);
/// The parts of that.
const PARTS: usize = 4;
/// How it is told what was learnt of a bucket: its name, the number of the record, how old that is, and the record.
type Learnt = (String, u64, u64, String);
/// The words of what is published.
const WORDS: usize = 6;

// === impl Freezes ===

impl Freezes {
    pub(super) fn new(
        admission: Admission,
        name: String,
        (flight, stale): (u64, u64),
        time_out: Duration,
        now: Instant,
    ) -> Self {
        let longest = flight.saturating_add(UNUSED);
        let (epoch, version, outbox) = (None, 0, Outbox::new(time_out, now));
        Self { admission, name, longest, stale, epoch, version, outbox }
    }

    /// When it does something next by itself.
    pub(super) fn next(&self, connected: bool) -> Option<Instant> {
        self.outbox.next(connected)
    }

    /// There is a connection.
    pub(super) fn connects(&mut self, now: Instant) {
        self.outbox.connects(now);
    }

    /// Nothing that is on its way is answered.
    pub(super) fn is_alone(&mut self) {
        // What it hears until it is answered is known as nobody's word: then it asks for all.
        self.epoch = None;
        self.outbox.is_alone();
        self.admission.notices_nobody();
    }

    /// What is to be told by the message of that number, if anything.
    pub(super) fn act(
        &mut self,
        now: Instant,
        number: u64,
        (keys, run): (&Keys, &str),
        new: Epoch,
    ) -> Option<Given> {
        if self.outbox.is_late(now) {
            self.is_alone();
        }
        if !self.outbox.opens(now, || self.admission.has_notices()) {
            return None;
        }
        let mut notices = Vec::new();
        let batch = self.admission.move_notices(&mut notices);
        self.outbox.sends(now, number, batch);
        let mut given = Given::plain(["v", "z", "w", "l"].map(|what| keys.of_all(what)));
        given.push([&self.name]);
        given.push([number]);
        given.push([self.epoch.map_or_else(String::new, |epoch| epoch.0.to_string())]);
        given.push([self.version, new.0, self.stale, self.longest, WITHIN]);
        given.push([run, &keys.channel_of_all()]);
        for notice in &notices {
            tell(&mut given, notice);
        }
        Some(given)
    }

    /// The message of that number has an answer. Returns whether that is something it ever answers.
    pub(super) fn hear(&mut self, number: u64, answer: Value) -> bool {
        if !self.outbox.awaits(number) {
            return true;
        }
        let Some(answered) = Answered::of(answer) else { return false };
        let Some(batch) = self.outbox.is_answered() else { return true };
        let Some(Answered { epoch, version, granted, standings, all, learnt, all_learnt }) =
            answered.0
        else {
            // Its message was late: nothing of it counts.
            self.is_alone();
            return true;
        };
        (self.epoch, self.version) = (Some(epoch), version);
        let stand = |told: Vec<Told>| told.into_iter().filter_map(|told| self.standing(told));
        let standings = stand(standings).collect();
        let all = all.map(|all| stand(all).collect());
        let lessons = |told: Vec<Learnt>| told.into_iter().filter_map(|it| self.in_common(it));
        let learnt = lessons(learnt).collect();
        let all_learnt = all_learnt.map(|all| lessons(all).collect());
        self.admission.noticed(Noticed {
            batch,
            epoch,
            version,
            granted,
            standings,
            all,
            learnt,
            all_learnt,
        });
        true
    }

    /// The message of that number has none.
    pub(super) fn fails(&mut self, number: u64) {
        if self.outbox.awaits(number) {
            self.is_alone();
        }
    }

    /// All are told how a bucket stands. Returns whether it is that what is told.
    pub(super) fn hear_push(&mut self, text: &str) -> bool {
        let learnt = text.strip_prefix(LEARNT);
        let Some(text) = learnt.or_else(|| text.strip_prefix(PUSHED)) else { return false };
        let Some(push) = Push::of(text).filter(|push| Some(push.epoch) == self.epoch) else {
            return true;
        };
        let is_newer = push.version > self.version;
        if push.version == self.version + 1 {
            self.version += 1;
        }
        if push.by == self.name {
            return true;
        }
        if learnt.is_some() {
            // What came before is known by an answer, and perhaps what it has become since.
            if !is_newer {
                return true;
            }
            let serial = u64::try_from(push.number).unwrap_or(0);
            let told = (push.bucket.to_owned(), serial, 0, push.word.to_owned());
            if let Some(learnt) = self.in_common(told) {
                self.admission.learns_now(push.epoch, &learnt);
            }
        } else {
            let whose = match push.word {
                "-" => 0,
                prober if prober == self.name => 1,
                _ => 2,
            };
            let told = (push.bucket.to_owned(), push.version, push.number, whose);
            if let Some(standing) = self.standing(told) {
                self.admission.stands_now(push.epoch, standing);
            }
        }
        true
    }

    /// What was learnt of a limit that there is here.
    fn in_common(&self, (name, serial, age, record): Learnt) -> Option<InCommon> {
        let bucket = self.admission.bucket(keys::bucket(&name)?)?;
        let is = match &*record {
            "+" => Is::Kept,
            "-" => Is::Gone,
            "=" => Is::Same,
            _ => Is::Record { text: record, age: Duration::from_millis(age) },
        };
        Some(InCommon { bucket, serial, is })
    }

    /// Of a limit that there is not here nothing is known.
    fn standing(&self, (name, version, left, whose): Told) -> Option<Standing> {
        let bucket = self.admission.bucket(keys::bucket(&name)?)?;
        let shut = u64::try_from(left).ok().map(|left| Shut {
            left: Duration::from_millis(left),
            prober: match whose {
                0 => Prober::Nobody,
                1 => Prober::Own,
                _ => Prober::Another,
            },
        });
        Some(Standing { bucket, version, shut })
    }
}

/// Writes a notice as the script reads it.
fn tell(given: &mut Given, notice: &Notice) {
    match notice {
        Notice::Closed { bucket, left, kept } => {
            given.push(["closed", &keys::name(bucket)]);
            given.push([millis(*left), millis(*kept)]);
        }
        Notice::Witnessed { above, below, left, kept } => {
            given.push(["witnessed", &keys::name(above), &keys::name(below)]);
            given.push([millis(*left), millis(*kept)]);
        }
        Notice::Thawed { bucket, kept } => {
            given.push(["thawed", &keys::name(bucket)]);
            given.push([millis(*kept)]);
        }
        Notice::Claimed(buckets) => {
            given.push(["claimed", &buckets.len().to_string()]);
            given.push(buckets.iter().map(keys::name));
        }
        Notice::GivenUp(bucket) => given.push(["given_up", &keys::name(bucket)]),
        Notice::Passed(bucket) => given.push(["passed", &keys::name(bucket)]),
        Notice::Learnt(Tale { bucket, serial, is_news, is_anew, record }) => {
            let kind = if *is_anew { "knew" } else { "learnt" };
            given.push([kind, &keys::name(bucket), &serial.to_string()]);
            if !is_anew {
                given.push([u8::from(*is_news)]);
            }
            given.push([record.as_deref().unwrap_or("-")]);
        }
        Notice::Forgotten(bucket) => given.push(["forgot", &keys::name(bucket)]),
    }
}

/// What the script answers.
#[derive(Debug)]
struct Answered {
    epoch: Epoch,
    version: u64,
    granted: Vec<bool>,
    standings: Vec<Told>,
    all: Option<Vec<Told>>,
    learnt: Vec<Learnt>,
    all_learnt: Option<Vec<Learnt>>,
}

/// An answer; nothing where the message was late.
struct InTime(Option<Answered>);

// === impl Answered ===

impl Answered {
    /// What the script answers; `None` for what it never does.
    fn of(answer: Value) -> Option<InTime> {
        let Value::Array(parts) = answer else { return None };
        if parts.len() == 1 {
            return Some(InTime(None));
        }
        let parts: [Value; 7] = parts.try_into().ok()?;
        let [epoch, version, granted, standings, all, learnt, all_learnt] = parts;
        let granted: Vec<u8> = FromRedisValue::from_redis_value(granted).ok()?;
        let all = if all == Value::Nil { None } else { Some(told(all)?) };
        let all_learnt = if all_learnt == Value::Nil { None } else { Some(told(all_learnt)?) };
        Some(InTime(Some(Self {
            epoch: Epoch(FromRedisValue::from_redis_value(epoch).ok()?),
            version: FromRedisValue::from_redis_value(version).ok()?,
            granted: granted.into_iter().map(|granted| granted == 1).collect(),
            standings: told(standings)?,
            all,
            learnt: told(learnt)?,
            all_learnt,
        })))
    }
}

/// Four parts each.
fn told<A, B, C, D>(value: Value) -> Option<Vec<(A, B, C, D)>>
where
    A: FromRedisValue,
    B: FromRedisValue,
    C: FromRedisValue,
    D: FromRedisValue,
{
    let Value::Array(parts) = value else { return None };
    let mut parts = parts.into_iter();
    let mut all = Vec::with_capacity(parts.len() / PARTS);
    while let Some(name) = parts.next() {
        all.push((
            FromRedisValue::from_redis_value(name).ok()?,
            FromRedisValue::from_redis_value(parts.next()?).ok()?,
            FromRedisValue::from_redis_value(parts.next()?).ok()?,
            FromRedisValue::from_redis_value(parts.next()?).ok()?,
        ));
    }
    Some(all)
}

// === impl Push ===

impl<'a> Push<'a> {
    /// What the script publishes; `None` for what it never does.
    fn of(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(WORDS, ' ');
        Some(Self {
            by: parts.next()?,
            epoch: Epoch(parts.next()?.parse().ok()?),
            version: parts.next()?.parse().ok()?,
            number: parts.next()?.parse().ok()?,
            word: parts.next()?,
            bucket: parts.next()?,
        })
    }
}
