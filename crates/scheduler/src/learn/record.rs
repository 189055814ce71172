//! What a learner knows, as a word that others read: with it they go on where it was.
//!
//! A record has numbers only, and of times how long ago they were, so that no two clocks are compared.

use alloc::string::String;
use core::{fmt::Write as _, time::Duration};

use super::{
    Counted, Flight, Learner, Pace, Part, Period, Surprise,
    lesson::{Bounds, Lesson, Spacing},
};
use crate::Instant;

/// Another one is not understood.
const FORMAT: u64 = 1;

/// Writes numbers.
struct Writer {
    text: String,
    now: Instant,
}

/// That is no record.
struct Odd;

/// Reads them.
struct Reader<'r> {
    numbers: core::str::Split<'r, char>,
    now: Instant,
}

// === impl Learner ===

impl Learner {
    /// Its record.
    pub(crate) fn record(&self, now: Instant) -> String {
        let Self { bounds, lesson, flight, flights, counted, part: _ } = self;
        let mut to = Writer { text: String::new(), now };
        to.number(FORMAT);
        to.pace(bounds.documented);
        to.lesson(lesson);
        to.number(*flights);
        to.number(flight.is_some().into());
        if let Some(Flight { at, surprise, before, per_call }) = flight {
            let Surprise { accepted, refused, since_last, retry_after, hint } = *surprise;
            to.at(Some(*at));
            to.number(accepted.into());
            to.number(refused.into());
            to.time(since_last);
            to.time(Some(retry_after));
            to.maybe(hint.map(u64::from));
            to.lesson(before);
            to.time(*per_call);
        }
        let Counted { accepted, last, sent, period } = *counted;
        to.number(accepted.into());
        to.at(last);
        to.at(sent);
        to.at(period.map(|period| period.since));
        if let Some(Period { accepted, foreground, close, since: _ }) = period {
            to.number(accepted.into());
            to.number(foreground.into());
            to.number(close.into());
        }
        to.text
    }

    /// One that goes on from a record that is so old; nothing if that is no record of a limit that is
    /// documented so. No pace is faster than `most`.
    pub(crate) fn of_record(
        text: &str,
        (now, age): (Instant, Duration),
        documented: Pace,
        most: u32,
    ) -> Option<Self> {
        let mut from = Reader { numbers: text.split(','), now: now.before(age) };
        Self::read(&mut from, Bounds::new(documented, most)).ok()
    }

    fn read(from: &mut Reader<'_>, bounds: Bounds) -> Result<Self, Odd> {
        if from.number()? != FORMAT || from.pace()? != bounds.documented {
            return Err(Odd);
        }
        let lesson = from.lesson(bounds)?;
        let flights = from.number()?;
        let flight = match from.number()? {
            0 => None,
            _ => Some(Flight {
                at: from.at()?.ok_or(Odd)?,
                surprise: Surprise {
                    accepted: from.small()?,
                    refused: from.small()?,
                    since_last: from.time()?,
                    retry_after: from.time()?.ok_or(Odd)?,
                    hint: from.maybe()?.map(small),
                },
                before: from.lesson(bounds)?,
                per_call: from.time()?,
            }),
        };
        let (accepted, last, sent, since) = (from.small()?, from.at()?, from.at()?, from.at()?);
        let period = match since {
            None => None,
            Some(since) => Some(Period {
                since,
                accepted: from.small()?,
                foreground: from.small()?,
                close: from.small()?,
            }),
        };
        let counted = Counted { accepted, last, sent, period };
        let part = Part { own: 1, whole: 1 };
        let is_all = from.numbers.next().is_none();
        is_all.then_some(Self { bounds, part, lesson, flight, flights, counted }).ok_or(Odd)
    }
}

// === impl Writer ===

impl Writer {
    fn number(&mut self, number: u64) {
        let comma = if self.text.is_empty() { "" } else { "," };
        // A string takes all that is written to it.
        let _ = write!(self.text, "{comma}{number}");
    }

    /// One more than it is, or nothing.
    fn maybe(&mut self, number: Option<u64>) {
        self.number(number.map_or(0, |number| number.saturating_add(1)));
    }

    fn time(&mut self, time: Option<Duration>) {
        self.maybe(time.map(micros));
    }

    fn at(&mut self, at: Option<Instant>) {
        self.time(at.map(|at| self.now.since(at)));
    }

    fn pace(&mut self, pace: Pace) {
        self.number(pace.quota.into());
        self.number(micros(pace.period));
    }

    fn perhaps(&mut self, pace: Option<Pace>) {
        match pace {
            Some(pace) => self.pace(pace),
            None => self.number(0),
        }
    }

    fn lesson(&mut self, lesson: &Lesson) {
        let Lesson { pace, base, bad, clean, wait, step, .. } = *lesson;
        let Lesson { confirmed, deceived, careful, whim, spacing, stock, quiet, .. } = *lesson;
        let Spacing { parts, needed, wait: loosens } = spacing;
        self.pace(pace);
        self.perhaps(base);
        self.perhaps(bad);
        for number in [clean, wait, step, stock, quiet, parts, loosens] {
            self.number(number.into());
        }
        let flags = [confirmed, deceived, careful, needed];
        self.number(flags.into_iter().fold(0, |all, flag| all * 2 + u64::from(flag)));
        self.maybe(whim.map(u64::from));
    }
}

// === impl Reader ===

impl Reader<'_> {
    fn number(&mut self) -> Result<u64, Odd> {
        self.numbers.next().and_then(|number| number.parse().ok()).ok_or(Odd)
    }

    fn small(&mut self) -> Result<u32, Odd> {
        self.number()?.try_into().map_err(|_| Odd)
    }

    fn maybe(&mut self) -> Result<Option<u64>, Odd> {
        Ok(self.number()?.checked_sub(1))
    }

    fn time(&mut self) -> Result<Option<Duration>, Odd> {
        Ok(self.maybe()?.map(Duration::from_micros))
    }

    fn at(&mut self) -> Result<Option<Instant>, Odd> {
        Ok(self.time()?.map(|ago| self.now.before(ago)))
    }

    fn pace(&mut self) -> Result<Pace, Odd> {
        self.perhaps()?.ok_or(Odd)
    }

    fn perhaps(&mut self) -> Result<Option<Pace>, Odd> {
        let quota = self.small()?;
        if quota == 0 {
            return Ok(None);
        }
        let period = Duration::from_micros(self.number()?);
        if period.is_zero() { Err(Odd) } else { Ok(Some(Pace { quota, period })) }
    }

    /// One that keeps to the bounds.
    fn lesson(&mut self, bounds: Bounds) -> Result<Lesson, Odd> {
        let (pace, base, bad) = (self.pace()?, self.perhaps()?, self.perhaps()?);
        let mut next = || self.small();
        let (clean, wait, step, stock) = (next()?, next()?, next()?, next()?);
        let (quiet, parts, loosens) = (next()?, next()?, next()?);
        let flags = self.number()?;
        let [confirmed, deceived, careful, needed] = [8, 4, 2, 1].map(|flag| flags & flag > 0);
        let spacing = Spacing { parts, needed, wait: loosens };
        let whim = self.maybe()?.map(small);
        let lesson = Lesson {
            pace,
            base,
            bad,
            clean,
            wait,
            step,
            confirmed,
            deceived,
            careful,
            whim,
            spacing,
            stock,
            quiet,
        };
        lesson.is_within(bounds).then_some(lesson).ok_or(Odd)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
