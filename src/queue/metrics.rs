//! What is counted of the queue, and of calls that are only watched.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use limits::{Dimension, Scope};
use prometheus::{HistogramVec, IntCounter, IntCounterVec};
use slack::Dead;

use super::ShedReason;
use crate::{
    call::record::Record,
    metrics::{Registry, by_label},
};

/// Handles to the queue's metrics. Clones count together.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    freezes: IntCounterVec,
    replays: IntCounterVec,
    failed_fast: IntCounterVec,
    shadow_wait: HistogramVec,
    shadow_sheds: IntCounterVec,
    shadow_refusals: IntCounterVec,
}

/// The buckets of a histogram of waits. From a millisecond to the longest hold: most calls wait for
/// nothing, those of a job for minutes.
pub(crate) const WAIT: [f64; 17] = [
    0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0,
    900.0, 3600.0,
];

// === impl QueueMetrics ===

impl QueueMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let failed_fast = registry.counters(
            "slackwater_fail_fast_total",
            "Calls answered at once because Slack has called their token or webhook good for nothing.",
            &["reason"],
        )?;
        // Prometheus sees how much a series grows, and not where it begins.
        for reason in Dead::ALL {
            failed_fast.with_label_values(&[reason.as_str()]);
        }
        Ok(Self {
            failed_fast,
            freezes: registry.counters(
                "slackwater_freezes_total",
                "Buckets closed because Slack refused a call, by what they count per.",
                &["scope"],
            )?,
            replays: registry.counters(
                "slackwater_replays_total",
                "Calls queued again after Slack had refused them.",
                &["method"],
            )?,
            shadow_wait: registry.histograms(
                "slackwater_shadow_wait_seconds",
                "How long calls that are only watched would have waited for their turn.",
                &["tier", "class"],
                &WAIT,
            )?,
            shadow_sheds: registry.counters(
                "slackwater_shadow_sheds_total",
                "Calls that are only watched and would have been refused.",
                &["method", "reason"],
            )?,
            shadow_refusals: registry.counters(
                "slackwater_shadow_429_total",
                "Calls that are only watched and were sent while a limit had no room for them.",
                &["method"],
            )?,
        })
    }

    /// A bucket of a limit with that scope was closed. The label is bounded: limits come from
    /// the catalogue and the configuration only.
    pub fn froze(&self, scope: Scope) {
        self.freezes(scope).inc();
    }

    /// A refused call goes to the queue again.
    pub fn replayed(&self, method: &str) {
        self.replays.with_label_values(&[method]).inc();
    }

    /// A call was answered at once for that reason.
    pub fn failed_fast(&self, reason: Dead) {
        self.failed_fast.with_label_values(&[reason.as_str()]).inc();
    }

    /// A call that is only watched would have waited so long.
    pub fn would_wait(&self, record: &Record, time: Duration) {
        let wait = self.shadow_wait.with_label_values(&[record.tier(), record.class()]);
        wait.observe(time.as_secs_f64());
    }

    /// A call that is only watched would have been shed.
    pub fn would_shed(&self, record: &Record, reason: &str) {
        self.shadow_sheds.with_label_values(&[record.method(), reason]).inc();
    }

    /// A call that is only watched was sent while a limit had no room for it.
    pub fn would_be_refused(&self, record: &Record) {
        self.shadow_refusals.with_label_values(&[record.method()]).inc();
    }

    /// The method's counter of replays is exported with 0 before it counts.
    pub(crate) fn begin(&self, method: &str) {
        self.replays.with_label_values(&[method]);
    }

    /// The counters of freezes of limits with these scopes are exported with 0 before they count.
    pub(crate) fn begin_freezes(&self, scopes: impl Iterator<Item = Scope>) {
        for scope in scopes.collect::<HashSet<_>>() {
            self.freezes(scope);
        }
    }

    /// The same for a method whose calls are only watched.
    pub(crate) fn begin_watched(&self, method: &str) {
        self.shadow_refusals.with_label_values(&[method]);
        for reason in ShedReason::WATCHED {
            self.shadow_sheds.with_label_values(&[method, reason.as_str()]);
        }
    }

    /// Calls queued again since the start, by the value of a label.
    pub(crate) fn replays_by(&self, label: &str) -> BTreeMap<String, u64> {
        by_label(&self.replays, label)
    }

    fn freezes(&self, scope: Scope) -> IntCounter {
        let scope: Vec<_> = scope.iter().map(Dimension::as_str).collect();
        self.freezes.with_label_values(&[scope.join("_")])
    }
}
