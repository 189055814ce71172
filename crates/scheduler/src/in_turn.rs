//! Calls in order [collect](super::collect) slots on lease only in their turn.
//!
//! A call that waits for an older one of its order could not use what it collects, and the older
//! one may lack just that. So only the first in [line](super::lines) wants slots, and keeps them,
//! and only while the slot of the order is free. That one it takes when it goes, not before: until
//! then it is in line, and an older one that comes back is before it.

use alloc::vec::Vec;

#[cfg(any(test, feature = "model"))]
use super::shared::Leases;
use super::{
    Instant, Scheduler,
    call_group::{BucketId, CallId, GroupId},
};

impl Scheduler {
    /// A bucket has changed. If its calls go in order, all of them but the one whose turn it is give
    /// back what they have collected, and wait for nothing else than their turn.
    #[cold]
    pub(super) fn keep_turns(&mut self, now: Instant, id: BucketId) {
        if self.leases.is_none() || !self.buckets[id].is_in_order() {
            return;
        }
        let is_free = self.buckets[id].shut(now, None).is_none();
        let first = self.first_in_line(id).filter(|_| is_free).map(|(_, call)| call);
        for call in self.collecting_for(id) {
            if Some(call) != first {
                self.give_up_collected(now, call);
            }
        }
        let turn = first.map(|call| self.held[call].group);
        let wants = self.leases.iter().filter_map(|leases| leases.in_turn.get(&id)).flatten();
        let late: Vec<GroupId> = wants.copied().filter(|group| Some(*group) != turn).collect();
        for group in late {
            self.park(group, id);
        }
    }

    /// A call that needs these buckets has left its group, and may have been the first of it.
    pub(super) fn touch_orders(&mut self, buckets: &[BucketId]) {
        for id in buckets {
            if self.buckets[*id].is_in_order() {
                self.touch(*id);
            }
        }
    }

    /// The first in line for a bucket, if it is of the same group as a call that waits for it.
    pub(super) fn before_it(&self, call: CallId, id: BucketId) -> Option<CallId> {
        let (_, first) = self.first_in_line(id)?;
        (first != call && self.held[first].group == self.held[call].group).then_some(first)
    }

    /// Whether calls in order collect and want slots in their turn only.
    #[cfg(test)]
    pub(crate) fn collects_in_turn(&self) -> bool {
        let Some(leases) = &self.leases else { return true };
        let first = |id: BucketId| self.first_in_line(id).map(|(_, call)| call);
        let goes_next = |call: CallId| {
            let needs = &self.groups[self.held[call].group].buckets;
            needs.iter().all(|id| !self.buckets[*id].is_in_order() || first(*id) == Some(call))
        };
        let wants = |(id, groups): (&BucketId, &Vec<GroupId>)| {
            first(*id).is_some_and(|call| *groups == [self.held[call].group])
        };
        leases.collecting.iter().all(|call| goes_next(*call)) && leases.in_turn.iter().all(wants)
    }

    /// Whether nobody collects or wants slots.
    #[cfg(any(test, feature = "model"))]
    pub fn collects_nothing(&self) -> bool {
        let is_quiet = |leases: &Leases| {
            leases.collecting.is_empty()
                && leases.shards.values().all(|shard| shard.wanting.is_empty())
                && leases.in_turn.is_empty()
                && leases.parked.is_empty()
        };
        self.leases.as_deref().is_none_or(is_quiet)
    }

    /// The calls that keep slots on lease and wait for a bucket.
    fn collecting_for(&self, id: BucketId) -> Vec<CallId> {
        self.collecting(|call| self.groups[self.held[*call].group].buckets.contains(&id))
    }
}
