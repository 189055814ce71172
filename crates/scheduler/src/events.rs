//! What the scheduler reports: what became of a call, why it waits, and the state of buckets.

use alloc::vec::Vec;

use limits::BucketKey;

use super::{Instant, Learnt, Permit, Ticket};

/// What became of a call that arrived.
#[derive(Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It goes now.
    Granted(Permit),
    /// It waits; an [`Event`] says later what becomes of it.
    Held(Ticket),
    /// It is not held.
    Refused(Refusal),
}

/// What happened to a held call.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// It goes now.
    Granted {
        /// Which.
        ticket: Ticket,
        /// Its right to go.
        permit: Permit,
    },
    /// It has waited as long as it may.
    Expired {
        /// Which.
        ticket: Ticket,
        /// What it waited for, and when it might have gone.
        refusal: Refusal,
    },
}

/// A call is not held, or no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: RefusalReason,
    /// Which bucket blocks it.
    pub bucket: BucketKey,
    /// When a call like it could go at the earliest.
    pub retry_at: Instant,
}

/// Why a call is refused: not held, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalReason {
    /// It would wait, or has waited, past its deadline.
    Deadline,
    /// A queue that it would join is full: its caller's, a bucket's, or that of all calls.
    QueueFull,
    /// It has waited past its deadline for the operator to end a pause.
    Paused,
    /// It has waited past its deadline for a gate to let it pass.
    InFlight,
}

/// Why a call that waits for a bucket does not go, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Why.
    pub reason: BlockReason,
    /// Until when, if nothing else happens; absent if it is unknown until a response arrives.
    pub until: Option<Instant>,
}

/// Why a bucket blocks a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockReason {
    /// All of its slots are taken.
    Full,
    /// Of a shared limit, no more slots are held on lease.
    Shared,
    /// Slack asked for a pause.
    Frozen,
    /// After a pause, other calls probe whether it is over.
    Probing,
    /// Calls are kept apart until a learnt limit is confirmed, or because Slack refuses bursts.
    Spaced,
    /// Its free slots are reserved for more urgent calls.
    Reserved,
    /// Its free slot is kept for a call that also needs another bucket.
    Claimed,
    /// Other calls are before it.
    Turn,
    /// The operator has paused what it is part of.
    Paused,
    /// As many calls are in flight as may be.
    InFlight,
}

/// What a refusal by Slack led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// What was closed, the most likely cause first; nothing if no bucket can be the cause.
    pub freezes: Vec<Freeze>,
    /// Whether it was unforeseen: no pause was on, and the window had a free slot.
    pub surprise: bool,
}

/// A bucket was closed because Slack said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// Which.
    pub bucket: BucketKey,
    /// Until when.
    pub until: Instant,
}

/// The state of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketState {
    /// Which.
    pub key: BucketKey,
    /// Slots taken.
    pub used: u32,
    /// Slots in all.
    pub quota: u32,
    /// Of those that are taken, how many are held here on lease; absent if it is not shared.
    pub held: Option<u32>,
    /// Until when it is closed, if it is.
    pub frozen_until: Option<Instant>,
    /// Whether, after a pause, calls are let through one by one to see whether it is over.
    pub probing: bool,
    /// Calls that are held for it, perhaps for other buckets too.
    pub waiting: u64,
    /// Places that are kept in its queue for calls that were sent away.
    pub places: u64,
    /// What it has learnt of its limit, if anything.
    pub learnt: Option<Learnt>,
}

// === impl RefusalReason ===

impl RefusalReason {
    /// The name in headers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::QueueFull => "queue_full",
            Self::Paused => "paused",
            Self::InFlight => "in_flight",
        }
    }
}

// === impl BlockReason ===

impl BlockReason {
    /// The name in status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Shared => "shared",
            Self::Frozen => "frozen",
            Self::Probing => "probing",
            Self::Spaced => "spaced",
            Self::Reserved => "room_for_people",
            Self::Claimed => "claimed",
            Self::Turn => "turn",
            Self::Paused => "paused",
            Self::InFlight => "in_flight",
        }
    }
}

// === impl Block ===

impl Block {
    /// The one that lasts longer.
    pub(super) fn longer(self, other: Self) -> Self {
        if other.outlasts(self) { other } else { self }
    }

    /// Whether it lasts longer than the other. One that ends when a response arrives counts as
    /// shorter than one that ends at a known time; one that only the operator ends is the longest, and
    /// one of a gate the next.
    pub(super) fn outlasts(self, other: Self) -> bool {
        let gate = |reason| match reason {
            BlockReason::Paused => 2,
            BlockReason::InFlight => 1,
            _ => 0,
        };
        let length = |block: Self| (gate(block.reason), block.until);
        length(self) > length(other)
    }
}
