//! A hard cap: so many calls in any span of time, over restarts as well.

use std::{collections::VecDeque, time::Duration};

/// At most so many calls in any such span, counted from when they were sent.
///
/// Times are those of the wall clock, in milliseconds: no other clock goes on while nothing runs.
#[derive(Debug)]
pub(crate) struct Pace {
    most: usize,
    every: u64,
    sent: VecDeque<u64>,
}

// === impl Pace ===

impl Pace {
    pub(crate) fn new(most: u32, every: Duration) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
        Self { most, every, sent: VecDeque::new() }
    }

    /// So many calls are remembered.
    pub(crate) const fn most(&self) -> usize {
        self.most
    }

    /// A call was sent then.
    pub(crate) fn sent(&mut self, at: u64) {
        self.sent.push_back(at);
        if self.sent.len() > self.most {
            self.sent.pop_front();
        }
    }

    /// How long until the next may be; none if it may now.
    pub(crate) fn wait(&self, now: u64) -> Option<Duration> {
        if self.sent.len() < self.most {
            return None;
        }
        let oldest = *self.sent.front()?;
        // A clock that was set back does not stop it for longer than a span.
        let left = oldest.saturating_add(self.every).saturating_sub(now).min(self.every);
        (left > 0).then(|| Duration::from_millis(left))
    }

    /// How long so many calls take at least.
    pub(crate) fn takes(&self, calls: u64) -> Duration {
        let most = u64::try_from(self.most).unwrap_or(u64::MAX).max(1);
        let spans = calls.saturating_sub(1) / most;
        Duration::from_millis(spans.saturating_mul(self.every))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_span_has_more_than_the_cap(
            most in 1..6_u32,
            every in 1..50_u64,
            steps in proptest::collection::vec(0..20_u64, 1..200),
        ) {
            let mut pace = Pace::new(most, Duration::from_millis(every));
            let (mut now, mut all) = (1_000, Vec::new());
            for step in steps {
                now += step;
                match pace.wait(now) {
                    None => {
                        pace.sent(now);
                        all.push(now);
                    }
                    // It may then, and not before.
                    Some(wait) => {
                        let wait = u64::try_from(wait.as_millis()).unwrap();
                        prop_assert_eq!(pace.wait(now + wait), None);
                        prop_assert!(pace.wait(now + wait - 1).is_some());
                    }
                }
            }
            let most = most as usize;
            for span in all.windows(most + 1) {
                prop_assert!(span[most] - span[0] >= every, "{span:?}");
            }
        }
    }

    #[test]
    fn a_clock_set_back_stops_it_for_a_span_at_most() {
        let mut pace = Pace::new(1, Duration::from_millis(100));
        pace.sent(1_000_000);
        assert_eq!(pace.wait(0), Some(Duration::from_millis(100)));
    }

    #[test]
    fn what_is_left_takes_a_span_for_each_capful_but_the_first() {
        let pace = Pace::new(10, Duration::from_secs(1800));
        assert_eq!(pace.takes(10), Duration::ZERO);
        assert_eq!(pace.takes(4812), Duration::from_secs(481 * 1800));
    }
}
