//! When a call could go at the earliest, and whether to hold it.
//!
//! The forecast is optimistic: it counts the calls that are before it now, as if every answer came
//! at once, every slot were taken as soon as it is free, and no other call came. A call that
//! would wait too long even so is refused at once, with the time when to come back. Those who are
//! not here do not count: a call that is in time without them is held. Where its client comes back by
//! itself and can be held [once more](super::Call::again), the call is held till its deadline if both waits
//! together are long enough: the time that its client spends away, which may cost its other calls
//! something, is then as short as it can be.
//!
//! What it is told is another question: when would it have its turn if all came back that were told
//! to? So that time counts the [places](super::places), too, and the tags of the fair queue. Nobody
//! is refused for it.

use limits::Class;

use super::{
    Bounds, Caller, Instant, Refusal, RefusalReason, Scheduler,
    call::{Held, Sequence, Terms},
    call_group::BucketId,
    fair_queue::Ahead,
    places::Line,
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
    /// It was refused before, and comes before its time. It counts as new; but if it is refused
    /// again, it is as old as it was, with `own` calls of its caller before it.
    Early { sequence: Sequence, own: u64 },
    /// It was refused before and takes the place that it left, with `own` calls of its caller
    /// before it.
    Returned { sequence: Sequence, own: u64 },
    /// It was sent, and refused.
    Replayed,
}

/// What a call is told that is sent away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// When to come back.
    pub(super) at: Instant,
    /// The limit that it waits for longest, and how many calls of its caller are before it there.
    /// Open buckets are none.
    pub(super) turn: Option<(BucketId, u64)>,
}

/// The last of so many equal parts of a queue is for callers that hold less than their share of it.
const LAST: usize = 10;

impl Scheduler {
    /// Why a call that cannot go now is not held, if so. Where it finds slots free, they are `kept` for
    /// others until then at least.
    pub(super) fn refuse(
        &mut self,
        now: Instant,
        buckets: &[BucketId],
        held: &Held,
        arrival: Arrival,
        Terms { max_depth, again }: Terms,
        kept: Option<(Instant, BucketId)>,
    ) -> Option<Refusal> {
        let comer = Comer { class: held.class, caller: held.caller(), arrival };
        let until = held.deadline + again;
        let (reason, bucket, at) = match self.too_late(now, buckets, comer, until, kept) {
            Some((at, binding)) => (RefusalReason::Deadline, binding, at),
            None if arrival == Arrival::Replayed => return None,
            None => {
                let full = self.full(buckets, held, max_depth)?;
                let at = self.forecast(now, buckets, comer).max(kept).map_or(now, |(at, _)| at);
                (RefusalReason::QueueFull, full, at)
            }
        };
        // One that is early is told when its old turn is, and not when it would go now.
        let (sequence, at) = match arrival {
            Arrival::Early { sequence, own } => {
                let comer = Comer { arrival: Arrival::Returned { sequence, own }, ..comer };
                let at = self.forecast(now, buckets, comer).max(kept).map_or(at, |(at, _)| at);
                (sequence, at)
            }
            _ => (held.sequence, at),
        };
        let Told { at, turn } = self.told(now, buckets, comer, at);
        // A full queue takes no new places, but none is lost to it either.
        let leaves_one = reason == RefusalReason::Deadline || arrival != Arrival::New;
        if let Some(place) = held.place.filter(|_| leaves_one) {
            let Comer { class, caller, .. } = comer;
            let line = Line { buckets: &held.all_buckets(buckets), class, caller, turn };
            self.keep_place(now, place, sequence, line, at);
        }
        Some(self.refusal(reason, bucket, at))
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
        kept: Option<(Instant, BucketId)>,
    ) -> Option<(Instant, BucketId)> {
        let latest = |id: BucketId| self.buckets[id].latest(now, comer.class);
        let kept_too_long = kept.filter(|(until, _)| *until > deadline);
        if kept_too_long.is_none()
            && deadline > now
            && self.limits(buckets).all(|id| latest(id) <= deadline)
        {
            return None;
        }
        let forecast = self.forecast(now, buckets, comer).max(kept);
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

    /// What a call is told that could go `at` the earliest if those who are away did not come.
    pub(super) fn told(
        &self,
        now: Instant,
        buckets: &[BucketId],
        comer: Comer,
        at: Instant,
    ) -> Told {
        let Comer { class, caller, arrival } = comer;
        let mut longest = None;
        for id in buckets.iter().copied().filter(|&id| !self.buckets[id].is_open()) {
            let bucket = &self.buckets[id];
            let all = || bucket.queue.present_of(class, caller.id);
            let (own, older) = match arrival {
                Arrival::New => (all(), false),
                // Its own place is among them.
                Arrival::Early { sequence, own } | Arrival::Returned { sequence, own } => {
                    let older = self.places.older(caller.id, class, sequence);
                    (own.max(older).min(all().saturating_sub(1)), true)
                }
                Arrival::Replayed => (0, true),
            };
            let ahead = match arrival {
                Arrival::Replayed => Ahead::default(),
                _ => bucket.queue.line_before(class, caller, own, older),
            };
            longest = longest.max(Some((bucket.forecast(now, class, ahead), id, own)));
        }
        let line = longest.map_or(at, |(at, ..)| at);
        Told { at: at.max(line), turn: longest.map(|(_, id, own)| (id, own)) }
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
            Arrival::New | Arrival::Early { .. } => all(),
            Arrival::Returned { own, .. } => own.min(all()),
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
        let all = self.held.len();
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
