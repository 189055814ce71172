//! What is counted of exchanges with upstreams.

use std::{collections::BTreeMap, time::Duration};

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::metrics::{Registry, by_label};

/// Handles to the exchanges' metrics. Clones count together.
#[derive(Clone, Debug)]
pub struct ExchangeMetrics {
    in_flight: IntGaugeVec,
    seconds: HistogramVec,
    refusals: IntCounterVec,
}

/// An exchange that is going on.
#[derive(Debug)]
pub struct InFlight(IntGauge);

/// From a few milliseconds to the longest time-out.
const SECONDS: [f64; 13] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

// === impl ExchangeMetrics ===

impl ExchangeMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            in_flight: registry.gauges(
                "slackwater_in_flight",
                "Calls sent and not answered yet.",
                &["upstream"],
            )?,
            seconds: registry.histograms(
                "slackwater_upstream_seconds",
                "Time from sending a call to its answer's headers.",
                &["upstream", "code"],
                &SECONDS,
            )?,
            refusals: registry.counters(
                "slackwater_upstream_429_total",
                "Calls that Slack refused for a limit, and whether that was unforeseen.",
                &["method", "surprise"],
            )?,
        })
    }

    /// An exchange begins; it ends when the guard is dropped.
    pub fn in_flight(&self, upstream: &str) -> InFlight {
        let gauge = self.in_flight.with_label_values(&[upstream]);
        gauge.inc();
        InFlight(gauge)
    }

    /// An exchange came to its end.
    pub fn exchanged(&self, upstream: &str, code: &str, took: Duration) {
        let histogram: Histogram = self.seconds.with_label_values(&[upstream, code]);
        histogram.observe(took.as_secs_f64());
    }

    /// Slack refused a call; by surprise where no pause was on and the window had room.
    pub fn refused(&self, method: &str, surprise: bool) {
        self.refusals(method, surprise).inc();
    }

    /// The method's counters of refusals are exported with 0 before they count.
    pub(crate) fn begin(&self, method: &str) {
        for surprise in [true, false] {
            self.refusals(method, surprise);
        }
    }

    /// Calls that Slack refused since the start, by the value of a label.
    pub(crate) fn refusals_by(&self, label: &str) -> BTreeMap<String, u64> {
        by_label(&self.refusals, label)
    }

    fn refusals(&self, method: &str, surprise: bool) -> IntCounter {
        let surprise = if surprise { "true" } else { "false" };
        self.refusals.with_label_values(&[method, surprise])
    }
}

// === impl InFlight ===

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
