//! Places: what a call leaves in its queues when it is sent away with a time to come back.
//!
//! Otherwise all calls that were sent away would come back together, find the same calls before
//! them, and be sent away again. So a call that would wait too long leaves a place. A place does two
//! things:
//!
//! - **It spreads those who come back.** Whoever is sent away is told a time by the line of calls
//!   and places before it, so two hundred calls are told to come one after the other.
//! - **It keeps a turn.** The call that returns takes its place: its caller keeps its tag, and the
//!   call its age, so it goes before calls of its caller that came later. One that comes early takes
//!   its place, too. It leaves it again as old as it was if it is sent away, and counts as new if
//!   not: to ask often does not pay. However often a call is sent away, it has one place. One whose
//!   client comes back by itself [to be held again](super::Call::again) is not early by what it may
//!   be held.
//!
//! Places take nothing from calls that are there. No call is sent away for a line of places: whether
//! one can be held depends on the calls that are, and the bounds of the queues are theirs. Places
//! have bounds of their own, as wide. Where there are too many, those with the latest times go: of
//! one caller with a thousand places nearly all are later than the first ones of all others.
//!
//! # Who asks all the time
//!
//! It would be the first to see each slot, and whoever comes when it was told would find none. So a
//! slot for which a place is due is kept for a moment. A call that comes then and finds no other
//! slot gives way: it waits until the moment is over, or is sent away if it cannot wait. Calls that
//! have waited already do not give way, nor does who returns when it was told, nor a more urgent call.
//! Calls of the same caller do: its older call is first, and many bots may go by one name.
//! For this moment alone a call may be sent away that would be in time without those who are away.
//!
//! The moment has to be as long as it takes until a client is here that does what it was told:
//! clients are told whole seconds, rounded up, and they need a fifth of one for the way. And it must
//! cost little where the client does not come: a slot that is taken so much later is free so much
//! later, so with a fiftieth of the limit's period a window has 98 % of its calls if nobody comes to
//! any of the places. The shorter of both is taken. Limits on calls in flight, and open ones, keep
//! nothing: their slots are free again soon.

use alloc::{boxed::Box, collections::BTreeSet, sync::Arc, vec::Vec};
use core::{num::NonZeroU64, time::Duration};

use hashbrown::HashMap;

use foldhash::quality::RandomState;
use limits::Class;

use super::{
    Caller, CallerId, Instant, Scheduler,
    agenda::Agenda,
    call::Sequence,
    call_group::{BucketId, BucketIds, CallId},
    rename::Joins,
};

/// What a call is known by when it returns: a hash of its caller, token, method and arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceId(NonZeroU64);

/// The places that are kept.
#[derive(Debug, Default)]
pub(super) struct Places {
    kept: HashMap<PlaceId, Place, RandomState>,
    expiries: Agenda<PlaceId>,
    /// The same in the order of their times.
    by_due: BTreeSet<(Instant, PlaceId)>,
    /// The same by their ages, of each class and caller.
    by_age: BTreeSet<(CallerId, Class, Sequence, PlaceId)>,
    /// The same in each limit.
    in_limits: BTreeSet<(BucketId, Instant, PlaceId)>,
}

/// A place that is taken again.
#[derive(Debug)]
pub(super) struct Returned {
    /// The age of the call.
    pub(super) sequence: Sequence,
    /// How many calls of its caller are before it.
    pub(super) own: u64,
    /// Whether its time has come.
    pub(super) is_due: bool,
    /// What still counts in its queues, so that its caller keeps its turn until the call is there.
    pub(super) left: Box<Place>,
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
pub(super) struct Place {
    sequence: Sequence,
    buckets: Arc<[BucketId]>,
    class: Class,
    caller: Caller,
    /// Which of its caller's turns is its own, in the limit that it waits for longest.
    turn: Option<(BucketId, u64)>,
    /// When it was told to come back.
    due: Instant,
    /// When a client is here at the latest that comes back then.
    awaited_until: Instant,
    expires: Instant,
}

/// How long after its time a place is kept at least; and as a part of its wait.
const LATE: (Duration, u32) = (Duration::from_secs(2), 10);

/// How long a client that was told to come after some whole seconds is on its way then.
const ON_THE_WAY: Duration = Duration::from_millis(200);

/// So many older places of a caller are counted one by one.
const COUNTED: usize = 256;

/// A slot is kept for no longer than such a part of its period.
const MOMENT: u32 = 50;

// === impl PlaceId ===

impl PlaceId {
    const LAST: Self = Self(NonZeroU64::MAX);

    /// By that hash. The two largest hashes have the same id.
    pub const fn of(hash: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(hash))
    }
}

// === impl Places ===

impl Places {
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether that one is kept.
    #[cfg(any(test, feature = "model"))]
    pub(super) fn has(&self, id: PlaceId) -> bool {
        self.kept.contains_key(&id)
    }

