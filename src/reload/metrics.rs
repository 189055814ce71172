//! What is counted of reloads.

use prometheus::{IntCounterVec, IntGauge};

use crate::{metrics::Registry, state::unix_millis};

/// Handles to the reloads' metrics. Clones count together.
#[derive(Clone, Debug)]
pub struct ReloadMetrics {
    reloads: IntCounterVec,
    last_applied: IntGauge,
    applied_at: IntGauge,
}

const APPLIED: &str = "applied";
const REFUSED: &str = "refused";

// === impl ReloadMetrics ===

impl ReloadMetrics {
    /// The configuration of the start counts as applied now.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            reloads: registry.counters(
                "slackwater_config_reloads_total",
                "New configurations, by whether they were applied or refused.",
                &["result"],
            )?,
            last_applied: registry.gauge(
                "slackwater_config_last_reload_successful",
                "Whether the last new configuration was applied: 1 (or there was none), or 0.",
            )?,
            applied_at: registry.gauge(
                "slackwater_config_last_reload_success_timestamp_seconds",
                "Since when the configuration is in use, in Unix time.",
            )?,
        };
        // Prometheus sees how much a series grows, and not where it begins.
        for result in [APPLIED, REFUSED] {
            metrics.reloads.with_label_values(&[result]);
        }
        metrics.set(true);
        Ok(metrics)
    }

    /// A new configuration was applied, or refused.
    pub fn reloaded(&self, applied: bool) {
        let result = if applied { APPLIED } else { REFUSED };
        self.reloads.with_label_values(&[result]).inc();
        self.set(applied);
    }

    fn set(&self, applied: bool) {
        self.last_applied.set(applied.into());
        if applied {
            self.applied_at.set(i64::try_from(unix_millis() / 1000).unwrap_or(i64::MAX));
        }
    }
}
