//! What the counters come to since the start, for those who look without Prometheus.

use std::{
    collections::BTreeMap,
    ops::{AddAssign, Sub},
};

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
    /// Calls refused instead of held, by each reason that there was.
    pub shed: BTreeMap<String, u64>,
}

/// The same of one method, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Calls answered.
    pub answered: u64,
    /// Calls that Slack refused for a limit, the replayed ones too.
    pub refused_by_slack: u64,
    /// Calls refused instead of held.
    pub shed: u64,
}

// === impl Metrics ===

impl Metrics {
    /// What has been counted up to now, by method.
    pub fn counts(&self) -> BTreeMap<String, Counts> {
        let all = &*self.all;
        let mut counts = BTreeMap::<String, Counts>::new();
        for (method, answered) in by_label(&all.requests, "method") {
            counts.entry(method).or_default().answered = answered;
        }
        for (method, refused) in by_label(&all.refusals, "method") {
            counts.entry(method).or_default().refused_by_slack = refused;
        }
        for (method, shed) in by_label(&all.sheds, "method") {
            counts.entry(method).or_default().shed = shed;
        }
        counts
    }

    /// What has been counted up to now.
    pub fn sums(&self) -> Sums {
        let all = &*self.all;
        let sum = |counters| by_label(counters, "").into_values().sum();
        let mut shed = by_label(&all.sheds, "reason");
        shed.retain(|_, calls| *calls > 0);
        Sums {
            answered: sum(&all.requests),
            refused_by_slack: sum(&all.refusals),
            replayed: sum(&all.replays),
            shed,
        }
    }
}

// === impl Counts ===

impl Counts {
    /// All of it.
    pub fn sum(self) -> u64 {
        self.answered + self.refused_by_slack + self.shed
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.answered += other.answered;
        self.refused_by_slack += other.refused_by_slack;
        self.shed += other.shed;
    }
}

impl Sub for Counts {
    type Output = Self;

    /// What has been counted since then; nothing where the counter began anew.
    fn sub(self, before: Self) -> Self {
        Self {
            answered: self.answered.saturating_sub(before.answered),
            refused_by_slack: self.refused_by_slack.saturating_sub(before.refused_by_slack),
            shed: self.shed.saturating_sub(before.shed),
        }
    }
}

/// The sums of a counter's series by the value of one label; all in one where it has none such.
pub(super) fn by_label(counters: &IntCounterVec, label: &str) -> BTreeMap<String, u64> {
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
        let list = Counts { answered: 0, refused_by_slack: 2, shed: 2 };
        let counts = metrics.counts();
        assert_eq!(counts["users.list"], list);
        assert_eq!(counts["users.info"], Counts { shed: 1, ..Counts::default() });
    }
}
