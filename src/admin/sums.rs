//! What the counters come to since the start, for those who look without Prometheus.

use std::{
    collections::BTreeMap,
    ops::{AddAssign, Sub},
};

use serde::Serialize;

use super::Metrics;
use crate::shared::Counters;

/// Sums since the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Calls answered, but for those that were shed.
    pub answered: u64,
    /// Calls that Slack refused for a limit, the replayed ones too.
    pub refused_by_slack: u64,
    /// Calls queued again after that.
    pub replayed: u64,
    /// Calls refused instead of held, by each reason that there was.
    pub shed: BTreeMap<String, u64>,
    /// Calls that were answered and not sent, by each way in which they were.
    pub saved: BTreeMap<String, u64>,
}

/// The same of one method, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    /// Calls answered, but for those that were shed.
    pub(super) answered: u64,
    /// Calls that Slack refused for a limit, the replayed ones too.
    pub(super) refused_by_slack: u64,
    /// Calls refused instead of held.
    pub(super) shed: u64,
}

// === impl Metrics ===

impl Metrics {
    /// What has been counted up to now, by method.
    pub(super) fn counts(&self) -> BTreeMap<String, Counts> {
        let Counters { exchange, answers, .. } = &self.counters;
        let mut counts = BTreeMap::<String, Counts>::new();
        for (method, answered) in answers.requests_by("method") {
            counts.entry(method).or_default().answered = answered;
        }
        for (method, refused) in exchange.refusals_by("method") {
            counts.entry(method).or_default().refused_by_slack = refused;
        }
        for (method, shed) in answers.sheds_by("method") {
            let counts = counts.entry(method).or_default();
            counts.shed = shed;
            // What is shed is answered, too. A call that is shed just now may be in one of the two.
            counts.answered = counts.answered.saturating_sub(shed);
        }
        counts
    }

    /// What has been counted up to now.
    pub fn sums(&self) -> Sums {
        let Counters { queue, exchange, answers, saved, .. } = &self.counters;
        let sum = |by_method: BTreeMap<String, u64>| by_method.into_values().sum();
        let mut shed = answers.sheds_by("reason");
        shed.retain(|_, calls| *calls > 0);
        let mut saved = saved.by("how");
        saved.retain(|_, calls| *calls > 0);
        let answered: u64 = sum(answers.requests_by("method"));
        Sums {
            answered: answered.saturating_sub(shed.values().sum()),
            refused_by_slack: sum(exchange.refusals_by("method")),
            replayed: sum(queue.replays_by("method")),
            shed,
            saved,
        }
    }
}

// === impl Counts ===

impl Counts {
    /// All of it.
    pub(super) fn sum(self) -> u64 {
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

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::{call::record::Record, joint::How};

    #[test]
    fn series_are_summed_by_reason() {
        let counters = Counters::new().unwrap();
        let Counters { queue, exchange, answers, .. } = &counters;
        let metrics = Metrics::new(&counters).unwrap();
        assert_eq!(metrics.sums().shed, BTreeMap::new());
        answers.shed("users.info", "deadline");
        answers.shed("users.list", "deadline");
        answers.shed("users.list", "queue_full");
        exchange.refused("users.list", true);
        exchange.refused("users.list", false);
        queue.replayed("users.list");
        counters.saved.saved("chat.update", How::Superseded);
        let sums = metrics.sums();
        let shed = [("deadline".to_owned(), 2), ("queue_full".to_owned(), 1)];
        assert_eq!(sums.shed, shed.into());
        assert_eq!((sums.answered, sums.refused_by_slack, sums.replayed), (0, 2, 1));
        assert_eq!(sums.saved, [("superseded".to_owned(), 1)].into());
        let list = Counts { answered: 0, refused_by_slack: 2, shed: 2 };
        let counts = metrics.counts();
        assert_eq!(counts["users.list"], list);
        assert_eq!(counts["users.info"], Counts { shed: 1, ..Counts::default() });
    }
    /// Red when the answer of a shed call counts as one: a proxy that refuses all looks busy.
    #[test]
    fn what_is_shed_is_not_answered() {
        let counters = Counters::new().unwrap();
        let metrics = Metrics::new(&counters).unwrap();
        let answers = &counters.answers;
        for status in [StatusCode::OK, StatusCode::TOO_MANY_REQUESTS, StatusCode::OK] {
            // A client of Node's is told of it with status 200.
            answers.answered(&Record::default(), Some(status), None);
        }
        answers.shed("-", "deadline");
        answers.shed("-", "upstream");
        let sums = metrics.sums();
        assert_eq!((sums.answered, sums.shed.values().sum::<u64>()), (1, 2));
        assert_eq!(metrics.counts()["-"], Counts { answered: 1, refused_by_slack: 0, shed: 2 });
    }
}
