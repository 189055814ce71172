//! What a scheduler says to a store that others share with it, and what it hears.
//!
//! Several schedulers share the quota of a limit through a store. The store counts how many slots
//! of a bucket each scheduler holds **on lease**, and nothing else: no slot's age is in it, and
//! nobody's clock. A shared bucket is a local one whose usable quota is what it holds; each slot
//! ages here, as it does in a scheduler that is alone, and is then given back. What a scheduler
//! holds is its own, also while the store is slow, gone or emptied; see [`alone`](super::alone).
//!
//! The driver carries messages and knows no more of them: it asks for what is to be said with
//! [`Scheduler::asks`], tells what it hears with [`Scheduler::leased`], and whether the store can
//! be heard at all with [`Scheduler::alone`].
//!
//! # Three numbers
//!
//! For each scheduler and bucket there are three numbers: GRANTED is the store's; TAKEN, used
//! without asking, and RETURNED are the scheduler's. Each is written by one side and only grows,
//! and merging is the maximum, so a message may be lost, doubled, late or overtaken. A right is
//! given up *before* the message is sent, and gained only *when* the answer is heard.
//!
//! A bucket is dropped when nothing is left of it, and the numbers with it. The next bucket of that
//! name begins a new *life*, with a greater number, and both sides ignore what they hear of an
//! earlier one. Each ask has a number, too: what a late one wants counts no more.
//!
//! # What is wanted
//!
//! A bucket wants a slot for each call that would go but for it; see [`collect`](super::collect).
//! It asks again when a slot has aged, when it wants what the store does not know of, or no more
//! what the store may still grant, and with each beat while it wants anything. It has one ask on
//! its way at a time.

use alloc::{boxed::Box, collections::BTreeSet, vec::Vec};
use core::{cmp::Reverse, num::NonZeroU32, time::Duration};

use foldhash::quality::RandomState;
use hashbrown::{HashMap, HashSet};
use limits::BucketKey;

use super::{
    Instant, Scheduler,
    alone::State,
    bucket::Bucket,
    call_group::{BucketId, CallId, GroupId},
    collect::Parked,
    former::Former,
    freezes::Freezes,
    lease::Lease,
};

/// How limits are shared.
#[derive(Clone, Copy, Debug)]
pub struct Sharing {
    /// The part of the store that keeps a bucket; none if it is not shared.
    pub shard: fn(&BucketKey) -> Option<Shard>,
    /// How many share the limits at least: some may not be heard by the store, or be on their way.
    /// Where that is not known, no call of a shared limit goes until the store has said so.
    pub replicas: Option<NonZeroU32>,
    /// For how long a call may be in flight.
    pub flight: Duration,
    /// For how long a lease lasts that is not confirmed.
    pub lease: Duration,
}

/// A part of the store, which is heard or not as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(pub u8);

/// A life of the store's memory: random, and another one after each loss of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// What is to be said of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Which.
    pub bucket: BucketKey,
    /// Where it is kept.
    pub shard: Shard,
    /// The life of the store in which that is said.
    pub epoch: Epoch,
    /// The life of the bucket.
    pub life: u64,
    /// Greater than that of any ask before.
    pub number: u64,
    /// The highest GRANTED that was heard of.
    pub seen: u64,
    /// TAKEN.
    pub taken: u64,
    /// RETURNED.
    pub returned: u64,
    /// Calls of each class that would go but for this bucket, up to its quota.
    pub wants: [u32; 3],
    /// How many callers these are of: the weight of this scheduler; none if it goes by that name no more.
    pub callers: u32,
    /// Slots in all.
    pub quota: u32,
    /// How long a slot ages; zero where it ends with the answer.
    pub period: Duration,
    /// If that is what was learnt of the limit: how far apart all calls go.
    pub spacing: Option<Duration>,
    /// Whether an interactive call has come since the last ask.
    pub people: bool,
}

