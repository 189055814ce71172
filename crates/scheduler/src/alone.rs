//! What may be used of a shared bucket, with the store and without it.
//!
//! What a scheduler holds on lease is its own, whatever has become of the store. While the store
//! does not answer, slots are used again when they have aged instead of given back. So an outage
//! costs nothing where all who need slots have them. Only slots are used again that the store knows
//! of: what was taken and not told, it may grant to others. A store that has lost its memory is
//! **cold**: it grants nothing until all have told it what they hold. Whoever does not tell it keeps
//! others from a bucket for as long as its calls may count there, and from those of shorter periods for
//! less. What is held is used again until then.
//!
//! Of a bucket that was **quiet**, a replica may use its part of the quota: no more than one part was
//! held when the store was heard last, so all parts together are as much as all use. A quiet bot
//! would stand still otherwise whenever the store does. A cold store knows neither what is used nor
//! who is there: by what it says nobody uses a part. Where the part is no slot, or more was used, the
//! calls wait for what is held, but for limits of which short bursts are tolerated: these go on at
//! the pace of the limit.
//!
//! After a while the store may have forgotten the scheduler: then its lease is over. What it holds
//! is kept from others for one more period and for as long as a call may be in flight. Until then
//! it uses no more than its part, and of a bucket that was not quiet only what it holds; after that
//! its part. Where nobody hears the store, nothing of a quiet bucket changes with the end of the
//! lease, so its part is used all the time. But a scheduler that did nothing while its lease ended,
//! as one that was suspended, has not noticed that the store is silent. It may answer at once, and
//! others may have used all: such a one goes by nothing that it heard before.
//!
//! If others share the limits **apart** from this store, so that nothing is known of what they hold, it grants
//! nothing either, and each scheduler uses its part. Where the others have been alone until now, or these have,
//! they may hold all: so for one lease, period and flight each uses no more of its part than it holds already.

use alloc::vec::Vec;
use core::{num::NonZeroU32, time::Duration};

use super::{
    Instant, Scheduler,
    bucket::Bucket,
    call_group::BucketId,
    shared::{Leases, Link, Shard, ShardState, Sharing},
};

/// Whether a part of the store can be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It never could.
    Unheard,
    /// It answers.
    Connected,
    /// It does not, for a short time.
    Alone,
    /// It does not, for so long that it may have forgotten this scheduler.
    Over {
        /// Since when.
        since: Instant,
        /// Whether it was found silent before.
        noticed: bool,
    },
    /// This scheduler has left: it uses nothing any more.
    Left,
}

/// What becomes of the leases when a part of the store is heard again.
#[derive(Clone, Copy, Debug, Default)]
struct Change {
    /// It is another store.
    tells_anew: bool,
    /// It is another scheduler.
    begins_anew: bool,
    /// There was no lease before.
    was_over: bool,
}

// === impl Leases ===

impl Leases {
    /// Sets how many slots may be used of a shared bucket, by what is known now.
    pub(super) fn set_cap(&mut self, now: Instant, bucket: &mut Bucket) {
        let cap = self.cap(now, bucket);
        bucket.set_cap(cap);
        self.set_link(bucket);
    }

    /// How many slots may be used of a shared bucket.
    fn cap(&mut self, now: Instant, bucket: &Bucket) -> u32 {
        let Some(lease) = bucket.lease() else { return bucket.quota() };
        let sharing = self.sharing;
        let flight = sharing.flight;
        let shard = self.shard(lease.shard);
        let (held, quota) = (lease.held(), bucket.quota());
        let is_cold = shard.is_cold(bucket);
        let reusable = lease.reusable(is_cold);
        let part = quota.checked_div(shard.replicas).unwrap_or(0);
        match shard.state {
            State::Left => 0,
            State::Connected if !is_cold => bucket.used() + lease.fresh(),
            State::Connected | State::Alone | State::Over { .. } if bucket.tolerates_bursts() => {
                held.max(quota)
            }
            State::Connected | State::Alone if shard.apart_since.is_some() => {
                let waits = shard.apart_until(bucket, &sharing).is_some_and(|at| now < at);
                if waits { reusable.min(part) } else { part }
            }
            State::Alone if shard.is_quiet(bucket, part) => reusable.max(part),
            State::Connected | State::Alone => reusable,
            State::Over { since, noticed } if now < since + bucket.period() + flight => {
                if noticed && shard.is_quiet(bucket, part) { part } else { reusable.min(part) }
            }
            State::Unheard | State::Over { .. } => part,
        }
    }

