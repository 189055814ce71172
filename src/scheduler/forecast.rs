//! When a call could go at the earliest, and whether it is worth to hold it.
//!
//! The forecast is optimistic: it counts those who are before the call now, as if every answer
//! came at once, every slot were taken as soon as it is free, and nobody else came. A call that
//! would wait too long even so is refused at once, with the time when to come back.

use super::{
    Caller, Class, Held, Instant, Reason, Refusal, Scheduler, cell::BucketId, lineup::Ahead,
    places::Line,
};

/// How a call comes to its buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// For the first time.
    New,
    /// It was sent away, and takes its place, with so many of its caller's own before it.
    Returned { own: u64 },
    /// It was sent, and refused.
    Replayed,
}

/// A queue's last part of so many is for those who hold less than their share of it.
const LAST: usize = 10;

impl Scheduler {
    /// Why a call that cannot go now is not held, if so.
    pub(super) fn refuse(
        &mut self,
        now: Instant,
        buckets: &[BucketId],
        held: &Held,
        arrival: Arrival,
    ) -> Option<Refusal> {
        let (class, caller) = (held.class, held.caller);
        let (retry_at, binding) = self
            .forecast(now, buckets, class, caller, arrival)
            .or_else(|| Some((now, *buckets.first()?)))?;
        let reason = if retry_at > held.deadline || held.deadline <= now {
            Reason::Deadline
        } else if arrival == Arrival::New {
            return self
                .full(buckets, held)
                .map(|id| self.refusal(Reason::QueueFull, id, retry_at));
        } else {
            return None;
        };
        if let Some(place) = held.place.filter(|_| self.full(buckets, held).is_none()) {
            let turn = self.limiting(now, buckets, class, caller, arrival);
            let turn = turn.map(|id| (id, self.own_before(id, class, caller, arrival)));
            let line = Line { buckets: &held.all_buckets(buckets), class, caller, turn };
            self.keep_place(now, place, held.sequence, line, retry_at);
        }
        Some(self.refusal(reason, binding, retry_at))
    }

    pub(super) fn refusal(&self, reason: Reason, id: BucketId, retry_at: Instant) -> Refusal {
        Refusal { reason, bucket: self.buckets[id].key.clone(), retry_at }
    }

    /// When a call could go at the earliest, and which bucket says so. When a pause ends, nobody
    /// knows: a call is held for that as long as it may be.
    pub(super) fn forecast(
        &self,
        now: Instant,
        buckets: &[BucketId],
        class: Class,
        caller: Caller,
        arrival: Arrival,
    ) -> Option<(Instant, BucketId)> {
        let limits = buckets.iter().copied().filter(|&id| !self.buckets[id].is_gate());
        limits.map(|id| (self.forecast_in(now, id, class, caller, arrival), id)).max()
    }

    /// Which of a call's limits it waits for longest. Open buckets are none.
    pub(super) fn limiting(
        &self,
        now: Instant,
        buckets: &[BucketId],
        class: Class,
        caller: Caller,
        arrival: Arrival,
    ) -> Option<BucketId> {
        let limits = buckets.iter().copied().filter(|&id| !self.buckets[id].is_open());
        limits.max_by_key(|&id| (self.forecast_in(now, id, class, caller, arrival), id))
    }

    /// When a call could go at the earliest, if it needed only that bucket.
    fn forecast_in(
        &self,
        now: Instant,
        id: BucketId,
        class: Class,
        caller: Caller,
        arrival: Arrival,
    ) -> Instant {
        let bucket = &self.buckets[id];
        // Whoever is before it in an open bucket takes no time.
        let ahead = match arrival {
            Arrival::New | Arrival::Returned { .. } if !bucket.is_open() => {
                let own = self.own_before(id, class, caller, arrival);
                bucket.lineup.ahead_of(class, caller, own)
            }
            _ => Ahead::default(),
        };
        bucket.forecast(now, class, ahead)
    }

    /// How many of its caller's own are before a call in a bucket.
    fn own_before(&self, id: BucketId, class: Class, caller: Caller, arrival: Arrival) -> u64 {
        let all = self.buckets[id].lineup.waiting_of(class, caller.id);
        match arrival {
            Arrival::New => all,
            Arrival::Returned { own } => own.min(all),
            Arrival::Replayed => 0,
        }
    }

    /// The bucket whose queue is full for a call, if one is; where the queue of all calls or
    /// of its caller is full, any of its buckets.
    fn full(&self, buckets: &[BucketId], held: &Held) -> Option<BucketId> {
        let own = self.callers.of(held.caller.id);
        let all = self.held.len() + self.places.len();
        if held.max_depth.is_some_and(|most| own >= most)
            || !has_space(self.policy.bounds.total, all, own, self.callers.len())
        {
            return buckets.first().copied();
        }
        let is_full = |id: &&BucketId| {
            // What everything goes through has no queue of its own, only the one of all calls.
            if self.buckets[**id].is_open() {
                return false;
            }
            let bucket = &self.buckets[**id];
            let count = |calls: u64| usize::try_from(calls).unwrap_or(usize::MAX);
            let own = count(bucket.lineup.waiting_of(held.class, held.caller.id));
            let (all, callers) = (count(bucket.waiting), count(bucket.lineup.callers()));
            !has_space(self.policy.bounds.per_bucket, all, own, callers)
        };
        buckets.iter().find(is_full).copied()
    }
}

/// Whether a queue of at most `bound` calls, which holds `all` of so many `callers`, takes one
/// more of a caller that has its `own` in it. So that one caller cannot fill a queue for
/// the others, the last part is for those who hold less than their share.
fn has_space(bound: usize, all: usize, own: usize, callers: usize) -> bool {
    all < bound - bound / LAST || (all < bound && own < bound / (callers + 1))
}
