//! Claims: a call that needs two busy buckets is served, too.
//!
//! All or nothing can starve: whenever one of the two has a free slot the other has none, and
//! calls that need only one of them take every slot. So a call that is next in its queue but
//! blocked elsewhere **claims** its buckets: the next slot of each is kept for it.
//!
//! Keeping a slot free costs throughput, so it is kept as late as possible: others may go as
//! long as there is a slot left at the time when the last of the claimed buckets has one, as
//! far as is known. A bucket that slots leave quickly is thus not held up by one that they
//! leave slowly.
//!
//! A call claims all of its buckets or none, and a bucket is claimed by one call. Of two that
//! want the same bucket the more urgent and older one has it, so calls never wait in a circle. A
//! frozen bucket is not claimed: that would keep slots of other buckets for nothing. For the same
//! reason a call claims nothing while an older one is before it in an order. Nor is an open bucket
//! claimed: it has a slot for every call, and calls of all workspaces would want the same one.

use alloc::vec::Vec;

use limits::Class;

use super::{
    Block, BlockReason, Instant, Scheduler,
    call::{Held, Sequence},
    call_group::{BucketId, CallId},
};

/// A bucket's next slot is kept for a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) call: CallId,
    pub(super) class: Class,
    /// By when it needs the slot.
    by: Instant,
}

impl Scheduler {
    /// What blocks a call of that class and age, held as `call` if it is held, in a bucket.
    #[expect(clippy::inline_always, reason = "a call of it costs 2 % of most steps")]
    #[inline(always)]
    pub(super) fn blocked(
        &mut self,
        now: Instant,
        id: BucketId,
        class: Class,
        age: Sequence,
        call: Option<CallId>,
    ) -> Option<Block> {
        let leave = self.leaves_one_by(now, id, call);
        let block = self.buckets[id].blocked(now, class, leave);
        let turn = Block { reason: BlockReason::Turn, until: None };
        block.or_else(|| self.has_older(id, age).then_some(turn))
    }

    /// By when a bucket's next slot is needed by the call for which it is kept, if that is another
    /// one than `call`.
    #[inline]
    pub(super) fn leaves_one_by(
        &mut self,
        now: Instant,
        id: BucketId,
        call: Option<CallId>,
    ) -> Option<Instant> {
        let bucket = &mut self.buckets[id];
        let Claim { class, by, .. } = bucket.claim.filter(|claim| Some(claim.call) != call)?;
        // While the reserve for people does not admit the claimer, no slot is kept for it.
        bucket.admits(now, class).then_some(by)
    }

    /// Keeps the next slot of each of its buckets for a call, unless one of them is kept for
    /// another that goes before it.
    pub(super) fn claim(&mut self, now: Instant, call: CallId) {
        let rank = |held: &Held| (held.class, held.sequence);
        let buckets = self.groups[self.held[call].group].needs();
        let others: Vec<_> = buckets
            .iter()
            .filter_map(|id| Some(self.buckets[*id].claim?.call))
            .filter(|other| *other != call)
            .collect();
        if others.iter().any(|other| rank(&self.held[*other]) < rank(&self.held[call])) {
            return;
        }
        let Some(by) = self.slots_by(now, call, &buckets) else {
            self.give_up_claims(call);
            return;
        };
        for other in others {
            self.give_up_claims(other);
        }
        let held = &mut self.held[call];
        held.claims = true;
        let claim = Claim { call, class: held.class, by };
        for &id in &buckets {
            let bucket = &mut self.buckets[id];
            if bucket.is_open() {
                continue;
            }
            if bucket.claim.replace(claim).is_none_or(|before| before.call != call) {
                self.touch(id);
            }
        }
    }

    /// When the last of a call's buckets has a slot for it, as far as is known. `None`
    /// while one of them is frozen, probing, paused or a gate, or an older call is before it.
    fn slots_by(&mut self, now: Instant, call: CallId, buckets: &[BucketId]) -> Option<Instant> {
        let Held { class, sequence, .. } = self.held[call];
        if buckets.iter().any(|id| self.has_older(*id, sequence)) {
            return None;
        }
        let mut by = now;
        for &id in buckets {
            let bucket = &mut self.buckets[id];
            let Some(block) = bucket.blocked(now, class, None) else { continue };
            if matches!(
                block.reason,
                BlockReason::Frozen
                    | BlockReason::Probing
                    | BlockReason::Paused
                    | BlockReason::InFlight
            ) {
                return None;
            }
            // An answer may come at any time, and its slot ages from then.
            by = by.max(block.until.unwrap_or_else(|| now + bucket.period()));
        }
        Some(by)
    }

    /// Gives up the claims of a call.
    pub(super) fn give_up_claims(&mut self, call: CallId) {
        if !core::mem::take(&mut self.held[call].claims) {
            return;
        }
        let buckets = self.groups[self.held[call].group].needs();
        for &id in &buckets {
            if self.buckets[id].claim.take().is_some() {
                self.touch(id);
            }
        }
    }

    /// Grants the call that has claimed a bucket, if it can go. Returns whether to look at the
    /// bucket again.
    pub(super) fn serve_claim(&mut self, now: Instant, id: BucketId) -> bool {
        let Some(Claim { call, class, .. }) = self.buckets[id].claim else { return false };
        let held = &self.held[call];
        let group = &self.groups[held.group];
        let is_head = group.head(held.caller) == Some(call);
        let buckets = group.needs();
        if !is_head {
            // A replayed call came before it.
            self.give_up_claims(call);
            return true;
        }
        let age = self.held[call].sequence;
        let Some((other, _)) = self.blocking(now, &buckets, class, age, Some(call)) else {
            self.let_go(now, call);
            return true;
        };
        self.claim(now, call);
        // The bucket that blocks it may have been open when it was looked at last.
        if other != id {
            self.touch(other);
        }
        false
    }
}
