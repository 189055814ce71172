//! Limits to try it with.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use limits::{AgeFrom, BucketKey, Dimension, Limit, Rate, Rule, Scope};

/// A limit of so many calls per so many milliseconds.
pub(crate) fn rate(name: &str, limit: u32, per_ms: u64, age_from: AgeFrom) -> Arc<Limit> {
    Arc::new(Limit {
        name: name.into(),
        rule: Rule::Rate(Rate {
            limit: NonZeroU32::new(limit).unwrap(),
            per: Duration::from_millis(per_ms),
            burst: None,
            tolerates: None,
        }),
        scope: Scope::of(&[Dimension::Workspace]),
        age_from,
    })
}

/// The same limit, counted by these dimensions.
pub(crate) fn per(limit: &Arc<Limit>, scope: &[Dimension]) -> Arc<Limit> {
    Arc::new(Limit { scope: Scope::of(scope), ..Limit::clone(limit) })
}

/// The same limit for a server that refuses more than so many in a burst.
pub(crate) fn in_bursts(limit: &Arc<Limit>, burst: u32) -> Arc<Limit> {
    let Rule::Rate(rate) = limit.rule else { panic!("only a rate has bursts") };
    let rule = Rule::Rate(Rate { burst: NonZeroU32::new(burst), ..rate });
    Arc::new(Limit { rule, ..Limit::clone(limit) })
}

/// What is shut only on evidence.
pub(crate) fn open(name: &str, scope: &[Dimension]) -> Arc<Limit> {
    let age_from = AgeFrom::Answer;
    Arc::new(Limit { name: name.into(), rule: Rule::Open, scope: Scope::of(scope), age_from })
}

/// What the operator has paused.
pub(crate) fn gate(name: &str) -> Arc<Limit> {
    let (rule, scope) = (Rule::Gate, Scope::default());
    Arc::new(Limit { name: name.into(), rule, scope, age_from: AgeFrom::Answer })
}

/// A limit of so many calls at once.
pub(crate) fn at_once(name: &str, limit: u32) -> Arc<Limit> {
    in_flight(name, Rule::Concurrency(NonZeroU32::new(limit).unwrap()))
}

/// Calls go in order. One without an answer holds up the next for so many milliseconds.
pub(crate) fn in_order(name: &str, patience_ms: u64) -> Arc<Limit> {
    in_flight(name, Rule::InOrder(Duration::from_millis(patience_ms)))
}

fn in_flight(name: &str, rule: Rule) -> Arc<Limit> {
    let scope = Scope::of(&[Dimension::Channel, Dimension::Caller]);
    Arc::new(Limit { name: name.into(), rule, scope, age_from: AgeFrom::Answer })
}

/// That limit's bucket at this value.
pub(crate) fn bucket(limit: &Arc<Limit>, value: &str) -> BucketKey {
    BucketKey { limit: Arc::clone(limit), values: value.into() }
}
