//! What counted for one identity counts for another from now on.
//!
//! Whose call it is may be learnt late: a token that was counted by itself turns out to be one of
//! an app and a workspace that are known. Its buckets are then renamed. Where the new name is
//! free, a bucket only changes its key. Where it is not, two buckets become one, in the way that
//! cannot be wrong: **a slot taken in either is taken in both**, because Slack has counted both
//! against one limit all along. There may be more of them than the quota; no call goes until there
//! are fewer. The later freeze holds, the slower probing, the longer memory of people, and
//! the slower pace of those that were learnt.
//!
//! The calls that wait for either are in one queue, as old as they are, and each caller is as far
//! ahead of the others as it was; claims are made anew. Permits and places refer to the one bucket
//! from then on, so a call that is settled or returns later finds it.
//!
//! A call that was classified just before may still arrive under the old name. So a bucket is found
//! by its last few names as long as it lives.
//!
//! A rename looks at the buckets of that identity. Only where two buckets in use become one, it
//! looks at what is held and in flight, too, once.

use alloc::{collections::BTreeMap, vec::Vec};

use limits::Scope;

use super::{
    Instant, Scheduler,
    call_group::{BucketId, CallId},
    claims::Claim,
    fair_queue::Lead,
};

/// Which buckets become which others.
#[derive(Debug, Default)]
pub(super) struct Joins(BTreeMap<BucketId, BucketId>);

// === impl Joins ===

impl Joins {
    /// What a bucket becomes: another one, or it stays.
    pub(super) fn of(&self, id: BucketId) -> BucketId {
        self.0.get(&id).copied().unwrap_or(id)
    }

    /// What these become, each once, in order; nothing if they all stay.
    pub(super) fn of_all(&self, ids: &[BucketId]) -> Option<Vec<BucketId>> {
        ids.iter().any(|id| self.0.contains_key(id)).then(|| {
            let mut all: Vec<_> = ids.iter().map(|id| self.of(*id)).collect();
            all.sort_unstable();
            all.dedup();
            all
        })
    }
}

// === impl Scheduler ===

impl Scheduler {
    /// Lets everything that counted for one identity count for another: each bucket whose limit
    /// counts by just these of organization, app and workspace, and whose values of them are
    /// `from`, written as in front of a bucket's values. Nothing happens where there are none.
    pub fn rename(&mut self, now: Instant, of: Scope, from: &str, to: &str) {
        self.advance(now);
        if from == to || of.is_empty() {
            return;
        }
        self.note_rename(of, from, to);
        self.between.rename(of, from, to);
        let mut joins = Joins::default();
        for id in self.buckets.of_identity(of, from) {
            let key = self.buckets[id].key.of_identity(to);
            match self.buckets.find(&key) {
                Some(other) if other != id => {
                    joins.0.insert(id, other);
                }
                _ => {
                    let before = self.buckets[id].key.clone();
                    self.buckets.rename(id, key);
                    self.lease_anew(now, id, before.clone());
                    self.freeze_is_renamed(now, id, before.clone());
                    self.lesson_is_renamed(id, before);
                    self.part_anew(now, id);
                }
            }
        }
        if !joins.0.is_empty() {
            self.join(now, &joins);
        }
        self.run(now);
    }

    /// Makes one bucket of each two.
    fn join(&mut self, now: Instant, joins: &Joins) {
        let leads: Vec<_> = joins.0.keys().map(|id| self.buckets[*id].queue.leads()).collect();
        self.move_places(joins);
        let calls = self.call_away(joins);
        for slot in self.granted.iter_mut().flat_map(|(_, granted)| &mut granted.slots) {
            slot.bucket = joins.of(slot.bucket);
        }
        for ((&from, &to), leads) in joins.0.iter().zip(leads) {
            self.absorb(now, from, to);
            for Lead { class, caller, by } in leads {
                self.buckets[to].queue.lead(class, caller, by);
            }
        }
        for (call, buckets) in calls {
            let (class, age) = (self.held[call].class, self.held[call].sequence);
            let blocking = self.blocking(now, &buckets, class, age, Some(call));
            if let Some(at) = blocking.map(|(id, _)| id).or(buckets.first().copied()) {
                self.stand(call, &buckets, at);
            }
        }
    }

    /// Lets the calls that need these buckets wait for what the buckets become, outside of any
    /// group. Returns what each call waits for, the oldest call first.
    fn call_away(&mut self, joins: &Joins) -> Vec<(CallId, Vec<BucketId>)> {
        let mut calls = Vec::new();
        for (call, held) in self.held.iter_mut() {
            for slot in held.kept.iter_mut().flat_map(|kept| kept.iter_mut()) {
                slot.bucket = joins.of(slot.bucket);
            }
            if let Some(buckets) = joins.of_all(&self.groups[held.group].buckets) {
                calls.push((call, buckets));
            }
        }
        calls.sort_unstable_by_key(|(call, _)| self.held[*call].sequence);
        for (call, buckets) in &calls {
            let held = &self.held[*call];
            let (class, caller, aged) = (held.class, held.caller(), (held.sequence, *call));
            // In this order, so that its caller's turns are not forgotten where it stays.
            for id in buckets {
                self.buckets[*id].join(class, caller);
            }
            let before = self.step_out(*call);
            self.leave_lines(aged, &before);
            self.line_up(*call, buckets);
            for id in &before {
                self.buckets[*id].leave(class, caller.id);
            }
        }
        calls
    }

    /// Makes two buckets one.
    fn absorb(&mut self, now: Instant, from: BucketId, to: BucketId) {
        if let Some(Claim { call, .. }) = self.buckets[to].claim {
            self.give_up_claims(call);
        }
        let mut gone = self.retire(from);
        self.touched.retain(|id| *id != from);
        if let (Some(leases), Some(lease)) = (&mut self.leases, gone.lease()) {
            let names = (gone.key.clone(), self.buckets[to].key.clone());
            let held = leases.is_renamed(now, names, lease, (gone.quota(), gone.period()));
            if let Some(into) = self.buckets[to].lease_mut() {
                into.most = Some(into.most.unwrap_or(into.held()) + held);
            }
        }
        let was_half_open = gone.half_open().is_some();
        let had_learnt = gone.learns_in_common();
        let key = gone.key.clone();
        let former = gone.former().map(core::mem::take).into_iter().flatten();
        for name in former.chain([gone.key.clone()]) {
            self.buckets.answer_to(to, name);
        }
        self.buckets[to].absorb(gone);
        if was_half_open {
            self.freeze_is_renamed(now, to, key.clone());
        }
        if had_learnt {
            self.lesson_is_renamed(to, key.clone());
        }
        if self.buckets[to].learns {
            self.learning.push(to);
            self.keep_to_pace(now, to);
        }
        self.touch(to);
    }
}
