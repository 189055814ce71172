//! A call joins the lines of its buckets, and leaves them.

use std::{collections::HashMap, sync::Arc};

use foldhash::quality::RandomState;

use super::{
    CallerId, Class, Held, Scheduler, Ticket,
    cell::{BucketId, CallId, Cell, CellId, CellKey, HeadChange},
};

/// How many calls and places each caller has.
#[derive(Debug, Default)]
pub(super) struct Callers {
    depths: HashMap<CallerId, usize, RandomState>,
}

// === impl Callers ===

impl Callers {
    /// How many callers have any.
    pub(super) fn len(&self) -> usize {
        self.depths.len()
    }

    /// How many that one has.
    pub(super) fn of(&self, caller: CallerId) -> usize {
        self.depths.get(&caller).copied().unwrap_or(0)
    }

    pub(super) fn join(&mut self, caller: CallerId) {
        *self.depths.entry(caller).or_default() += 1;
    }

    pub(super) fn leave(&mut self, caller: CallerId) {
        if let Some(depth) = self.depths.get_mut(&caller) {
            *depth -= 1;
            if *depth == 0 {
                self.depths.remove(&caller);
            }
        }
    }
}

// === impl Scheduler ===

impl Scheduler {
    /// Lets a call wait. It stands in the line of the bucket in which its like stand, else of
    /// the one that is `blocking` it.
    pub(super) fn hold(
        &mut self,
        buckets: &[BucketId],
        blocking: BucketId,
        mut held: Held,
    ) -> Ticket {
        let (sequence, class, caller) = (held.sequence, held.class, held.caller);
        for &id in buckets {
            self.buckets[id].lineup.join(class, caller);
        }
        self.callers.join(caller.id);
        let key = CellKey { buckets: Arc::from(buckets), class };
        let cell_id = self.cell_ids.get(&key).copied().unwrap_or_else(|| {
            let id = self.cells.insert(Cell::new(key.clone(), blocking));
            self.cell_ids.insert(key, id);
            id
        });
        held.cell = cell_id;
        let deadline = held.deadline;
        let index = self.held.insert(held);
        self.deadlines.insert((deadline, index));
        let cell = &mut self.cells[cell_id];
        let heads = cell.add(caller.id, sequence, index);
        let parked = cell.parked;
        self.change_head(cell_id, parked, (class, caller.id), heads);
        self.touch(parked);
        Ticket { index, sequence }
    }

    /// Removes a held call from every line.
    pub(super) fn take_out(&mut self, index: CallId) -> Held {
        self.give_up_claims(index);
        let held = self.held.remove(index);
        self.deadlines.remove(&(held.deadline, index));
        self.callers.leave(held.caller.id);
        let cell = &mut self.cells[held.cell];
        let (parked, buckets) = (cell.parked, Arc::clone(&cell.key.buckets));
        let heads = cell.remove(held.caller.id, held.sequence);
        if cell.is_empty() {
            let cell = self.cells.remove(held.cell);
            self.cell_ids.remove(&cell.key);
        }
        self.change_head(held.cell, parked, (held.class, held.caller.id), heads);
        for id in buckets.iter().copied() {
            self.buckets[id].lineup.leave(held.class, held.caller.id);
            self.touch(id);
        }
        held
    }

    fn change_head(
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
}
