//! Collecting: a call that needs several shared buckets gets their slots one after the other.
//!
//! A slot on lease is there only when it was asked for, so of two shared buckets a call never finds
//! both with a slot at once. And what is asked for in all of them together is given back in all but
//! the last one, again and again. So a call collects: it waits for a slot in one of its buckets,
//! keeps it, and waits for the next one. It waits in the bucket of the **slowest** limit first, by
//! the time that each slot takes, then in the order of their names. All schedulers have the same
//! order, and nobody who keeps a slot waits for one that comes before it, so they never wait for
//! each other in a circle. A slow slot that is kept for a quick one is idle for a moment; a quick
//! one that is kept for a slow one would be idle for long.
//!
//! What is not shared comes before all that is: a call collects only while nothing else holds it
//! up, and calls in order only [in their turn](super::in_turn). A bucket that is frozen, or a pause,
//! may last: then what was collected is given back.
//!
//! Only what is held is kept. What may be used beyond that without the store, a call takes when it goes: it
//! might keep it until the store has granted that slot to another.
//!
//! A call that keeps slots is in the [call group](super::call_group) of those that need what it
//! still needs, so each bucket has parked in its queue the calls of which it is the first one that
//! lacks a slot. That is what it wants of the store. Of calls in order, only one counts.
//!
//! Slots that are kept are taken in their windows, and age from the send as others do. Claims are
//! for buckets that are not shared.

use alloc::vec::Vec;
use core::cmp::{Ordering, Reverse};

use limits::{Class, Rule};

use super::{
    Block, BlockReason, Instant, Outcome, Scheduler,
    bucket::Bucket,
    call::Slot,
    call_group::{BucketId, BucketIds, CallId, GroupId},
    lease::Lease,
};

/// A call group, as the shared bucket counts it in whose queue it is parked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parked {
    calls: u32,
    /// Where it counts, and for how many calls.
    counts: Option<(BucketId, Class, u32)>,
}

// === impl Bucket ===

impl Bucket {
    /// In which order slots are collected: the slowest first.
    fn slowness(&self, other: &Self) -> Ordering {
        let each = |bucket: &Self| match bucket.key.limit.rule {
            Rule::Rate(rate) => rate.per / rate.limit.get(),
            Rule::Concurrency(_) | Rule::InOrder(_) | Rule::Open | Rule::Gate => {
                core::time::Duration::ZERO
            }
        };
        let (own, others) = (Reverse(each(self)), Reverse(each(other)));
        own.cmp(&others)
            .then_with(|| self.key.limit.name.cmp(&other.key.limit.name))
            .then_with(|| self.key.values.cmp(&other.key.values))
    }
}

// === impl Scheduler ===

impl Scheduler {
    /// Whether a call that needs these buckets collects slots.
    pub(super) fn collects(&self, buckets: &[BucketId]) -> bool {
        self.leases.is_some() && buckets.iter().any(|id| self.buckets[*id].lease().is_some())
    }

    /// Of what blocks a call, whether one comes before another: what is not on lease, then the first
    /// shared one that lacks a slot.
    #[cold]
    pub(super) fn is_lacking_first(
        &self,
        one: (BucketId, Block),
        other: (BucketId, Block),
    ) -> bool {
        match (self.lacks(one), self.lacks(other)) {
            (false, false) => one.1.outlasts(other.1),
            (true, true) => self.comes_before(one.0, other.0),
            (one, _) => !one,
        }
    }

    /// A call has come that waits for one of these buckets.
    #[cold]
    pub(super) fn begin_to_collect(&mut self, now: Instant, call: CallId, buckets: &[BucketId]) {
        let (class, age) = (self.held[call].class, self.held[call].sequence);
        if self.collects(buckets)
            && let Some(at) = self.blocking(now, buckets, class, age, Some(call))
            && self.before_it(call, at.0).is_none()
        {
            self.collect(now, call, at);
        }
    }

    /// A held call whose turn it is waits at `at`, which blocks it: it collects, or the call does
    /// that is before it in an order.
    #[cold]
    pub(super) fn collect_in_turn(&mut self, now: Instant, call: CallId, at: (BucketId, Block)) {
        match self.before_it(call, at.0) {
            Some(first) => self.try_to_go(now, first, self.held[first].group),
            None => self.collect(now, call, at),
        }
    }

    fn comes_before(&self, one: BucketId, other: BucketId) -> bool {
        self.buckets[one].slowness(&self.buckets[other]).is_lt()
    }

    /// Whether it is a slot on lease that is missing.
    fn lacks(&self, (id, block): (BucketId, Block)) -> bool {
        let waits = matches!(
            block.reason,
            BlockReason::Frozen
                | BlockReason::Probing
                | BlockReason::Paused
                | BlockReason::InFlight
        );
        !waits && self.buckets[id].lease().is_some()
    }

