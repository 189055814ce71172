//! What operators see of the queue: who waits, why, and until when.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use config::CallerName;
use limits::{BucketKey, Dimension, Limit, Rule, Values};
use scheduler::BucketState;
use serde::Serialize;
use tokio::time::Instant;

use super::{Admission, waiters::QueueKey};
use crate::{
    pauses::{Paused, Target},
    state::unix_millis,
};

/// Who waits, and for what.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Held calls, by method, class and caller.
    pub queues: Vec<QueueStatus>,
    /// The buckets that are alive; whole workspaces and apps only while they are shut.
    pub buckets: Vec<BucketStatus>,
    /// Callers that have calls held, most of them first.
    pub callers: Vec<Held>,
    /// Workspaces that have calls of the Web API held, most of them first.
    pub workspaces: Vec<Held>,
    /// What the operator has paused.
    pub paused: Vec<PauseStatus>,
    /// Places that are kept for calls that were sent away.
    pub places: usize,
}

/// Whose calls are held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The name of the caller or the workspace.
    pub name: Arc<str>,
    /// Calls held.
    pub depth: u64,
}

/// A pause.
#[derive(Clone, Debug, Serialize)]
pub struct PauseStatus {
    /// What is paused.
    #[serde(flatten)]
    pub target: Target,
    /// Whether calls are shed at once, and not held.
    pub shed: bool,
    /// For how long already, in milliseconds.
    pub paused_for_ms: u64,
    /// Calls that wait for its end.
    pub waiting: u64,
}

/// The held calls of one method, class and caller.
#[derive(Clone, Debug, Serialize)]
pub struct QueueStatus {
    /// The method; `other` for those that are not known.
    pub method: Arc<str>,
    /// Its tier.
    pub tier: &'static str,
    /// The class.
    pub class: &'static str,
    /// The caller.
    pub caller: CallerName,
    /// Calls held.
    pub depth: usize,
    /// How long the oldest of them has waited, in milliseconds.
    pub oldest_wait_ms: u64,
    /// How long that one waits at most, in milliseconds.
    pub hold_ms: u64,
    /// For which bucket the oldest stands in line.
    pub waits_for: Option<String>,
    /// Why it does not go.
    pub why: Option<&'static str>,
    /// For how much longer, in milliseconds; absent if that takes an answer.
    pub until_ms: Option<u64>,
}

/// One bucket.
#[derive(Clone, Debug, Serialize)]
pub struct BucketStatus {
    /// The limit's name.
    #[serde(serialize_with = "name")]
    pub limit: Arc<Limit>,
    /// The values it counts by.
    #[serde(serialize_with = "values")]
    pub key: Values,
    /// Slots taken.
    pub used: u32,
    /// Slots in all.
    pub quota: u32,
    /// Calls that are held for it.
    pub waiting: u64,
    /// Places in its line, of calls that were sent away.
    pub places: u64,
    /// For how much longer it is closed, in milliseconds; 0 if it is open.
    pub frozen_for_ms: u64,
    /// Whether, after a pause, calls are let through one by one.
    pub probing: bool,
}

fn name<S: serde::Serializer>(limit: &Limit, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&limit.name)
}

fn values<S: serde::Serializer>(values: &Values, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(values.as_str())
}

// === impl Admission ===

impl Admission {
    /// How many calls of each method are held. Cheaper than a [snapshot](Self::status): its cost
    /// grows with the queues only.
    pub fn held_by_method(&self) -> HashMap<Arc<str>, u64> {
        let mut depths = Vec::new();
        let state = self.shared.lock();
        for (queue, ..) in state.waiting.queues() {
            depths.push((Arc::clone(&queue.key.method), queue.depth() as u64));
        }
        drop(state);
        let mut held = HashMap::new();
        for (method, depth) in depths {
            *held.entry(method).or_default() += depth;
        }
        held
    }

    /// Every bucket that [`Self::status`] tells of, in no order, and nothing else: its cost grows
    /// with the buckets alive only.
    pub fn buckets(&self) -> Vec<BucketStatus> {
        let mut state = self.shared.lock();
        let now = self.shared.now();
        let all: Vec<_> = state.scheduler.buckets(now).filter(is_shown).collect();
        drop(state);
        all.into_iter().map(|bucket| BucketStatus::new(bucket, now)).collect()
    }

    /// How many calls wait for the end of that pause; none if it is not on.
    pub fn waiting_for(&self, paused: &Target) -> u64 {
        let gate = paused.gate();
        let mut state = self.shared.lock();
        let now = self.shared.now();
        let mut all = state.scheduler.buckets(now);
        all.find(|bucket| bucket.key == gate).map_or(0, |bucket| bucket.waiting)
    }

