//! A freeze, and how a bucket opens again after it: one call probes, and each that passes admits
//! one more, which doubles them per round trip.

use super::time::Instant;

/// What a freeze leaves in a bucket, until it is known that calls pass again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frost {
    /// The end of the freeze. Calls sent before tell nothing about what comes after.
    pub(super) until: Instant,
    /// How many calls may be in flight after it.
    allowed: u32,
}

/// When so many calls have passed after a freeze, it is over: there is no herd any more.
const PROBED: u32 = 64;

// === impl Frost ===

impl Frost {
    pub(super) fn new(until: Instant) -> Self {
        Self { until, allowed: 1 }
    }

    /// Whether no call passes.
    pub(super) fn is_hard(&self, now: Instant) -> bool {
        self.until > now
    }

    /// Whether as many calls are in flight as may be after it.
    pub(super) fn is_probed_enough(&self, in_flight: u32) -> bool {
        in_flight >= self.allowed
    }

    /// A call passed that took its slot at `taken`, of a limit of so many. Tells whether it is over.
    pub(super) fn melts(&mut self, taken: Instant, quota: u32) -> bool {
        if taken < self.until {
            return false;
        }
        self.allowed += 1;
        self.allowed >= quota.min(PROBED)
    }

    /// The later freeze holds, and the slower probe.
    pub(super) fn and(self, other: Self) -> Self {
        Self { until: self.until.max(other.until), allowed: self.allowed.min(other.allowed) }
    }
}
