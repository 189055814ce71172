//! What is counted of calls that need not be sent.

use prometheus::{IntCounterVec, IntGauge};

use crate::metrics::{Registry, by_label};

/// Handles to the metrics of calls that are not sent. Clones count together.
#[derive(Clone, Debug)]
pub struct SavedMetrics {
    saved: IntCounterVec,
    /// How many answers are remembered.
    pub(crate) remembered: IntGauge,
    /// How much memory they take.
    pub(crate) remembered_bytes: IntGauge,
}

/// Why a call need not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The answer to an equal read is its own.
    Shared,
    /// The answer is remembered.
    Remembered,
    /// A newer edit says what it says.
    Superseded,
}

// === impl SavedMetrics ===

impl SavedMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            saved: registry.counters(
                "slackwater_saved_calls_total",
                "Calls that were answered and not sent, so that each took no slot, by why.",
                &["method", "how"],
            )?,
            remembered: registry
                .gauge("slackwater_remembered_answers", "Answers to reads that are remembered.")?,
            remembered_bytes: registry.gauge(
                "slackwater_remembered_bytes",
                "Memory that remembered answers take, at most reads.cache.bytes.",
            )?,
        })
    }

    /// A call was not sent.
    pub fn saved(&self, method: &str, how: How) {
        self.saved.with_label_values(&[method, how.as_str()]).inc();
    }

    /// Calls that were not sent since the start, by the value of a label.
    pub(crate) fn by(&self, label: &str) -> std::collections::BTreeMap<String, u64> {
        by_label(&self.saved, label)
    }

    /// The method's counters are exported with 0 before they count.
    pub(crate) fn begin(&self, method: &str) {
        for how in How::ALL {
            self.saved.with_label_values(&[method, how.as_str()]);
        }
    }
}

// === impl How ===

impl How {
    const ALL: [Self; 3] = [Self::Shared, Self::Remembered, Self::Superseded];

    /// The value of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Remembered => "remembered",
            Self::Superseded => "superseded",
        }
    }
}
