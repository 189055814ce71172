//! A freeze, and how a bucket opens again after it, as a circuit breaker does: after the freeze the
//! bucket is half-open. One call probes, and each probe that passes admits one more, which doubles
//! them per round trip. Where others have the same freeze, one call of all probes first; see
//! [`freezes`](super::freezes).

use core::time::Duration;

use super::time::Instant;

/// A bucket that is frozen, or half-open after a freeze until enough probes have passed.
#[derive(Clone, Copy, Debug)]
pub(super) struct HalfOpen {
    /// The end of the freeze. Calls sent before tell nothing about what comes after.
    pub(super) until: Instant,
    /// How many calls may be in flight after it.
    allowed: u32,
    /// Whose turn it is to probe.
    pub(super) turn: Turn,
    /// The version in which the others know of it; zero if they do not.
    pub(super) version: u64,
    /// The batch of notices by which they are told of it, until these are answered.
    pub(super) tells: Option<u64>,
}

/// Whose turn it is to probe after a freeze that others have, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Each probes by itself: nobody shares it, or one call of another has passed.
    Own,
    /// Nobody's. It may be claimed from then on.
    Free {
        /// From when.
        from: Instant,
    },
    /// It is claimed, and the answer is not here.
    Claimed,
    /// This scheduler's.
    Mine {
        /// Since when.
        since: Instant,
    },
    /// Another one's.
    Another {
        /// It may be claimed from then on: that one may be gone.
        from: Instant,
        /// No call tries for longer.
        ends: Instant,
    },
}

/// When so many calls are allowed after a freeze, probing is over: there is no herd any more.
const PROBED: u32 = 64;

// === impl HalfOpen ===

impl HalfOpen {
    pub(super) fn new(until: Instant) -> Self {
        Self { until, allowed: 1, turn: Turn::Own, version: 0, tells: None }
    }

    /// It is frozen again.
    pub(super) fn again(&self, until: Instant) -> Self {
        Self { version: self.version, ..Self::new(self.until.max(until)) }
    }

    /// Whether the freeze is still on: no call passes.
    pub(super) fn is_frozen(&self, now: Instant) -> bool {
        self.until > now
    }

    /// Whether as many probes are in flight as may be after the freeze.
    pub(super) fn has_enough_probes(&self, in_flight: u32) -> bool {
        self.left(in_flight) == 0
    }

    /// Until when it matters that it was frozen, if it matters for so long after a freeze, and after
    /// somebody has had the turn to probe.
    pub(super) fn matters_until(&self, kept: Duration) -> Instant {
        let turn = match self.turn {
            Turn::Free { from } => from,
            Turn::Another { ends, .. } => ends,
            Turn::Own | Turn::Claimed | Turn::Mine { .. } => self.until,
        };
        self.until.max(turn) + kept
    }

    /// How many more probes may go.
    pub(super) fn left(&self, in_flight: u32) -> u32 {
        match self.turn {
            Turn::Own | Turn::Mine { .. } => self.allowed.saturating_sub(in_flight),
            Turn::Free { .. } | Turn::Claimed | Turn::Another { .. } => 0,
        }
    }

    /// One call of another has passed, or nobody else knows of it any more: each probes by itself.
    pub(super) fn opens(&mut self, now: Instant) {
        *self = Self { until: self.until.min(now), ..Self::new(now) };
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
        Self { allowed: self.allowed.min(other.allowed), ..Self::new(self.until.max(other.until)) }
    }
}
