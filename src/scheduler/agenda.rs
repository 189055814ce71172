//! What is due when.
//!
//! Most of what is planned never happens: a call goes before its deadline, somebody comes for a
//! place. To take out what no longer holds is a search for it, in memory that nothing else has
//! touched for long. So it stays where it is, in a heap, and is passed over when its time comes.
//! When there is more of it than of the rest, all of it goes at once: that is a walk over what is
//! left, at most as long as what was taken back since, so for each one it is a few steps, and an
//! agenda is never longer than twice what holds.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::time::Instant;

/// Things and when each is due.
#[derive(Debug)]
pub(super) struct Agenda<T> {
    entries: BinaryHeap<Reverse<(Instant, T)>>,
    /// How many of them no longer hold.
    stale: usize,
    /// Whether the first one is known to hold.
    holds: bool,
}

/// So many may be stale whatever the length.
const SPARE: usize = 64;

// === impl Agenda ===

impl<T: Copy + Ord> Agenda<T> {
    /// Plans something.
    pub(super) fn add(&mut self, at: Instant, what: T) {
        // One that comes before the first holds, too.
        self.holds |= self.entries.is_empty();
        self.entries.push(Reverse((at, what)));
    }

    /// Something that was planned and not yet taken no longer holds.
    pub(super) fn took_back(&mut self, holds: impl Fn(Instant, T) -> bool) {
        self.stale += 1;
        self.holds = false;
        if self.stale > self.entries.len() / 2 + SPARE {
            let mut entries = std::mem::take(&mut self.entries).into_vec();
            let holding = entries.len().saturating_sub(self.stale);
            entries.retain(|Reverse((at, what))| holds(*at, *what));
            // What was taken back and planned anew for the same time stands here twice.
            if entries.len() > holding {
                entries.sort_unstable();
                entries.dedup();
            }
            self.entries = entries.into();
            self.stale = 0;
        }
    }

    /// Nothing is due before that.
    pub(super) fn planned(&self) -> Option<Instant> {
        self.entries.peek().map(|Reverse((at, _))| *at)
    }

    /// What is due first of what still holds, and when.
    pub(super) fn first(&mut self, holds: impl Fn(Instant, T) -> bool) -> Option<(Instant, T)> {
        while let Some(&Reverse((at, what))) = self.entries.peek() {
            if self.holds || holds(at, what) {
                self.holds = true;
                return Some((at, what));
            }
            self.entries.pop();
            self.stale = self.stale.saturating_sub(1);
        }
        None
    }

    /// Takes what stands first.
    pub(super) fn take(&mut self) {
        self.entries.pop();
        self.holds = false;
    }
}

impl<T: Ord> Default for Agenda<T> {
    fn default() -> Self {
        Self { entries: BinaryHeap::new(), stale: 0, holds: false }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// What a set in order would tell, and never more than twice as long.
    fn behaves(steps: &[(u8, u8)]) {
        let mut agenda = Agenda::default();
        // When each of a few things is due, if it is.
        let mut due = BTreeMap::new();
        for &(what, at) in steps {
            let at = Instant::from_nanos(at.into());
            if due.remove(&what).is_some() {
                agenda.took_back(|at, what| due.get(&what) == Some(&at));
            } else {
                due.insert(what, at);
                agenda.add(at, what);
            }
            assert!(agenda.entries.len() <= 2 * (due.len() + SPARE) + 1);
            let first = due.iter().map(|(what, at)| (*at, *what)).min();
            assert_eq!(agenda.first(|at, what| due.get(&what) == Some(&at)), first);
        }
    }

    proptest! {
        /// Red where what no longer holds is not passed over, is kept until its time, or stays twice.
        #[test]
        fn what_holds_is_told_in_order(steps in prop::collection::vec(any::<(u8, u8)>(), 0..2_000)) {
            behaves(&steps);
        }
    }
}
