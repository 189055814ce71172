//! A freeze, and how a bucket opens again after it, as a circuit breaker does: after the freeze the
//! bucket is half-open. One call probes, and each probe that passes admits one more, which doubles
//! them per round trip.

use super::time::Instant;

/// A bucket that is frozen, or half-open after a freeze until enough probes have passed.
#[derive(Clone, Copy, Debug)]
pub(super) struct HalfOpen {
    /// The end of the freeze. Calls sent before tell nothing about what comes after.
    pub(super) until: Instant,
    /// How many calls may be in flight after it.
    allowed: u32,
}

/// When so many calls are allowed after a freeze, probing is over: there is no herd any more.
const PROBED: u32 = 64;

// === impl HalfOpen ===

impl HalfOpen {
    pub(super) fn new(until: Instant) -> Self {
        Self { until, allowed: 1 }
    }

    /// Whether the freeze is still on: no call passes.
    pub(super) fn is_frozen(&self, now: Instant) -> bool {
        self.until > now
    }

    /// Whether as many probes are in flight as may be after the freeze.
    pub(super) fn has_enough_probes(&self, in_flight: u32) -> bool {
        in_flight >= self.allowed
    }

    /// How many more probes may go.
    pub(super) fn left(&self, in_flight: u32) -> u32 {
        self.allowed.saturating_sub(in_flight)
    }

    /// A call passed that took its slot at `taken`, of a limit of `quota` slots. Returns whether
    /// probing is over.
    pub(super) fn passed(&mut self, taken: Instant, quota: u32) -> bool {
        if taken < self.until {
            return false;
        }
        self.allowed += 1;
        self.allowed >= quota.min(PROBED)
    }

    /// What holds for two buckets that become one: the later freeze, and the slower probing.
    pub(super) fn and(self, other: Self) -> Self {
        Self { until: self.until.max(other.until), allowed: self.allowed.min(other.allowed) }
    }
}
