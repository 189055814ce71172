//! What is counted of the state file.

use prometheus::{IntCounter, IntGauge};

use crate::metrics::Registry;

/// Handles to the state file's metrics. Clones count together.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    errors: IntCounter,
    degraded: IntGauge,
}

// === impl StoreMetrics ===

impl StoreMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            errors: registry.counter(
                "slackwater_store_errors_total",
                "Times that the state file could not be written, or not within a second.",
            )?,
            degraded: registry.gauge(
                "slackwater_store_degraded",
                "Whether the state file does not say what is so: 1, or 0.",
            )?,
        })
    }

    /// The state file could not be written.
    pub fn store_failed(&self) {
        self.errors.inc();
    }

    /// The state file does not say what is so, or does again.
    pub fn store_degraded(&self, degraded: bool) {
        self.degraded.set(degraded.into());
    }
}
