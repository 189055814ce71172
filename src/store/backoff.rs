//! How long to wait until the next attempt to connect: longer each time, and never as long as others.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// Doubles from attempt to attempt.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: u32,
    random: RandomState,
}

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

// === impl Backoff ===

impl Backoff {
    /// It worked.
    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// It did not: the time to the next attempt, half to all of the present step. Replicas whose
    /// server comes back do not all come at once.
    pub(super) fn next(&mut self) -> Duration {
        let step = FIRST.saturating_mul(1 << self.attempts.min(10)).min(LONGEST);
        let [.., random] = self.random.hash_one(self.attempts).to_ne_bytes();
        self.attempts += 1;
        step / 2 + step / 512 * u32::from(random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_longer_each_time_and_never_too_long() {
        let mut backoff = Backoff::default();
        for attempt in 0..40 {
            let step = FIRST.saturating_mul(1 << attempt.min(10)).min(LONGEST);
            let wait = backoff.next();
            assert!((step / 2..=step).contains(&wait), "{attempt}: {wait:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
