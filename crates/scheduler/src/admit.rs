//! Admission: a call is granted, held or refused, as its buckets allow.

use alloc::vec::Vec;

use limits::{BucketKey, Class};
use smallvec::SmallVec;

use super::{
    Block, Caller, Enqueued, Instant, Outcome, Permit, Scheduler,
    call::{Granted, Held, Sequence, Slot, Terms},
    call_group::{BucketId, BucketIds, CallId},
    forecast::Arrival,
};

impl Scheduler {
    /// The indices of these buckets, each once, in order. Buckets that do not exist are made, or shared.
    pub(super) fn resolve(&mut self, now: Instant, keys: &[BucketKey]) -> BucketIds {
        let mut ids = BucketIds::with_capacity(keys.len());
        for key in keys {
            let id = self.buckets.find(key).unwrap_or_else(|| self.make_bucket(now, key));
            ids.push(id);
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    #[cold]
    fn make_bucket(&mut self, now: Instant, key: &BucketKey) -> BucketId {
        let name = self.name_for(key);
        self.buckets.find(&name).unwrap_or_else(|| {
            let bucket = self.new_bucket(now, name);
            self.buckets.insert(bucket)
        })
    }

    /// Grants, holds or refuses a call.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        buckets: &[BucketId],
        held: Held,
        arrival: Arrival,
        terms: Terms,
    ) -> Enqueued {
        let (class, age) = (held.class, held.sequence);
        let blocking = self.blocking(now, buckets, class, age, None).map(|(id, _)| id);
        let kept = match (blocking, arrival) {
            (None, Arrival::New | Arrival::Early { .. }) => {
                self.kept_for_others(now, buckets, held.class)
            }
            _ => None,
        };
        let Some(blocking) = blocking.or(kept.map(|(_, id)| id)) else {
            self.charge(buckets, held.class, held.caller());
            return Enqueued::Granted(self.grant(now, buckets, held));
        };
        let held = Held { gives_way: kept.is_some(), ..held };
        if let Some(refusal) = self.refuse(now, buckets, &held, arrival, terms, kept) {
            self.release(now, held.kept(), held.class, Outcome::Unsent);
            for &id in buckets {
                self.touch(id);
            }
            return Enqueued::Refused(refusal);
        }
        let ticket = self.hold(buckets, blocking, held);
        if self.leases.is_some() {
            self.begin_to_collect(now, ticket.index, buckets);
        }
        Enqueued::Held(ticket)
    }

    /// The bucket, if any, that blocks a call that needs these buckets: of several, the one that
    /// blocks longest. `call` is the call itself if it is held already.
    pub(super) fn blocking(
        &mut self,
        now: Instant,
        buckets: &[BucketId],
        class: Class,
        age: Sequence,
        call: Option<CallId>,
    ) -> Option<(BucketId, Block)> {
        let mut longest: Option<(BucketId, Block)> = None;
        for &id in buckets {
            if let Some(block) = self.blocked(now, id, class, age, call)
                && longest.is_none_or(|before| self.is_waited_for((id, block), before))
            {
                longest = Some((id, block));
            }
        }
        longest
    }

    /// Whether a call waits for the one of two buckets that block it, and not for the other.
    fn is_waited_for(&self, one: (BucketId, Block), other: (BucketId, Block)) -> bool {
        if self.leases.is_some() {
            return self.is_lacking_first(one, other);
        }
        one.1.outlasts(other.1)
    }

    /// Takes a slot in each bucket.
    pub(super) fn grant(&mut self, now: Instant, buckets: &[BucketId], held: Held) -> Permit {
        let caller = held.caller();
        let Held { sequence, class, deadline, place, kept, .. } = held;
        let mut slots: SmallVec<[Slot; 6]> =
            SmallVec::from_vec(kept.map_or_else(Vec::new, |kept| *kept));
        for slot in &mut slots {
            self.buckets[slot.bucket].resume(now, class, slot);
            // Its slot may have an end now.
            self.touch(slot.bucket);
        }
        for &id in buckets {
            self.touch(id);
            // A gate has no slots: a call that goes before the end of a pause takes none of it.
            if self.buckets[id].is_gate() {
                self.buckets[id].pass();
                continue;
            }
            self.buckets[id].take(now, class);
            slots.push(Slot { bucket: id, taken: now, kept: false });
        }
        self.note_grant(now, sequence, &slots);
        let granted = Granted { sequence, class, caller, deadline, place, slots, answered: None };
        Permit { index: self.granted.insert(granted), sequence }
    }

    /// Charges a caller's turn in every bucket that its call takes a slot of.
    pub(super) fn charge(&mut self, buckets: &[BucketId], class: Class, caller: Caller) {
        for &id in buckets {
            self.buckets[id].queue.charge(class, caller);
        }
    }

    /// Ends slots of a call.
    pub(super) fn release(&mut self, now: Instant, slots: &[Slot], class: Class, end: Outcome) {
        for slot in slots {
            if self.leases.is_some() && self.buckets[slot.bucket].half_open().is_some() {
                self.probe_ends(now, slot, end);
            }
            let bucket = &mut self.buckets[slot.bucket];
            bucket.settle(*slot, now, class, end);
            if bucket.learns {
                self.keep_to_pace(now, slot.bucket);
            } else if self.policy.learning.up.is_some()
                && bucket.is_used_up()
                && self.is_taught(slot.bucket)
            {
                self.begin_to_learn(now, slot.bucket);
            }
            self.touch(slot.bucket);
        }
    }
}
