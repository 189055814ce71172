//! A cell: all held calls that need the same buckets.
//!
//! They are blocked and freed together, so they stand together, in the line of one bucket
//! that blocks them. Inside, each caller of each class has its calls in their order.

use std::collections::BTreeMap;

use slab::Slab;

use super::{CallerId, Class, Sequence, bucket::Bucket};

/// Index of a bucket in the scheduler.
pub(super) type BucketId = usize;
/// Index of a cell in the scheduler.
pub(super) type CellId = usize;
/// Index of a held call in the scheduler.
pub(super) type CallId = usize;

/// The held calls that need the same buckets.
#[derive(Debug)]
pub(super) struct Cell {
    /// The buckets, each once, in the order of their indices.
    pub(super) buckets: Box<[BucketId]>,
    /// In whose line it stands.
    pub(super) parked: BucketId,
    lines: BTreeMap<(Class, CallerId), BTreeMap<Sequence, CallId>>,
}

// === impl Cell ===

impl Cell {
    pub(super) fn new(buckets: Box<[BucketId]>, parked: BucketId) -> Self {
        Self { buckets, parked, lines: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Adds a call and tells the oldest of its line before and after.
    pub(super) fn add(
        &mut self,
        line: (Class, CallerId),
        sequence: Sequence,
        call: CallId,
    ) -> HeadChange {
        let calls = self.lines.entry(line).or_default();
        let before = calls.keys().next().copied();
        calls.insert(sequence, call);
        HeadChange { before, after: calls.keys().next().copied() }
    }

    /// Removes a call and tells the oldest of its line before and after.
    pub(super) fn remove(&mut self, line: (Class, CallerId), sequence: Sequence) -> HeadChange {
        let Some(calls) = self.lines.get_mut(&line) else { return HeadChange::default() };
        let before = calls.keys().next().copied();
        calls.remove(&sequence);
        let after = calls.keys().next().copied();
        if after.is_none() {
            self.lines.remove(&line);
        }
        HeadChange { before, after }
    }

    /// The oldest call of a line.
    pub(super) fn head(&self, line: (Class, CallerId)) -> Option<CallId> {
        self.lines.get(&line)?.values().next().copied()
    }

    /// Moves the cell from the line of one bucket to that of another.
    pub(super) fn park(&mut self, id: CellId, at: BucketId, buckets: &mut Slab<Bucket>) {
        for ((class, caller), calls) in &self.lines {
            if let Some(head) = calls.keys().next() {
                buckets[self.parked].lineup.unpark(*class, *caller, *head, id);
                buckets[at].lineup.park(*class, *caller, *head, id);
            }
        }
        self.parked = at;
    }
}

/// The oldest call of a line, before and after a change.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeadChange {
    pub(super) before: Option<Sequence>,
    pub(super) after: Option<Sequence>,
}
