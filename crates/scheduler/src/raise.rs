//! A held call becomes more urgent, and may be held for longer: somebody joins it who is, or may.
//!
//! It keeps its age and its ticket. In its new class it stands where it would if it had come in it,
//! so it is before all that came later. It never becomes less urgent, and its deadline never comes
//! nearer: those who are served by it already are not to suffer from who joins them.

use limits::Class;

use super::{
    Instant, Permit, Scheduler, Ticket,
    call_group::CallId,
    hold::{expires, is_held},
};

// === impl Scheduler ===

impl Scheduler {
    /// Raises the class of a held call to that one, and its deadline, where they are lower. One that
    /// kept slots from an attempt before keeps its class: the slots count for it. A ticket whose call
    /// is no longer held is ignored.
    pub fn raise(&mut self, now: Instant, ticket: Ticket, class: Class, deadline: Instant) {
        self.advance(now);
        if !is_held(&self.held, ticket) {
            return;
        }
        self.postpone(ticket, deadline);
        if class == Class::Interactive {
            let needs = self.groups[self.held[ticket.index].group].needs();
            needs.iter().for_each(|id| self.buckets[*id].expect_people(now));
        }
        if class < self.held[ticket.index].class {
            self.promote(now, ticket.index, class);
        }
        self.run(now);
    }

    /// Lets a call that was granted be held until then, should it wait again. Its deadline never comes nearer.
    pub fn allow_until(&mut self, permit: &Permit, deadline: Instant) {
        if let Some(granted) = self.granted.get_mut(permit.index) {
            granted.deadline = granted.deadline.max(deadline);
        }
    }

    /// Lets a held call wait for longer.
    fn postpone(&mut self, ticket: Ticket, deadline: Instant) {
        let held = &mut self.held[ticket.index];
        if deadline <= held.deadline {
            return;
        }
        let before = core::mem::replace(&mut held.deadline, deadline);
        self.deadlines.took_back(before, ticket, |at, call| expires(&self.held, at, call));
        self.deadlines.add(deadline, ticket);
    }

    /// Moves a held call to the queues of a more urgent class.
    fn promote(&mut self, now: Instant, call: CallId, class: Class) {
        self.give_up_collected(now, call);
        if !self.held[call].kept().is_empty() {
            return;
        }
        let held = &self.held[call];
        let (before, caller, age) = (held.class, held.caller(), held.sequence);
        let buckets = self.step_out(call);
        self.held[call].class = class;
        for id in buckets.iter().copied() {
            let bucket = &mut self.buckets[id];
            bucket.join(class, caller);
            bucket.leave(before, caller.id);
            self.touch(id);
        }
        let blocking = self.blocking(now, &buckets, class, age, Some(call)).map(|(id, _)| id);
        // One that is not blocked any more goes when its bucket is looked at.
        if let Some(at) = blocking.or(buckets.first().copied()) {
            self.stand(call, &buckets, at);
        }
    }
}
