//! Time passes: slots become free, and the calls that wait for them are granted or sent away.

use limits::Class;

use super::{
    Event, Instant, Outcome, RefusalReason, Scheduler, Ticket,
    bucket::Bucket,
    buckets::Buckets,
    call::Held,
    call_group::{BucketId, CallId, GroupId},
    claims::Claim,
    fair_queue::Head,
    forecast::{Arrival, Comer, Told},
    hold::expires,
    places::Line,
};

/// What happens by itself as time passes. Of two at one instant the first goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// A bucket is to be looked at.
    Alarm,
    /// A held call has waited as long as it may.
    Deadline,
    /// A place expires: its call has not returned.
    Place,
}

/// Whether a bucket's alarm is still set for then.
pub(super) fn rings(buckets: &Buckets, at: Instant, id: BucketId) -> bool {
    buckets.prefetch(id);
    buckets.get(id).is_some_and(|bucket| {
        bucket.prefetch();
        bucket.alarm == Some(at)
    })
}

impl Scheduler {
    /// Lets time pass: what was due by `now` happens in the order in which it was due.
    pub(super) fn advance(&mut self, now: Instant) {
        while self.may_be_due(now)
            && let Some((_, due)) = self.next().filter(|(at, _)| *at <= now)
        {
            match due {
                Due::Alarm => self.ring(now),
                Due::Deadline => self.expire(now),
                Due::Place => {
                    self.expire_place();
                    self.run(now);
                }
            }
        }
    }

    /// Whether anything was planned for `now` or before, if only something that no longer holds.
    fn may_be_due(&self, now: Instant) -> bool {
        let (alarm, deadline) = (self.alarms.planned(), self.deadlines.planned());
        let planned = [alarm, deadline, self.places.planned_expiry()];
        planned.into_iter().flatten().any(|at| at <= now)
    }

    /// What happens next by itself, and when.
    pub(super) fn next(&mut self) -> Option<(Instant, Due)> {
        let alarm = self.alarms.first(|at, id| rings(&self.buckets, at, id));
        let alarm = alarm.map(|(at, _)| (at, Due::Alarm));
        let deadline = self.deadlines.first(|at, call| expires(&self.held, at, call));
        let deadline = deadline.map(|(at, _)| (at, Due::Deadline));
        let place = self.places.next_expiry().map(|at| (at, Due::Place));
        [alarm, deadline, place].into_iter().flatten().min()
    }

    /// The next bucket's alarm rings.
    fn ring(&mut self, now: Instant) {
        let first = self.alarms.first(|at, id| rings(&self.buckets, at, id));
        let Some((_, id)) = first else { return };
        self.alarms.take();
        self.buckets[id].alarm = None;
        self.touch(id);
        self.run(now);
    }

    /// The next held call's deadline has passed.
    fn expire(&mut self, now: Instant) {
        let first = self.deadlines.first(|at, call| expires(&self.held, at, call));
        let Some((_, Ticket { index, .. })) = first else { return };
        let held = &self.held[index];
        let (class, caller, group, place) = (held.class, held.caller(), held.group, held.place);
        let buckets = self.prefetch_going(index, group);
        let parked = self.groups[group].parked;
        // Its caller's calls expire in their order as a rule, so none of them is before it.
        let arrival = Arrival::Returned { sequence: held.sequence, own: 0 };
        let comer = Comer { class, caller, arrival };
        let forecast = self.forecast(now, &buckets, comer);
        let (at, binding) = forecast.unwrap_or((now, parked));
        let Told { at: retry_at, turn } = self.told(now, &buckets, comer, at);
        // When a gate opens is unknown, so a call that is sent away before one keeps no place.
        let gate = self.buckets[parked].is_gate().then(|| self.buckets[parked].passes());
        let (paused, passes) = (gate.is_some(), gate.flatten().is_some());
        // While it still waits, so that its caller keeps its turn.
        if let Some(place) = place.filter(|_| !paused) {
            let held = &self.held[index];
            let line = Line { buckets: &held.all_buckets(&buckets), class, caller, turn };
            self.keep_place(now, place, held.sequence, line, retry_at);
            self.bound_places(place);
        }
        let held = self.take_out(index);
        self.release(now, held.kept(), class, Outcome::Unsent);
        self.events.push(Event::Expired {
            ticket: Ticket { index, sequence: held.sequence },
            refusal: if passes {
                self.refusal(RefusalReason::InFlight, parked, retry_at)
            } else if paused {
                self.refusal(RefusalReason::Paused, parked, retry_at)
            } else {
                self.refusal(RefusalReason::Deadline, binding, retry_at)
            },
        });
        self.run(now);
    }

    /// Marks a bucket in which something changed, so that it is looked at, unless no call wants its
    /// slots and its alarm is set.
    pub(super) fn touch(&mut self, id: BucketId) {
        let bucket = &mut self.buckets[id];
        // An early alarm is only early: it is set anew when it rings.
        let is_quiet = !bucket.is_wanted() && bucket.alarm.is_some() && !bucket.is_watched;
        if !bucket.touched && !is_quiet {
            bucket.touched = true;
            self.touched.push(id);
        }
    }

    /// Looks at every bucket in which something changed.
    pub(super) fn run(&mut self, now: Instant) {
        while let Some(id) = self.touched.pop() {
            if self.leases.is_some() && self.buckets[id].is_watched {
                self.set_cap(now, id);
                self.keep_turns(now, id);
            }
            let opens = self.serve(now, id);
            // What serving it did to it, it has looked at, too.
            self.buckets[id].touched = false;
            if self.leases.is_some() {
                self.settle_lease(now, id);
                if self.buckets[id].half_open().is_some() {
                    self.settle_turn(now, id);
                }
            }
            self.rearm(now, id, opens);
        }
    }

