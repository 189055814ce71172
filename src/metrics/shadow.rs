//! What would have become of calls that are only watched.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec};

use super::{Metrics, WAIT, registry::Registry};
use crate::call::record::Record;

#[derive(Debug)]
pub(super) struct Shadow {
    wait: HistogramVec,
    sheds: IntCounterVec,
    refusals: IntCounterVec,
}

// === impl Shadow ===

impl Shadow {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            wait: registry.histograms(
                "slackwater_shadow_wait_seconds",
                "How long calls that are only watched would have waited for their turn.",
                &["tier", "class"],
                &WAIT,
            )?,
            sheds: registry.counters(
                "slackwater_shadow_sheds_total",
                "Calls that are only watched and would have been refused.",
                &["method", "reason"],
            )?,
            refusals: registry.counters(
                "slackwater_shadow_429_total",
                "Calls that are only watched and were sent while a limit had no room for them.",
                &["method"],
            )?,
        })
    }
}

// === impl Metrics ===

impl Metrics {
    /// A call that is only watched would have waited so long.
    pub fn would_wait(&self, record: &Record, time: Duration) {
        let wait = self.all.shadow.wait.with_label_values(&[record.tier(), record.class()]);
        wait.observe(time.as_secs_f64());
    }

    /// A call that is only watched would have been shed.
    pub fn would_shed(&self, record: &Record, reason: &str) {
        self.all.shadow.sheds.with_label_values(&[record.method(), reason]).inc();
    }

    /// A call that is only watched was sent while a limit had no room for it.
    pub fn would_be_refused(&self, record: &Record) {
        self.all.shadow.refusals.with_label_values(&[record.method()]).inc();
    }
}
