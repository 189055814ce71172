//! When a caller calls.

use std::time::Duration;

use scheduler::Instant;
use serde::Deserialize;

use super::{chance::Chance, text::Span};

/// How a caller's calls arrive. `from` is the start and `until` the end of the run where they
/// are not said.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Arrivals {
    /// So many at once.
    Flood { calls: u32, at: Option<Span> },
    /// One in so long on average, independent of each other.
    Poisson { every: Span, from: Option<Span>, until: Option<Span> },
    /// One in exactly so long.
    Periodic { every: Span, from: Option<Span>, until: Option<Span> },
    /// So many outstanding: with each that ends the next one begins.
    Closed { outstanding: u32, from: Option<Span>, until: Option<Span> },
    /// One in exactly so long, while it is on.
    OnOff { every: Span, on: Span, off: Span, from: Option<Span>, until: Option<Span> },
}

/// The arrivals of one caller, as they come.
#[derive(Debug)]
pub(super) struct Process {
    arrivals: Arrivals,
    chance: Chance,
    /// Where among callers of its kind it is, from zero to below one.
    phase: f64,
}

/// Between the end of a call and the next of a closed loop.
const THINKING: Duration = Duration::from_millis(10);

// === impl Process ===

impl Process {
    pub(super) fn new(arrivals: Arrivals, chance: Chance, phase: f64) -> Self {
        Self { arrivals, chance, phase }
    }

    /// When the first calls come.
    pub(super) fn first(&mut self) -> Vec<Instant> {
        let start = |from: Option<Span>| Instant::ZERO + from.map_or(Duration::ZERO, |span| span.0);
        match self.arrivals {
            Arrivals::Flood { calls, at } => vec![start(at); calls as usize],
            Arrivals::Poisson { every, from, .. } => {
                vec![start(from) + self.chance.exponential(every.0)]
            }
            Arrivals::Periodic { every, from, .. } | Arrivals::OnOff { every, from, .. } => {
                vec![start(from) + every.0.mul_f64(self.phase)]
            }
            Arrivals::Closed { outstanding, from, .. } => vec![start(from); outstanding as usize],
        }
    }

    /// When the call after one that comes `now` comes, if that is known already.
    pub(super) fn next(&mut self, now: Instant) -> Option<Instant> {
        match self.arrivals {
            Arrivals::Flood { .. } | Arrivals::Closed { .. } => None,
            Arrivals::Poisson { every, until, .. } => {
                before(now + self.chance.exponential(every.0), until)
            }
            Arrivals::Periodic { every, until, .. } => before(now + every.0, until),
            Arrivals::OnOff { every, on, off, from, until } => {
                let next = now + every.0;
                let start = Instant::ZERO + from.map_or(Duration::ZERO, |span| span.0);
                let cycle = (on.0 + off.0).as_nanos();
                let into = next.since(start).as_nanos() % cycle;
                let rest = u64::try_from(cycle - into).unwrap_or(u64::MAX);
                let pause = if into < on.0.as_nanos() { 0 } else { rest };
                before(next + Duration::from_nanos(pause), until)
            }
        }
    }

    /// When the call after one that ends `now` comes, if it waited for that.
    pub(super) fn after(&self, now: Instant) -> Option<Instant> {
        match self.arrivals {
            Arrivals::Closed { until, .. } => before(now + THINKING, until),
            _ => None,
        }
    }
}

fn before(at: Instant, until: Option<Span>) -> Option<Instant> {
    until.is_none_or(|until| at < Instant::ZERO + until.0).then_some(at)
}
