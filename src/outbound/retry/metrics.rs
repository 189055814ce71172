//! What is counted of calls that are sent again.

use prometheus::IntCounterVec;

use crate::metrics::Registry;

/// Handles to the retries' metrics. Clones count together.
#[derive(Clone, Debug)]
pub struct RetryMetrics {
    retries: IntCounterVec,
}

// === impl RetryMetrics ===

impl RetryMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            retries: registry.counters(
                "slackwater_retries_total",
                "Calls sent again that no limit had stopped, by what had happened to them.",
                &["method", "reason"],
            )?,
        })
    }

    /// A call is sent again for that reason.
    pub fn retried(&self, method: &str, reason: &str) {
        self.retries.with_label_values(&[method, reason]).inc();
    }
}
