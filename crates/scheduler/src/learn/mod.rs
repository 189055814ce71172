//! What refusals teach of a limit whose figure is not the documented one.
//!
//! A *surprise* is a refusal while the own window had room: the limit is lower than documented, or
//! somebody else spends a part of it, or the server refuses bursts. A learner belongs to one bucket,
//! begins with its first surprise, and says at which [`Pace`] calls go, and how far apart.
//!
//! # Down
//!
//! Calls in flight together are refused together, so only the first refusal of a flight counts. The
//! quota becomes the number of calls that were accepted in the last period. Answers of the same
//! flight that come later still add to it: the first refusal may overtake them. For the most common
//! case, a lower limit, this is the limit itself after one surprise. Because it may be a wrong guess,
//! one surprise cuts the quota by no more than half. A quota of one cannot be cut; its period gets
//! longer instead, to the time from the last accepted call to the end of the pause that the server
//! asks for. Where calls had been accepted that far apart, the windows of the server have fixed edges,
//! and a call was refused when two of them had drifted into one window. Each call before had a window
//! of its own, so the time from pause to pause tells how long one is.
//!
//! A refusal before anything has been accepted since the last surprise teaches nothing: the pause
//! was too short, or the server refuses everything. So no server brings a quota to zero.
//!
//! # Up
//!
//! Only a period that was *full* (as many calls as the quota) and *clean* (nothing was refused)
//! proves a pace. A pace below the one that was refused grows halfway to it after each. The refused
//! one is tried again after four; if it is refused once more it is believed, and a trial is made so
//! rarely that it costs one of 250 calls. If it passes, what was learnt is out of date, and the
//! documented pace is tried at once, evenly spaced so that a refusal remains a single one. Steps on
//! the way there would only take time: whichever of them is too far costs that refusal. One call in
//! more than a period is an exception. There the pace climbs by 1, 2, 4, … steps, because falling
//! back from too far takes longer than climbing.
//!
//! A *token bucket* deceives such trials: it accepts a faster pace until its stock of tokens is
//! used up. So there is a *base*, a pace that held for four periods. What fails above it falls back
//! to it. That, too, is a single refusal for each trial, so the next one need not wait longer.
//!
//! How soon a limit that has grown again is noticed follows from what a trial costs. Only a call that
//! the old limit would refuse can tell, so whoever notices within so many calls has one of so many
//! refused for as long as the limit stays. At 14 calls a period, ten periods are one of 140, or 0.7 %.
//!
//! # Spacing
//!
//! After a surprise calls are evenly spaced until one period was full and clean. If more calls were
//! accepted in it than of the burst that was refused, the server refuses bursts, and not the pace:
//! the spacing stays, and the quota grows towards the documented one. After some periods the space
//! is halved, and halved again only if calls have really gone that close together. At no space it
//! has proved needless.
//!
//! Such a server has a *stock* of calls, whose size the refused burst has shown. What it accepts in a
//! period before it refuses again is what it refills and a part of the stock. Between two refusals the
//! stock is empty at both ends, so what was accepted is what was refilled, unless so few calls went that
//! the stock was full meanwhile. The pace is that average, but not less than what was accepted in the
//! last period without the whole stock. This spares a surprise for each step by which the first guess is
//! wrong. A stock of three calls or fewer is used up before a pace that is too fast has held. There, after
//! a climb has failed, the pace that passes the next trial is held, and no faster one is tried.
//!
//! A refusal far below a pace that had held is not explained by the pace. If calls were not spaced,
//! they are from now on. If they were, it counts as a whim of the server, unless it happens again
//! before the pace has held once more. The very first surprise, if it is the only refusal of its
//! flight and far below the quota, changes nothing: a server that closes a method for a while is no
//! limit.

use core::time::Duration;

use self::lesson::{Bounds, Lesson};
use super::time::Instant;

mod common;
mod lesson;
mod pace;
mod record;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use self::{common::Happened, pace::Pace};

