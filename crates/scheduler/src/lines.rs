//! Lines: of calls in order, none goes while an older one waits, for whatever that one waits.
//!
//! Calls of one order may need different limits: an update of a message is under the tier of its
//! method, and so is the message's deletion. One that waits for its limit has no slot of the order,
//! so the slot does not keep a younger one from going, whose limit has room. So the calls that wait
//! for an order form a line, wherever they are parked, and only the first of it may take the slot.
//!
//! Classes do not matter in a line: a call that is more urgent than one that is to happen before it
//! would undo what it is to be based on.

use foldhash::quality::RandomState;
use hashbrown::HashMap;

use super::{
    Scheduler,
    call::Sequence,
    call_group::{Aged, BucketId, CallId},
    small::SmallSet,
};

/// The calls that wait for each order, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Lines(HashMap<BucketId, SmallSet<Aged>, RandomState>);

// === impl Lines ===

impl Lines {
    /// The oldest call in the line for a bucket. Most buckets have none, so it is not inlined.
    #[inline(never)]
    fn first(&self, id: BucketId) -> Option<Aged> {
        self.0.get(&id)?.first()
    }
}

// === impl Scheduler ===

impl Scheduler {
    /// A held call joins the lines of those of its buckets whose calls go in order.
    pub(super) fn line_up(&mut self, call: CallId, buckets: &[BucketId]) {
        let aged = (self.held[call].sequence, call);
        for id in buckets {
            if self.buckets[*id].is_in_order() {
                self.lines.0.entry(*id).or_default().insert(aged);
                if self.buckets[*id].is_watched {
                    self.touch(*id);
                }
            }
        }
    }

    /// A call leaves these lines.
    pub(super) fn leave_lines(&mut self, aged: Aged, buckets: &[BucketId]) {
        for id in buckets {
            if self.buckets[*id].is_in_order()
                && let Some(line) = self.lines.0.get_mut(id)
                && line.remove(aged)
                && line.is_empty()
            {
                self.lines.0.remove(id);
            }
        }
    }

    /// The oldest call that waits for a bucket whose calls go in order.
    pub(super) fn first_in_line(&self, id: BucketId) -> Option<Aged> {
        if self.buckets[id].is_in_order() { self.lines.first(id) } else { None }
    }

    /// Whether calls of a bucket go in order, and one waits that is older than that.
    pub(super) fn has_older(&self, id: BucketId, age: Sequence) -> bool {
        self.first_in_line(id).is_some_and(|(first, _)| first < age)
    }
}
