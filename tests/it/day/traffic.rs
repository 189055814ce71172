//! What comes in a day, by chance that repeats.

use std::{num::NonZeroU8, time::Duration};

use limits::{Class, Weight};
use scheduler::{Caller, CallerId, Instant, Outcome};

use super::{METHODS, Size};
use crate::mix::SplitMix;

/// A call: all that it will do follows from its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) workspace: usize,
    pub(super) method: usize,
    pub(super) class: Class,
    pub(super) caller: Caller,
    pub(super) patience: Duration,
    /// Its client does not wait as long as it said.
    pub(super) hangs_up_after: Option<Duration>,
    /// It is refused as too late, it comes again at the time that it is told.
    pub(super) returns: bool,
    pub(super) outcome: Outcome,
    pub(super) round_trip: Duration,
}

/// Numbers by chance, the same ones whenever a call is looked at.
struct Chance(SplitMix);

/// The part of the calls that goes to the half of the methods that is crowded.
const CROWD: f64 = 0.85;

/// Every call in turn, and when it comes.
pub(super) fn arrivals(size: Size) -> impl Iterator<Item = (usize, Instant)> {
    let between = size.length.as_nanos() as f64 / size.calls as f64;
    let mut chance = Chance::of(u64::MAX);
    let mut next = Instant::ZERO;
    (0..size.calls).map(move |number| {
        let at = next;
        next = at + Duration::from_nanos((-(1.0 - chance.unit()).ln() * between) as u64);
        (number, at)
    })
}

// === impl Asked ===

impl Asked {
    pub(super) fn by(number: usize, size: Size) -> Self {
        let mut chance = Chance::of(number as u64);
        let crowded = chance.happens(CROWD);
        let method = chance.below(METHODS / 2) + if crowded { 0 } else { METHODS / 2 };
        let workspace = chance.below(size.workspaces);
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let (class, patience) = match chance.below(20) {
            0 => (Class::Interactive, chance.between(minutes(1), minutes(30))),
            1..5 => (Class::Background, chance.between(minutes(60), minutes(300))),
            _ => (Class::Normal, chance.between(minutes(30), minutes(180))),
        };
        let who = chance.below(5);
        let caller = Caller {
            id: CallerId((workspace * 5 + who) as u64),
            weight: Weight::new(NonZeroU8::new(if who == 0 { 3 } else { 1 }).unwrap()),
        };
        let hangs_up = chance.happens(0.02);
        let after = chance.between(Duration::ZERO, patience);
        let answer = chance.between(Duration::from_millis(50), Duration::from_millis(300));
        let (outcome, round_trip) = match chance.below(1_000) {
            0..3 => (Outcome::Lost, Duration::from_secs(30)),
            3..8 => (Outcome::Unsent, Duration::from_millis(50)),
            _ => (Outcome::Answered, answer),
        };
        Self {
            workspace,
            method,
            class,
            caller,
            patience,
            hangs_up_after: hangs_up.then_some(after),
            returns: chance.happens(0.25),
            outcome,
            round_trip,
        }
    }
}

// === impl Chance ===

impl Chance {
    fn of(number: u64) -> Self {
        Self(SplitMix(number.wrapping_mul(0xd134_2543_de82_ef95)))
    }

    fn unit(&mut self) -> f64 {
        (self.0.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0.next() as usize % bound
    }

    fn happens(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let nanos = (most - least).as_nanos() * u128::from(self.0.next());
        least + Duration::from_nanos((nanos >> u64::BITS) as u64)
    }
}
