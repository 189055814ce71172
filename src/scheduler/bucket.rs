//! A bucket: one limit at one value of its dimensions, with its freeze and its probes.

use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use super::{lineup::Lineup, time::Instant, window::Window};
use crate::slack::{AgeFrom, Limit, Rule};

/// Which bucket: a limit and the values it counts by.
///
/// Limits are told apart by name; one name has one definition.
#[derive(Clone, Debug)]
pub struct BucketKey {
    /// The limit.
    pub limit: Arc<Limit>,
    /// The values of the limit's dimensions, widest first, as `A1/T1/conversations.close`.
    pub values: Arc<str>,
}

/// What became of a call that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It certainly never left: its slots are free again.
    Unsent,
    /// Its answer's headers arrived: its slots start to age.
    Answered,
    /// It was sent, and its answer never came: its slots age as if it had come in a minute.
    Lost,
    /// Slack refused it for a limit: its slots age too, since Slack may have counted it.
    Refused,
}

#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) key: BucketKey,
    /// Who waits for it.
    pub(super) lineup: Lineup,
    /// When it is looked at next, if nothing happens before.
    pub(super) alarm: Option<Instant>,
    window: Window,
    /// The shorter window of a limit that refuses bursts.
    burst: Option<Box<Window>>,
    in_flight: u32,
    frozen_until: Option<Instant>,
    /// After a freeze, until it is known that calls pass again.
    probing: Option<Probing>,
}

/// How a bucket opens again after a freeze: one call probes, and each that passes admits one
/// more, which doubles them per round trip.
#[derive(Clone, Copy, Debug)]
struct Probing {
    /// How many calls may be in flight.
    allowed: u32,
    /// The end of the freeze. Calls sent before tell nothing about what comes after.
    since: Instant,
}

/// How likely a bucket is the one that Slack refused a call for. Ordered: by the share of
/// its quota that was used, the call itself not counted, then the narrower, then the one
/// with the longer period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Suspicion {
    used: u32,
    quota: u32,
    narrowness: u32,
    period: Duration,
}

/// How long after a call was given up its answer may still be on the way.
const LOST_GRACE: Duration = Duration::from_secs(60);

// === impl BucketKey ===

impl PartialEq for BucketKey {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values && self.limit.name == other.limit.name
    }
}

impl Eq for BucketKey {}

impl Hash for BucketKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.limit.name.hash(state);
        self.values.hash(state);
    }
}

// === impl Suspicion ===

impl Ord for Suspicion {
    fn cmp(&self, other: &Self) -> Ordering {
        let share = |one: &Self, of: &Self| u64::from(one.used) * u64::from(of.quota);
        share(self, other)
            .cmp(&share(other, self))
            .then(self.narrowness.cmp(&other.narrowness))
            .then(self.period.cmp(&other.period))
    }
}

impl PartialOrd for Suspicion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

// === impl Bucket ===

impl Bucket {
    pub(super) fn new(key: BucketKey) -> Self {
        let (window, burst) = match key.limit.rule {
            Rule::Concurrency(quota) => (Window::at_once(quota), None),
            Rule::Rate(rate) => (
                Window::sliding(rate.limit, rate.per),
                rate.burst.map(|burst| {
                    let per =
                        rate.per.mul_f64(f64::from(burst.get()) / f64::from(rate.limit.get()));
                    Box::new(Window::sliding(burst, per))
                }),
            ),
        };
        Self {
            key,
            lineup: Lineup::default(),
            alarm: None,
            window,
            burst,
            in_flight: 0,
            frozen_until: None,
            probing: None,
        }
    }

    /// Whether a call may go now.
    pub(super) fn has_room(&mut self, now: Instant) -> bool {
        self.expire(now);
        self.frozen_until.is_none()
            && self.probing.is_none_or(|probing| self.in_flight < probing.allowed)
            && self.window.has_room()
            && self.burst.as_ref().is_none_or(|burst| burst.has_room())
    }

    /// When a call may go if nothing else happens; `None` if that takes an answer.
    pub(super) fn room_at(&mut self, now: Instant) -> Option<Instant> {
        self.expire(now);
        if self.probing.is_some_and(|probing| self.in_flight >= probing.allowed) {
            return None;
        }
        let burst = self.burst.as_ref().map_or(Some(now), |burst| burst.room_at(now))?;
        let room = self.window.room_at(now)?.max(burst);
        Some(self.frozen_until.map_or(room, |until| until.max(room)))
    }