/// A refusal while the own window had room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Surprise {
    /// How many calls were accepted in the period that ends with it.
    pub(crate) accepted: u32,
    /// How many calls of its flight are known to be refused.
    pub(crate) refused: u32,
    /// How long ago the last call was accepted, if one was.
    pub(crate) since_last: Option<Duration>,
    /// The pause that the server asks for.
    pub(crate) retry_after: Duration,
    /// The quota that others like it have learnt.
    pub(crate) hint: Option<u32>,
}

/// What has been learnt of one bucket.
#[derive(Clone, Debug)]
pub(crate) struct Learner {
    bounds: Bounds,
    part: Part,
    lesson: Lesson,
    flight: Option<Flight>,
    /// How many surprises there were.
    flights: u64,
    counted: Counted,
}

/// The first refusal of a flight, and what was believed before it.
#[derive(Clone, Copy, Debug)]
struct Flight {
    at: Instant,
    surprise: Surprise,
    before: Lesson,
    per_call: Option<Duration>,
}

/// How many of so many calls are its own, where several replicas have a part of a limit each. It
/// counts its own calls, and believes a pace of the whole.
#[derive(Clone, Copy, Debug)]
struct Part {
    own: u32,
    whole: u32,
}

/// What has been counted since the last surprise.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    /// Calls accepted.
    accepted: u32,
    /// When the last call was accepted, of whatever flight.
    last: Option<Instant>,
    /// When the last of them went, where several schedulers send some.
    sent: Option<Instant>,
    period: Option<Period>,
}

/// What has been counted in a period.
#[derive(Clone, Copy, Debug)]
struct Period {
    since: Instant,
    accepted: u32,
    /// Of these, those of other classes than background.
    foreground: u32,
    /// Calls that went closer together than they had to be before.
    close: u32,
}

// === impl Learner ===

impl Learner {
    /// Nothing learnt yet of a limit that is documented so. With `most`, more than that is tried.
    pub(crate) fn new(documented: Pace, most: u32) -> Self {
        Self {
            bounds: Bounds::new(documented, most),
            part: Part { own: 1, whole: 1 },
            lesson: Lesson::new(documented),
            flight: None,
            flights: 0,
            counted: Counted::default(),
        }
    }

    /// The same after a restart: that pace had been believed, so much had been refused, and bursts
    /// perhaps.
    pub(crate) fn recall(&mut self, pace: Pace, refused: Option<u32>, bursts: bool) {
        self.lesson = Lesson::recalled(self.bounds, pace, refused, bursts);
    }

    /// The pace that is believed to be the limit.
    pub(crate) fn pace(&self) -> Pace {
        self.lesson.pace
    }

    /// How long after a call the next one may go.
    pub(crate) fn spacing(&self) -> Duration {
        let spacing = self.lesson.spacing().of(self.lesson.pace);
        spacing * self.part.whole / self.part.own
    }

    /// Only so many of so many calls are its own; both are at least one.
    pub(crate) fn set_part(&mut self, own: u32, whole: u32) {
        self.part = Part { own: own.max(1), whole: whole.max(1) };
    }

    /// The quota that was refused last, if it has not been accepted since.
    pub(crate) fn bad(&self) -> Option<u32> {
        self.lesson.bad.map(|bad| bad.quota)
    }

    /// Whether bursts are refused where evenly spaced calls are not.
    pub(crate) fn refuses_bursts(&self) -> bool {
        self.lesson.spacing.is_needed()
    }

    /// Whether it knows nothing that is not documented.
    pub(crate) fn is_over(&self) -> bool {
        self.lesson.is_over(self.bounds)
    }

    /// A call was refused, the first of its flight.
    pub(crate) fn surprised(&mut self, now: Instant, surprise: Surprise) {
        let since_last = self.counted.last.map(|last| now.since(last)).or(surprise.since_last);
        let surprise = Surprise { since_last, ..surprise };
        let retry_after = surprise.retry_after;
        let again = self.flight.is_some() && self.counted.accepted == 0;
        let before = self.lesson;
        let per_call = self.per_call(now, retry_after);
        let Counted { last, sent, .. } = self.counted;
        self.counted = Counted { last, sent, ..Counted::default() };
        // Where nothing has been accepted since, the pause was too short, which tells no quota.
        if !again {
            self.flights += 1;
            self.flight = Some(Flight { at: now, surprise, before, per_call });
            self.lesson = before.after(self.bounds, self.part.of_whole(surprise), per_call);
        }
    }

