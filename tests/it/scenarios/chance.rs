//! Numbers by chance that a seed repeats.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use super::text::{Range, Share};
use crate::mix::SplitMix;

/// A sequence of numbers, enough for delays and arrivals.
///
/// Whatever has its own sequence, each caller and each attempt of a call, draws the same
/// numbers whoever else is there. So a run without one caller differs by that caller only.
#[derive(Clone, Debug)]
pub(super) struct Chance(SplitMix);

// === impl Chance ===

impl Chance {
    /// The sequence of that seed for that thing.
    pub(super) fn of(seed: u64, thing: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        seed.hash(&mut hasher);
        thing.hash(&mut hasher);
        Self(SplitMix(hasher.finish()))
    }

    /// A duration in that range, all of them as likely.
    pub(super) fn within(&mut self, range: Range) -> Duration {
        range.least + range.most.saturating_sub(range.least).mul_f64(self.unit())
    }

    /// Whether something happens that happens in this share of cases.
    pub(super) fn happens(&mut self, share: Share) -> bool {
        self.unit() < share.0
    }

    /// The time from one of independent arrivals to the next.
    pub(super) fn exponential(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.unit()).ln())
    }

    /// From zero to below one.
    fn unit(&mut self) -> f64 {
        let upper = u32::try_from(self.0.next() >> 32).unwrap_or(u32::MAX);
        f64::from(upper) / 4_294_967_296.0
    }
}
