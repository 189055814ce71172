//! The scripts that run in the store: what they are given, and what they answer.

use std::time::Duration;

use redis::{Cmd, FromRedisValue, Value};
use scheduler::{Ask, Epoch, Shard};

use super::keys::{self, Keys, VERSION};

/// A script, known by its hash.
#[derive(Debug)]
pub(super) struct Script {
    text: &'static str,
    hash: String,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) beat: Script,
    pub(super) step: Script,
    pub(super) freeze: Script,
    pub(super) said: Script,
    pub(super) whose: Script,
}

/// A script with what it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    keys: Vec<String>,
    args: Vec<String>,
}

/// A replica says that it is here.
#[derive(Debug)]
pub(super) struct Beat<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// The run id of the server.
    pub(super) run: &'a str,
    /// The store's epoch, as it knows it.
    pub(super) epoch: Option<Epoch>,
    /// A new epoch, should one be needed.
    pub(super) new_epoch: Epoch,
    /// Whether it has told, in that epoch, all that it holds.
    pub(super) told_all: bool,
    /// The others that it knows of.
    pub(super) others: &'a [&'a str],
    /// The names that it has taken over from: what they used is in what it tells.
    pub(super) ended: &'a [&'a str],
}

/// A replica tells what it has of some buckets.
#[derive(Debug)]
pub(super) struct Step<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// The run id of the server.
    pub(super) run: &'a str,
    /// The store's epoch, as it knows it.
    pub(super) epoch: Option<Epoch>,
    /// The buckets. If it leaves, with how long so many slots of each still count.
    pub(super) asks: Vec<(&'a Ask, Option<Left<'a>>)>,
    /// Whether it leaves, and has nothing more to say.
    pub(super) leaves: bool,
}

/// For how long so many slots still count.
type Left<'a> = &'a [(u32, Duration)];

/// The answer to a beat.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beaten {
    /// It is a member.
    Member {
        /// The store's epoch.
        epoch: Epoch,
        /// Of limits with such a period, in milliseconds, or a longer one it grants nothing: some members
        /// have not told what they hold.
        cold: Option<u64>,
        /// All members.
        members: Vec<String>,
        /// The buckets of which more than a member's part is used, or slots by others than members;
        /// `None` if they are too many.
        hot: Option<Vec<String>>,
        /// How many replicas have other versions of the scripts.
        apart: u32,
    },
    /// It was forgotten.
    Gone,
}

/// The answer to a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stepped {
    /// What it says of each bucket, in their order.
    Told(Vec<Answered>),
    /// It lives in another epoch.
    Cold,
    /// It has forgotten the replica.
    Gone,
}

/// What it says of one bucket.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answered {
    /// The life of the bucket.
    pub(super) life: u64,
    /// GRANTED.
    pub(super) granted: u64,
    /// How many slots all hold.
    pub(super) used: u32,
    /// The weight of all who wait.
    pub(super) weight: u64,
    /// When to ask again, in milliseconds; 0 if not.
    pub(super) again: u64,
    /// The quota and the period in milliseconds that another replica has been given: others than those
    /// of the ask, if there is such a replica.
    pub(super) other: Option<(u32, u64)>,
}

/// A replica is told that it has been granted slots.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Push<'a> {
    pub(super) to: &'a str,
    pub(super) epoch: Epoch,
    pub(super) life: u64,
    pub(super) granted: u64,
    pub(super) bucket: &'a str,
}

/// Times, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Who is silent for longer is forgotten.
    pub(super) forget: u64,
    /// How long a call may be in flight.
    pub(super) flight: u64,
    /// Who is silent for longer is granted nothing.
    pub(super) stale: u64,
    /// The longest period of all limits.
    pub(super) longest: u64,
}

/// Who is here, and in which life of the store.
pub(super) const BEAT: &str = include_str!("beat.lua");
/// What a replica tells of its buckets, and hears.
pub(super) const STEP: &str = include_str!("step.lua");

/// How many hot buckets a beat tells of. If there are more, all count as such.
const HOT: usize = 10_000;

/// The numbers that a step answers for each bucket.
const NUMBERS: usize = 7;

/// The words of what a step publishes.
const WORDS: usize = 5;

// === impl Scripts ===

impl Scripts {
    /// Those of these texts.
    pub(super) fn of(scripts: [&'static str; 5]) -> Self {
        let [beat, step, freeze, said, whose] = scripts.map(Script::new);
        Self { beat, step, freeze, said, whose }
    }
}

// === impl Script ===

impl Script {
    fn new(text: &'static str) -> Self {
        Self { text, hash: redis::Script::new(text).get_hash().to_owned() }
    }

    /// Runs it if the server knows it.
    pub(super) fn by_hash(&self, given: &Given) -> Cmd {
        given.to("EVALSHA", &self.hash)
    }

    /// Runs it, and lets the server know it from then on.
    pub(super) fn whole(&self, given: &Given) -> Cmd {
        given.to("EVAL", self.text)
    }
}

// === impl Given ===

impl Given {
    fn to(&self, command: &str, script: &str) -> Cmd {
        let mut cmd = redis::cmd(command);
        cmd.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.args);
        cmd
    }

    #[cfg(test)]
    pub(super) fn args(&self) -> &[String] {
        &self.args
    }

    fn of(keys: &Keys, shard: Shard) -> Self {
        let all = vec![keys.members(shard), keys.used(shard), keys.orphans(shard)];
        Self { keys: all, args: Vec::new() }
    }

