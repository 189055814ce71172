//! What becomes of spans.

use prometheus::IntCounterVec;

use crate::metrics::Registry;

/// Handles to the metrics of traces. Clones count together.
#[derive(Clone, Debug)]
pub struct TraceMetrics {
    spans: IntCounterVec,
}

const SENT: &str = "sent";
const QUEUE_FULL: &str = "queue_full";
const FAILED: &str = "failed";
const REJECTED: &str = "rejected";

// === impl TraceMetrics ===

impl TraceMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let spans = registry.counters(
            "slackwater_trace_spans_total",
            "Spans of traces: sent to the collector, or dropped.",
            &["result"],
        )?;
        // Prometheus sees how much a series grows, and not where it begins.
        for result in [SENT, QUEUE_FULL, FAILED, REJECTED] {
            spans.with_label_values(&[result]);
        }
        Ok(Self { spans })
    }

    /// The collector took them.
    pub(super) fn sent(&self, spans: u64) {
        self.add(SENT, spans);
    }

    /// There was no room for them.
    pub(super) fn queue_full(&self, spans: u64) {
        self.add(QUEUE_FULL, spans);
    }

    /// The collector could not be reached, or refused the request.
    pub(super) fn failed(&self, spans: u64) {
        self.add(FAILED, spans);
    }

    /// The collector took the request, and not these.
    pub(super) fn rejected(&self, spans: u64) {
        self.add(REJECTED, spans);
    }

    fn add(&self, result: &str, spans: u64) {
        self.spans.with_label_values(&[result]).inc_by(spans);
    }

    #[cfg(test)]
    pub(super) fn counted(&self, result: &str) -> u64 {
        self.spans.with_label_values(&[result]).get()
    }
}
