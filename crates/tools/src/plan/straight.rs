//! What the same calls would have cost without the proxy: two plain loops, judged by the fake Slack.
//!
//! Both make one call after the other. One sleeps as `Retry-After` says and makes the call again, as
//! SDKs do where their retries are on; the other goes on with the next call, as they do where
//! nobody turned them on and nobody looks at the answer. Slack's windows slide in it, and a refusal
//! closes the method in its workspace till its `Retry-After` has passed, as documented.

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use fake_slack::{Cause, Decision, Judge, Options, Rules};
use slack::Catalogue;

use super::job::Job;

/// What becomes of a loop.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Straight {
    /// 429s that it gets.
    pub(super) refused: u64,
    /// Calls that are never done.
    pub(super) lost: u64,
    /// How long something was shut for it and all others.
    pub(super) shut: Duration,
    /// How long it runs.
    pub(super) took: Duration,
}

/// So many calls are judged; beyond that they go on alike.
const JUDGED: u64 = 20_000;

/// A loop over the calls of the job, alone.
pub(super) fn straight(job: &Job, catalogue: &Arc<Catalogue>, heeds: bool) -> Straight {
    let catalogue = Arc::clone(catalogue);
    let rules = Rules::new(move |name| Arc::clone(catalogue.entry(name)));
    let mut judge = Judge::new(Options::new(rules));
    let calls = job.count.min(JUDGED);
    let mut looped = Straight::default();
    let (mut now, mut shut_until) = (Duration::ZERO, Duration::ZERO);
    for call in (0..calls).filter_map(|number| job.call(job.ask(number)?)) {
        loop {
            let arrives = now + job.round_trip / 2;
            now += job.round_trip;
            let refusal = match judge.handle(arrives, &call) {
                Decision::Accept(flight) => {
                    judge.land(flight);
                    break;
                }
                Decision::Refuse(refusal) => refusal,
            };
            looped.refused += 1;
            let pause = Duration::from_secs(refusal.retry_after.map_or(1, NonZeroU64::get));
            if refusal.cause == Cause::Window {
                let until = arrives + pause;
                looped.shut += until.saturating_sub(shut_until.max(arrives));
                shut_until = shut_until.max(until);
            }
            if !heeds {
                looped.lost += 1;
                break;
            }
            now += pause;
        }
    }
    // What is shut when it ends is nothing to it any more.
    looped.shut = looped.shut.saturating_sub(shut_until.saturating_sub(now));
    looped.took = now;
    if job.count == calls { looped } else { looped.times(job.count, calls) }
}

// === impl Straight ===

impl Straight {
    /// The same of more calls.
    fn times(self, all: u64, judged: u64) -> Self {
        let many = |some: u64| {
            let many = u128::from(some) * u128::from(all) / u128::from(judged.max(1));
            u64::try_from(many).unwrap_or(u64::MAX)
        };
        let long = |time: Duration| {
            let nanos = time.as_nanos() / u128::from(judged.max(1));
            let nanos = nanos.saturating_mul(u128::from(all));
            let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
            Duration::from_secs(seconds)
        };
        Self {
            refused: many(self.refused),
            lost: many(self.lost),
            shut: long(self.shut),
            took: long(self.took),
        }
    }
}
