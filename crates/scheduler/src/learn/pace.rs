//! A pace: so many calls per period. Below one call per period, the period is longer.

use core::{cmp::Ordering, time::Duration};

/// At most so many calls in any period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// How many; never none.
    pub(crate) quota: u32,
    /// The period. Longer than the documented one only where the quota is one.
    pub(crate) period: Duration,
}

/// A pace below one call per documented period changes by this part of its period, so that it comes
/// close enough to a limit.
const PARTS: u32 = 64;

/// A pace is never slower than one call in so many documented periods, so that nobody waits for
/// ever.
const SLOWEST: u32 = 64;

// === impl Pace ===

impl Pace {
    /// The time from call to call if they are evenly spaced.
    pub(crate) fn gap(self) -> Duration {
        self.period / self.quota
    }

    /// Faster by so many steps, but no faster than `most`.
    pub(super) fn faster(self, steps: u32, most: Self) -> Self {
        if self.period > most.period {
            let less = (self.period / PARTS).saturating_mul(steps);
            let period = self.period.saturating_sub(less).max(most.period);
            return Self { period, ..self };
        }
        Self { quota: self.quota.saturating_add(steps).min(most.quota), ..self }
    }

    /// One call in about so long: slower than it is, but not by more than half, and within reason.
    pub(super) fn slower(self, per: Duration, documented: Duration) -> Self {
        let at_least = self.period + self.period / PARTS;
        // What is no longer than now does not explain why the call was refused.
        let per = if per < at_least { self.period * 9 / 8 } else { per };
        let most = (self.period * 2).min(documented * SLOWEST);
        Self { quota: 1, period: per.min(most).max(self.period) }
    }
}

impl Ord for Pace {
    fn cmp(&self, other: &Self) -> Ordering {
        self.quota.cmp(&other.quota).then(other.period.cmp(&self.period))
    }
}

impl PartialOrd for Pace {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