    /// When more of a shared bucket may be used without the store, if that is to come.
    pub(super) fn more_at(&mut self, now: Instant, bucket: &Bucket) -> Option<Instant> {
        let (flight, sharing) = (self.sharing.flight, self.sharing);
        let shard = self.shard(bucket.lease()?.shard);
        let apart_until = shard.apart_until(bucket, &sharing).filter(|at| *at > now);
        match shard.state {
            State::Connected | State::Alone if apart_until.is_some() => apart_until,
            State::Over { since, .. } => {
                Some(since + bucket.period() + flight).filter(|at| *at > now)
            }
            State::Unheard | State::Connected | State::Alone | State::Left => None,
        }
    }

    /// Whether the part of the store answers that keeps a bucket, and grants slots.
    fn set_link(&self, bucket: &mut Bucket) {
        let shard = bucket.lease().and_then(|lease| self.shards.get(&lease.shard));
        let is_connected = shard.is_some_and(|shard| shard.state == State::Connected);
        let is_cold = shard.is_some_and(|shard| shard.is_cold(bucket));
        if let Some(lease) = bucket.lease_mut() {
            (lease.is_connected, lease.is_cold) = (is_connected, is_cold);
        }
    }
}

// === impl ShardState ===

impl ShardState {
    /// Whether it grants no slot of a bucket.
    fn is_cold(&self, bucket: &Bucket) -> bool {
        is_cold(self.cold_from, bucket)
    }

    /// Since when others have shared the limits whom it does not hear, and how many all are.
    fn apart(&self) -> Option<(Instant, u32)> {
        self.apart_since.map(|since| (since, self.replicas))
    }

    /// Until when those that it does not hear may use what they held, if there are any.
    fn apart_until(&self, bucket: &Bucket, sharing: &Sharing) -> Option<Instant> {
        let Sharing { lease, flight, .. } = *sharing;
        self.apart_since.map(|since| since + lease + bucket.period() + flight)
    }

    /// Whether no more than a part of a bucket was held when it was heard last, by all that is known.
    fn is_quiet(&self, bucket: &Bucket, part: u32) -> bool {
        let used = bucket.lease().map_or(0, |lease| lease.held().saturating_add(lease.others()));
        self.cold_from.is_none() && used <= part && !self.hot.contains(&bucket.key)
    }
}

/// Whether no slot of a bucket is granted where that holds for such a period and longer ones.
fn is_cold(from: Option<Duration>, bucket: &Bucket) -> bool {
    from.is_some_and(|from| bucket.period() >= from)
}

// === impl Scheduler ===

