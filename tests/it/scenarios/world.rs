//! What a scenario has in it: limits, methods, callers and what a call counts against.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use limits::{BucketKey, Dimension, Limit, Rate, Rule, Scope, Weight};
use scheduler::{Caller, CallerId};
use slack::{Kind, Method, OPEN, Tier};

use super::file::{CallerSpec, LimitSpec, Scenario, Surprise};

/// A scenario as it is run.
#[derive(Debug)]
pub(super) struct World {
    pub(super) scenario: Scenario,
    pub(super) methods: BTreeMap<String, Arc<Method>>,
    pub(super) members: Vec<Member>,
}

/// One caller.
#[derive(Debug)]
pub(super) struct Member {
    /// `steady` of one, `steady-3` of several.
    pub(super) name: String,
    /// What it is called in the file.
    pub(super) kind: String,
    pub(super) spec: CallerSpec,
    pub(super) caller: Caller,
    /// Where among its kind it is, from zero to below one.
    pub(super) phase: f64,
}

// === impl World ===

impl World {
    /// The scenario, perhaps without one of its callers.
    pub(super) fn new(scenario: &Scenario, without: Option<&str>) -> Self {
        let limits = scenario.limits.iter();
        let limits: BTreeMap<_, _> =
            limits.map(|(name, spec)| (name.as_str(), Arc::new(limit(name, spec)))).collect();
        let methods = scenario.methods.iter();
        let methods = methods.map(|(name, of)| {
            let of = of.iter().map(|limit| Arc::clone(&limits[limit.as_str()]));
            (name.clone(), Arc::new(method(name, of.collect())))
        });
        let methods = methods.collect();
        let mut members = Vec::new();
        let mut id = 0;
        for (kind, spec) in &scenario.callers {
            for nth in 0..spec.count {
                // Counted without regard to who is left out, so that everyone else keeps its own.
                id += 1;
                if without == Some(kind) {
                    continue;
                }
                members.push(Member {
                    name: if spec.count == 1 { kind.clone() } else { format!("{kind}-{nth}") },
                    kind: kind.clone(),
                    spec: spec.clone(),
                    caller: Caller { id: CallerId(id), weight: Weight::new(spec.weight) },
                    phase: f64::from(nth) / f64::from(spec.count),
                });
            }
        }
        Self { scenario: scenario.clone(), methods, members }
    }

    /// What a limit allows, if it is a rate.
    pub(super) fn rate(&self, limit: &str) -> Option<Rate> {
        match rule(&self.scenario.limits[limit]) {
            Rule::Rate(rate) => Some(rate),
            _ => None,
        }
    }

    /// What a saturated bucket of that limit takes from one call to the next, at what the server
    /// allows all the time.
    pub(super) fn slot(&self, limit: &str) -> Duration {
        let Scenario { server, runs_for, .. } = &self.scenario;
        let always = |one: &&Surprise| one.from.0.is_zero() && one.until.0 >= runs_for.0;
        let lower = server.surprises.iter().filter(|one| one.limit == limit).filter(always);
        let lower = lower.map(|one| one.to).min().unwrap_or(u32::MAX);
        let round_trip = server.one_way.mean_of_two();
        self.rate(limit)
            .map_or(round_trip, |rate| (rate.per + round_trip) / rate.limit.get().min(lower))
    }
}

// === impl Member ===

impl Member {
    /// The call of that number, as Slack sees it.
    pub(super) fn call(&self, number: u64) -> fake_slack::Call {
        let spec = &self.spec;
        let (app, workspace) = (spec.app.of(number), spec.workspace.of(number));
        let call = fake_slack::Call::new(&spec.method, &app, &workspace);
        match &spec.channel {
            Some(channel) => call.to_channel(&channel.of(number)),
            None => call,
        }
    }

    /// What a call counts against, as the proxy sees it.
    pub(super) fn buckets(&self, call: &fake_slack::Call, method: &Method) -> Vec<BucketKey> {
        let value = |dimension| match dimension {
            Dimension::App => &*call.identity.app,
            Dimension::Workspace | Dimension::Org => &*call.identity.workspace,
            Dimension::Channel => call.channel.as_deref().unwrap_or_default(),
            Dimension::Caller => &self.name,
            _ => &*call.method,
        };
        let limits = method.limits.iter().chain(&*OPEN);
        let bucket = |limit: &Arc<Limit>| {
            let values: Vec<&str> = limit.scope.iter().map(value).collect();
            BucketKey { limit: Arc::clone(limit), values: values.join("/").into() }
        };
        limits.map(bucket).collect()
    }
}

fn limit(name: &str, spec: &LimitSpec) -> Limit {
    let scope: Vec<_> = spec.scope.iter().map(|dimension| dimension.0).collect();
    Limit {
        name: name.into(),
        rule: rule(spec),
        scope: Scope::of(&scope),
        age_from: spec.age_from.0,
    }
}

fn rule(spec: &LimitSpec) -> Rule {
    let whole = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    if let Some(most) = spec.concurrency {
        return Rule::Concurrency(whole(most));
    }
    if let Some(patience) = &spec.in_order {
        return Rule::InOrder(patience.0);
    }
    Rule::Rate(Rate {
        limit: spec.limit.map_or(NonZeroU32::MIN, whole),
        per: spec.per.map_or(Duration::ZERO, |span| span.0),
        burst: spec.burst.map(whole),
        tolerates: spec.tolerates.map(whole),
    })
}

fn method(name: &str, limits: Vec<Arc<Limit>>) -> Method {
    Method {
        name: name.into(),
        kind: Kind::WebApi,
        tier: Tier::Special,
        limits,
        channel_arg: None,
        user_arg: None,
        reads: true,
        in_order: None,
        class: None,
        max_wait: None,
        enabled: true,
        mode: None,
        saves: slack::Savings::default(),
    }
}
