//! What the counters come to since the start, for those who look without Prometheus.

use std::collections::BTreeMap;

use prometheus::{IntCounterVec, core::Collector as _};
use serde::Serialize;

use super::Metrics;

/// Sums since the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Calls answered.
    pub answered: u64,
    /// Calls that Slack refused for a limit, the replayed ones too.
    pub refused_by_slack: u64,
    /// Calls queued again after that.
    pub replayed: u64,
    /// Calls refused instead of held, by reason.
    pub shed: BTreeMap<String, u64>,
}

// === impl Metrics ===

impl Metrics {
    /// What has been counted up to now.
    pub fn sums(&self) -> Sums {
        let all = &*self.all;
        let sum = |counters| by_label(counters, "").into_values().sum();
        Sums {
            answered: sum(&all.requests),
            refused_by_slack: sum(&all.refusals),
            replayed: sum(&all.replays),
            shed: by_label(&all.sheds, "reason"),
        }
    }
}

/// The sums of a counter's series by the value of one label; all in one where it has none such.
fn by_label(counters: &IntCounterVec, label: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for family in counters.collect() {
        for series in family.get_metric() {
            let pair = series.get_label().iter().find(|pair| pair.name() == label);
            let value = pair.map_or("", |pair| pair.value()).to_owned();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a counter of whole events, which the library hands out as a float"
            )]
            let count = series.get_counter().get_value() as u64;
            *sums.entry(value).or_default() += count;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_reason() {
        let metrics = Metrics::new().unwrap();
        assert_eq!(metrics.sums().shed, BTreeMap::new());
        metrics.shed("users.info", "deadline");
        metrics.shed("users.list", "deadline");
        metrics.shed("users.list", "queue_full");
        metrics.refused("users.list", true);
        metrics.refused("users.list", false);
        metrics.replayed("users.list");
        let sums = metrics.sums();
        let shed = [("deadline".to_owned(), 2), ("queue_full".to_owned(), 1)];
        assert_eq!(sums.shed, shed.into());
        assert_eq!((sums.answered, sums.refused_by_slack, sums.replayed), (0, 2, 1));
    }
}
