//! A cell: all held calls of one class that need the same buckets.
//!
//! They are blocked and freed together, so they stand together, in the line of one bucket
//! that blocks them. Inside, each caller has its calls in their order.

use std::{collections::BTreeMap, sync::Arc};

use super::{CallerId, Class, Sequence};

/// Index of a bucket in the scheduler.
pub(super) type BucketId = usize;
/// Index of a cell in the scheduler.
pub(super) type CellId = usize;
/// Index of a held call in the scheduler.
pub(super) type CallId = usize;

/// What the calls of a cell have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CellKey {
    /// The buckets, each once, in the order of their indices.
    pub(super) buckets: Arc<[BucketId]>,
    pub(super) class: Class,
}

/// The held calls of one class that need the same buckets.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) key: CellKey,
    /// In whose line it stands.
    pub(super) parked: BucketId,
    lines: BTreeMap<CallerId, BTreeMap<Sequence, CallId>>,
}

/// The oldest call of a line, before and after a change.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeadChange {
    pub(super) before: Option<Sequence>,
    pub(super) after: Option<Sequence>,
}

// === impl Cell ===

impl Cell {
    pub(super) fn new(key: CellKey, parked: BucketId) -> Self {
        Self { key, parked, lines: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Adds a call and tells the oldest of its line before and after.
    pub(super) fn add(&mut self, caller: CallerId, sequence: Sequence, call: CallId) -> HeadChange {
        let calls = self.lines.entry(caller).or_default();
        let before = calls.keys().next().copied();
        calls.insert(sequence, call);
        HeadChange { before, after: calls.keys().next().copied() }
    }

    /// Removes a call and tells the oldest of its line before and after.
    pub(super) fn remove(&mut self, caller: CallerId, sequence: Sequence) -> HeadChange {
        let Some(calls) = self.lines.get_mut(&caller) else { return HeadChange::default() };
        let before = calls.keys().next().copied();
        calls.remove(&sequence);
        let after = calls.keys().next().copied();
        if after.is_none() {
            self.lines.remove(&caller);
        }
        HeadChange { before, after }
    }

    /// The oldest call of a line.
    pub(super) fn head(&self, caller: CallerId) -> Option<CallId> {
        self.lines.get(&caller)?.values().next().copied()
    }

    /// The oldest call of each line.
    pub(super) fn heads(&self) -> impl Iterator<Item = CallId> {
        self.lines.values().filter_map(|calls| calls.values().next().copied())
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
