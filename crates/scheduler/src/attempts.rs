//! A call that is sent more than once: an attempt ends, and the call asks to go again.
//!
//! The slots of the attempt end as that attempt did: those of one that Slack may have counted age,
//! those of one that never left are free. The call keeps its age, so the next attempt is before all
//! calls of its queue that came later. It also keeps its slots of limits on calls in flight, so that
//! no post overtakes it, unless Slack may still be at the attempt, or has answered it.
//!
//! Between two attempts the driver may let time pass. Then the call neither waits nor goes: it has a
//! permit without slots, and what it needs for the next attempt is kept by name, because its buckets
//! may be dropped or renamed in the meantime.

use alloc::{collections::BTreeMap, vec::Vec};

use limits::{BucketKey, Scope};

use super::{
    Enqueued, Instant, Outcome, Permit, Scheduler,
    call::{Granted, Held, Terms},
    forecast::Arrival,
    table::Id,
};

/// What calls need that are between two attempts.
#[derive(Debug, Default)]
pub(super) struct Between(BTreeMap<Id, Vec<BucketKey>>);

// === impl Scheduler ===

impl Scheduler {
    /// An attempt has ended, and the call may be sent again: until it is replayed, it has no slots
    /// but those of limits on calls in flight that it keeps. The permit has still to be settled or
    /// replayed.
    pub fn end_attempt(&mut self, now: Instant, permit: &Permit, outcome: Outcome) {
        self.advance(now);
        self.interrupt(now, permit, outcome);
        self.run(now);
    }

    /// Lets a call wait again whose attempt has ended so, before all calls of its queue that came
    /// after it, and before these gates.
    pub fn replay(
        &mut self,
        now: Instant,
        permit: Permit,
        outcome: Outcome,
        gates: &[BucketKey],
    ) -> Enqueued {
        self.advance(now);
        self.interrupt(now, &permit, outcome);
        let mut needs = self.between.0.remove(&permit.index).unwrap_or_default();
        needs.extend_from_slice(gates);
        let Granted { sequence, class, caller, deadline, place, slots: kept, .. } =
            self.granted.remove(permit.spend());
        // Two of them may have become one since.
        let mut buckets = self.resolve(now, &needs);
        buckets.retain(|id| kept.iter().all(|slot| slot.bucket != *id));
        let mut held = Held { place, ..Held::new(sequence, class, caller, deadline) };
        held.keep(kept.into_vec());
        let enqueued = self.admit(now, &buckets, held, Arrival::Replayed, Terms::default());
        if let Some(place) = place {
            self.bound_places(place);
        }
        self.run(now);
        enqueued
    }

    /// All that a call counts against that goes, has gone, or is between two attempts.
    pub fn needs(&self, permit: &Permit) -> Vec<BucketKey> {
        let slots = self.granted.get(permit.index).map_or(&[][..], |granted| &granted.slots);
        let own = slots.iter().map(|slot| self.buckets[slot.bucket].key.clone());
        let between = self.between.0.get(&permit.index).into_iter().flatten();
        own.chain(between.cloned()).collect()
    }

    /// Ends the slots of an attempt, if they have not ended.
    fn interrupt(&mut self, now: Instant, permit: &Permit, outcome: Outcome) {
        if self.between.has(permit) {
            return;
        }
        let Some(granted) = self.granted.get_mut(permit.index) else { return };
        let (slots, class) = (core::mem::take(&mut granted.slots), granted.class);
        let ended = granted.answered.take().unwrap_or(now);
        self.note_end(permit.sequence, &slots, ended, outcome);
        let keeps = matches!(outcome, Outcome::Refused | Outcome::Unsent);
        let (mut kept, mut spent) = (Vec::new(), Vec::new());
        for mut slot in slots {
            let is_kept = keeps && self.buckets[slot.bucket].keep(now, &mut slot);
            if is_kept { &mut kept } else { &mut spent }.push(slot);
        }
        let needs = spent.iter().map(|slot| self.buckets[slot.bucket].key.clone());
        self.between.0.insert(permit.index, needs.collect());
        self.release(ended, &spent, class, outcome);
        if let Some(granted) = self.granted.get_mut(permit.index) {
            granted.slots = kept.into();
        }
    }
}

// === impl Between ===

impl Between {
    /// Whether the call is between two attempts.
    pub(super) fn has(&self, permit: &Permit) -> bool {
        self.0.contains_key(&permit.index)
    }

    /// It will not be sent again. Whether it was between two attempts.
    pub(super) fn leave(&mut self, permit: &Permit) -> bool {
        self.0.remove(&permit.index).is_some()
    }

    #[cfg(any(test, feature = "model"))]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What counted for one identity counts for another.
    pub(super) fn rename(&mut self, of: Scope, from: &str, to: &str) {
        for key in self.0.values_mut().flatten() {
            if key.identity() == (of, from) {
                *key = key.of_identity(to);
            }
        }
    }
}
