//! Whether a day was lawful. The judge shares nothing with what it judges: it has a ring of slots
//! per method and workspace, each with the last answer that it stands for, and looks for one that
//! is over whenever a call was sent.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use foldhash::fast::RandomState;
use scheduler::{Instant, Outcome};

use super::{METHODS, ROOMY, Size, quota_of, traffic::Asked};

/// What became of a call, by its number.
pub(super) enum Seen {
    Sent(usize, Instant),
    /// It was sent, and is over.
    Answered(usize, Instant),
    /// It was refused by the server, and may be sent again.
    SlackRefused(usize, Instant),
    /// It was never sent, and will not be.
    Ended(usize, End),
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    Answered,
    Lost,
    Unsent,
    Refused,
    Expired,
    HungUp,
}

/// What was seen of a day.
pub(super) struct Judge {
    size: Size,
    /// Of each method in each workspace.
    rings: Vec<Ring>,
    /// The calls that were sent, by their number.
    flights: HashMap<usize, Flight, RandomState>,
    /// Of each call, whether it has ended.
    ended: Vec<bool>,
    ends: BTreeMap<End, usize>,
}

struct Ring {
    quota: u32,
    period: Duration,
    /// When the call that has each slot was counted at the latest; far while nobody knows.
    slots: Vec<Instant>,
    /// Calls that were sent after the queues had grown.
    sent: u32,
}

struct Flight {
    asked: Asked,
    /// Which of the ring's slots it has, and what that stood for before.
    slot: usize,
    before: Instant,
}

/// By then the queues have grown.
const GROWN: Duration = Duration::from_secs(7_200);
/// A call that was given up may still be answered so much later.
const LATE: Duration = Duration::from_secs(60);

// === impl Judge ===

impl Judge {
    /// Judges all that is seen of a day.
    pub(super) fn of(size: Size, seen: impl Iterator<Item = Seen>) -> Self {
        let rings = (0..size.workspaces * METHODS).map(|bucket| Ring::of(bucket % METHODS));
        let mut judge = Self {
            size,
            rings: rings.collect(),
            flights: HashMap::default(),
            ended: vec![false; size.calls],
            ends: BTreeMap::new(),
        };
        for seen in seen {
            match seen {
                Seen::Sent(number, at) => judge.sent(number, at),
                Seen::Answered(number, at) => judge.answered(number, at),
                Seen::SlackRefused(number, at) => {
                    let Flight { asked, slot, .. } = judge.flights.remove(&number).unwrap();
                    judge.rings[ring_of(&asked)].slots[slot] = at;
                }
                Seen::Ended(number, how) => judge.end(number, how),
            }
        }
        judge
    }

    fn sent(&mut self, number: usize, at: Instant) {
        let asked = Asked::by(number, self.size);
        let ring = &mut self.rings[ring_of(&asked)];
        let over = |counted: &Instant| {
            counted.as_nanos() == 0 || (*counted != Instant::FAR && *counted + ring.period <= at)
        };
        let slot = ring.slots.iter().position(over);
        let slot = slot.unwrap_or_else(|| panic!("no room for {asked:?} at {at:?}"));
        let before = std::mem::replace(&mut ring.slots[slot], Instant::FAR);
        let end = Instant::ZERO + self.size.length;
        if asked.outcome != Outcome::Unsent && at > Instant::ZERO + GROWN && at <= end {
            ring.sent += 1;
        }
        self.flights.insert(number, Flight { asked, slot, before });
    }

    fn answered(&mut self, number: usize, at: Instant) {
        let Flight { asked, slot, before } = self.flights.remove(&number).unwrap();
        let (counted, end) = match asked.outcome {
            Outcome::Unsent => (before, End::Unsent),
            Outcome::Lost => (at + LATE, End::Lost),
            Outcome::Answered | Outcome::Refused => (at, End::Answered),
        };
        self.rings[ring_of(&asked)].slots[slot] = counted;
        self.end(number, end);
    }

    fn end(&mut self, number: usize, how: End) {
        assert!(!std::mem::replace(&mut self.ended[number], true), "call {number} ends twice");
        *self.ends.entry(how).or_default() += 1;
    }

    /// Whether each call has ended.
    pub(super) fn all_ended(&self) -> bool {
        self.ended.iter().all(|ended| *ended)
    }

    /// How many calls ended in which way.
    pub(super) fn ends(&self) -> &BTreeMap<End, usize> {
        &self.ends
    }

    /// The part of its limit that each crowded method had in each workspace, the least first.
    pub(super) fn shares(&self) -> Vec<f64> {
        let counted = (self.size.length - GROWN).as_secs_f64();
        let crowded = self.rings.iter().filter(|ring| ring.quota != ROOMY.0);
        let mut shares: Vec<_> = crowded
            .map(|ring| {
                let limit = f64::from(ring.quota) * counted / ring.period.as_secs_f64();
                f64::from(ring.sent) / limit
            })
            .collect();
        shares.sort_by(f64::total_cmp);
        shares
    }
}

/// In which ring a call counts.
fn ring_of(asked: &Asked) -> usize {
    asked.workspace * METHODS + asked.method
}

// === impl Ring ===

impl Ring {
    fn of(method: usize) -> Self {
        let (quota, period) = quota_of(method);
        Self { quota, period, slots: vec![Instant::ZERO; quota as usize], sent: 0 }
    }
}
