//! When a call could go at the earliest, and whether to hold it.
//!
//! The forecast is optimistic: it counts the calls that are before it now, as if every answer came
//! at once, every slot were taken as soon as it is free, and no other call came. A call that
//! would wait too long even so is refused at once, with the time when to come back.

use limits::Class;

use super::{
    Bounds, Caller, Instant, Refusal, RefusalReason, Scheduler, call::Held, call_group::BucketId,
    fair_queue::Ahead, places::Line,
};

/// A call that comes to its buckets: its class, its caller, and how it comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comer {
    pub(super) class: Class,
    pub(super) caller: Caller,
    pub(super) arrival: Arrival,
}

/// How a call comes to its buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// For the first time.
    New,
    /// It was refused before and takes the place that it left, with `own` calls of its caller
    /// before it.
    Returned { own: u64 },
    /// It was sent, and refused.
    Replayed,
}

/// The last of so many equal parts of a queue is for callers that hold less than their share of it.
const LAST: usize = 10;

impl Scheduler {
    /// Why a call that cannot go now is not held, if so.
    pub(super) fn refuse(
        &mut self,
        now: Instant,
        buckets: &[BucketId],
        held: &Held,
        arrival: Arrival,
        max_depth: Option<usize>,
    ) -> Option<Refusal> {
        let comer = Comer { class: held.class, caller: held.caller(), arrival };
        let Some((retry_at, binding)) = self.too_late(now, buckets, comer, held.deadline) else {
            if arrival != Arrival::New {
                return None;
            }
            let full = self.full(buckets, held, max_depth)?;
            let retry_at = self.forecast(now, buckets, comer).map_or(now, |(at, _)| at);
            return Some(self.refusal(RefusalReason::QueueFull, full, retry_at));
        };
        if let Some(place) = held.place.filter(|_| self.full(buckets, held, max_depth).is_none()) {
            let turn = self.limiting(now, buckets, comer);
            let turn = turn.map(|id| (id, self.own_before(id, comer)));
            let Comer { class, caller, .. } = comer;
            let line = Line { buckets: &held.all_buckets(buckets), class, caller, turn };
            self.keep_place(now, place, held.sequence, line, retry_at);
        }
        Some(self.refusal(RefusalReason::Deadline, binding, retry_at))
    }

    pub(super) fn refusal(
        &self,
        reason: RefusalReason,
        id: BucketId,
        retry_at: Instant,
    ) -> Refusal {
        Refusal { reason, bucket: self.buckets[id].key.clone(), retry_at }
    }

    /// When a call could go at the earliest, and which bucket says so, if it may not wait so long.
    /// A forecast looks at every caller that waits. Most calls would be in time behind all of them,
    /// so this cheaper question comes first.
    fn too_late(
        &self,
        now: Instant,
        buckets: &[BucketId],
        comer: Comer,
        deadline: Instant,
    ) -> Option<(Instant, BucketId)> {
        let latest = |id: BucketId| self.buckets[id].latest(now, comer.class);
        if deadline > now && self.limits(buckets).all(|id| latest(id) <= deadline) {
            return None;
        }
        let forecast = self.forecast(now, buckets, comer);
        let forecast = forecast.or_else(|| Some((now, *buckets.first()?)));
        forecast.filter(|(at, _)| *at > deadline || deadline <= now)
    }

    /// When a call could go at the earliest, and which bucket says so. When a pause ends
    /// is unknown: a call is held for that as long as it may be.
    pub(super) fn forecast(
        &self,
        now: Instant,
        buckets: &[BucketId],
        comer: Comer,
    ) -> Option<(Instant, BucketId)> {
        self.limits(buckets).map(|id| (self.forecast_in(now, id, comer), id)).max()
    }

    /// Which of a call's limits it waits for longest. Open buckets are none.
    pub(super) fn limiting(
        &self,
        now: Instant,
        buckets: &[BucketId],
        comer: Comer,
    ) -> Option<BucketId> {
        let limits = buckets.iter().copied().filter(|&id| !self.buckets[id].is_open());
        limits.max_by_key(|&id| (self.forecast_in(now, id, comer), id))
    }

    /// Those of the buckets that are not gates.
    fn limits(&self, buckets: &[BucketId]) -> impl Iterator<Item = BucketId> {
        buckets.iter().copied().filter(|&id| !self.buckets[id].is_gate())
    }

    /// When a call could go at the earliest, if it needed only that bucket.
    fn forecast_in(&self, now: Instant, id: BucketId, comer: Comer) -> Instant {
        let bucket = &self.buckets[id];
        // Calls before it in an open bucket take no time.
        let ahead = if bucket.is_open() || comer.arrival == Arrival::Replayed {
            Ahead::default()
        } else {
            bucket.queue.ahead_of(comer.class, comer.caller, self.own_before(id, comer))
        };
        bucket.forecast(now, comer.class, ahead)
    }

    /// How many calls of its own caller are before a call in a bucket.
    fn own_before(&self, id: BucketId, Comer { class, caller, arrival }: Comer) -> u64 {
        let all = || self.buckets[id].queue.waiting_of(class, caller.id);
        match arrival {
            Arrival::New => all(),
            Arrival::Returned { own } => own.min(all()),
            Arrival::Replayed => 0,
        }
    }

    /// The bucket whose queue is full for a call, if one is; where the queue of all calls or
    /// of its caller is full, any of its buckets.
    fn full(
        &self,
        buckets: &[BucketId],
        held: &Held,
        max_depth: Option<usize>,
    ) -> Option<BucketId> {
        let Bounds { total, per_bucket } = self.policy.bounds;
        let own = || self.callers.of(held.caller);
        let all = self.held.len() + self.places.len();
        if max_depth.is_some_and(|most| own() >= most)
            || !has_space(total, all, || (own(), self.callers.len()))
        {
            return buckets.first().copied();
        }
        let count = |calls: u64| usize::try_from(calls).unwrap_or(usize::MAX);
        let is_full = |id: &&BucketId| {
            let bucket = &self.buckets[**id];
            let queue = &bucket.queue;
            let own = || count(queue.waiting_of(held.class, held.caller));
            // What everything goes through has no queue of its own, only the one of all calls.
            !bucket.is_open()
                && !has_space(per_bucket, count(bucket.waiting.into()), || {
                    (own(), count(queue.callers()))
                })
        };
        buckets.iter().find(is_full).copied()
    }
}

/// Whether a queue of at most `bound` calls, which holds `all`, takes one more of a caller that has
/// so many of its own in it, and is one of so many callers. So that one caller cannot fill a queue
/// for the others, the last part is for those who hold less than their share.
fn has_space(bound: usize, all: usize, own_of: impl FnOnce() -> (usize, usize)) -> bool {
    let has_share = || {
        let (own, callers) = own_of();
        own < bound / (callers + 1)
    };
    all < bound - bound / LAST || (all < bound && has_share())
}
