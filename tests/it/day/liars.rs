//! Buckets whose limit is half of what is documented: the server counts by itself, and refuses the rest.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use scheduler::{Instant, Outcome};

use super::{METHODS, quota_of, traffic::Asked};
use crate::mix::SplitMix;

/// What the server does.
#[derive(Debug, Default)]
pub(super) struct Liars {
    /// In how many of a hundred buckets.
    percent: u64,
    /// When the last calls were counted, by bucket.
    counted: HashMap<usize, VecDeque<Instant>>,
    /// How many calls were refused.
    pub(super) refused: usize,
}

// === impl Liars ===

impl Liars {
    /// All limits are as documented.
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// The limit of a tenth of the buckets is half of what is documented.
    pub(super) fn tenth() -> Self {
        Self { percent: 10, ..Self::default() }
    }

    /// A call arrives: the pause that the server asks for, if it refuses the call.
    pub(super) fn refuse(&mut self, now: Instant, asked: &Asked) -> Option<Duration> {
        let bucket = asked.workspace * METHODS + asked.method;
        let lies = SplitMix(bucket as u64).next() % 100 < self.percent;
        if !lies || asked.outcome != Outcome::Answered {
            return None;
        }
        let (quota, per) = quota_of(asked.method);
        let (limit, per) = if quota == 1 { (1, per * 2) } else { (quota as usize / 2, per) };
        let counted = self.counted.entry(bucket).or_default();
        while counted.front().is_some_and(|at| *at + per <= now) {
            counted.pop_front();
        }
        if counted.len() < limit {
            counted.push_back(now);
            return None;
        }
        self.refused += 1;
        let wait = counted.front().map_or(per, |at| (*at + per).since(now));
        // In whole seconds, as in the header.
        Some(Duration::from_secs(wait.as_secs() + 1))
    }
}
