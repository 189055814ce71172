//! Which time it is, so that another process understands it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use scheduler::Instant;
use serde::{Deserialize, Serialize};

/// Microseconds of the clock that runs from the machine's start.
pub(super) type Micros = i64;

/// What all clocks that there are say at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockReading {
    /// Which start of the machine it is; empty where that cannot be told, and then it is another
    /// than any.
    pub boot: String,
    /// Microseconds of the clock that nobody sets.
    pub steady: i64,
    /// Microseconds since 1970, by the clock that may be set.
    pub wall: i64,
}

/// How the scheduler's time and that of the file belong together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// The two at one moment.
    at: (Instant, Micros),
}

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

// === impl ClockReading ===

impl ClockReading {
    /// Now.
    pub fn now() -> Self {
        let boot = std::fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned();
        Self { boot, steady: steady(), wall: micros(ClockId::Realtime) }
    }
}

/// Now, by the clock that nobody sets.
pub(super) fn steady() -> Micros {
    micros(ClockId::Monotonic)
}

/// The wall clock, in milliseconds of Unix time: for what has to be understood after a restart.
pub fn unix_millis() -> u64 {
    u64::try_from(micros(ClockId::Realtime) / 1000).unwrap_or(0)
}

/// The wall clock, since 1970: for what several machines have to agree on.
pub fn wall_clock() -> Duration {
    Duration::from_micros(u64::try_from(micros(ClockId::Realtime)).unwrap_or(0))
}

fn micros(clock: ClockId) -> i64 {
    let now = clock_gettime(clock);
    now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000)
}

// === impl Clock ===

impl Clock {
    pub(super) fn new(at: Instant, reading: &ClockReading) -> Self {
        Self { at: (at, reading.steady) }
    }

    /// When that was by the file's clock. Rounded up: a slot may age a little later, never earlier.
    pub(super) fn micros(self, instant: Instant) -> Micros {
        let nanos = i128::from(instant.as_nanos()) - i128::from(self.at.0.as_nanos());
        let micros = nanos.div_euclid(1000) + i128::from(nanos.rem_euclid(1000) > 0);
        self.at.1.saturating_add(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// When that was by the scheduler's.
    pub(super) fn instant(self, micros: Micros) -> Instant {
        let nanos = i128::from(micros.saturating_sub(self.at.1)) * 1000;
        let nanos = i128::from(self.at.0.as_nanos()) + nanos;
        Instant::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }
}