/// What the store says of a bucket: it answers, or it has granted a slot meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The life of the store.
    pub epoch: Epoch,
    /// The life of the bucket.
    pub life: u64,
    /// GRANTED.
    pub granted: u64,
    /// The rest, if it is an answer.
    pub answer: Option<Answer>,
}

/// What only an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The ask that it answers.
    pub number: u64,
    /// How many slots all hold.
    pub used: u32,
    /// The weight of all who wait.
    pub weight: u64,
    /// What is to be done.
    pub hint: Hint,
}

/// What an answer says of the time to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hint {
    /// Nothing: who waits is told.
    #[default]
    Open,
    /// Slots are kept for others until then: ask again.
    AskAgain(Duration),
    /// Slack has refused a call of another scheduler: no slot is granted until then.
    Frozen(Duration),
    /// Another scheduler has the one slot with which the end of a freeze is tried.
    Probed,
}

/// Whether a part of the store can be heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// It has answered a beat.
    Connected {
        /// How many share the limits, this one counted.
        replicas: u32,
        /// The buckets of which more than a replica's part is used.
        hot: Vec<BucketKey>,
    },
    /// It has answered a beat, and waits for some to tell it what they hold. It may not know yet who
    /// shares the limits, and what is used: that is as it was told before.
    Cold {
        /// It grants nothing of limits with such a period or a longer one.
        from: Duration,
        /// That is because others share the limits that it does not hear: how many these are with those
        /// that it does hear.
        apart: Option<u32>,
    },
    /// It has not answered in time.
    Alone,
    /// It has not answered for so long that it may have forgotten this scheduler.
    LeaseOver,
    /// It has forgotten this scheduler, which goes on by another name.
    Forgotten,
    /// It lives another life, or is heard for the first time. It is cold, and grants nothing, until it has
    /// said that it is not.
    NewEpoch(Epoch),
}

/// What a scheduler knows of the store.
#[derive(Debug)]
pub(super) struct Leases {
    pub(super) sharing: Sharing,
    pub(super) shards: HashMap<Shard, ShardState, RandomState>,
    /// Buckets that have something to say. Some may have said it already, or be gone.
    pub(super) changed: Vec<BucketId>,
    /// Where each call group counts as one that wants slots.
    pub(super) parked: HashMap<GroupId, Parked, RandomState>,
    /// The held calls that keep slots on lease.
    pub(super) collecting: HashSet<CallId, RandomState>,
    /// Of each bucket whose calls go in order, the call groups that need it and want slots.
    pub(super) in_turn: HashMap<BucketId, Vec<GroupId>, RandomState>,
    /// What is held under names that buckets have no more.
    pub(super) former: Vec<Former>,
    /// What is known of freezes.
    pub(super) freezes: Freezes,
    /// The last number that was given to an ask or a life.
    pub(super) number: u64,
    /// Whether this scheduler uses no slot of a shared limit any more.
    pub(super) has_left: bool,
}

/// What a scheduler knows of a part of the store.
#[derive(Debug)]
pub(super) struct ShardState {
    pub(super) epoch: Option<Epoch>,
    pub(super) state: State,
    /// How many share the limits; zero if that is not known.
    pub(super) replicas: u32,
    pub(super) hot: HashSet<BucketKey, RandomState>,
    /// Where it does not know yet what is held: it grants nothing of limits with such a period or a longer
    /// one.
    pub(super) cold_from: Option<Duration>,
    /// Since when it has been known that others share the limits whom it does not hear.
    pub(super) apart_since: Option<Instant>,
    /// The buckets that count a call group.
    pub(super) wanting: BTreeSet<BucketId>,
}

// === impl Leases ===

impl Leases {
    fn new(sharing: Sharing) -> Self {
        Self {
            sharing,
            shards: HashMap::default(),
            changed: Vec::new(),
            parked: HashMap::default(),
            collecting: HashSet::default(),
            in_turn: HashMap::default(),
            former: Vec::new(),
            freezes: Freezes::default(),
            number: 0,
            has_left: false,
        }
    }

