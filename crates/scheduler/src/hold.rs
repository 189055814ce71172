//! A call joins the queues of its buckets, and leaves them.

use hashbrown::HashMap;

use foldhash::quality::RandomState;
use limits::Class;

use super::{
    Caller, CallerId, Instant, Scheduler, Ticket,
    bucket::Bucket,
    call::Held,
    call_group::{BucketId, BucketIds, CallId, GroupId, HeadChange},
    table::Table,
};

/// How many calls each caller has.
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

// === impl Bucket ===

impl Bucket {
    /// Counts a call that is held. In an open bucket have no turns
    /// until a group is parked there.
    pub(super) fn join(&mut self, class: Class, caller: Caller) {
        self.waiting += 1;
        if !self.is_open() {
            self.queue.join(class, caller);
        }
    }

    /// Uncounts it.
    pub(super) fn leave(&mut self, class: Class, caller: CallerId) {
        self.waiting -= 1;
        if !self.is_open() {
            self.queue.leave(class, caller);
        }
    }

    /// Counts a place that is kept.
    pub(super) fn keep_place(&mut self, class: Class, caller: Caller) {
        self.places += 1;
        if !self.is_open() {
            self.queue.keep_place(class, caller);
        }
    }

    /// Uncounts it.
    pub(super) fn drop_place(&mut self, class: Class, caller: CallerId) {
        self.places -= 1;
        if !self.is_open() {
            self.queue.drop_place(class, caller);
        }
    }

    /// A caller's calls in a group that is parked here have another one in front, come, or leave.
    fn change_head(&mut self, class: Class, caller: Caller, heads: HeadChange, group: GroupId) {
        if heads.before == heads.after {
            return;
        }
        let is_open = self.is_open();
        if is_open && heads.before.is_none() {
            self.queue.join(class, caller);
        }
        self.queue.change_head(class, caller.id, heads, group);
        if is_open && heads.after.is_none() {
            self.queue.leave(class, caller.id);
        }
    }
}

/// Whether that call still waits: another one may have its index by now.
pub(super) fn is_held(held: &Table<Held>, Ticket { index, sequence }: Ticket) -> bool {
    held.get(index).is_some_and(|held| held.sequence == sequence)
}

/// Whether it is then that a call's deadline passes: it may still wait, and not for longer.
pub(super) fn expires(held: &Table<Held>, at: Instant, Ticket { index, sequence }: Ticket) -> bool {
    held.get(index).is_some_and(|held| held.sequence == sequence && held.deadline == at)
}

// === impl Scheduler ===

impl Scheduler {
    /// Holds a call. Its group is parked where it was already, or, if it is new, in the queue of
    /// the bucket that is `blocking` the call.
    pub(super) fn hold(&mut self, buckets: &[BucketId], blocking: BucketId, held: Held) -> Ticket {
        let (sequence, deadline) = (held.sequence, held.deadline);
        for &id in buckets {
            self.buckets[id].join(held.class, held.caller());
        }
        self.callers.join(held.caller);
        let index = self.held.insert(held);
        self.line_up(index, buckets);
        self.deadlines.add(deadline, Ticket { index, sequence });
        self.stand(index, buckets, blocking);
        Ticket { index, sequence }
    }

    /// Adds a held call to its group. A new group is parked in the queue of the bucket that is
    /// `blocking` the call.
    #[inline]
    pub(super) fn stand(&mut self, index: CallId, buckets: &[BucketId], blocking: BucketId) {
        let held = &mut self.held[index];
        let (class, caller) = (held.class, held.caller());
        let group_id = self.groups.of(class, buckets, blocking);
        held.group = group_id;
        let group = &mut self.groups[group_id];
        let heads = group.add(&mut self.held, index);
        let parked = group.parked;
        if self.leases.is_some() {
            self.count_parked(group_id, class, 1);
        }
        let bucket = &mut self.buckets[parked];
        // Where other groups of its class are parked, it is blocked as they are, and the alarm is
        // set for them.
        let is_first = !bucket.queue.has_parked_of(class);
        bucket.change_head(class, caller, heads, group_id);
        if is_first {
            self.touch(parked);
        }
    }

    /// Removes a held call from every queue.
    pub(super) fn take_out(&mut self, index: CallId) -> Held {
        let buckets = self.step_out(index);
        let held = self.let_out(index);
        self.leave_lines((held.sequence, index), &buckets);
        for id in buckets.iter().copied() {
            self.buckets[id].leave(held.class, held.caller);
            self.touch(id);
        }
        held
    }

    /// Removes a held call that has left its group and its queues.
    pub(super) fn let_out(&mut self, index: CallId) -> Held {
        let held = self.held.remove(index);
        let ticket = Ticket { index, sequence: held.sequence };
        self.deadlines.took_back(held.deadline, ticket, |at, call| expires(&self.held, at, call));
        self.callers.leave(held.caller);
        if let Some(leases) = &mut self.leases {
            leases.collects_no_more(index);
        }
        held
    }

    /// Undoes [`Self::stand`]. Returns the buckets that the call waited for.
    pub(super) fn step_out(&mut self, index: CallId) -> BucketIds {
        self.give_up_claims(index);
        let held = &self.held[index];
        let (class, caller, id) = (held.class, held.caller(), held.group);
        let group = &mut self.groups[id];
        let (parked, buckets) = (group.parked, group.needs());
        let heads = group.remove(&mut self.held, index);
        let is_empty = group.is_empty();
        if self.leases.is_some() {
            self.count_parked(id, class, -1);
        }
        if is_empty {
            self.groups.remove(class, id);
        }
        self.buckets[parked].change_head(class, caller, heads, id);
        buckets
    }

    /// Moves a group to the queue of another bucket.
    pub(super) fn park(&mut self, id: GroupId, at: BucketId) {
        let group = &mut self.groups[id];
        let from = core::mem::replace(&mut group.parked, at);
        for head in group.heads() {
            let (_, oldest) = head;
            let held = &self.held[oldest];
            let (class, caller) = (held.class, held.caller());
            self.buckets[from].change_head(class, caller, HeadChange::leaves(head), id);
            self.buckets[at].change_head(class, caller, HeadChange::comes(head), id);
        }
        if self.leases.is_some() {
            let oldest = self.groups[id].heads().next();
            if let Some(class) = oldest.map(|(_, call)| self.held[call].class) {
                self.count_parked(id, class, 0);
            }
        }
        self.touch(at);
    }
}