    /// A lower bound: no place expires before that.
    pub(super) fn planned_expiry(&self) -> Option<Instant> {
        self.expiries.planned()
    }

    pub(super) fn next_expiry(&mut self) -> Option<Instant> {
        self.first().map(|(at, _)| at)
    }

    /// The place that expires first, and when.
    fn first(&mut self) -> Option<(Instant, PlaceId)> {
        self.expiries.first(|at, id| is_kept(&self.kept, at, id))
    }

    fn insert(&mut self, id: PlaceId, place: Place) {
        self.expiries.add(place.expires, id);
        self.by_due.insert((place.due, id));
        self.by_age.insert((place.caller.id, place.class, place.sequence, id));
        self.in_limits.extend(place.buckets.iter().map(|bucket| (*bucket, place.due, id)));
        self.kept.insert(id, place);
    }

    fn remove(&mut self, id: PlaceId) -> Option<Place> {
        let place = self.kept.remove(&id)?;
        self.by_due.remove(&(place.due, id));
        self.by_age.remove(&(place.caller.id, place.class, place.sequence, id));
        for bucket in place.buckets.iter() {
            self.in_limits.remove(&(*bucket, place.due, id));
        }
        self.expiries.took_back(place.expires, id, |at, id| is_kept(&self.kept, at, id));
        Some(place)
    }

    /// The one with the latest time, of all.
    fn last(&self) -> Option<PlaceId> {
        self.by_due.last().map(|(_, id)| *id)
    }

    /// The same of those in a limit.
    fn last_in(&self, bucket: BucketId) -> Option<PlaceId> {
        let all = (bucket, Instant::ZERO, PlaceId::of(0))..=(bucket, Instant::FAR, PlaceId::LAST);
        self.in_limits.range(all).next_back().map(|(_, _, id)| *id)
    }

    /// How many of that class and caller are older; of many, at least so many.
    pub(super) fn older(&self, caller: CallerId, class: Class, sequence: Sequence) -> u64 {
        let from = (caller, class, 0, PlaceId::of(0));
        let older = self.by_age.range(from..(caller, class, sequence, PlaceId::of(0)));
        older.take(COUNTED).map(|_| 1).sum()
    }

    /// Until when each place in a limit is awaited that was due less than a `moment` ago and that
    /// `counts`.
    fn awaited(
        &self,
        now: Instant,
        bucket: BucketId,
        moment: Duration,
        counts: impl Fn(&Place) -> bool,
    ) -> Vec<Instant> {
        let due = (bucket, now.before(moment), PlaceId::of(0))..=(bucket, now, PlaceId::LAST);
        let all = self.in_limits.range(due).filter_map(|(_, _, id)| self.kept.get(id));
        all.filter(|place| counts(place))
            .map(|place| place.awaited_until.min(place.due + moment))
            .filter(|until| *until > now)
            .collect()
    }
}

/// Whether a place is still kept until then.
fn is_kept(kept: &HashMap<PlaceId, Place, RandomState>, at: Instant, id: PlaceId) -> bool {
    kept.get(&id).is_some_and(|place| place.expires == at)
}

// === impl Scheduler ===

impl Scheduler {
    /// A call is sent away until `due`: it leaves a place, or the one that it has already.
    pub(super) fn keep_place(
        &mut self,
        now: Instant,
        id: PlaceId,
        sequence: Sequence,
        Line { buckets, class, caller, turn }: Line<'_>,
        due: Instant,
    ) {
        let wait = due.since(now);
        let expires = due + LATE.0.max(wait / LATE.1);
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let awaited_until = now + Duration::from_secs(seconds) + ON_THE_WAY;
        // A pause may be over, or have begun, when it returns.
        let buckets: Arc<[BucketId]> = self.without_gates(buckets).collect();
        for id in buckets.iter() {
            self.buckets[*id].keep_place(class, caller);
        }
        let turn = turn.map(|(id, own)| (id, self.served(id, class, caller) + own));
        // Another call that is alike may have left it.
        let before = self.places.remove(id);
        let sequence = before.as_ref().map_or(sequence, |before| before.sequence.min(sequence));
        let place = Place { sequence, buckets, class, caller, turn, due, awaited_until, expires };
        self.places.insert(id, place);
        if let Some(before) = before {
            self.leave_place(&before);
        }
    }

    /// The place that a call left when it was sent away. It is gone then, but for what
    /// [`Self::leave_place`] takes from the queues. Where what the call is has changed, it has none.
    /// Its time has come if it is not after `due_by`.
    pub(super) fn take_place(
        &mut self,
        due_by: Instant,
        id: PlaceId,
        buckets: &[BucketId],
        class: Class,
    ) -> Option<Returned> {
        if self.places.len() == 0 {
            return None;
        }
        let left = self.places.remove(id)?;
        if left.class != class || !left.buckets.iter().copied().eq(self.without_gates(buckets)) {
            self.leave_place(&left);
            return None;
        }
        let own = left
            .turn
            .map_or(0, |(id, turn)| turn.saturating_sub(self.served(id, class, left.caller)));
        Some(Returned {
            sequence: left.sequence,
            own,
            is_due: left.due <= due_by,
            left: Box::new(left),
        })
    }

