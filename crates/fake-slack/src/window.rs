//! One rate at one value of its dimensions, counted in one of the shapes a server may use.
//!
//! A window knows neither why it is asked nor what else a call needs: [`Window::look`] tells
//! whether there is room and changes nothing, [`Window::take`] counts a call whether there is
//! room or not. Times are durations since the fake's start and never go back.

use std::{collections::VecDeque, num::NonZeroU32, time::Duration};

/// A shape with its figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Model {
    /// At most `limit` in any `per`: two calls `per` apart do not share a period.
    Sliding { limit: NonZeroU32, per: Duration },
    /// At most `limit` in a window of `per` that the first call opens.
    Fixed { limit: NonZeroU32, per: Duration },
    /// At most `limit` in each window of `per`; the clock was `offset` into one at the start.
    FixedClock { limit: NonZeroU32, per: Duration, offset: Duration },
    /// A bucket of `capacity` tokens, full at first, that gains `limit` per `per`.
    Bucket { capacity: NonZeroU32, limit: NonZeroU32, per: Duration },
}

/// What has been counted.
#[derive(Clone, Debug)]
pub(super) struct Window {
    model: Model,
    state: State,
}

/// What a window says of a call that would come now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Calls that count at this instant.
    pub(super) used: u32,
    /// How long until there is room; zero if there is.
    pub(super) wait: Duration,
}

#[derive(Clone, Debug)]
enum State {
    /// When the latest calls were counted, never more of them than the limit: an older one
    /// cannot decide anything.
    Times(VecDeque<Duration>),
    /// How many the window that ends then has counted.
    Count { ends: Duration, count: u32 },
    /// When the bucket is full again, in nanoseconds times the limit, so that a token is
    /// exactly one period and nothing is ever rounded.
    FullAt(u128),
}

// === impl Window ===

impl Window {
    /// Nothing counted yet.
    pub(super) fn new(model: Model) -> Self {
        let state = match model {
            Model::Sliding { .. } => State::Times(VecDeque::new()),
            Model::Fixed { .. } | Model::FixedClock { .. } => {
                State::Count { ends: Duration::ZERO, count: 0 }
            }
            Model::Bucket { .. } => State::FullAt(0),
        };
        Self { model, state }
    }

    /// The most calls it ever counts at one instant.
    pub(super) const fn limit(&self) -> u32 {
        match self.model {
            Model::Sliding { limit, .. }
            | Model::Fixed { limit, .. }
            | Model::FixedClock { limit, .. }
            | Model::Bucket { capacity: limit, .. } => limit.get(),
        }
    }

    /// Whether a call would find room now.
    pub(super) fn look(&self, now: Duration) -> Look {
        match &self.state {
            State::Times(times) => {
                let per = self.period();
                let gone = times.partition_point(|time| *time + per <= now);
                let used = count(times.len() - gone);
                // Full means that the oldest of the kept ones is exactly the limit-th latest.
                let oldest = times.front().filter(|_| used >= self.limit());
                let wait = oldest.map_or(Duration::ZERO, |time| (*time + per).saturating_sub(now));
                Look { used, wait }
            }
            State::Count { ends, count } if now < *ends => {
                let full = *count >= self.limit();
                let wait = if full { ends.saturating_sub(now) } else { Duration::ZERO };
                Look { used: *count, wait }
            }
            State::Count { .. } => Look { used: 0, wait: Duration::ZERO },
            State::FullAt(full_at) => {
                let (unit, token) = self.bucket_units();
                let missing = full_at.saturating_sub(now.as_nanos() * unit);
                let over = (missing + token).saturating_sub(u128::from(self.limit()) * token);
                Look {
                    used: u32::try_from(missing.div_ceil(token)).unwrap_or(u32::MAX),
                    wait: nanos(over.div_ceil(unit)),
                }
            }
        }
    }

    /// Counts a call.
    pub(super) fn take(&mut self, now: Duration) {
        let (limit, per) = (self.limit(), self.period());
        let (unit, token) = self.bucket_units();
        match &mut self.state {
            State::Times(times) => {
                if count(times.len()) >= limit {
                    times.pop_front();
                }
                times.push_back(now);
            }
            State::Count { ends, count } => {
                if now >= *ends {
                    *count = 0;
                    *ends = match self.model {
                        Model::FixedClock { offset, .. } => next_edge(now, per, offset),
                        _ => now + per,
                    };
                }
                *count = count.saturating_add(1);
            }
            State::FullAt(full_at) => {
                // A call that finds less than a token takes what there is: no debt.
                let now = now.as_nanos() * unit;
                let empty = now + u128::from(limit) * token;
                *full_at = ((*full_at).max(now) + token).min(empty);
            }
        }
    }

    /// Whether it is as if it were new, so that it need not be kept.
    pub(super) fn is_idle(&self, now: Duration) -> bool {
        match &self.state {
            State::Times(times) => times.back().is_none_or(|last| *last + self.period() <= now),
            State::Count { ends, .. } => *ends <= now,
            State::FullAt(full_at) => *full_at <= now.as_nanos() * self.bucket_units().0,
        }
    }

    const fn period(&self) -> Duration {
        match self.model {
            Model::Sliding { per, .. }
            | Model::Fixed { per, .. }
            | Model::FixedClock { per, .. }
            | Model::Bucket { per, .. } => per,
        }
    }

    /// How many units a nanosecond has, and how many a token.
    const fn bucket_units(&self) -> (u128, u128) {
        match self.model {
            Model::Bucket { limit, per, .. } => (limit.get() as u128, per.as_nanos()),
            _ => (1, 1),
        }
    }
}

/// When the window of the clock that `now` lies in ends.
fn next_edge(now: Duration, per: Duration, offset: Duration) -> Duration {
    let since_an_edge = (now + offset).as_nanos() % per.as_nanos();
    now + per.saturating_sub(nanos(since_an_edge))
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
