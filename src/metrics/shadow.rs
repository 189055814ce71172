//! What would have become of calls that are only watched.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::{Metrics, WAIT};
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
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            prometheus::Result::Ok(counters)
        };
        let wait = HistogramVec::new(
            HistogramOpts::new(
                "slackwater_shadow_wait_seconds",
                "How long calls that are only watched would have waited for their turn.",
            )
            .buckets(WAIT.to_vec()),
            &["tier", "class"],
        )?;
        registry.register(Box::new(wait.clone()))?;
        Ok(Self {
            wait,
            sheds: counters(
                "slackwater_shadow_sheds_total",
                "Calls that are only watched and would have been refused.",
                &["method", "reason"],
            )?,
            refusals: counters(
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
