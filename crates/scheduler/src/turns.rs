//! The turns of a replica in a limit of fewer calls than there are replicas; see [`limits::Split`].
//!
//! Turns are told by the wall clock, which all replicas share. The scheduler has its own time, so it is
//! told how the two belong together.

use core::time::Duration;

use super::time::Instant;

/// The wall clock, by the scheduler's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WallClock {
    /// What it said at the scheduler's start, in nanoseconds since 1970.
    start: i128,
}

/// When this replica's turns are.
#[derive(Debug)]
pub(super) struct Turns {
    /// By the wall clock.
    by_wall: limits::Turns,
    /// One turn begins then, and one after each cycle. Within the first cycle; in nanoseconds, like
    /// the others.
    first: u64,
    cycle: u64,
    open: u64,
}

// === impl WallClock ===

impl WallClock {
    /// It says now that so long has passed since 1970.
    pub(super) fn new(now: Instant, wall: Duration) -> Self {
        let wall = i128::try_from(wall.as_nanos()).unwrap_or(i128::MAX);
        Self { start: wall.saturating_sub(now.as_nanos().into()) }
    }
}

// === impl Turns ===

impl Turns {
    /// These, by that clock.
    pub(super) fn new(turns: limits::Turns, clock: WallClock) -> Self {
        let cycle = nanos(turns.cycle).max(1);
        let mut new = Self { by_wall: turns, first: 0, cycle, open: nanos(turns.open) };
        new.set_clock(clock);
        new
    }

    /// By that clock from now on.
    pub(super) fn set_clock(&mut self, clock: WallClock) {
        let start = i128::from(nanos(self.by_wall.start)) - clock.start;
        // What is left of the division by a u64 is one.
        self.first = u64::try_from(start.rem_euclid(self.cycle.into())).unwrap_or(0);
    }

    /// How long it takes from one to the next.
    pub(super) fn cycle(&self) -> Duration {
        self.by_wall.cycle
    }

    /// How long there is none from one to the next.
    pub(super) fn pause(&self) -> Duration {
        Duration::from_nanos(self.cycle.saturating_sub(self.open))
    }

    /// Whether the call of a turn may go.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.since(now) < self.open
    }

    /// When the first turn after that instant begins.
    pub(super) fn after(&self, instant: Instant) -> Instant {
        instant.plus(self.cycle - self.since(instant))
    }

    /// How long ago the last turn began.
    fn since(&self, instant: Instant) -> u64 {
        let now = instant.as_nanos() % self.cycle;
        if now >= self.first { now - self.first } else { now + (self.cycle - self.first) }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(1000 + seconds)
    }

    #[test]
    fn turns_come_by_the_wall_clock() {
        let start = Duration::from_secs(10);
        let turns = limits::Turns { cycle: MINUTE, start, open: Duration::from_secs(2) };
        // At this instant a whole number of cycles has passed since 1970.
        let clock = |ahead| WallClock::new(at(0), MINUTE * 1_000_000 + Duration::from_secs(ahead));
        let mut turns = Turns::new(turns, clock(0));
        let open = |turns: &Turns| [9, 10, 11, 12, 69, 70].map(|it| turns.is_open(at(it)));
        assert_eq!(open(&turns), [false, true, true, false, false, true]);
        assert_eq!([0, 9, 10, 11].map(|it| turns.after(at(it))), [10, 10, 70, 70].map(at));
        // The clock was ten seconds late, and is set.
        turns.set_clock(clock(10));
        assert_eq!([0, 1, 59].map(|it| turns.after(at(it))), [60, 60, 60].map(at));
        assert!(turns.is_open(at(60)));
        assert_eq!(turns.pause(), Duration::from_secs(58));
    }
}
