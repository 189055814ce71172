//! The queue as it stands at one moment, read under the lock that every call needs: so this only reads,
//! and what is made of it for operators costs no call anything.

use std::{collections::HashMap, sync::Arc, time::Duration};

use config::CallerName;
use limits::{BucketKey, Class};
use scheduler::{Block, BucketState};
use tokio::time::Instant;

use super::{Admission, ServerLoad};
use crate::{
    dead::DeadCredential,
    pauses::{Paused, Target},
};

/// The queue at one moment.
#[derive(Clone, Debug)]
pub struct QueueSnapshot {
    /// When, in the scheduler's time.
    pub now: scheduler::Instant,
    /// Held calls by method, class and caller, in no order.
    pub queues: Vec<HeldCalls>,
    /// Every bucket that is alive, in no order.
    pub buckets: Vec<BucketState>,
    /// What the operator has paused.
    pub paused: Vec<Paused>,
    /// Tokens and webhooks whose calls are answered at once, in no order.
    pub dead: Vec<DeadCredential>,
    /// Places that are kept for calls that were sent away.
    pub places: usize,
    /// How many calls are in flight to each server, and in all.
    pub servers: Vec<ServerLoad>,
}

/// The held calls of one method, class and caller.
#[derive(Clone, Debug)]
pub struct HeldCalls {
    /// The method; `other` for those that are not known.
    pub method: Arc<str>,
    /// Its tier.
    pub tier: &'static str,
    /// The class.
    pub class: Class,
    /// The caller.
    pub caller: CallerName,
    /// Calls held.
    pub depth: usize,
    /// How long the oldest of them has waited.
    pub oldest_wait: Duration,
    /// How long that one waits at most.
    pub hold: Duration,
    /// For which bucket the oldest stands in line, and why it does not go.
    pub waits_for: Option<(BucketKey, Block)>,
}

// === impl Admission ===

impl Admission {
    /// How many calls of each method are held. Cheaper than a [snapshot](Self::snapshot): its cost
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

    /// The buckets of a [snapshot](Self::snapshot), and when that is: its cost grows with the buckets
    /// alive only.
    pub fn buckets(&self) -> (scheduler::Instant, Vec<BucketState>) {
        let mut state = self.shared.lock();
        let now = self.shared.now();
        (now, state.scheduler.buckets(now).collect())
    }

    /// How many calls wait for the end of that pause; none if it is not on.
    pub fn waiting_for(&self, paused: &Target) -> u64 {
        let gate = paused.gate();
        let mut state = self.shared.lock();
        let now = self.shared.now();
        let mut all = state.scheduler.buckets(now);
        all.find(|bucket| bucket.key == gate).map_or(0, |bucket| bucket.waiting)
    }

    /// The queue as it stands. Its cost grows with the queues and the buckets alive, not with the
    /// calls held.
    pub fn snapshot(&self) -> QueueSnapshot {
        let clock = Instant::now();
        let mut guard = self.shared.lock();
        let now = self.shared.now();
        let state = &mut *guard;
        let queues = state.waiting.queues().map(|(queue, oldest)| HeldCalls {
            method: Arc::clone(&queue.key.method),
            tier: queue.method.as_ref().map_or("none", |method| method.tier.as_str()),
            class: queue.key.class,
            caller: queue.key.caller.clone(),
            depth: queue.depth(),
            oldest_wait: clock.saturating_duration_since(oldest.since),
            hold: oldest.until.saturating_duration_since(oldest.since),
            waits_for: state.scheduler.waits_for(now, oldest.ticket),
        });
        QueueSnapshot {
            now,
            queues: queues.collect(),
            buckets: state.scheduler.buckets(now).collect(),
            paused: state.pauses.list().collect(),
            dead: state.graves.list(clock),
            places: state.scheduler.places(),
            servers: state.waiting.servers.loads(),
        }
    }
}
