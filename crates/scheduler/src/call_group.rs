//! A call group: all held calls of one class that need the same buckets.
//!
//! They are blocked and freed together, so they are parked together, in the queue of one bucket
//! that blocks them. Inside the group, each caller has a queue of its calls, the oldest first.

use alloc::boxed::Box;

use smallvec::SmallVec;

use super::{
    CallerId,
    call::{Held, Sequence},
    small::{SmallMap, SmallSet},
    table::{Id, Table},
};

/// Index of a bucket in the scheduler.
pub(super) type BucketId = Id;
/// Index of a call group in the scheduler.
pub(super) type GroupId = Id;
/// Index of a held call in the scheduler.
pub(super) type CallId = Id;

/// Buckets, each once, in the order of their indices. Few calls need more than six, and up to six
/// take no memory of their own.
pub(super) type BucketIds = SmallVec<[BucketId; 6]>;

/// The held calls of one class that need the same buckets.
#[derive(Debug)]
#[repr(align(32))]
pub(super) struct CallGroup {
    pub(super) buckets: BucketIds,
    /// The bucket in whose queue it is parked.
    pub(super) parked: BucketId,
    /// Each caller's calls.
    queues: SmallMap<CallerId, CallerQueue>,
}

/// The oldest call of a queue, before and after a change.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeadChange {
    pub(super) before: Option<Aged>,
    pub(super) after: Option<Aged>,
}

/// One caller's calls in a group. Most come in the order of their age. These form a linked row:
/// each call knows its neighbours, so none is ever searched for.
#[derive(Debug, Default)]
struct CallerQueue {
    row: Option<Row>,
    /// Calls that came out of order, when younger ones were here: from an attempt before, a place
    /// or another group.
    late: Option<Box<SmallSet<Aged>>>,
}

/// Both ends of the row of calls that came in order.
#[derive(Clone, Copy, Debug)]
struct Row {
    oldest: CallId,
    youngest: CallId,
    /// Their ages.
    ages: (Sequence, Sequence),
}

/// A call and its age.
pub(super) type Aged = (Sequence, CallId);

/// The neighbours of a held call in the row of its queue.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Neighbours {
    /// Stale where the call is the oldest: a call that goes from the front does not update the one
    /// behind it, whose memory nothing else has touched for long.
    before: Option<CallId>,
    behind: Option<CallId>,
    /// The age of the one behind it.
    age_behind: Sequence,
}

// === impl CallGroup ===

impl CallGroup {
    pub(super) fn new(buckets: BucketIds, parked: BucketId) -> Self {
        Self { buckets, parked, queues: SmallMap::default() }
    }

    /// Fetches its calls into the cache: they are needed soon.
    pub(super) fn prefetch(&self) {
        self.queues.prefetch();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// The buckets that its calls need, as a copy, so that the groups may change meanwhile.
    pub(super) fn needs(&self) -> BucketIds {
        BucketIds::from_slice(&self.buckets)
    }

    /// Adds a call. Returns its caller's oldest call before and after.
    pub(super) fn add(&mut self, held: &mut Table<Held>, call: CallId) -> HeadChange {
        let Held { sequence, caller, .. } = held[call];
        let queue = self.queues.get_or_insert_with(caller, CallerQueue::default);
        let (before, new) = (queue.head(), (sequence, call));
        queue.add(held, new);
        HeadChange { before, after: Some(before.map_or(new, |head| head.min(new))) }
    }

    /// Removes a call. Returns its caller's oldest call before and after.
    #[inline]
    pub(super) fn remove(&mut self, held: &mut Table<Held>, call: CallId) -> HeadChange {
        let Held { sequence, caller, .. } = held[call];
        let Some(queue) = self.queues.get_mut(&caller) else { return HeadChange::default() };
        let before = queue.head();
        queue.remove(held, (sequence, call));
        let after = queue.head();
        if after.is_none() {
            self.queues.remove(&caller);
        }
        HeadChange { before, after }
    }

    /// The oldest call of a caller.
    pub(super) fn head(&self, caller: CallerId) -> Option<CallId> {
        self.queues.get(&caller)?.head().map(|(_, call)| call)
    }

    /// The oldest call of each caller.
    pub(super) fn heads(&self) -> impl Iterator<Item = Aged> {
        self.queues.iter().filter_map(|(_, queue)| queue.head())
    }
}

// === impl CallerQueue ===

impl CallerQueue {
    /// The oldest one.
    fn head(&self) -> Option<Aged> {
        let oldest = self.row.map(|row| (row.ages.0, row.oldest));
        let late = self.late.as_ref().and_then(|late| late.first());
        [oldest, late].into_iter().flatten().min()
    }