    /// A held call keeps no slot on lease any more.
    #[cold]
    pub(super) fn collects_no_more(&mut self, call: CallId) {
        self.collecting.remove(&call);
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    pub(super) fn shard(&mut self, shard: Shard) -> &mut ShardState {
        let replicas = self.sharing.replicas.map_or(0, NonZeroU32::get);
        let state = if self.has_left { State::Left } else { State::Unheard };
        self.shards.entry(shard).or_insert_with(|| ShardState {
            epoch: None,
            state,
            replicas,
            hot: HashSet::default(),
            cold_from: None,
            apart_since: None,
            wanting: BTreeSet::new(),
        })
    }
}

// === impl Scheduler ===

impl Scheduler {
    /// Shares all limits that outlive a process with others from now on. To be called before the
    /// first call comes.
    pub fn share(&mut self, sharing: Sharing) {
        self.leases = Some(Box::new(Leases::new(sharing)));
    }

    /// Moves what is to be said to the store into `out`: each bucket of which something changed,
    /// once. A bucket is silent until the store has answered, or [`Link::Alone`] says that it has
    /// not.
    pub fn asks(&mut self, now: Instant, out: &mut Vec<Ask>) {
        self.advance(now);
        self.end_formers(now);
        self.run(now);
        let Some(leases) = &mut self.leases else { return };
        for id in core::mem::take(&mut leases.changed) {
            let Some(bucket) = self.buckets.get_mut(id) else { continue };
            let callers = u32::try_from(bucket.queue.callers()).unwrap_or(u32::MAX);
            let (quota, period) = (bucket.quota(), bucket.period());
            let key = bucket.key.clone();
            let Some(lease) = bucket.lease_mut().filter(|lease| lease.queued) else { continue };
            lease.queued = false;
            let shard = leases.shards.get(&lease.shard);
            let connected = shard.filter(|shard| shard.state == State::Connected);
            let Some(epoch) = connected.and_then(|shard| shard.epoch) else { continue };
            if lease.asking {
                continue;
            }
            leases.number += 1;
            out.push(lease.ask(key, epoch, leases.number, callers.max(1), quota, period));
        }
        leases.ask_of_formers(out);
    }

    /// The store says something of a bucket. Of a bucket that is gone, or in another life of it or
    /// of the store, that is ignored.
    pub fn leased(&mut self, now: Instant, bucket: &BucketKey, told: Told) {
        self.advance(now);
        let Some(leases) = &mut self.leases else { return };
        if leases.is_of_former(now, bucket, told) {
            self.end_formers(now);
            self.run(now);
            return;
        }
        let Some(id) = self.buckets.find(bucket) else { return };
        let Some(lease) = self.buckets[id].lease_mut() else { return };
        let is_of_now = leases.shard(lease.shard).epoch == Some(told.epoch);
        if !is_of_now || !lease.hear(now, told) {
            return;
        }
        self.set_cap(now, id);
        self.touch(id);
        self.run(now);
    }

    /// Whether the store has been told, in its life of now, of all that is held of a part of it.
    pub fn has_told_all(&self, shard: Shard) -> bool {
        let leases = self.buckets.iter().filter_map(|(_, bucket)| bucket.lease());
        leases.filter(|lease| lease.shard == shard).all(|lease| lease.is_told)
    }

    /// Whether there may be something to say to the store.
    pub fn has_asks(&self) -> bool {
        let has = |leases: &Leases| !leases.changed.is_empty() || leases.freezes.has_news();
        self.leases.as_deref().is_some_and(has)
    }

    /// How many slots of shared limits are held.
    pub fn held_on_lease(&self) -> u64 {
        self.held_leases().map(|(_, held)| u64::from(held)).sum()
    }

    /// The same, and of which limits most are, so many of them, most first.
    pub fn most_held_on_lease(&self, most: usize) -> (u64, Vec<(BucketKey, u32)>) {
        let mut all: Vec<_> = self.held_leases().filter(|(_, held)| *held > 0).collect();
        let held = all.iter().map(|(_, held)| u64::from(*held)).sum();
        all.sort_by_key(|(_, held)| Reverse(*held));
        (held, all.into_iter().take(most).map(|(key, held)| (key.clone(), held)).collect())
    }

