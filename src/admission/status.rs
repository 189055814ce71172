//! What operators see of the queue: who waits, why, and until when.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use tokio::time::Instant;

use super::{
    Admission,
    pauses::{Paused, Target},
    waiters::QueueKey,
};
use crate::{
    scheduler::{BucketKey, BucketState},
    slack::{Limit, Rule},
};

/// Who waits, and for what.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Held calls, by method, class and caller.
    pub queues: Vec<QueueStatus>,
    /// The buckets that are alive; whole workspaces and apps only while they are shut.
    pub buckets: Vec<BucketStatus>,
    /// What the operator has paused.
    pub paused: Vec<PauseStatus>,
    /// Places that are kept for calls that were sent away.
    pub places: usize,
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
    pub caller: Arc<str>,
    /// Calls held.
    pub depth: usize,
    /// How long the oldest of them has waited, in milliseconds.
    pub oldest_wait_ms: u64,
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
    pub key: Arc<str>,
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

// === impl Admission ===

impl Admission {
    /// A snapshot of the queue. Its cost grows with the queues and the buckets alive, not with
    /// the calls held.
    pub fn status(&self) -> Status {
        let clock = Instant::now();
        let mut guard = self.shared.lock();
        let now = self.shared.now();
        let state = &mut *guard;
        let places = state.scheduler.places();
        let paused: Vec<_> = state.pauses.list().collect();
        let (gates, buckets): (Vec<BucketState>, Vec<BucketState>) = state
            .scheduler
            .buckets(now)
            .filter(is_shown)
            .partition(|bucket| bucket.key.limit.rule == Rule::Gate);
        let mut queues: Vec<(QueueKey, QueueStatus, Option<BucketKey>)> = Vec::new();
        for (queue, since, oldest) in state.waiting.queues() {
            let (bucket, block) = state.scheduler.waits_for(now, oldest).unzip();
            let status = QueueStatus {
                method: Arc::clone(&queue.key.method),
                tier: queue.method.as_ref().map_or("none", |method| method.tier.as_str()),
                class: queue.key.class.as_str(),
                caller: Arc::clone(&queue.key.caller),
                depth: queue.depth(),
                oldest_wait_ms: millis(clock.saturating_duration_since(since)),
                waits_for: None,
                why: block.map(|block| block.why.as_str()),
                until_ms: block.and_then(|block| block.until).map(|at| millis(at.since(now))),
            };
            queues.push((queue.key.clone(), status, bucket));
        }
        // What follows costs more than what has been read, and needs no lock.
        drop(guard);
        queues.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        let queues = queues.into_iter().map(|(_, queue, bucket)| QueueStatus {
            waits_for: bucket.map(|bucket| bucket.to_string()),
            ..queue
        });
        let mut buckets: Vec<_> = buckets
            .into_iter()
            .map(|bucket| BucketStatus {
                limit: bucket.key.limit,
                key: bucket.key.values,
                used: bucket.used,
                quota: bucket.quota,
                waiting: bucket.waiting,
                places: bucket.places,
                frozen_for_ms: bucket.frozen_until.map_or(0, |until| millis(until.since(now))),
                probing: bucket.probing,
            })
            .collect();
        buckets.sort_by(|one, other| {
            (&one.limit.name, &one.key).cmp(&(&other.limit.name, &other.key))
        });
        let clock = unix_millis();
        let paused = paused.into_iter().map(|Paused { target, since, shed }| {
            let gate = target.gate();
            let gate = gates.iter().find(|bucket| bucket.key == gate);
            let waiting = gate.map_or(0, |bucket| bucket.waiting);
            PauseStatus { target, shed, paused_for_ms: clock.saturating_sub(since), waiting }
        });
        Status { queues: queues.collect(), buckets, paused: paused.collect(), places }
    }
}

/// A whole workspace or app says something only while it is shut.
fn is_shown(bucket: &BucketState) -> bool {
    bucket.key.limit.rule != Rule::Open || bucket.frozen_until.is_some() || bucket.probing
}

/// The wall clock, in milliseconds of Unix time: for what has to be understood after a restart.
pub fn unix_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