    /// Takes a slot.
    pub(super) fn take(&mut self, now: Instant) {
        self.in_flight += 1;
        let ages = self.key.limit.age_from;
        self.each_window(|window| match ages {
            AgeFrom::Answer => window.take(),
            AgeFrom::Send => window.take_ageing(now),
        });
    }

    /// Settles the slot that was taken at `taken`.
    pub(super) fn settle(&mut self, taken: Instant, now: Instant, outcome: Outcome) {
        self.in_flight = self.in_flight.saturating_sub(1);
        match (outcome, self.key.limit.age_from) {
            (Outcome::Unsent, AgeFrom::Answer) => self.each_window(Window::give_back),
            (Outcome::Unsent, AgeFrom::Send) => self.each_window(|w| w.give_back_ageing(taken)),
            (Outcome::Lost, AgeFrom::Answer) => {
                self.each_window(|w| w.answered(now + LOST_GRACE));
            }
            (_, AgeFrom::Answer) => self.each_window(|w| w.answered(now)),
            (_, AgeFrom::Send) => {}
        }
        if outcome == Outcome::Answered
            && let Some(Probing { allowed, since }) = self.probing
            && taken >= since
        {
            let allowed = allowed + 1;
            let more = allowed < self.window.quota();
            self.probing = more.then_some(Probing { allowed, since });
        }
    }

    /// Closes the bucket until `until`; then one call probes.
    pub(super) fn freeze(&mut self, until: Instant) {
        let until = self.frozen_until.map_or(until, |before| before.max(until));
        self.frozen_until = Some(until);
        self.probing = Some(Probing { allowed: 1, since: until });
    }

    /// When a call behind `ahead` others can go at the earliest.
    pub(super) fn forecast(&self, now: Instant, ahead: u64) -> Instant {
        let start = self.frozen_until.map_or(now, |until| until.max(now));
        let burst = self.burst.as_ref().map_or(start, |burst| burst.forecast(start, ahead));
        self.window.forecast(start, ahead).max(burst)
    }

    /// How likely it is that a refused call, which holds a slot here, was refused for this
    /// limit. Never for one on calls in flight: it has no period that Slack could name.
    pub(super) fn suspicion(&self) -> Option<Suspicion> {
        match self.key.limit.rule {
            Rule::Concurrency(_) => None,
            Rule::Rate(rate) => Some(Suspicion {
                used: self.window.used().saturating_sub(1),
                quota: self.window.quota(),
                narrowness: self.key.limit.scope.len(),
                period: rate.per,
            }),
        }
    }

    /// Whether it limits calls at once, and not over a time.
    pub(super) fn counts_in_flight(&self) -> bool {
        matches!(self.key.limit.rule, Rule::Concurrency(_))
    }

    /// When there is nothing left to remember, if nothing else happens; `None` while calls
    /// are held or in flight.
    pub(super) fn idle_at(&self, now: Instant) -> Option<Instant> {
        if self.in_flight > 0 || !self.lineup.is_empty() {
            return None;
        }
        let windows = [self.window.last_end(), self.burst.as_ref().and_then(|w| w.last_end())];
        let last = windows.into_iter().flatten().max().unwrap_or(now);
        Some(self.frozen_until.map_or(last, |until| until.max(last)).max(now))
    }

    pub(super) fn used(&mut self, now: Instant) -> u32 {
        self.expire(now);
        self.window.used()
    }

    pub(super) fn quota(&self) -> u32 {
        self.window.quota()
    }

    /// Until when it is frozen, if it is.
    pub(super) fn frozen_until(&mut self, now: Instant) -> Option<Instant> {
        self.expire(now);
        self.frozen_until
    }

    fn expire(&mut self, now: Instant) {
        self.each_window(|window| window.expire(now));
        if self.frozen_until.is_some_and(|until| until <= now) {
            self.frozen_until = None;
        }
    }

    fn each_window(&mut self, mut change: impl FnMut(&mut Window)) {
        change(&mut self.window);
        if let Some(burst) = &mut self.burst {
            change(burst);
        }
    }
}
