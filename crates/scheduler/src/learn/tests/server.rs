//! A server that limits calls, in each shape that a window may have.

use std::{collections::VecDeque, time::Duration};

use crate::Instant;

/// How calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// In any period.
    Sliding,
    /// In a period that the first call opens.
    Fixed,
    /// In periods of the clock.
    Clock,
    /// A bucket of so many tokens, full at first.
    Bucket(u32),
}

/// One limit.
#[derive(Debug)]
pub(crate) struct Limiter {
    shape: Shape,
    limit: u32,
    per: Duration,
    /// When the last calls were counted.
    times: VecDeque<Instant>,
    /// When the window ends, or the bucket is full.
    end: Instant,
    count: u32,
}

/// At the start, the clock is so far in a window.
const OFFSET: Duration = Duration::from_secs(17);

// === impl Limiter ===

impl Limiter {
    pub(crate) fn new(shape: Shape, limit: u32, per: Duration) -> Self {
        Self { shape, limit, per, times: VecDeque::new(), end: Instant::ZERO, count: 0 }
    }

    /// How long until a call finds room; zero if there is some.
    pub(crate) fn wait(&mut self, now: Instant) -> Duration {
        match self.shape {
            Shape::Sliding => {
                while self.times.front().is_some_and(|at| *at + self.per <= now) {
                    self.times.pop_front();
                }
                let over = self.times.len().checked_sub(self.limit as usize);
                over.map_or(Duration::ZERO, |over| (self.times[over] + self.per).since(now))
            }
            Shape::Fixed | Shape::Clock if self.count >= self.limit => self.end.since(now),
            Shape::Fixed | Shape::Clock => Duration::ZERO,
            Shape::Bucket(tokens) => {
                let token = self.per / self.limit;
                (self.end.since(now) + token).saturating_sub(token * tokens.max(1))
            }
        }
    }

    /// Counts a call.
    pub(crate) fn take(&mut self, now: Instant) {
        match self.shape {
            Shape::Sliding => self.times.push_back(now),
            Shape::Bucket(_) => self.end = self.end.max(now) + self.per / self.limit,
            Shape::Fixed | Shape::Clock => {
                if now >= self.end {
                    let per = u64::try_from(self.per.as_nanos()).unwrap();
                    let into = (now + OFFSET).as_nanos() % per;
                    let into = if self.shape == Shape::Clock { into } else { 0 };
                    (self.count, self.end) = (0, now + Duration::from_nanos(per - into));
                }
                self.count += 1;
            }
        }
    }
}