    /// How long each call took that was accepted since the last surprise, from the end of that pause
    /// to the end of the next one; nothing of a single call.
    fn per_call(&self, now: Instant, retry_after: Duration) -> Option<Duration> {
        let flight = self.flight.filter(|_| self.counted.accepted > 1)?;
        let since = now.since(flight.at + flight.surprise.retry_after);
        Some(self.part.own((since + retry_after) / self.counted.accepted))
    }

    /// A call goes, so long after the one before.
    pub(crate) fn sent(&mut self, after: Duration) {
        let (pace, spacing) = (self.lesson.pace, self.lesson.spacing());
        if let Some(period) = &mut self.counted.period
            && spacing.before(pace).is_some_and(|before| self.part.own(after) < before)
        {
            period.close += 1;
        }
    }

    /// A call was accepted that went at `sent`; `background` is the quota of background calls if it
    /// is one. Returns whether the pace has changed.
    pub(crate) fn accepted(
        &mut self,
        now: Instant,
        sent: Instant,
        background: Option<u32>,
    ) -> bool {
        let before = self.lesson.pace;
        self.counted.last = Some(now);
        if !self.is_of_flight(sent, |surprise| surprise.accepted += 1) {
            self.count(now, background);
        }
        self.lesson.pace != before
    }

    /// A call was refused that went at `sent`, the first of its flight or another one.
    pub(crate) fn refused(&mut self, sent: Instant) {
        self.is_of_flight(sent, |surprise| surprise.refused += 1);
    }

    /// Whether a call went before the last surprise: then it says more of that.
    fn is_of_flight(&mut self, sent: Instant, adds: impl FnOnce(&mut Surprise)) -> bool {
        let is = self.flight.is_some_and(|flight| sent < flight.at);
        if is {
            self.adds_to_flight(adds);
        }
        is
    }

    fn adds_to_flight(&mut self, adds: impl FnOnce(&mut Surprise)) {
        let Some(flight) = &mut self.flight else { return };
        adds(&mut flight.surprise);
        if self.counted.accepted == 0 {
            let surprise = self.part.of_whole(flight.surprise);
            self.lesson = flight.before.after(self.bounds, surprise, flight.per_call);
        }
    }

    fn count(&mut self, now: Instant, background: Option<u32>) {
        let pace = self.lesson.pace;
        self.counted.accepted = self.counted.accepted.saturating_add(1);
        if let Some(Period { since, accepted, foreground, close }) = self.counted.period
            && now.since(since) >= pace.period
        {
            let all = self.part.share(pace.quota);
            let quota = background.filter(|_| foreground == 0).unwrap_or(all);
            if accepted >= quota - quota / 32 {
                let (accepted, close) = (self.part.whole(accepted), self.part.whole(close));
                self.lesson.confirm(self.bounds, accepted, close);
            } else {
                self.lesson.rest();
            }
            self.counted.period = None;
        }
        let new = Period { since: now, accepted: 0, foreground: 0, close: 0 };
        let period = self.counted.period.get_or_insert(new);
        period.accepted += 1;
        period.foreground += u32::from(background.is_none());
    }
}

// === impl Part ===

impl Part {
    /// What so many calls would be if all replicas made as many.
    fn whole(self, own: u32) -> u32 {
        let whole = u64::from(own) * u64::from(self.whole) / u64::from(self.own);
        u32::try_from(whole).unwrap_or(u32::MAX)
    }

    /// Its own ones of all calls.
    fn share(self, all: u32) -> u32 {
        let share = u64::from(all) * u64::from(self.own) / u64::from(self.whole);
        u32::try_from(share).unwrap_or(u32::MAX).max(1)
    }

    /// The time between calls of all, by that between its own.
    fn own(self, between: Duration) -> Duration {
        between * self.own / self.whole
    }

    fn of_whole(self, surprise: Surprise) -> Surprise {
        Surprise { accepted: self.whole(surprise.accepted), ..surprise }
    }
}
