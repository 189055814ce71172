//! A cell: all held calls of one class that need the same buckets.
//!
//! They are blocked and freed together, so they stand together, in the line of one bucket
//! that blocks them. Inside, each caller has its calls in their order.

use std::{iter, sync::Arc};

use super::{CallerId, Sequence, few::Few};

/// Index of a bucket in the scheduler.
pub(super) type BucketId = usize;
/// Index of a cell in the scheduler.
pub(super) type CellId = usize;
/// Index of a held call in the scheduler.
pub(super) type CallId = usize;

/// The held calls of one class that need the same buckets.
#[derive(Debug)]
pub(super) struct Cell {
    /// The buckets, each once, in the order of their indices.
    pub(super) buckets: Arc<[BucketId]>,
    /// In whose line it stands.
    pub(super) parked: BucketId,
    /// Each caller's calls, the oldest first.
    calls: Few<(CallerId, Sequence, CallId)>,
}

/// The oldest call of a line, before and after a change.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeadChange {
    pub(super) before: Option<Sequence>,
    pub(super) after: Option<Sequence>,
}

// === impl Cell ===

impl Cell {
    pub(super) fn new(buckets: Arc<[BucketId]>, parked: BucketId) -> Self {
        Self { buckets, parked, calls: Few::None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Adds a call and tells the oldest of its line before and after.
    pub(super) fn add(&mut self, caller: CallerId, sequence: Sequence, call: CallId) -> HeadChange {
        let before = self.first(caller).map(|(head, _)| head);
        self.calls.insert((caller, sequence, call));
        HeadChange { before, after: Some(before.map_or(sequence, |head| head.min(sequence))) }
    }

    /// Removes a call and tells the oldest of its line before and after.
    pub(super) fn remove(
        &mut self,
        caller: CallerId,
        sequence: Sequence,
        call: CallId,
    ) -> HeadChange {
        let before = self.first(caller).map(|(head, _)| head);
        self.calls.remove((caller, sequence, call));
        HeadChange { before, after: self.first(caller).map(|(head, _)| head) }
    }

    /// The oldest call of a line.
    pub(super) fn head(&self, caller: CallerId) -> Option<CallId> {
        self.first(caller).map(|(_, call)| call)
    }

    /// The oldest call of each line.
    pub(super) fn heads(&self) -> impl Iterator<Item = CallId> {
        let next = |(caller, ..): &(CallerId, Sequence, CallId)| {
            self.calls.first_from((*caller, Sequence::MAX, CallId::MAX))
        };
        iter::successors(self.calls.first(), next).map(|(.., call)| call)
    }

    fn first(&self, caller: CallerId) -> Option<(Sequence, CallId)> {
        let first = self.calls.first_from((caller, 0, 0)).filter(|(of, ..)| *of == caller);
        first.map(|(_, sequence, call)| (sequence, call))
    }
}

// === impl HeadChange ===

impl HeadChange {
    /// The line comes, with that call in front.
    pub(super) fn comes(head: Sequence) -> Self {
        Self { before: None, after: Some(head) }
    }

    /// The line with that call in front leaves.
    pub(super) fn leaves(head: Sequence) -> Self {
        Self { before: Some(head), after: None }
    }
}
