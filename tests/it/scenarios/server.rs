//! The strict server: it counts calls as Slack might, and shares no line with the scheduler.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use fake_slack::{Call, Decision, Flight, Judge, LimitHit, Options, Rules};
use limits::Rule;
use scheduler::Instant;
use slack::Method;

use super::{file::Closes, world::World};

/// Who judges whether the limits are kept.
#[derive(Debug)]
pub(super) struct Server {
    judge: Judge,
    surprises: Vec<(Duration, Duration, Judge)>,
    closes: Vec<Closes>,
}

/// What it says of a call.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It counts. The flight ends with the answer.
    Accepted(Flight),
    /// A limit that the proxy knows was broken.
    Violation { retry_after: Duration },
    /// Something that the proxy cannot know.
    Refused { retry_after: Duration },
}

// === impl Server ===

impl Server {
    pub(super) fn new(world: &World) -> Self {
        let spec = &world.scenario.server;
        let surprise = |(limit, to): (&str, u32)| {
            let methods = world.methods.iter();
            methods.map(|(name, method)| (name.clone(), lowered(method, limit, to))).collect()
        };
        let surprises = spec.surprises.iter().map(|one| {
            let methods: HashMap<_, _> = surprise((&one.limit, one.to));
            (one.from.0, one.until.0, judge(world, methods))
        });
        let believed = world.methods.iter().map(|(name, of)| (name.clone(), Arc::clone(of)));
        Self {
            judge: judge(world, believed.collect()),
            surprises: surprises.collect(),
            closes: spec.closes.clone(),
        }
    }

    /// Counts a call, or refuses it.
    pub(super) fn count(&mut self, now: Instant, call: &Call) -> Verdict {
        let now = now.since(Instant::ZERO);
        let seconds = |left: Duration| {
            Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0))
        };
        for closes in &self.closes {
            if *closes.method == *call.method && (closes.from.0..closes.until.0).contains(&now) {
                let left = closes.until.0.saturating_sub(now);
                return Verdict::Refused { retry_after: seconds(left) };
            }
        }
        let asks = |refusal: LimitHit| {
            Duration::from_secs(refusal.retry_after.map_or(1, std::num::NonZeroU64::get))
        };
        for (from, until, judge) in &mut self.surprises {
            if !(*from..*until).contains(&now) {
                continue;
            }
            match judge.handle(now, call) {
                Decision::Accept(flight) => judge.land(flight),
                Decision::Refuse(refusal) => {
                    return Verdict::Refused { retry_after: asks(refusal) };
                }
            }
        }
        match self.judge.handle(now, call) {
            Decision::Accept(flight) => Verdict::Accepted(flight),
            Decision::Refuse(refusal) => Verdict::Violation { retry_after: asks(refusal) },
        }
    }

    /// The answer of an accepted call is on its way.
    pub(super) fn land(&mut self, flight: Flight) {
        self.judge.land(flight);
    }
}

fn judge(world: &World, methods: HashMap<String, Arc<Method>>) -> Judge {
    let spec = &world.scenario.server;
    let rules = Rules::new(move |name| Arc::clone(&methods[name]));
    let (shape, penalty, seed) = (spec.shape.0, spec.penalty.0, world.scenario.seed);
    Judge::new(Options { shape, penalty, seed, ..Options::new(rules) })
}

fn lowered(method: &Method, name: &str, to: u32) -> Arc<Method> {
    let mut method = method.clone();
    for limit in &mut method.limits {
        if *limit.name == *name {
            let limit = Arc::make_mut(limit);
            if let Rule::Rate(rate) = &mut limit.rule {
                rate.limit = NonZeroU32::new(to).unwrap_or(NonZeroU32::MIN);
            }
        }
    }
    Arc::new(method)
}
