//! How the process itself is: does it take calls, keep limits, keep its state and follow its
//! configuration?

use prometheus::{IntGauge, IntGaugeVec};
use slack::{Catalogue, Mode};

use super::{Metrics, registry::Registry};
use crate::{queue::Modes, state::unix_millis};

#[derive(Debug)]
pub(super) struct Health {
    ready: IntGauge,
    shadow: IntGaugeVec,
    degraded: IntGauge,
    reload_applied: IntGauge,
    reloaded_at: IntGauge,
}

// === impl Metrics ===

impl Metrics {
    /// Whether calls are welcome, and which are only watched. To be said before each look.
    pub fn health(&self, ready: bool, modes: &Modes, catalogue: &Catalogue) {
        let health = &self.all.health;
        health.ready.set(ready.into());
        let watched = catalogue.methods().filter(|method| modes.is_shadow(Some(method))).count();
        let methods = i64::try_from(watched).unwrap_or(i64::MAX);
        let proxy = i64::from(modes.proxy() == Mode::Shadow);
        health.shadow.with_label_values(&["proxy"]).set(proxy);
        health.shadow.with_label_values(&["method"]).set(methods);
    }

    /// The state file does not say what is so, or does again.
    pub fn store_degraded(&self, degraded: bool) {
        self.all.health.degraded.set(degraded.into());
    }
}

// === impl Health ===

impl Health {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        #[cfg(target_os = "linux")]
        registry.process()?;
        let health = Self {
            ready: registry
                .gauge("slackwater_ready", "Whether calls are welcome: 1, or 0 from SIGTERM on.")?,
            shadow: registry.gauges(
                "slackwater_shadow",
                "What is only watched: the proxy (1 or 0), and how many methods.",
                &["kind"],
            )?,
            degraded: registry.gauge(
                "slackwater_store_degraded",
                "Whether the state file does not say what is so: 1, or 0.",
            )?,
            reload_applied: registry.gauge(
                "slackwater_config_last_reload_successful",
                "Whether the last new configuration was applied: 1 (or there was none), or 0.",
            )?,
            reloaded_at: registry.gauge(
                "slackwater_config_last_reload_success_timestamp_seconds",
                "Since when the configuration is in use, in Unix time.",
            )?,
        };
        health.reloaded(true);
        Ok(health)
    }

    pub(super) fn reloaded(&self, applied: bool) {
        self.reload_applied.set(applied.into());
        if applied {
            self.reloaded_at.set(i64::try_from(unix_millis() / 1000).unwrap_or(i64::MAX));
        }
    }
}