    /// A held call that was next, or has come, waits at `at`, which blocks it. It keeps the slots
    /// that come before, and leaves its group for that of the calls that need what it still needs.
    fn collect(&mut self, now: Instant, call: CallId, at: (BucketId, Block)) {
        let group = self.held[call].group;
        let needs = self.groups[group].needs();
        let (lacks, at) = (self.lacks(at), at.0);
        let comes_first =
            |id: &BucketId| lacks && self.buckets[*id].may_keep_one() && self.comes_before(*id, at);
        let (first, rest): (BucketIds, BucketIds) = needs.into_iter().partition(comes_first);
        if first.is_empty() {
            if self.groups[group].parked != at {
                self.park(group, at);
                // It may be closed for a while, and another call have its turn.
                self.touch_orders(&rest);
            }
            return;
        }
        let (class, caller) = (self.held[call].class, self.held[call].caller());
        self.charge(&first, class, caller);
        self.step_out(call);
        let mut slots = Vec::with_capacity(first.len());
        for &id in &first {
            self.buckets[id].collect(now, class);
            self.buckets[id].leave(class, caller.id);
            self.touch(id);
            slots.push(Slot { bucket: id, taken: now, kept: true });
        }
        let held = &mut self.held[call];
        slots.extend(held.kept());
        held.keep(slots);
        if let Some(leases) = &mut self.leases {
            leases.collecting.insert(call);
        }
        self.stand(call, &rest, at);
        self.touch_orders(&rest);
    }

    /// Lets the calls give back what they have collected that keep a slot, or wait for one, in
    /// such a bucket.
    pub(super) fn scatter(&mut self, now: Instant, of: impl Fn(&Lease) -> bool) {
        self.scatter_calls(now, |bucket| bucket.lease().is_some_and(&of));
    }

    /// The same for one bucket, shared or not.
    #[cold]
    pub(super) fn scatter_at(&mut self, now: Instant, at: BucketId) {
        let key = self.buckets[at].key.clone();
        self.scatter_calls(now, |bucket| bucket.key == key);
    }

    fn scatter_calls(&mut self, now: Instant, at: impl Fn(&Bucket) -> bool) {
        for call in self.collecting(|_| true) {
            let held = &self.held[call];
            let needs = self.groups[held.group].needs();
            let all = held.all_buckets(&needs);
            if all.iter().any(|id| at(&self.buckets[*id])) {
                self.give_up_collected(now, call);
            }
        }
    }

    /// Of the held calls that keep slots on lease, those `of` which that is true, the oldest first.
    pub(super) fn collecting(&self, of: impl Fn(&CallId) -> bool) -> Vec<CallId> {
        let all = self.leases.iter().flat_map(|leases| leases.collecting.iter().copied());
        let mut all: Vec<_> = all.filter(of).collect();
        all.sort_unstable_by_key(|call| self.held[*call].sequence);
        all
    }

    /// Lets a call wait again for what it has collected.
    pub(super) fn give_up_collected(&mut self, now: Instant, call: CallId) {
        let held = &mut self.held[call];
        let (class, caller, age) = (held.class, held.caller(), held.sequence);
        let (leased, others): (Vec<Slot>, Vec<_>) =
            held.kept().iter().partition(|slot| self.buckets[slot.bucket].lease().is_some());
        if leased.is_empty() {
            return;
        }
        held.keep(others);
        for slot in &leased {
            self.buckets[slot.bucket].join(class, caller);
        }
        let mut buckets = self.step_out(call);
        self.release(now, &leased, class, Outcome::Unsent);
        buckets.extend(leased.iter().map(|slot| slot.bucket));
        buckets.sort_unstable();
        buckets.dedup();
        if let Some(leases) = &mut self.leases {
            leases.collects_no_more(call);
        }
        let blocking = self.blocking(now, &buckets, class, age, Some(call)).map(|(id, _)| id);
        if let Some(at) = blocking.or(buckets.first().copied()) {
            self.stand(call, &buckets, at);
            self.touch(at);
            self.touch_orders(&buckets);
        }
    }

    /// A call group of that class has one call more, or one less, or is parked elsewhere.
    #[cold]
    pub(super) fn count_parked(&mut self, id: GroupId, class: Class, more: i32) {
        let Some(leases) = &mut self.leases else { return };
        let parked = leases.parked.entry(id).or_default();
        parked.calls = parked.calls.saturating_add_signed(more);
        let group = &self.groups[id];
        let orders = || group.buckets.iter().filter(|id| self.buckets[**id].is_in_order());
        let count = if orders().next().is_some() { parked.calls.min(1) } else { parked.calls };
        let at = self.buckets[group.parked].lease().is_some() && count > 0;
        let counts = at.then_some((group.parked, class, count));
        let before = core::mem::replace(&mut parked.counts, counts);
        if before.is_some() != at {
            for order in orders() {
                let in_turn = leases.in_turn.entry(*order).or_default();
                in_turn.retain(|other| *other != id);
                if at {
                    in_turn.push(id);
                } else if in_turn.is_empty() {
                    leases.in_turn.remove(order);
                }
            }
        }
        if parked.calls == 0 {
            leases.parked.remove(&id);
        }
        if let Some((at, class, count)) = before
            && let Some(lease) = self.buckets[at].lease_mut()
        {
            lease.parked[class.index()] -= count;
            if let Some(leases) = &mut self.leases
                && lease.parked == [0; 3]
            {
                leases.shard(lease.shard).wanting.remove(&at);
            }
            self.touch(at);
        }
        if let Some((at, class, count)) = counts
            && let Some(lease) = self.buckets[at].lease_mut()
        {
            lease.parked[class.index()] += count;
            if let Some(leases) = &mut self.leases {
                leases.shard(lease.shard).wanting.insert(at);
            }
            self.touch(at);
        }
    }
}
