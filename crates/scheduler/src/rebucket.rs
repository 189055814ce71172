//! What a held call counts against changes while it waits.
//!
//! The operator pauses what it is part of, or ends the pause, or replaces its limits. The call
//! keeps its age, class, caller, deadline and ticket. It leaves the queues of its old buckets and
//! joins those of its new ones, as old as it is. Of the slots that it kept from an
//! attempt before, it keeps those of limits that it still has.
//!
//! Calls change together: none goes until all of them are in their new queues, so none of them
//! overtakes another that was before it.

use alloc::vec::Vec;

use limits::BucketKey;

use super::{
    Instant, Outcome, Scheduler, Ticket,
    call::Slot,
    call_group::{BucketIds, CallId},
    hold::is_held,
};

/// A call, and what it waits for from now on.
type Change = (CallId, BucketIds);

impl Scheduler {
    /// Lets held calls count against other buckets, each against the ones beside it. A call without
    /// any goes at once. Tickets whose calls are no longer held are ignored.
    pub fn rebucket(&mut self, now: Instant, changes: Vec<(Ticket, Vec<BucketKey>)>) {
        self.advance(now);
        let held = |(ticket, keys): (Ticket, Vec<_>)| {
            is_held(&self.held, ticket).then(|| (ticket.index, self.resolve(now, &keys)))
        };
        let mut changes: Vec<Change> = changes.into_iter().filter_map(held).collect();
        changes.sort_by_key(|(call, _)| self.held[*call].sequence);
        changes.dedup_by_key(|(call, _)| *call);
        for (call, buckets) in &mut changes {
            self.leave_for(now, *call, buckets);
        }
        for (call, buckets) in changes {
            let (class, age) = (self.held[call].class, self.held[call].sequence);
            let blocking = self.blocking(now, &buckets, class, age, Some(call));
            match blocking.map(|(id, _)| id).or(buckets.first().copied()) {
                Some(at) => self.stand(call, &buckets, at),
                None => self.go_free(now, call),
            }
        }
        self.run(now);
    }

    /// All that a held call counts against, also where it kept a slot; nothing if it is no longer
    /// held.
    pub fn buckets_of(&self, ticket: Ticket) -> Vec<BucketKey> {
        if !is_held(&self.held, ticket) {
            return Vec::new();
        }
        let held = &self.held[ticket.index];
        let all = held.all_buckets(&self.groups[held.group].buckets);
        all.into_iter().map(|id| self.buckets[id].key.clone()).collect()
    }

    /// Lets a call wait for these buckets, outside of any group. Of `buckets`, those are left of
    /// which it has no slot yet.
    fn leave_for(&mut self, now: Instant, call: CallId, buckets: &mut BucketIds) {
        self.give_up_collected(now, call);
        let held = &mut self.held[call];
        let (class, caller, aged) = (held.class, held.caller(), (held.sequence, call));
        let kept = core::mem::take(&mut held.kept);
        let (kept, spent): (Vec<Slot>, Vec<_>) = kept
            .into_iter()
            .flat_map(|kept| *kept)
            .partition(|slot| buckets.contains(&slot.bucket));
        buckets.retain(|id| kept.iter().all(|slot| slot.bucket != *id));
        held.keep(kept);
        // In this order, so that its caller's turns are not forgotten where it stays.
        for id in &*buckets {
            self.buckets[*id].join(class, caller);
        }
        let before = self.step_out(call);
        self.leave_lines(aged, &before);
        self.line_up(call, buckets);
        for id in before.iter().copied() {
            self.buckets[id].leave(class, caller.id);
            self.touch(id);
        }
        self.release(now, &spent, class, Outcome::Unsent);
    }

    /// Grants a call that has left every queue and needs no slot any more.
    fn go_free(&mut self, now: Instant, call: CallId) {
        let held = self.let_out(call);
        self.go(now, call, &[], held);
    }
}
