//! What happens to a learner that several schedulers have: each adds what happened at its own.
//!
//! What was accepted adds up, whoever adds it first. So does what each had counted when the first refusal
//! of a flight came: nobody else knows that. Only surprises have an order, and a refusal of a call that went
//! before the last surprise is one of its flight.

use core::time::Duration;

use super::{Learner, Surprise};
use crate::Instant;

/// Something that one of them adds.
#[derive(Clone, Debug)]
pub(crate) enum Happened {
    /// A call was accepted that went at `sent`; `background` is the quota of background calls if it is one.
    Accepted { at: Instant, sent: Instant, background: Option<u32> },
    /// A call was refused that went at `sent`, the first of its flight.
    Surprised { at: Instant, sent: Instant, surprise: Surprise },
    /// A call was refused that went at `sent`.
    Refused { sent: Instant },
    /// So many calls were accepted in the period before the surprise of that number, the last one so long
    /// before it.
    Counted { flight: u64, accepted: u32, since_last: Option<Duration> },
}

// === impl Learner ===

impl Learner {
    /// One of them adds that.
    pub(crate) fn happens(&mut self, what: &Happened) {
        match *what {
            Happened::Accepted { at, sent, background } => {
                if let Some(last) = self.counted.sent {
                    self.sent(sent.since(last));
                }
                self.counted.sent = self.counted.sent.max(Some(sent));
                self.accepted(at, sent, background);
            }
            Happened::Surprised { at, sent, surprise } => {
                if self.flight.is_none_or(|flight| sent >= flight.at) {
                    self.surprised(at, surprise);
                }
            }
            Happened::Refused { sent } => self.refused(sent),
            Happened::Counted { flight, accepted, since_last } if flight == self.flights => {
                self.adds_to_flight(|surprise| {
                    surprise.accepted = surprise.accepted.saturating_add(accepted);
                    let both = [surprise.since_last, since_last].into_iter().flatten();
                    surprise.since_last = both.min();
                });
            }
            Happened::Counted { .. } => {}
        }
    }

    /// The last surprise: its number, and when it was.
    pub(crate) fn flight(&self) -> (u64, Option<Instant>) {
        (self.flights, self.flight.map(|flight| flight.at))
    }
}
