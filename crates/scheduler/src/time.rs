//! The scheduler's own time: nanoseconds since an arbitrary start, told by its driver.

use core::{fmt, num::NonZeroU64, ops::Add, time::Duration};

/// A point in time, in nanoseconds since the driver's start. Counted from one, so that an `Option`
/// of it takes no more memory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(NonZeroU64);

// === impl Instant ===

impl Instant {
    /// The start.
    pub const ZERO: Self = Self(NonZeroU64::MIN);
    /// Later than anything that happens.
    pub const FAR: Self = Self(NonZeroU64::MAX);

    /// So many nanoseconds after the start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }

    /// Nanoseconds since the start.
    pub const fn as_nanos(self) -> u64 {
        self.0.get() - 1
    }

    /// The time from `earlier` to here; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.as_nanos().saturating_sub(earlier.as_nanos()))
    }

    /// So much earlier; the start, if that is nearer.
    pub(super) fn before(self, duration: Duration) -> Self {
        self.minus(nanos(duration))
    }

    /// This instant moved by `times` periods.
    pub(super) fn after(self, period: Duration, times: u64) -> Self {
        self.plus(nanos(period).saturating_mul(times))
    }

    /// So many nanoseconds later.
    pub(super) const fn plus(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// So many nanoseconds earlier; the start, if that is nearer.
    pub(super) const fn minus(self, nanos: u64) -> Self {
        Self::from_nanos(self.as_nanos().saturating_sub(nanos))
    }
}

impl Default for Instant {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at [`Instant::FAR`], some 580 years after the start.
    fn add(self, duration: Duration) -> Self {
        self.plus(nanos(duration))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{:?}", Duration::from_nanos(self.as_nanos()))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
