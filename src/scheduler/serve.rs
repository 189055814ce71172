//! Time passes: slots become free, and those who wait for them are served or sent away.

use super::{
    Event, Held, Instant, Outcome, Reason, Refusal, Scheduler, Slot, Ticket,
    cell::{BucketId, CallId},
};

impl Scheduler {
    /// Lets time pass: what was due by `now` happens in the order in which it was due.
    pub(super) fn advance(&mut self, now: Instant) {
        loop {
            let alarm = self.alarms.first().copied();
            let deadline = self.deadlines.first().copied();
            match (alarm, deadline) {
                (Some((at, id)), other)
                    if at <= now && other.is_none_or(|(other, _)| at <= other) =>
                {
                    self.alarms.pop_first();
                    self.buckets[id].alarm = None;
                    self.serve(now, id);
                    self.retire(now, id);
                }
                (_, Some((at, index))) if at <= now => self.expire(now, index),
                _ => return,
            }
        }
    }

    /// A held call's deadline has passed.
    pub(super) fn expire(&mut self, now: Instant, index: CallId) {
        let cell = &self.cells[self.held[index].cell];
        let (parked, buckets) = (cell.parked, cell.buckets.clone());
        let held = self.take_out(now, index);
        let (retry_at, binding) =
            self.forecast(now, &buckets, held.class, held.caller.id).unwrap_or((now, parked));
        let bucket = self.buckets[binding].key.clone();
        self.events.push(Event::Expired {
            ticket: Ticket { index, sequence: held.sequence },
            refusal: Refusal { reason: Reason::Deadline, bucket, retry_at },
        });
        self.release(now, &held.kept, Outcome::Unsent);
        self.serve_all(now, &held.kept);
    }

    pub(super) fn serve_all(&mut self, now: Instant, slots: &[Slot]) {
        for slot in slots {
            self.serve(now, slot.bucket);
        }
    }

    /// Grants the slots that a bucket has free to those who stand in its line.
    pub(super) fn serve(&mut self, now: Instant, id: BucketId) {
        while self.buckets[id].lineup.has_parked() && self.buckets[id].has_room(now) {
            let Some((class, line, cell_id)) = self.buckets[id].lineup.next() else { break };
            let buckets = self.cells[cell_id].buckets.clone();
            if let Some(other) = self.blocking(now, &buckets) {
                self.cells[cell_id].park(cell_id, other, &mut self.buckets);
                self.rearm(now, other);
                continue;
            }
            let Some(index) = self.cells[cell_id].head((class, line)) else { break };
            let Held { sequence, caller, .. } = self.held[index];
            // The turn is charged while the call still counts as waiting, so that a
            // caller's tag outlives its last call.
            self.charge(&buckets, class, caller);
            let held = self.take_out(now, index);
            let permit = self.grant(now, &buckets, held);
            self.events.push(Event::Granted { ticket: Ticket { index, sequence }, permit });
        }
        self.rearm(now, id);
    }

    /// Sets a bucket's alarm: for the next free slot while somebody stands in its line,
    /// else for the end of its memory.
    pub(super) fn rearm(&mut self, now: Instant, id: BucketId) {
        let bucket = &mut self.buckets[id];
        let wanted = match bucket.lineup.has_parked() {
            true => bucket.room_at(now),
            // An early alarm is only early: it is set anew when it rings.
            false if bucket.alarm.is_some() => return,
            false => bucket.idle_at(now),
        };
        if wanted == bucket.alarm {
            return;
        }
        if let Some(at) = bucket.alarm {
            self.alarms.remove(&(at, id));
        }
        if let Some(at) = wanted {
            self.alarms.insert((at, id));
        }
        bucket.alarm = wanted;
    }

    /// Drops a bucket that has nothing left to remember.
    pub(super) fn retire(&mut self, now: Instant, id: BucketId) {
        let bucket = &mut self.buckets[id];
        if bucket.idle_at(now).is_some_and(|at| at <= now) {
            if let Some(at) = bucket.alarm {
                self.alarms.remove(&(at, id));
            }
            let bucket = self.buckets.remove(id);
            self.bucket_ids.remove(&bucket.key);
        }
    }
}
