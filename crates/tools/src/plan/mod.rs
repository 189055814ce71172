//! `slackwater plan`: how long a loop would take, before anybody runs it.

mod args;
mod before;
mod estimate;
mod job;
mod json;
mod live;
mod page;
mod record;
mod simulate;
mod straight;
mod whose;

use std::{
    io::Write,
    num::NonZeroU64,
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use config::{Config, load};
use console::NO;
use limits::{Dimension, Limit};
use slack::{Catalogue, Kind};

pub use self::args::Args;
use self::{
    before::Before,
    estimate::{Plan, plan},
};
pub(super) use self::{
    job::{Ask, Calls, Job, Planned, Said},
    live::Live,
    whose::identities,
};
use crate::through::unknown;

/// A job, and what is to be expected of it.
#[derive(Debug)]
pub(super) struct Outlook {
    job: Job,
    before: Before,
    /// Why calls never go.
    stuck: Vec<String>,
    /// None where all of them are stuck.
    plan: Option<Plan>,
    /// When it was made, in seconds since 1970.
    now: u64,
}

/// How long an answer takes where nobody says so.
pub(super) const ROUND_TRIP: Duration = Duration::from_millis(200);

/// Plans.
///
/// # Errors
/// If the configuration is not right, or the proxy that is asked does not answer.
pub fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let caller = args.caller()?;
    let mut config = load(args.config.as_deref())?;
    if let Some(minute) = args.minute {
        config.catalogue = Arc::new(Catalogue::clone(&config.catalogue).with_minute(minute));
    }
    let live = args.asked(&config)?.map(|admin| Live::ask(&admin)).transpose()?;
    let said = Said { caller: caller.as_ref(), class: args.class, user_agent: "" };
    let planned = Planned::new(&args.method, args.count, said, &config);
    let beside = planned.entry.kind != Kind::WebApi;
    let channels = args.channels.and_then(NonZeroU64::new);
    let channels = channels.or_else(|| beside.then_some(NonZeroU64::MIN));
    let unknown = unknown(&args.method, &config.catalogue);
    let saves = planned.saves(&config);
    let methods = vec![planned];
    let job = Job {
        count: args.count,
        identities: identities(live.as_ref(), &methods, args.workspaces as usize, &config),
        methods,
        calls: Calls::Alike { workspaces: args.workspaces, channels },
        at_once: args.at_once as usize,
        round_trip: args.round_trip,
        cap: args.cap.get(),
        background: config.background_share,
    };
    let mut outlook = Outlook::of(job, live.as_ref(), &config);
    if let Some(unknown) = unknown {
        outlook.before.notes.insert(0, unknown);
    }
    outlook.before.notes.extend(saves);
    if args.json {
        writeln!(out, "{:#}", outlook.json())?;
    } else {
        for note in outlook.notes() {
            writeln!(out, "{note}")?;
        }
        writeln!(out, "{}", outlook.title())?;
        for line in outlook.lines() {
            writeln!(out, "{line}")?;
        }
    }
    Ok(if outlook.plan.is_some() { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

// === impl Outlook ===

impl Outlook {
    /// What is to be expected of a job, with that proxy as it is now, or one that has nothing to do.
    pub(super) fn of(mut job: Job, live: Option<&Live>, config: &Config) -> Self {
        let mut before = match live {
            Some(live) => live.before(&mut job, config),
            None => Before::nothing(&job, config),
        };
        let stuck = job.leave_out();
        before.notes.extend(job.crowded());
        let plan = (job.count > 0).then(|| plan(&job, &before, &config.catalogue));
        Self { job, before, stuck, plan, now: unix_seconds() }
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Whether a limit counts by what a call names.
fn is_narrow(limit: &Limit) -> bool {
    [Dimension::Channel, Dimension::User, Dimension::Url].iter().any(|by| limit.scope.contains(*by))
}

#[cfg(test)]
mod tests;
