//! A call meets its buckets: it is granted, held or refused; and what it holds, it leaves.

use super::{
    Bucket, BucketKey, Caller, CallerId, Class, Enqueued, Granted, Held, Instant, Outcome, Permit,
    Reason, Refusal, Scheduler, Slot, Ticket,
    cell::{BucketId, CallId, Cell, CellId, HeadChange},
};

impl Scheduler {
    /// Buckets by index, made where they don't exist; each once, in order.
    pub(super) fn resolve(&mut self, keys: Vec<BucketKey>) -> Box<[BucketId]> {
        let mut ids = Vec::with_capacity(keys.len());
        for key in keys {
            let id = self.bucket_ids.get(&key).copied().unwrap_or_else(|| {
                let id = self.buckets.insert(Bucket::new(key.clone()));
                self.bucket_ids.insert(key, id);
                id
            });
            ids.push(id);
        }
        ids.sort_unstable();
        ids.dedup();
        ids.into_boxed_slice()
    }

    /// Grants, holds or refuses a call.
    pub(super) fn admit(&mut self, now: Instant, buckets: Box<[BucketId]>, held: Held) -> Enqueued {
        let Some(blocking) = self.blocking(now, &buckets) else {
            self.charge(&buckets, held.class, held.caller);
            return Enqueued::Granted(self.grant(now, &buckets, held));
        };
        if let Some(refusal) = self.refuse(now, &buckets, &held) {
            self.release(now, &held.kept, Outcome::Unsent);
            self.serve_all(now, &held.kept);
            for id in buckets {
                self.rearm(now, id);
            }
            return Enqueued::Refused(refusal);
        }
        Enqueued::Held(self.hold(now, buckets, blocking, held))
    }

    /// The bucket, if any, that keeps a call of these buckets from going: the one that
    /// blocks longest.
    pub(super) fn blocking(&mut self, now: Instant, buckets: &[BucketId]) -> Option<BucketId> {
        let mut blocking = None;
        for &id in buckets {
            let bucket = &mut self.buckets[id];
            if !bucket.has_room(now) {
                let until = bucket.room_at(now).unwrap_or(now);
                if blocking.is_none_or(|(longest, _)| until > longest) {
                    blocking = Some((until, id));
                }
            }
        }
        blocking.map(|(_, id)| id)
    }

    pub(super) fn refuse(
        &self,
        now: Instant,
        buckets: &[BucketId],
        held: &Held,
    ) -> Option<Refusal> {
        let (retry_at, binding) = self.forecast(now, buckets, held.class, held.caller.id)?;
        let bucket = &self.buckets[binding];
        let refusal = |reason, bucket: &Bucket| {
            Some(Refusal { reason, bucket: bucket.key.clone(), retry_at })
        };
        if retry_at > held.deadline || held.deadline <= now {
            return refusal(Reason::Deadline, bucket);
        }
        if self.held.len() >= self.bounds.total {
            return refusal(Reason::QueueFull, bucket);
        }
        let full =
            |id: &&BucketId| self.buckets[**id].lineup.waiting() >= self.bounds.per_bucket as u64;
        buckets.iter().find(full).and_then(|id| refusal(Reason::QueueFull, &self.buckets[*id]))
    }

    /// When a call could go at the earliest, and which bucket says so.
    pub(super) fn forecast(
        &self,
        now: Instant,
        buckets: &[BucketId],
        class: Class,
        caller: CallerId,
    ) -> Option<(Instant, BucketId)> {
        buckets
            .iter()
            .map(|&id| {
                let bucket = &self.buckets[id];
                (bucket.forecast(now, bucket.lineup.ahead_of(class, caller)), id)
            })
            .max()
    }

    pub(super) fn grant(&mut self, now: Instant, buckets: &[BucketId], held: Held) -> Permit {
        let Held { sequence, class, caller, deadline, kept, .. } = held;
        let mut slots = kept;
        for &id in buckets {
            self.buckets[id].take(now);
            slots.push(Slot { bucket: id, taken: now });
        }
        let index = self.granted.insert(Granted { sequence, class, caller, deadline, slots });
        Permit { index, sequence }
    }

    /// Charges a caller's turn in every bucket that its call takes a slot of.
    pub(super) fn charge(&mut self, buckets: &[BucketId], class: Class, caller: Caller) {
        for &id in buckets {
            self.buckets[id].lineup.charge(class, caller);
        }
    }

    pub(super) fn hold(
        &mut self,
        now: Instant,
        buckets: Box<[BucketId]>,
        blocking: BucketId,
        mut held: Held,
    ) -> Ticket {
        let (sequence, class, caller) = (held.sequence, held.class, held.caller.id);
        for &id in &buckets {
            self.buckets[id].lineup.join(class, caller);
        }
        let cell_id = self.cell_ids.get(&buckets).copied().unwrap_or_else(|| {
            let id = self.cells.insert(Cell::new(buckets.clone(), blocking));
            self.cell_ids.insert(buckets, id);
            id
        });
        held.cell = cell_id;
        let deadline = held.deadline;
        let index = self.held.insert(held);
        self.deadlines.insert((deadline, index));
        let cell = &mut self.cells[cell_id];
        let heads = cell.add((class, caller), sequence, index);
        let parked = cell.parked;
        self.change_head(cell_id, parked, (class, caller), heads);
        self.rearm(now, parked);
        Ticket { index, sequence }
    }

    /// Removes a held call from every line.
    pub(super) fn take_out(&mut self, now: Instant, index: CallId) -> Held {
        let held = self.held.remove(index);
        self.deadlines.remove(&(held.deadline, index));
        let line = (held.class, held.caller.id);
        let cell = &mut self.cells[held.cell];
        let parked = cell.parked;
        let heads = cell.remove(line, held.sequence);
        let buckets = if cell.is_empty() {
            let cell = self.cells.remove(held.cell);
            self.cell_ids.remove(&cell.buckets);
            cell.buckets
        } else {
            cell.buckets.clone()
        };
        self.change_head(held.cell, parked, line, heads);
        for id in buckets {
            self.buckets[id].lineup.leave(held.class, held.caller.id);
            self.rearm(now, id);
        }
        held
    }

    pub(super) fn change_head(
        &mut self,
        cell: CellId,
        parked: BucketId,
        (class, caller): (Class, CallerId),
        heads: HeadChange,
    ) {
        if heads.before == heads.after {
            return;
        }
        let lineup = &mut self.buckets[parked].lineup;
        if let Some(head) = heads.before {
            lineup.unpark(class, caller, head, cell);
        }
        if let Some(head) = heads.after {
            lineup.park(class, caller, head, cell);
        }
    }

    /// Ends the slots of a call.
    pub(super) fn release(&mut self, now: Instant, slots: &[Slot], outcome: Outcome) {
        for slot in slots {
            self.buckets[slot.bucket].settle(slot.taken, now, outcome);
        }
    }
}