    fn add(&mut self, held: &mut Table<Held>, (sequence, call): Aged) {
        match &mut self.row {
            Some(row) if sequence < row.ages.1 => {
                self.late.get_or_insert_default().insert((sequence, call));
            }
            Some(row) => {
                let before = core::mem::replace(&mut row.youngest, call);
                row.ages.1 = sequence;
                held[before].beside.behind = Some(call);
                held[before].beside.age_behind = sequence;
                held[call].beside = Neighbours { before: Some(before), ..Neighbours::default() };
            }
            None => {
                let ages = (sequence, sequence);
                self.row = Some(Row { oldest: call, youngest: call, ages });
                held[call].beside = Neighbours::default();
            }
        }
    }

    fn remove(&mut self, held: &mut Table<Held>, (sequence, call): Aged) {
        if let Some(late) = &mut self.late
            && late.remove((sequence, call))
        {
            if late.is_empty() {
                self.late = None;
            }
            return;
        }
        let Some(row) = &mut self.row else { return };
        let Neighbours { before, behind, age_behind } = held[call].beside;
        match (before.filter(|_| row.oldest != call), behind) {
            (None, None) => self.row = None,
            (None, Some(behind)) => (row.oldest, row.ages.0) = (behind, age_behind),
            (Some(before), behind) => {
                held[before].beside.behind = behind;
                held[before].beside.age_behind = age_behind;
                if let Some(behind) = behind {
                    held[behind].beside.before = Some(before);
                } else {
                    (row.youngest, row.ages.1) = (before, held[before].sequence);
                }
            }
        }
    }
}

// === impl HeadChange ===

impl HeadChange {
    /// A caller's calls come, with that one in front.
    pub(super) fn comes(head: Aged) -> Self {
        Self { before: None, after: Some(head) }
    }

    /// A caller's calls leave, with that one in front.
    pub(super) fn leaves(head: Aged) -> Self {
        Self { before: Some(head), after: None }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use limits::{Class, Weight};
    use proptest::prelude::*;

    use super::*;
    use crate::{Caller, Instant};

    proptest! {
        /// Red where a call that came late is not before younger ones, or the one behind a call
        /// that leaves is lost.
        #[test]
        fn each_caller_has_its_calls_by_age(
            steps in prop::collection::vec((any::<u8>(), 0..3_u64, 0..4_u8), 0..300),
        ) {
            let mut group = CallGroup::new(BucketIds::new(), Id::default());
            let mut held = Table::default();
            // The calls of each caller, and of each its caller.
            let mut queues = BTreeMap::<_, BTreeSet<_>>::new();
            let mut calls = BTreeMap::new();
            for (arrived, (age, caller, what)) in (1..).zip(steps) {
                let change = match calls.keys().nth(usize::from(age) % calls.len().max(1)).copied() {
                    // One in four leaves, from anywhere.
                    Some(gone) if what == 0 => {
                        let (_, call) = gone;
                        let caller: CallerId = calls.remove(&gone).unwrap();
                        let before = queues[&caller].first().copied();
                        let change = group.remove(&mut held, call);
                        held.remove(call);
                        queues.get_mut(&caller).unwrap().remove(&gone);
                        (caller, before, change)
                    }
                    // One in four is older than others.
                    _ => {
                        let caller = CallerId(caller);
                        let late = u64::from(what == 1) * u64::from(age);
                        let age = (1_000 + arrived - late) * 1_000 + arrived;
                        let who = Caller { id: caller, weight: Weight::ONE };
                        let call = held.insert(Held::new(age, Class::Normal, who, Instant::FAR));
                        let queue = queues.entry(caller).or_default();
                        let before = queue.first().copied();
                        queue.insert((age, call));
                        calls.insert((age, call), caller);
                        (caller, before, group.add(&mut held, call))
                    }
                };
                let (caller, before, HeadChange { before: told, after }) = change;
                let head = queues[&caller].first().copied();
                assert_eq!((told, after), (before, head));
                assert_eq!(group.head(caller), head.map(|(_, call)| call));
                let heads = queues.values().filter_map(|queue| queue.first().copied());
                assert!(group.heads().eq(heads));
                assert_eq!(group.is_empty(), calls.is_empty());
            }
        }
    }
}