impl Scheduler {
    /// Whether a part of the store can be heard has changed, or it has answered a beat.
    pub fn alone(&mut self, now: Instant, shard: Shard, how: Link) {
        // Time passes only after that: until then, what is due would go by what held before.
        let Some(leases) = &mut self.leases else { return };
        leases.formers_hear_of(shard, &how);
        let at_least = leases.sharing.replicas.map_or(1, NonZeroU32::get);
        let known = leases.shard(shard);
        let (before, was_cold_from) = (known.state, known.cold_from);
        let was_apart = known.apart();
        if before == State::Left {
            return;
        }
        let mut change = Change::default();
        let is_beat = matches!(how, Link::Connected { .. } | Link::Cold { .. });
        match how {
            Link::Connected { replicas, hot } => {
                known.replicas = replicas.max(at_least);
                known.hot = hot.into_iter().collect();
                (known.state, known.cold_from, known.apart_since) = (State::Connected, None, None);
            }
            Link::Cold { from, apart } => {
                (known.state, known.cold_from) = (State::Connected, Some(from));
                known.replicas = known.replicas.max(apart.unwrap_or(0));
                known.apart_since = apart.map(|_| known.apart_since.unwrap_or(now));
            }
            Link::NewEpoch(epoch) => {
                (known.epoch, known.state) = (Some(epoch), State::Connected);
                known.cold_from = Some(Duration::ZERO);
                change.tells_anew = true;
            }
            Link::Alone if before == State::Connected => known.state = State::Alone,
            Link::LeaseOver if matches!(before, State::Connected | State::Alone) => {
                known.state = State::Over { since: now, noticed: before == State::Alone };
            }
            Link::Alone | Link::LeaseOver => return,
            Link::Forgotten => {
                known.epoch = None;
                known.state = State::Over { since: now, noticed: false };
                change.begins_anew = true;
            }
        }
        if matches!(known.state, State::Over { .. }) {
            // The others may not have heard of it for long, either.
            known.apart_since = None;
        }
        let (state, cold_from) = (known.state, known.cold_from);
        let apart = known.apart();
        let is_as_before = is_beat && before == state && was_apart == apart;
        if is_as_before && was_cold_from == cold_from {
            self.ask_again(now, shard);
            return;
        }
        // What was held under a lease that is over was for others.
        change.was_over = matches!(before, State::Unheard | State::Over { .. });
        if matches!(state, State::Over { .. }) || apart.is_some() && was_apart.is_none() {
            // The slots that they keep may not be theirs for much longer.
            self.scatter(now, |lease| lease.shard == shard);
        }
        let all = self.buckets.iter();
        let of_shard = |bucket: &Bucket| bucket.lease().is_some_and(|lease| lease.shard == shard);
        let changes = |bucket: &Bucket| {
            let is_cold = |from| is_cold(from, bucket);
            of_shard(bucket) && (!is_as_before || is_cold(was_cold_from) != is_cold(cold_from))
        };
        let all: Vec<_> = all.filter(|(_, bucket)| changes(bucket)).map(|(id, _)| id).collect();
        for id in all {
            self.change(now, id, change);
            self.touch(id);
        }
        if is_as_before {
            self.ask_again(now, shard);
        } else {
            self.run(now);
        }
        self.advance(now);
    }

    /// Whether a part of the store waits for others to tell it what they hold, and grants nothing of some
    /// limit for that which is in use here.
    pub fn is_cold(&self, shard: Shard) -> bool {
        let known = self.leases.as_ref().and_then(|leases| leases.shards.get(&shard));
        let Some(from) = known.and_then(|known| known.cold_from) else { return false };
        let buckets = self.buckets.iter().map(|(_, bucket)| bucket);
        let of_shard = |bucket: &Bucket| bucket.lease().is_some_and(|lease| lease.shard == shard);
        from.is_zero() || buckets.filter(|it| of_shard(it)).any(|it| is_cold(Some(from), it))
    }

    /// At a beat, whatever wants slots asks again: it may not have heard that it has them.
    fn ask_again(&mut self, now: Instant, shard: Shard) {
        let Some(leases) = &self.leases else { return };
        let wanting = leases.shards.get(&shard).map(|shard| shard.wanting.clone());
        for id in wanting.unwrap_or_default() {
            if let Some(lease) = self.buckets[id].lease_mut() {
                lease.again |= lease.wants_any();
                self.touch(id);
            }
        }
        self.run(now);
    }

    /// Whether the store can be heard of a bucket has changed.
    fn change(&mut self, now: Instant, id: BucketId, change: Change) {
        let (Some(leases), bucket) = (&mut self.leases, &mut self.buckets[id]) else { return };
        let (used, _) = bucket.used_and_room(now);
        let Some(lease) = bucket.lease_mut() else { return };
        if change.begins_anew {
            lease.begin_anew(lease.shard, leases.next_number(), used);
        }
        leases.set_link(bucket);
        let Some(lease) = bucket.lease_mut() else { return };
        if !lease.is_connected {
            lease.give_up_asking();
        } else if lease.returns() || change.was_over {
            // Before a call goes: what is idle may have been forgotten.
            lease.settle(used);
        } else {
            lease.take_used(used);
        }
        if change.was_over || change.begins_anew {
            lease.claim();
        }
        if change.tells_anew {
            lease.tell_anew();
        }
        self.set_cap(now, id);
    }
}
