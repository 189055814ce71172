//! Places: what a call leaves in its queues when it is sent away with a time to come back.
//!
//! Otherwise all calls that were sent away would come back together, find the same calls before
//! them, and be sent away again. So a call that would wait too long keeps its place: the place
//! counts in its caller's queue and in every forecast, so later calls are told to come back later.
//! When the time that it was told has come, the call that returns takes its place, and its age with
//! it. No slot is kept for it, and a place whose call does not return expires a little later.

use alloc::{sync::Arc, vec::Vec};
use core::{num::NonZeroU64, time::Duration};

use hashbrown::HashMap;

use foldhash::quality::RandomState;
use limits::Class;

use super::{
    Caller, Instant, Scheduler, agenda::Agenda, call::Sequence, call_group::BucketId, rename::Joins,
};

/// What a call is known by when it returns: a hash of its caller, token, method and arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceId(NonZeroU64);

/// The places that are kept.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Two calls may have the same id: the oldest first.
    kept: HashMap<PlaceId, Vec<Place>, RandomState>,
    expiries: Agenda<(PlaceId, Sequence)>,
    len: usize,
}

/// A place that is taken again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Returned {
    /// The age of the call.
    pub(super) sequence: Sequence,
    /// How many calls of its caller are before it.
    pub(super) own: u64,
}

/// What a call waits for that is sent away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'b> {
    pub(super) buckets: &'b [BucketId],
    pub(super) class: Class,
    pub(super) caller: Caller,
    /// The limit that it waits for longest, and how many calls of its caller are before it there.
    pub(super) turn: Option<(BucketId, u64)>,
}

#[derive(Debug)]
struct Place {
    sequence: Sequence,
    buckets: Arc<[BucketId]>,
    class: Class,
    caller: Caller,
    /// Which of its caller's turns is its own, in the limit that it waits for longest.
    turn: Option<(BucketId, u64)>,
    /// When it was told to come back.
    due: Instant,
    expires: Instant,
}

/// How long after its time a place is kept at least; and as a part of its wait.
const LATE: (Duration, u32) = (Duration::from_secs(2), 10);

// === impl PlaceId ===

impl PlaceId {
    /// By that hash. The two largest hashes have the same id.
    pub const fn of(hash: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(hash))
    }
}

// === impl Places ===

impl Places {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// A lower bound: no place expires before that.
    pub(super) fn planned_expiry(&self) -> Option<Instant> {
        self.expiries.planned()
    }

    pub(super) fn next_expiry(&mut self) -> Option<Instant> {
        self.first().map(|(at, _)| at)
    }

    /// The place that expires first, and when.
    fn first(&mut self) -> Option<(Instant, (PlaceId, Sequence))> {
        self.expiries.first(|at, place| is_kept(&self.kept, at, place))
    }

    fn insert(&mut self, id: PlaceId, place: Place) {
        self.expiries.add(place.expires, (id, place.sequence));
        let same = self.kept.entry(id).or_default();
        let at = same.partition_point(|other| other.sequence < place.sequence);
        same.insert(at, place);
        self.len += 1;
    }

    fn remove(&mut self, id: PlaceId, sequence: Sequence) -> Option<Place> {
        let same = self.kept.get_mut(&id)?;
        let at = same.iter().position(|place| place.sequence == sequence)?;
        let place = same.remove(at);
        if same.is_empty() {
            self.kept.remove(&id);
        }
        let is_kept = |at, place| is_kept(&self.kept, at, place);
        self.expiries.took_back(place.expires, (id, sequence), is_kept);
        self.len -= 1;
        Some(place)
    }
}

/// Whether a place is still kept until then.
fn is_kept(
    kept: &HashMap<PlaceId, Vec<Place>, RandomState>,
    at: Instant,
    (id, sequence): (PlaceId, Sequence),
) -> bool {
    let mut same = kept.get(&id).into_iter().flatten();
    same.any(|place| place.sequence == sequence && place.expires == at)
}

// === impl Scheduler ===

impl Scheduler {
    /// A call is sent away until `due`: keeps its place.
    pub(super) fn keep_place(
        &mut self,
        now: Instant,
        id: PlaceId,
        sequence: Sequence,
        Line { buckets, class, caller, turn }: Line<'_>,
        due: Instant,
    ) {
        let expires = due + LATE.0.max(due.since(now) / LATE.1);
        // A pause may be over, or have begun, when it returns.
        let buckets: Arc<[BucketId]> = self.without_gates(buckets).collect();
        for id in buckets.iter() {
            self.buckets[*id].join(class, caller);
            self.buckets[*id].places += 1;
        }
        self.callers.join(caller.id);
        let turn = turn.map(|(id, own)| (id, self.served(id, class, caller) + own));
        self.places.insert(id, Place { sequence, buckets, class, caller, turn, due, expires });
    }

    /// The place that a call left when it was sent away, if its time has come. The place is
    /// gone then.
    pub(super) fn take_place(
        &mut self,
        now: Instant,
        id: PlaceId,
        buckets: &[BucketId],
        class: Class,
    ) -> Option<Returned> {
        let place = self.places.kept.get(&id)?.first()?;
        let sequence = place.sequence;
        let same = place.buckets.iter().copied().eq(self.without_gates(buckets));
        let returns = place.due <= now && place.class == class && same;
        let left =
            |(id, turn): (BucketId, u64)| turn.saturating_sub(self.served(id, class, place.caller));
        let own = place.turn.map_or(0, left);
        returns.then(|| {
            self.drop_place(id, sequence);
            Returned { sequence, own }
        })
    }

    fn without_gates(&self, buckets: &[BucketId]) -> impl Iterator<Item = BucketId> {
        buckets.iter().copied().filter(|id| !self.buckets[*id].is_gate())
    }

    /// How many turns a caller has had in a bucket since it came to wait there.
    fn served(&self, id: BucketId, class: Class, caller: Caller) -> u64 {
        self.buckets[id].queue.served(class, caller.id)
    }

    /// Drops the place that expires first.
    pub(super) fn expire_place(&mut self) {
        if let Some((_, (id, sequence))) = self.places.first() {
            self.drop_place(id, sequence);
        }
    }

    /// Lets places count in the queues of what their buckets become.
    pub(super) fn move_places(&mut self, joins: &Joins) {
        let mut places = core::mem::take(&mut self.places);
        // In an order that does not depend on how they are hashed.
        let mut kept: Vec<_> = places.kept.values_mut().flatten().collect();
        kept.sort_unstable_by_key(|place| place.sequence);
        for place in kept {
            let Some(buckets) = joins.of_all(&place.buckets) else { continue };
            let (class, caller) = (place.class, place.caller);
            let left = place
                .turn
                .map(|(id, turn)| (id, turn.saturating_sub(self.served(id, class, caller))));
            for id in &buckets {
                self.buckets[*id].join(class, caller);
                self.buckets[*id].places += 1;
            }
            for id in place.buckets.iter() {
                self.buckets[*id].leave(class, caller.id);
                self.buckets[*id].places -= 1;
            }
            place.buckets = Arc::from(buckets);
            place.turn = left.map(|(id, left)| {
                let id = joins.of(id);
                (id, self.served(id, class, caller) + left)
            });
        }
        self.places = places;
    }

    fn drop_place(&mut self, id: PlaceId, sequence: Sequence) {
        let Some(place) = self.places.remove(id, sequence) else { return };
        self.callers.leave(place.caller.id);
        for id in place.buckets.iter().copied() {
            self.buckets[id].leave(place.class, place.caller.id);
            self.buckets[id].places -= 1;
            self.touch(id);
        }
    }
}
