//! What operators see of the queue.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use tokio::time::Instant;

use super::Admission;
use crate::scheduler::Class;

/// Who waits, and for what.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Held calls, by method, class and caller.
    pub queues: Vec<QueueStatus>,
    /// The buckets that are alive.
    pub buckets: Vec<BucketStatus>,
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
}

/// One bucket.
#[derive(Clone, Debug, Serialize)]
pub struct BucketStatus {
    /// The limit's name.
    pub limit: Arc<str>,
    /// The values it counts by.
    pub key: Arc<str>,
    /// Slots taken.
    pub used: u32,
    /// Slots in all.
    pub quota: u32,
    /// Calls that wait for it.
    pub waiting: u64,
    /// For how much longer it is closed, in milliseconds; 0 if it is open.
    pub frozen_for_ms: u64,
}

// === impl Admission ===

impl Admission {
    /// A snapshot of the queue. Its cost grows with the calls held and the buckets alive.
    pub fn status(&self) -> Status {
        let clock = Instant::now();
        let mut state = self.shared.lock();
        let now = self.shared.now();
        let mut buckets: Vec<_> = state
            .scheduler
            .buckets(now)
            .map(|bucket| BucketStatus {
                limit: Arc::clone(&bucket.key.limit.name),
                key: Arc::clone(&bucket.key.values),
                used: bucket.used,
                quota: bucket.quota,
                waiting: bucket.waiting,
                frozen_for_ms: bucket.frozen_until.map_or(0, |until| millis(until.since(now))),
            })
            .collect();
        let mut queues = BTreeMap::<(Arc<str>, Class, Arc<str>), QueueStatus>::new();
        for waiter in state.waiting.values() {
            let method = waiter.method.as_ref();
            let name = method.map_or_else(|| "-".into(), |method| Arc::clone(&method.name));
            let key = (Arc::clone(&name), waiter.class, Arc::clone(&waiter.caller));
            let queue = queues.entry(key).or_insert_with(|| QueueStatus {
                method: name,
                tier: method.map_or("none", |method| method.tier.as_str()),
                class: waiter.class.as_str(),
                caller: Arc::clone(&waiter.caller),
                depth: 0,
                oldest_wait_ms: 0,
            });
            queue.depth += 1;
            let waited = millis(clock.saturating_duration_since(waiter.since));
            queue.oldest_wait_ms = queue.oldest_wait_ms.max(waited);
        }
        drop(state);
        buckets.sort_by(|one, other| (&one.limit, &one.key).cmp(&(&other.limit, &other.key)));
        Status { queues: queues.into_values().collect(), buckets }
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
