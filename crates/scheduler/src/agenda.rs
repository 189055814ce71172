//! An agenda: a queue of timers that cancels lazily.
//!
//! Most timers never fire: a call goes before its deadline, or returns for its place. To remove a
//! cancelled timer is a search for it, in memory that nothing else has touched for long. So it
//! stays in the agenda, stale, and is skipped when its time comes. When there are more stale timers
//! than others, all stale ones are removed at once. That is a walk over what is left, which is at
//! most as much as was cancelled since the last walk. So it costs a few steps for each cancelled
//! timer, and an agenda is never longer than about twice what still holds.
//!
//! Timers that are due in an hour need no order yet. Time is divided into spans. The timers of a
//! later span lie in a list, unsorted. When a span is next, those of its timers that still hold go
//! into a heap, which has the timers of one span only, or, where earlier spans were empty, of all
//! spans up to it.

use alloc::{
    collections::{BTreeMap, BinaryHeap},
    vec::Vec,
};
use core::cmp::Reverse;

use super::time::Instant;

/// Timers: things, and when each is due.
#[derive(Debug)]
pub(super) struct Agenda<T> {
    /// What is due in the spans before `opened`, in order.
    near: BinaryHeap<Entry<T>>,
    /// What is due in each later span.
    far: BTreeMap<u64, Vec<Entry<T>>>,
    opened: u64,
    len: usize,
    /// How many of them no longer hold: they were cancelled.
    stale: usize,
    /// Whether the first one is known to hold.
    holds: bool,
}

/// When, and what. Reversed, because a heap has its greatest entry in front.
type Entry<T> = Reverse<(Instant, T)>;

/// So many stale timers are kept whatever the length.
const SPARE: usize = 64;

/// A span is two to the power of this, in nanoseconds: 17 seconds.
const SPAN: u32 = 34;

// === impl Agenda ===

impl<T: Copy + Ord> Agenda<T> {
    /// Adds a timer.
    pub(super) fn add(&mut self, at: Instant, what: T) {
        self.len += 1;
        let span = at.as_nanos() >> SPAN;
        if span < self.opened {
            // One that comes before the first holds, too.
            self.holds |= self.near.is_empty();
            self.near.push(Reverse((at, what)));
        } else {
            self.far.entry(span).or_default().push(Reverse((at, what)));
        }
    }

    /// Cancels a timer that was added for `at` and not taken yet. `holds` says of a timer whether
    /// it is not cancelled.
    pub(super) fn took_back(&mut self, at: Instant, what: T, holds: impl Fn(Instant, T) -> bool) {
        self.stale += 1;
        self.holds &= self.near.peek() != Some(&Reverse((at, what)));
        if self.stale > self.len / 2 + SPARE {
            self.clear(holds);
        }
    }

    /// A lower bound, which costs no walk: nothing is due before that.
    pub(super) fn planned(&self) -> Option<Instant> {
        let near = self.near.peek().map(|Reverse((at, _))| *at);
        near.or_else(|| self.far.keys().next().map(|span| Instant::from_nanos(span << SPAN)))
    }

    /// The first timer that still holds, and when it is due.
    pub(super) fn first(&mut self, holds: impl Fn(Instant, T) -> bool) -> Option<(Instant, T)> {
        loop {
            while let Some(&Reverse((at, what))) = self.near.peek() {
                if self.holds || holds(at, what) {
                    self.holds = true;
                    return Some((at, what));
                }
                self.near.pop();
                self.forget(1);
            }
            let (span, mut next) = self.far.pop_first()?;
            self.opened = span + 1;
            let before = next.len();
            next.retain(|Reverse((at, what))| holds(*at, *what));
            self.forget(before - next.len());
            self.near = next.into();
        }
    }

    /// Removes the first timer.
    pub(super) fn take(&mut self) {
        self.len -= usize::from(self.near.pop().is_some());
        self.holds = false;
    }

    /// So many stale timers were removed.
    fn forget(&mut self, stale: usize) {
        self.len -= stale;
        self.stale = self.stale.saturating_sub(stale);
    }

    /// Removes every stale timer.
    fn clear(&mut self, holds: impl Fn(Instant, T) -> bool) {
        let holding = self.len.saturating_sub(self.stale);
        let mut near = core::mem::take(&mut self.near).into_vec();
        self.len = 0;
        for entries in self.far.values_mut().chain([&mut near]) {
            entries.retain(|Reverse((at, what))| holds(*at, *what));
            self.len += entries.len();
        }
        // A timer that was cancelled and added again for the same time is here twice.
        if self.len > holding {
            self.len = 0;
            for entries in self.far.values_mut().chain([&mut near]) {
                entries.sort_unstable();
                entries.dedup();
                self.len += entries.len();
            }
        }
        self.far.retain(|_, entries| !entries.is_empty());
        self.stale = 0;
        self.near = near.into();
    }
}

impl<T: Ord> Default for Agenda<T> {
    fn default() -> Self {
        let (near, far) = (BinaryHeap::new(), BTreeMap::new());
        Self { near, far, opened: 0, len: 0, stale: 0, holds: false }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use proptest::prelude::*;

    use super::*;

    /// What a sorted set would return, and never more than twice as long.
    fn behaves(steps: &[(u8, u8)]) {
        let mut agenda = Agenda::default();
        // When each of a few things is due, if it is.
        let mut due = BTreeMap::new();
        let mut now = Instant::ZERO;
        for &(what, after) in steps {
            let first = due.iter().map(|(what, at)| (*at, *what)).min();
            match first {
                // At every fourth step, time goes on.
                Some((at, what)) if after % 4 == 0 => {
                    now = at;
                    due.remove(&what);
                    agenda.take();
                }
                _ if due.contains_key(&what) => {
                    let at = due.remove(&what).unwrap();
                    agenda.took_back(at, what, |at, what| due.get(&what) == Some(&at));
                }
                _ => {
                    let at = now + Duration::from_nanos(u64::from(after) << (SPAN - 4));
                    due.insert(what, at);
                    agenda.add(at, what);
                }
            }
            assert!(agenda.len <= 2 * (due.len() + SPARE) + 1);
            assert!(agenda.planned() <= due.values().min().copied() || due.is_empty());
            let first = due.iter().map(|(what, at)| (*at, *what)).min();
            assert_eq!(agenda.first(|at, what| due.get(&what) == Some(&at)), first);
        }
    }

    /// Red where stale timers are not counted.
    #[test]
    fn what_is_taken_back_at_once_does_not_pile_up() {
        let mut agenda = Agenda::default();
        for what in 0..10_000_u32 {
            let at = Instant::from_nanos(u64::from(what) << (SPAN - 4));
            agenda.add(at, what);
            agenda.took_back(at, what, |_, _| false);
            assert!(agenda.len <= 2 * SPARE + 2, "{what}");
        }
    }

    proptest! {
        /// Red where what no longer holds is not passed over, is kept until its time, or stays
        /// twice, and where what is due in a later span is forgotten or comes before an earlier
        /// one.
        #[test]
        fn what_holds_is_told_in_order(steps in prop::collection::vec(any::<(u8, u8)>(), 0..2_000)) {
            behaves(&steps);
        }
    }
}