    /// A snapshot of the queue. Its cost grows with the queues and the buckets alive, not with
    /// the calls held.
    pub fn status(&self) -> Status {
        let clock = Instant::now();
        let mut guard = self.shared.lock();
        let now = self.shared.now();
        let state = &mut *guard;
        let places = state.scheduler.places();
        let paused: Vec<_> = state.pauses.list().collect();
        let all: Vec<BucketState> = state.scheduler.buckets(now).collect();
        let mut queues: Vec<(QueueKey, QueueStatus, Option<BucketKey>)> = Vec::new();
        for (queue, oldest) in state.waiting.queues() {
            let (bucket, block) = state.scheduler.waits_for(now, oldest.ticket).unzip();
            let status = QueueStatus {
                method: Arc::clone(&queue.key.method),
                tier: queue.method.as_ref().map_or("none", |method| method.tier.as_str()),
                class: queue.key.class.as_str(),
                caller: queue.key.caller.clone(),
                depth: queue.depth(),
                oldest_wait_ms: millis(clock.saturating_duration_since(oldest.since)),
                hold_ms: millis(oldest.until.saturating_duration_since(oldest.since)),
                waits_for: None,
                why: block.map(|block| block.reason.as_str()),
                until_ms: block.and_then(|block| block.until).map(|at| millis(at.since(now))),
            };
            queues.push((queue.key.clone(), status, bucket));
        }
        // What follows costs more than what has been read, and needs no lock.
        drop(guard);
        queues.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        let queues: Vec<_> = queues
            .into_iter()
            .map(|(_, queue, bucket)| QueueStatus {
                waits_for: bucket.map(|bucket| bucket.to_string()),
                ..queue
            })
            .collect();
        let workspaces = most_held(all.iter().filter_map(|bucket| {
            let name = workspace(bucket).filter(|_| bucket.waiting > 0)?;
            Some((Arc::from(name), bucket.waiting))
        }));
        let (buckets, others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_shown);
        let buckets = buckets.into_iter();
        let mut buckets: Vec<_> = buckets.map(|bucket| BucketStatus::new(bucket, now)).collect();
        buckets.sort_by(|one, other| {
            (&one.limit.name, &one.key).cmp(&(&other.limit.name, &other.key))
        });
        let callers = queues.iter().map(|queue| (&queue.caller, queue.depth as u64));
        let callers = most_held(callers.map(|(name, depth)| (Arc::clone(name.shared()), depth)));
        let clock = unix_millis();
        let paused = paused.into_iter().map(|Paused { target, since, shed }| {
            let gate = target.gate();
            let gate = others.iter().find(|bucket| bucket.key == gate);
            let waiting = gate.map_or(0, |bucket| bucket.waiting);
            PauseStatus { target, shed, paused_for_ms: clock.saturating_sub(since), waiting }
        });
        let paused = paused.collect();
        Status { queues, buckets, callers, workspaces, paused, places }
    }
}

// === impl BucketStatus ===

impl BucketStatus {
    fn new(bucket: BucketState, now: scheduler::Instant) -> Self {
        Self {
            limit: bucket.key.limit,
            key: bucket.key.values,
            used: bucket.used,
            quota: bucket.quota,
            waiting: bucket.waiting,
            places: bucket.places,
            frozen_for_ms: bucket.frozen_until.map_or(0, |until| millis(until.since(now))),
            probing: bucket.probing,
        }
    }

    /// The method that it counts, if its limit counts by method.
    pub fn method(&self) -> Option<&str> {
        self.key.get(self.limit.scope, Dimension::Method)
    }
}

/// The workspace that a bucket is the whole of.
fn workspace(bucket: &BucketState) -> Option<&str> {
    let is_whole = bucket.key.limit.rule == Rule::Open;
    bucket.key.value(Dimension::Workspace).filter(|_| is_whole)
}

/// Each name once, with the most calls first.
fn most_held(all: impl Iterator<Item = (Arc<str>, u64)>) -> Vec<Held> {
    let mut depths = BTreeMap::<Arc<str>, u64>::new();
    for (name, depth) in all {
        *depths.entry(name).or_default() += depth;
    }
    let mut held: Vec<_> = depths.into_iter().map(|(name, depth)| Held { name, depth }).collect();
    held.sort_by_key(|held| std::cmp::Reverse(held.depth));
    held
}

/// A whole workspace or app says something only while it is shut. Pauses are told by themselves.
fn is_shown(bucket: &BucketState) -> bool {
    match bucket.key.limit.rule {
        Rule::Rate(_) | Rule::Concurrency(_) => true,
        Rule::Open => bucket.frozen_until.is_some() || bucket.probing,
        Rule::Gate => false,
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