    /// Grants a bucket's free slots to the calls that are parked in its queue. Returns when the
    /// next of them may take a slot; `None` if that is unknown until a response arrives or another
    /// call goes.
    fn serve(&mut self, now: Instant, id: BucketId) -> Option<Instant> {
        loop {
            if self.serve_claim(now, id) {
                continue;
            }
            self.buckets[id].queue.prefetch_turns();
            let leave = self.leaves_one_by(now, id, None);
            let bucket = &mut self.buckets[id];
            if !bucket.queue.has_parked() {
                return None;
            }
            if let Some(block) = bucket.shut(now, leave) {
                return block.until.or(bucket.gives_up_at());
            }
            if let Some((_, first)) = self.first_in_line(id) {
                let group = self.held[first].group;
                // It waits elsewhere, and all others wait for it.
                if self.groups[group].parked != id {
                    return None;
                }
                self.try_to_go(now, first, group);
                continue;
            }
            let bucket = &mut self.buckets[id];
            let (mut open, mut opens) = ([false; 3], None);
            for class in Class::ALL.into_iter().filter(|class| bucket.queue.has_parked_of(*class)) {
                match bucket.withheld(now, class) {
                    Some(block) => opens = [opens, block.until].into_iter().flatten().min(),
                    None => open[class.index()] = true,
                }
            }
            let Some((_, Head { call, group, .. })) = bucket.queue.next(open) else {
                return opens;
            };
            if let Some(at) = self.gives_way(now, id, call) {
                return [opens, Some(at)].into_iter().flatten().min();
            }
            self.try_to_go(now, call, group);
        }
    }

    /// Grants a held call whose turn it is where its group is parked, or parks the group where
    /// another bucket blocks it.
    pub(super) fn try_to_go(&mut self, now: Instant, call: CallId, group: GroupId) {
        let buckets = self.prefetch_going(call, group);
        let (class, age) = (self.held[call].class, self.held[call].sequence);
        match self.blocking(now, &buckets, class, age, Some(call)) {
            None => self.let_go(now, call),
            Some(at) if self.leases.is_some() && self.collects(&buckets) => {
                self.collect_in_turn(now, call, at);
            }
            Some((other, _)) => {
                self.claim(now, call);
                self.park(group, other);
            }
        }
    }

    /// Grants a held call.
    pub(super) fn let_go(&mut self, now: Instant, index: CallId) {
        let held = &self.held[index];
        let (class, caller) = (held.class, held.caller());
        let buckets = self.groups[held.group].needs();
        // The turn is charged while the call still counts as waiting, so that a caller's tag
        // outlives its last call.
        self.charge(&buckets, class, caller);
        let held = self.take_out(index);
        self.go(now, index, &buckets, held);
    }

    /// Grants a call that is no longer held, and reports it to the driver.
    pub(super) fn go(&mut self, now: Instant, index: CallId, buckets: &[BucketId], held: Held) {
        let ticket = Ticket { index, sequence: held.sequence };
        let permit = self.grant(now, buckets, held);
        self.events.push(Event::Granted { ticket, permit });
    }

    /// Sets a bucket's alarm: for the next slot that a call in its queue, or the call that has
    /// claimed it, may take, else for the end of its memory. A bucket that has nothing left to
    /// remember is dropped.
    fn rearm(&mut self, now: Instant, id: BucketId, opens: Option<Instant>) {
        let bucket = &self.buckets[id];
        let is_shared = self.leases.is_some() && bucket.lease().is_some();
        let is_half_open = self.leases.is_some() && bucket.half_open().is_some();
        let turn_at = if is_half_open { self.turn_at(id) } else { None };
        let wanted = match bucket.is_wanted() {
            true if is_shared => self.looks_again_at(now, id, opens),
            true => [opens, self.opens_for_claim(now, id)].into_iter().flatten().min(),
            false if bucket.alarm.is_some() && !is_shared && turn_at.is_none() => return,
            false => match bucket.idle_at(now) {
                Some(at) if at <= now => {
                    self.retire(id);
                    return;
                }
                at if is_shared => self.looks_again_at(now, id, at),
                at => at,
            },
        };
        let wanted = [wanted, turn_at].into_iter().flatten().min();
        let bucket = &mut self.buckets[id];
        if wanted == bucket.alarm {
            return;
        }
        let before = core::mem::replace(&mut bucket.alarm, wanted);
        if let Some(at) = before {
            self.alarms.took_back(at, id, |at, id| rings(&self.buckets, at, id));
        }
        if let Some(at) = wanted {
            self.alarms.add(at, id);
        }
    }

    /// When the call that has claimed a bucket may take its slot, if it is this bucket that blocks
    /// it.
    fn opens_for_claim(&mut self, now: Instant, id: BucketId) -> Option<Instant> {
        let Claim { call, class, .. } = self.buckets[id].claim?;
        let age = self.held[call].sequence;
        let block = self.blocked(now, id, class, age, Some(call))?;
        block.until.or_else(|| self.buckets[id].gives_up_at())
    }

    /// Drops a bucket: it has nothing left to remember, or another one remembers it.
    pub(super) fn retire(&mut self, id: BucketId) -> Bucket {
        let bucket = self.buckets.remove(id);
        if let Some(at) = bucket.alarm {
            self.alarms.took_back(at, id, |at, id| rings(&self.buckets, at, id));
        }
        bucket
    }
}
