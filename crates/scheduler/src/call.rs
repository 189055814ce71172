//! A call, from its arrival to its end: as it comes, while it is held, and once it is granted.

use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;

use limits::{BucketKey, Class, Weight};
use smallvec::SmallVec;

use super::{
    Instant, PlaceId,
    call_group::{BucketId, CallId, GroupId, Neighbours},
    table::Id,
};

/// A call, as the scheduler sees it.
#[derive(Clone, Debug)]
pub struct Call {
    /// What it counts against.
    pub buckets: Vec<BucketKey>,
    /// How urgent it is.
    pub class: Class,
    /// Who sent it.
    pub caller: Caller,
    /// Until when it may be held.
    pub deadline: Instant,
    /// How many calls its caller may have in the queue, where the operator says so.
    pub max_depth: Option<usize>,
    /// What it is recognized by when it is refused and returns.
    pub place: Option<PlaceId>,
    /// How long it may be held once more where its client comes back by itself, so that the call is
    /// held till its deadline though its turn comes so much later, and takes its place so much
    /// before its time. Zero where it is refused as soon as its deadline cannot be met.
    pub again: Duration,
}

/// What bounds how a call may be held, beside its deadline.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terms {
    /// As [`Call::max_depth`].
    pub(super) max_depth: Option<usize>,
    /// As [`Call::again`].
    pub(super) again: Duration,
}

/// Who sent a call, and how large its share is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub id: CallerId,
    /// Its share, relative to those of the other callers of the class.
    pub weight: Weight,
}

/// Who sent a call: a hash of the caller's name. Should two names ever share a hash, they
/// share their turns, nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallerId(pub u64);

/// A held call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    pub(super) index: CallId,
    pub(super) sequence: Sequence,
}

/// The right to send one call now. To be settled exactly once.
#[derive(Debug, PartialEq, Eq, Hash)]
#[must_use = "its slots stay taken until it is settled"]
pub struct Permit {
    pub(super) index: Id,
    pub(super) sequence: Sequence,
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

/// The order of arrival.
pub(super) type Sequence = u64;

/// A call that waits. Most of them have not been touched for long, so each takes one cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Held {
    pub(super) sequence: Sequence,
    pub(super) class: Class,
    pub(super) caller: CallerId,
    pub(super) weight: Weight,
    pub(super) deadline: Instant,
    pub(super) place: Option<PlaceId>,
    pub(super) group: GroupId,
    pub(super) beside: Neighbours,
    /// Slots it kept from the attempt before: those of limits on calls in flight.
    #[expect(clippy::box_collection, reason = "most have none, and that takes little memory")]
    pub(super) kept: Option<Box<Vec<Slot>>>,
    /// Whether it has claimed the next slots of its buckets.
    pub(super) claims: bool,
    /// Whether it came when slots were kept for those who were told to come then, and waits for
    /// nothing else.
    pub(super) gives_way: bool,
}

const _: () = assert!(size_of::<Held>() == 64);

/// A call that has a permit.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) sequence: Sequence,
    pub(super) class: Class,
    pub(super) caller: Caller,
    pub(super) deadline: Instant,
    pub(super) place: Option<PlaceId>,
    pub(super) slots: SmallVec<[Slot; 6]>,
    /// When its answer began, if that is known before what the answer says.
    pub(super) answered: Option<Instant>,
}

/// A slot that a call took in a bucket, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) bucket: BucketId,
    pub(super) taken: Instant,
    /// Whether its call waits: for its next attempt, with a slot of calls in order, or, with one on
    /// lease, until it has collected all that it needs.
    pub(super) kept: bool,
}

// === impl Ticket ===

impl Ticket {
    /// A number that no other call ever has.
    pub fn number(self) -> u64 {
        self.sequence
    }
}

// === impl Permit ===

impl Permit {
    pub(super) fn spend(self) -> Id {
        self.index
    }
}

// === impl Held ===

impl Held {
    pub(super) fn new(sequence: Sequence, class: Class, caller: Caller, deadline: Instant) -> Self {
        Self {
            sequence,
            class,
            caller: caller.id,
            weight: caller.weight,
            deadline,
            place: None,
            group: Id::default(),
            beside: Neighbours::default(),
            kept: None,
            claims: false,
            gives_way: false,
        }
    }

    pub(super) fn caller(&self) -> Caller {
        Caller { id: self.caller, weight: self.weight }
    }

    /// Slots it kept from the attempt before.
    pub(super) fn kept(&self) -> &[Slot] {
        self.kept.as_deref().map_or(&[], Vec::as_slice)
    }

    /// Replaces the slots that it kept from the attempt before.
    pub(super) fn keep(&mut self, slots: Vec<Slot>) {
        self.kept = (!slots.is_empty()).then(|| Box::new(slots));
    }

    /// All of its buckets: those for which it waits, and those of which it kept a slot.
    pub(super) fn all_buckets(&self, waits_for: &[BucketId]) -> Vec<BucketId> {
        let kept = self.kept().iter().map(|slot| slot.bucket);
        let mut all: Vec<_> = waits_for.iter().copied().chain(kept).collect();
        all.sort_unstable();
        all
    }
}
