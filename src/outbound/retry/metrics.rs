//! What is counted of calls that are sent again.

use prometheus::IntCounterVec;

use crate::metrics::Registry;

/// Handles to the retries' metrics. Clones count together.
#[derive(Clone, Debug)]
pub struct RetryMetrics {
    retries: IntCounterVec,
}

/// What happened to the attempt after which a call is sent again.
#[derive(Clone, Copy, Debug)]
pub enum RetryReason {
    /// There was no connection.
    Unreachable,
    /// There was one, and the upstream did not take the call.
    NotTaken,
    /// It broke before an answer.
    Broken,
    /// The upstream answered with an error of its own.
    ServerError,
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
    pub fn retried(&self, method: &str, reason: RetryReason) {
        self.retries.with_label_values(&[method, reason.as_str()]).inc();
    }

    /// The method's counters are exported with 0 before they count.
    pub(crate) fn begin(&self, method: &str) {
        for reason in RetryReason::ALL {
            self.retries.with_label_values(&[method, reason.as_str()]);
        }
    }
}

// === impl RetryReason ===

impl RetryReason {
    const ALL: [Self; 4] = [Self::Unreachable, Self::NotTaken, Self::Broken, Self::ServerError];

    /// The value of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::NotTaken => "not_taken",
            Self::Broken => "broken",
            Self::ServerError => "server_error",
        }
    }
}
