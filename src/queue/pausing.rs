//! Lets a pause begin and end for the calls that wait; one that Slack asked for ends, too.

use limits::{BucketKey, Rule};
use slack::IN_FLIGHT;

use super::{Admission, Inner, Said, Shed, State, waiters::QueueKey};
use crate::{
    call::Call,
    pauses::{Began, Meets, Pause, Paused, Pauses, Target, TooMany, Who},
};

// === impl Admission ===

impl Admission {
    /// Pauses something from `now` on, in milliseconds of Unix time: calls of it wait till their
    /// deadline or the end of the pause, those too that wait already; with `shed` they are shed at
    /// once. Calls that are on their way are not touched.
    ///
    /// # Errors
    /// If too much is paused already.
    pub fn pause(&self, target: &Target, now: u64, shed: bool) -> Result<Began, TooMany> {
        let began = {
            let mut state = self.shared.lock();
            let began = state.pauses.pause(target, now, shed)?;
            if let Some(paused) = state.pauses.get(target).filter(|_| began != Began::Already) {
                state.to_say.say(Said::Paused(paused));
            }
            began
        };
        if began != Began::Already {
            self.shared.pauses_changed(|queue| concerns(target, queue));
            self.keep_pauses();
        }
        Ok(began)
    }

    /// Ends a pause, and tells which; none if it was not on. Calls that waited go in their old order,
    /// at the pace of their limits.
    pub fn resume(&self, target: &Target) -> Option<Pause> {
        let was = {
            let mut state = self.shared.lock();
            let was = state.pauses.resume(target)?;
            state.to_say.say(Said::Resumed(target.clone()));
            was
        };
        self.shared.pauses_changed(|queue| concerns(target, queue));
        self.keep_pauses();
        Some(was)
    }

    /// Ends the pauses that Slack asked for of the buckets that are meant, and tells which these are. In
    /// each of them one call probes, and the others follow it.
    pub fn thaw(&self, meant: impl Fn(&BucketKey) -> bool) -> Vec<BucketKey> {
        let mut state = self.shared.lock();
        let now = self.shared.now();
        let thawed = state.scheduler.thaw(now, meant);
        state.pump(&self.shared, now);
        thawed
    }

    /// A pause outlives the process, where anything does.
    pub(super) fn keep_pauses(&self) {
        if let Some(store) = self.shared.store.get() {
            // The list and its place in the store's order are taken under one lock: two changes at
            // once cannot leave the older list behind the newer.
            let state = self.shared.lock();
            store.paused(state.pauses.list().collect());
        }
    }

    /// All that is paused.
    pub fn pauses(&self) -> Vec<Paused> {
        self.shared.lock().pauses.list().collect()
    }

    /// Pauses what was paused before, and nothing else.
    pub fn restore_pauses(&self, paused: impl IntoIterator<Item = Paused>) {
        self.shared.lock().pauses = Pauses::restore(paused);
        self.shared.pauses_changed(|_| true);
    }
}

/// Whether calls in that queue may be the target's.
fn concerns(target: &Target, queue: &QueueKey) -> bool {
    match target {
        Target::Method(name) => queue.method == *name,
        Target::Caller(name) => queue.caller == *name,
        Target::Workspace(_) => true,
    }
}

// === impl Inner ===

impl Inner {
    /// The pauses have changed for calls in these queues.
    fn pauses_changed(&self, concerns: impl Fn(&QueueKey) -> bool) {
        let mut state = self.lock();
        let now = self.now();
        state.gate(now, concerns);
        state.pump(self, now);
    }
}

// === impl State ===

impl State {
    /// What the pauses make of a call that asks to go: it needs more buckets, or is shed.
    pub(super) fn meet(&self, call: &Call, buckets: &mut Vec<BucketKey>) -> Result<(), Shed> {
        let method = call.method.as_ref().map(|method| &*method.name);
        match self.pauses.meet(Who { method, caller: &call.caller, buckets }) {
            Meets::Gates(gates) => {
                buckets.extend(gates);
                Ok(())
            }
            Meets::Shed(bucket) => Err(Shed::paused(bucket)),
        }
    }

    /// Lets the calls that wait in these queues stand before the gates that are there now, all at
    /// once, or sheds them.
    pub(super) fn gate(&mut self, now: scheduler::Instant, concerns: impl Fn(&QueueKey) -> bool) {
        let (mut changes, mut shed) = (Vec::new(), Vec::new());
        for (queue, ticket) in self.waiting.in_queues(|queue| concerns(&queue.key)) {
            let before = self.scheduler.buckets_of(ticket);
            let is_gate =
                |key: &&BucketKey| key.limit.rule == Rule::Gate && key.limit.name != IN_FLIGHT.name;
            let mut buckets: Vec<_> = before.iter().filter(|key| !is_gate(key)).cloned().collect();
            let method = queue.method.as_ref().map(|method| &*method.name);
            let caller = &queue.key.caller;
            match self.pauses.meet(Who { method, caller, buckets: &buckets }) {
                Meets::Shed(bucket) => shed.push((ticket, bucket)),
                Meets::Gates(gates) => {
                    let same = before.iter().filter(is_gate).count() == gates.len()
                        && gates.iter().all(|gate| before.contains(gate));
                    if !same {
                        buckets.extend(gates);
                        changes.push((ticket, buckets));
                    }
                }
            }
        }
        for (ticket, bucket) in shed {
            self.scheduler.cancel(now, ticket);
            if let Some(waiter) = self.waiting.remove(ticket) {
                // Whoever is gone needs no answer.
                let _ = waiter.verdict.send(Err(Shed::paused(bucket).into()));
            }
        }
        self.scheduler.rebucket(now, changes);
    }
}