    /// Lets a place count in its queues no more.
    pub(super) fn leave_place(&mut self, place: &Place) {
        for id in place.buckets.iter().copied() {
            self.buckets[id].drop_place(place.class, place.caller.id);
            self.touch(id);
        }
    }

    /// Which of the limits keeps its free slots the longest for those who were told to come now, and
    /// until when at least. Nothing if the call finds one in each.
    pub(super) fn kept_for_others(
        &mut self,
        now: Instant,
        buckets: &[BucketId],
        class: Class,
    ) -> Option<(Instant, BucketId)> {
        if self.places.len() == 0 {
            return None;
        }
        let kept = buckets.iter().filter_map(|&id| Some((self.kept_in(now, id, class)?, id)));
        kept.max()
    }

    /// Until when at least a call that is next in a limit's queue gives way to those who were told
    /// to come now.
    pub(super) fn gives_way(
        &mut self,
        now: Instant,
        id: BucketId,
        call: CallId,
    ) -> Option<Instant> {
        if self.buckets[id].places == 0 {
            return None;
        }
        let held = &self.held[call];
        let class = held.class;
        held.gives_way.then(|| self.kept_in(now, id, class)).flatten()
    }

    fn kept_in(&mut self, now: Instant, id: BucketId, class: Class) -> Option<Instant> {
        let bucket = &mut self.buckets[id];
        let is_shared = bucket.lease().is_some();
        if bucket.places == 0 || is_shared || bucket.is_open() || bucket.counts_in_flight() {
            return None;
        }
        let moment = bucket.period() / MOMENT;
        let counts = |place: &Place| place.class <= class;
        let mut awaited = self.places.awaited(now, id, moment, counts);
        let (spare, more) = bucket.spare(now, class);
        // So many of them leave one slot to the call once they are awaited no more.
        let too_many = awaited.len().checked_sub(usize::try_from(spare).unwrap_or(usize::MAX))?;
        awaited.sort_unstable();
        awaited.get(too_many).copied().into_iter().chain(more).min()
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
        if let Some((_, id)) = self.places.first() {
            self.drop_place(id);
        }
    }

    /// Drops the places with the latest times where there are too many since that one is kept: in one
    /// of its buckets, or in all. What everything goes through has no line of its own.
    pub(super) fn bound_places(&mut self, new: PlaceId) {
        let Some(place) = self.places.kept.get(&new) else { return };
        let buckets = Arc::clone(&place.buckets);
        let bounds = self.policy.bounds;
        let is_full = |id: &BucketId| {
            let bucket = &self.buckets[*id];
            !bucket.is_open() && bucket.places as usize > bounds.per_bucket
        };
        let full: BucketIds = buckets.iter().copied().filter(is_full).collect();
        // No other is dropped for one that is not kept itself.
        if full.iter().any(|id| self.places.last_in(*id) == Some(new)) {
            self.drop_place(new);
            return;
        }
        for id in full {
            while self.buckets[id].places as usize > bounds.per_bucket
                && let Some(last) = self.places.last_in(id)
            {
                self.drop_place(last);
            }
        }
        while self.places.len() > bounds.total
            && let Some(last) = self.places.last()
        {
            self.drop_place(last);
        }
    }

    /// Lets places count in the queues of what their buckets become.
    pub(super) fn move_places(&mut self, joins: &Joins) {
        let mut places = core::mem::take(&mut self.places);
        // In an order that does not depend on how they are hashed.
        let mut kept: Vec<_> = places.kept.iter_mut().collect();
        kept.sort_unstable_by_key(|(_, place)| place.sequence);
        for (id, place) in kept {
            let Some(buckets) = joins.of_all(&place.buckets) else { continue };
            let (class, caller) = (place.class, place.caller);
            let left = place
                .turn
                .map(|(id, turn)| (id, turn.saturating_sub(self.served(id, class, caller))));
            for bucket in &buckets {
                self.buckets[*bucket].keep_place(class, caller);
            }
            for bucket in place.buckets.iter() {
                self.buckets[*bucket].drop_place(class, caller.id);
                places.in_limits.remove(&(*bucket, place.due, *id));
            }
            places.in_limits.extend(buckets.iter().map(|bucket| (*bucket, place.due, *id)));
            place.buckets = Arc::from(buckets);
            place.turn = left.map(|(id, left)| {
                let id = joins.of(id);
                (id, self.served(id, class, caller) + left)
            });
        }
        self.places = places;
    }

    fn drop_place(&mut self, id: PlaceId) {
        if let Some(place) = self.places.remove(id) {
            self.leave_place(&place);
        }
    }
}
