//! The plan: how long a job takes, at what pace, what holds it back, and what it leaves to others.
//!
//! A job of up to [`SIMULATED`] calls is simulated to its end. A longer one is simulated so far, and goes
//! on as in the second half of that: by then there have been windows enough that it is at its pace, and
//! whoever waited before it is gone.

use std::{sync::Arc, time::Duration};

use limits::{AgeFrom, Class, Dimension, Limit, Rate, Rule};
use slack::Catalogue;

use super::{
    before::Before,
    job::Job,
    record::{Record, Wait},
    simulate::{Others, Until, simulate},
    straight::{Straight, straight},
};

/// What is to be expected of a job.
#[derive(Debug)]
pub(super) struct Plan {
    /// How long it takes, and whether that is by its pace. None: longer than anything here.
    pub(super) took: Option<Duration>,
    pub(super) about: bool,
    /// Calls a minute, where it goes on.
    pub(super) per_minute: f64,
    /// What it waits for, the longest first, with the part of its waiting; less than a hundredth is
    /// left out.
    pub(super) waits: Vec<Waited>,
    /// What is left of the limit that holds it back most, or that it uses most; none if it is over
    /// before anything holds it back.
    pub(super) left: Option<Left>,
    /// Without the proxy: with sleeps as `Retry-After` says, and without.
    pub(super) straight: [Straight; 2],
}

/// What a job waits for.
#[derive(Debug)]
pub(super) struct Waited {
    pub(super) what: Holds,
    /// The part of its waiting, from 0 to 1.
    pub(super) part: f64,
    /// Whether most of that is for slots that are kept for more urgent calls.
    pub(super) for_people: bool,
}

/// What holds a job back.
#[derive(Clone, Debug)]
pub(super) enum Holds {
    Limit(Arc<Limit>),
    /// One that no document names: posts in their order, a whole app that is shut.
    Other(Arc<str>),
    Cap,
    Answers,
}

/// What is left of a limit for others while the job goes on; each in calls a minute.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) limit: Arc<Limit>,
    /// What nobody takes if nobody else calls.
    pub(super) free: f64,
    /// What another caller gets that asks for all of it.
    pub(super) interactive: f64,
    pub(super) normal: f64,
}

/// So many calls are simulated, and up to ten times as many where windows are large.
const SIMULATED: u64 = 20_000;
const MOST: u64 = 10 * SIMULATED;
/// A job is at its pace after so many windows.
const WINDOWS: u64 = 4;
/// What is left to others is what they get in so many windows, or while so many calls go: more of
/// small windows, fewer of large ones, and as many before it is counted.
const PERIODS: u32 = 20;
const FEW: u32 = 400;
const MANY: u32 = 10_000;
/// Added to every period, as windows do.
const GRAIN: Duration = Duration::from_millis(20);
/// Less of the waiting is not told.
const LEAST: f64 = 0.01;

/// Plans a job behind what is before it.
pub(super) fn plan(job: &Job, before: &Before, catalogue: &Arc<Catalogue>) -> Plan {
    plan_of(job, before, catalogue, SIMULATED)
}

/// The same, with so many calls simulated.
pub(super) fn plan_of(
    job: &Job,
    before: &Before,
    catalogue: &Arc<Catalogue>,
    simulated: u64,
) -> Plan {
    let lots = job.lots().into_values().map(|(lot, _)| lot);
    let lots = lots.chain(job.cap.map(|(most, _)| most.into()));
    let enough = lots.max().unwrap_or(1).saturating_mul(WINDOWS).min(MOST);
    let most = simulated.max(enough);
    let forever = |calls| Until { calls, time: Duration::MAX };
    let record = simulate(job, before, None, forever(job.count.min(most)));
    let pace = pace(&record, job);
    let done = u64::try_from(record.finishes.len()).unwrap_or(u64::MAX);
    let last = record.finishes.last().copied();
    let more = job.count - done.min(job.count);
    let took = match more {
        0 => last,
        more => pace.and_then(|pace| {
            let rest = Duration::try_from_secs_f64(real(more) / pace).ok()?;
            last?.checked_add(rest)
        }),
    };
    // The pace of few calls is that of many of their kind.
    let long = (done < enough).then(|| simulate(job, &Before::default(), None, forever(enough)));
    let pace = long.as_ref().map_or(pace, |long| self::pace(long, job)).unwrap_or_default();
    let waits = waits(&record, job);
    let steady = long.as_ref().unwrap_or(&record);
    // Calls that all go at once leave what they have not taken, and keep no pace.
    let is_long = long.is_none() || waits.iter().any(|it| !matches!(it.what, Holds::Answers));
    Plan {
        took,
        about: more > 0,
        per_minute: pace * 60.0,
        left: is_long.then(|| left(job, &waits, steady, pace)).flatten(),
        waits,
        straight: [true, false].map(|heeds| straight(job, catalogue, heeds)),
    }
}