    /// Shared limits, and how many slots of each are held.
    fn held_leases(&self) -> impl Iterator<Item = (&BucketKey, u32)> {
        let all = self.buckets.iter();
        all.filter_map(|(_, bucket)| Some((&bucket.key, bucket.lease()?.held())))
    }

    /// Makes a new bucket a shared one, if its limit is shared: one whose slots outlive the
    /// process. In which order calls go is a matter of each process.
    pub(super) fn share_bucket(&mut self, now: Instant, bucket: &mut Bucket) {
        let Some(leases) = &mut self.leases else { return };
        bucket.is_watched = bucket.is_in_order();
        if !bucket.key.limit.is_remembered() {
            return;
        }
        let Some(shard) = (leases.sharing.shard)(&bucket.key) else { return };
        let mut lease = Lease::new(shard, leases.next_number());
        lease.most = leases.most_of(&bucket.key);
        bucket.share(lease);
        leases.set_cap(now, bucket);
    }

    /// A bucket has another name than that one, under which the store knows nothing of it: what is used is
    /// taken.
    pub(super) fn lease_anew(&mut self, now: Instant, id: BucketId, before: BucketKey) {
        let (Some(leases), bucket) = (&mut self.leases, &mut self.buckets[id]) else { return };
        let Some(shard) = (leases.sharing.shard)(&bucket.key) else { return };
        let (used, _) = bucket.used_and_room(now);
        let (of, key) = ((bucket.quota(), bucket.period()), bucket.key.clone());
        let Some(lease) = bucket.lease_mut() else { return };
        let most = lease.most;
        let held = leases.is_renamed(now, (before, key), lease, of);
        if leases.shard(lease.shard).wanting.remove(&id) {
            leases.shard(shard).wanting.insert(id);
        }
        lease.begin_anew(shard, leases.next_number(), used);
        lease.most = Some(most.map_or(held, |most| most.max(held)));
        leases.set_cap(now, bucket);
        self.touch(id);
    }

    /// Sets how many slots may be used of a bucket, by what is known now.
    #[cold]
    pub(super) fn set_cap(&mut self, now: Instant, id: BucketId) {
        if let Some(leases) = &mut self.leases
            && self.buckets[id].lease().is_some()
        {
            leases.set_cap(now, &mut self.buckets[id]);
        }
    }

    /// When to look at a shared bucket again, if nothing else happens before `at`.
    #[cold]
    pub(super) fn looks_again_at(
        &mut self,
        now: Instant,
        id: BucketId,
        at: Option<Instant>,
    ) -> Option<Instant> {
        let (leases, bucket) = (self.leases.as_mut()?, &self.buckets[id]);
        let more_at = leases.more_at(now, bucket);
        let again_at = bucket.lease().and_then(|lease| lease.again_at);
        let next = [at, bucket.ages_at(), again_at, more_at];
        next.into_iter().flatten().filter(|at| *at > now).min()
    }

    /// After a look at a shared bucket: gives back what is not used, and sees whether there is
    /// something to say.
    #[cold]
    pub(super) fn settle_lease(&mut self, now: Instant, id: BucketId) {
        let (Some(leases), bucket) = (&mut self.leases, &mut self.buckets[id]) else { return };
        if bucket.lease().is_none() {
            return;
        }
        let (used, room) = bucket.used_and_room(now);
        let quota = bucket.quota();
        let Some(lease) = bucket.lease_mut() else { return };
        let room = lease.most.map_or(room, |most| room.min(most.saturating_sub(used)));
        lease.want(now, quota, room);
        if lease.is_connected {
            if lease.returns() {
                lease.settle(used);
            } else {
                lease.take_used(used);
            }
            if lease.has_news() && !lease.asking && !lease.queued {
                lease.queued = true;
                leases.changed.push(id);
            }
        }
        leases.set_cap(now, bucket);
    }
}