    /// With these keys, and nothing else as yet.
    pub(super) fn plain(keys: impl Into<Vec<String>>) -> Self {
        Self { keys: keys.into(), args: Vec::new() }
    }

    pub(super) fn push<T: ToString>(&mut self, args: impl IntoIterator<Item = T>) {
        self.args.extend(args.into_iter().map(|arg| arg.to_string()));
    }

    /// For `beat.lua`.
    pub(super) fn beat(keys: &Keys, shard: Shard, times: Times, beat: &Beat<'_>) -> Self {
        let Beat { name, run, epoch, new_epoch, told_all, others, ended } = *beat;
        let Times { forget, flight, stale, longest } = times;
        let mut given = Self::of(keys, shard);
        given.keys.push(keys.versions(shard));
        given.keys.extend(keys.members_of_before(shard));
        given.push([name]);
        given.push([text(epoch)]);
        given.push([new_epoch.0]);
        given.push([forget, longest, flight, stale]);
        given.push([u8::from(told_all)]);
        given.push([HOT]);
        given.push([keys.buckets(shard)]);
        given.push([ended.len()]);
        given.push([VERSION]);
        given.push([run]);
        given.push(ended);
        given.push(others);
        given
    }

    /// For `step.lua`.
    pub(super) fn step(keys: &Keys, shard: Shard, times: Times, step: &Step<'_>) -> Self {
        let Step { name, run, epoch, asks, leaves } = step;
        let Times { forget, flight, stale, .. } = times;
        let mut given = Self::of(keys, shard);
        let buckets = keys.buckets(shard);
        given.push([name]);
        given.push([text(*epoch)]);
        given.push([forget, flight, stale]);
        given.push([keys.channels()]);
        given.push([buckets.len()]);
        given.push([u8::from(*leaves)]);
        given.push([run]);
        for (ask, left) in asks {
            given.keys.push(format!("{buckets}{}", keys::name(&ask.bucket)));
            let Ask { life, number, seen, taken, returned, .. } = *ask;
            given.push([life, number, seen, taken, returned]);
            given.push(ask.wants);
            given.push([ask.callers, ask.quota]);
            given.push([period(ask)]);
            given.push([u8::from(ask.people)]);
            given.push([left.map_or_else(|| "-".to_owned(), counts)]);
        }
        given
    }
}

/// The period, in milliseconds, and how far apart calls go if that was learnt: such a limit says more, and
/// others say what they always did.
fn period(ask: &Ask) -> String {
    let ms = |time: Duration| time.as_nanos().div_ceil(1_000_000);
    match ask.spacing {
        Some(spacing) => format!("{}+{}", ms(ask.period), ms(spacing)),
        None => ms(ask.period).to_string(),
    }
}

/// For how long so many slots count, in milliseconds.
fn counts(left: Left<'_>) -> String {
    let each = left.iter().map(|(slots, left)| {
        let ms = left.as_nanos().div_ceil(1_000_000);
        format!("{slots}@{ms}")
    });
    each.collect::<Vec<_>>().join(" ")
}

fn text(epoch: Option<Epoch>) -> String {
    epoch.map_or_else(String::new, |epoch| epoch.0.to_string())
}

// === impl Beaten ===

impl Beaten {
    /// What `beat.lua` answers; `None` for what it never does.
    pub(super) fn of(answer: Value) -> Option<Self> {
        let Value::Array(parts) = answer else { return None };
        if parts.len() == 1 {
            return Some(Self::Gone);
        }
        let (epoch, cold, members, hot, apart): (u64, i64, Vec<String>, Vec<String>, u32) =
            FromRedisValue::from_redis_value(Value::Array(parts)).ok()?;
        let hot = Some(hot).filter(|hot| hot.len() <= HOT);
        let cold = u64::try_from(cold).ok();
        Some(Self::Member { epoch: Epoch(epoch), cold, members, hot, apart })
    }
}

// === impl Stepped ===

impl Stepped {
    /// What `step.lua` answers; `None` for what it never does.
    pub(super) fn of(answer: Value) -> Option<Self> {
        let Value::Array(parts) = answer else { return None };
        let mut parts = parts.into_iter();
        let first: String = FromRedisValue::from_redis_value(parts.next()?).ok()?;
        match &*first {
            "gone" => return Some(Self::Gone),
            "cold" => return Some(Self::Cold),
            "ok" => {}
            _ => return None,
        }
        let numbers: Option<Vec<u64>> =
            parts.map(|part| FromRedisValue::from_redis_value(part).ok()).collect();
        let (all, rest) = numbers.as_deref()?.as_chunks::<NUMBERS>();
        let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
        let told = all.iter().map(|&[life, granted, used, weight, again, quota, period]| {
            let other = Some((number(quota), period)).filter(|(quota, _)| *quota > 0);
            Answered { life, granted, used: number(used), weight, again, other }
        });
        rest.is_empty().then(|| Self::Told(told.collect()))
    }
}

// === impl Push ===

impl<'a> Push<'a> {
    /// What `step.lua` publishes; `None` for what it never does.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(WORDS, ' ');
        Some(Self {
            to: parts.next()?,
            epoch: Epoch(parts.next()?.parse().ok()?),
            life: parts.next()?.parse().ok()?,
            granted: parts.next()?.parse().ok()?,
            bucket: parts.next()?,
        })
    }
}