/// Calls a second in the second half, in whole lots of the slowest of what is waited for: that is
/// what comes round again, however long the others are waited for in between.
fn pace(record: &Record, job: &Job) -> Option<f64> {
    let half = record.finishes.len() / 2;
    let lots = job.lots();
    let waited = record.waits.keys().filter_map(|wait| match wait {
        Wait::Limit(name) => lots.get(name).copied(),
        Wait::Cap => job.cap.map(|(most, every)| (most.into(), every)),
        Wait::Answers => None,
    });
    let time_of_one = |(lot, per): &(u64, Duration)| per.as_secs_f64() / real(*lot);
    let slowest = waited.max_by(|one, other| time_of_one(one).total_cmp(&time_of_one(other)));
    let lot = slowest.map_or(1, |(lot, _)| lot);
    let lot = usize::try_from(lot).unwrap_or(usize::MAX).max(1);
    let calls = if half >= lot { half - half % lot } else { half };
    let last = record.finishes.len().checked_sub(1)?;
    let from = record.finishes.get(last.checked_sub(calls)?)?;
    let time = record.finishes.last()?.saturating_sub(*from).as_secs_f64();
    (time > 0.0).then(|| real(u64::try_from(calls).unwrap_or(u64::MAX)) / time)
}

/// What it waited for.
fn waits(record: &Record, job: &Job) -> Vec<Waited> {
    let all: f64 = record.waits.values().map(Duration::as_secs_f64).sum();
    let mut waits: Vec<_> = record
        .waits
        .iter()
        .map(|(wait, time)| {
            let people = record.for_people.get(wait).copied().unwrap_or_default();
            Waited {
                what: match wait {
                    Wait::Cap => Holds::Cap,
                    Wait::Answers => Holds::Answers,
                    Wait::Limit(name) => {
                        let mut limits = job.methods.iter().flat_map(|it| &it.entry.limits);
                        let limit = limits.find(|limit| limit.name == *name);
                        let other = || Holds::Other(Arc::clone(name));
                        limit.map_or_else(other, |limit| Holds::Limit(Arc::clone(limit)))
                    }
                },
                part: if all > 0.0 { time.as_secs_f64() / all } else { 0.0 },
                for_people: people > *time / 2,
            }
        })
        .filter(|waited| waited.part >= LEAST)
        .collect();
    waits.sort_by(|one, other| other.part.total_cmp(&one.part));
    waits
}

/// What is left of the limit that it waits for most, else of the one that it uses most.
fn left(job: &Job, waits: &[Waited], steady: &Record, pace: f64) -> Option<Left> {
    let calls = u64::try_from(steady.finishes.len()).unwrap_or(u64::MAX);
    let takes = |limit: &Limit| {
        let busiest = steady.busiest.get(&limit.name).copied().unwrap_or(0);
        pace * real(busiest) / real(calls.max(1))
    };
    let cycle = |rate: Rate, limit: &Limit| match limit.age_from {
        AgeFrom::Answer => rate.per + GRAIN + job.round_trip,
        AgeFrom::Send => rate.per + GRAIN,
    };
    let gives =
        |rate: Rate, limit: &Limit| f64::from(rate.limit.get()) / cycle(rate, limit).as_secs_f64();
    let rates = job.limits().into_iter().filter_map(|limit| match limit.rule {
        Rule::Rate(rate) => Some((limit, rate)),
        _ => None,
    });
    let waited = waits.iter().find_map(|waited| match &waited.what {
        Holds::Limit(limit) => Some(&limit.name),
        _ => None,
    });
    let part = |(limit, rate): &(&Arc<Limit>, Rate)| takes(limit) / gives(*rate, limit);
    let (limit, rate) = match waited {
        Some(name) => rates.into_iter().find(|(limit, _)| limit.name == *name)?,
        None => rates.max_by(|one, other| part(one).total_cmp(&part(other)))?,
    };
    let windows = PERIODS.max(FEW / rate.limit).min(MANY / rate.limit).max(1);
    let counted = cycle(rate, limit) * windows;
    let gets = |class| {
        let others = Others { class, limit: Arc::clone(limit) };
        let until = Until { calls: u64::MAX, time: counted * 2 };
        let record = simulate(job, &Before::default(), Some(others), until);
        let from = until.time.saturating_sub(counted);
        let late = record.others.len() - record.others.partition_point(|at| *at <= from);
        let late = real(u64::try_from(late).unwrap_or(u64::MAX));
        late / counted.as_secs_f64() * 60.0
    };
    // Of a budget of the caller's own there is nothing to share.
    if limit.scope.contains(Dimension::Caller) {
        return None;
    }
    Some(Left {
        limit: Arc::clone(limit),
        free: (gives(rate, limit) - takes(limit)).max(0.0) * 60.0,
        interactive: gets(Class::Interactive),
        normal: gets(Class::Normal),
    })
}

#[expect(clippy::cast_precision_loss, reason = "nobody plans 2^53 calls")]
fn real(calls: u64) -> f64 {
    calls as f64
}
