//! What is held under a name that a bucket has no more.
//!
//! When it turns out whose calls they are, a bucket gets another name, under which the store knows
//! nothing of it; so what is used is taken there. The others may learn it a moment later. Until then
//! they use slots under the old name, of which the store knows nothing under the new one. So what is
//! held under the old name stays held, and under the new one **no more is used than that**: all that
//! the others can use under the old name comes to no more than the quota with it. That ends, and what
//! is held under the old name is given back, when the store says that nobody who still goes by it
//! holds anything there, or when nothing of it can count any longer.

use alloc::vec::Vec;
use core::time::Duration;

use limits::BucketKey;

use super::{
    Instant, Scheduler,
    alone::State,
    lease::Lease,
    leave::Farewell,
    shared::{Ask, Leases, Link, Shard, Told},
};

/// What is held under a name of before.
#[derive(Debug)]
pub(super) struct Former {
    key: BucketKey,
    /// The name of now.
    of: BucketKey,
    lease: Lease,
    quota: u32,
    period: Duration,
    /// When nothing of it counts any more.
    ends: Instant,
    /// Whether nobody else goes by it who holds anything there.
    is_over: bool,
}

/// So many are kept. Of more, those of the last renames: the store forgets the others by itself.
const MOST: usize = 4096;

// === impl Scheduler ===

impl Scheduler {
    /// A bucket with a name that it had before may use more than it held there when nobody else goes by
    /// that name, or nothing of it counts any more.
    pub(super) fn end_formers(&mut self, now: Instant) {
        let Some(leases) = &mut self.leases else { return };
        let mut over = Vec::new();
        for former in &mut leases.former {
            former.is_over |= former.ends <= now;
            if former.is_over {
                over.push(former.of.clone());
            }
        }
        leases.former.retain(|former| !former.is_over || !former.lease.is_settled());
        over.retain(|of| !leases.former.iter().any(|former| !former.is_over && former.of == *of));
        for of in over {
            let Some(id) = self.buckets.find(&of) else { continue };
            if self.buckets[id].lease_mut().is_some_and(|lease| lease.most.take().is_some()) {
                self.touch(id);
            }
        }
    }
}

// === impl Leases ===

impl Leases {
    /// A bucket of that limit has another name, or has become another one. Returns how many slots it
    /// held.
    pub(super) fn is_renamed(
        &mut self,
        now: Instant,
        (key, of): (BucketKey, BucketKey),
        lease: &Lease,
        (quota, period): (u32, Duration),
    ) -> u32 {
        let lease = lease.to_give_back();
        if self.former.len() >= MOST {
            self.former.remove(0);
        }
        for former in self.former.iter_mut().filter(|former| former.of == key) {
            former.of = of.clone();
        }
        let (ends, held) = (now + self.sharing.flight + period, lease.held());
        self.former.push(Former { key, of, lease, quota, period, ends, is_over: false });
        held
    }

    /// How many slots of a bucket that is new may be used at most: it may have been dropped while others
    /// still go by a name that it had.
    pub(super) fn most_of(&self, key: &BucketKey) -> Option<u32> {
        let formers = self.former.iter().filter(|former| former.of == *key && !former.is_over);
        formers.map(|former| former.lease.held()).reduce(u32::saturating_add)
    }

    /// Whether a part of the store can be heard has changed.
    pub(super) fn formers_hear_of(&mut self, shard: Shard, how: &Link) {
        match how {
            Link::Alone | Link::LeaseOver => {
                let of_shard = self.former.iter_mut().filter(|former| former.lease.shard == shard);
                of_shard.for_each(|former| former.lease.give_up_asking());
            }
            // It does not know of them, or forgets them by itself.
            Link::NewEpoch(_) | Link::Forgotten => {
                self.former.retain(|former| former.lease.shard != shard);
            }
            Link::Connected { .. } | Link::Cold { .. } => {
                let of_shard = self.former.iter_mut().filter(|former| former.lease.shard == shard);
                of_shard.for_each(|former| former.lease.again = true);
            }
        }
    }

    /// What is to be said of them.
    pub(super) fn ask_of_formers(&mut self, out: &mut Vec<Ask>) {
        let Self { former, shards, number, .. } = self;
        for Former { key, lease, quota, period, is_over, .. } in former {
            if *is_over {
                lease.settle(0);
            }
            let shard = shards.get(&lease.shard);
            let connected = shard.filter(|shard| shard.state == State::Connected);
            let Some(epoch) = connected.and_then(|shard| shard.epoch) else { continue };
            if lease.has_news() && !lease.asking {
                *number += 1;
                // Nobody waits there: it is not gone by any more.
                out.push(lease.ask(key.clone(), epoch, *number, 0, *quota, *period));
            }
        }
    }

    /// The store says something of a bucket. Whether that is of such a name.
    pub(super) fn is_of_former(&mut self, now: Instant, bucket: &BucketKey, told: Told) -> bool {
        let Self { former, shards, .. } = self;
        let hears = |it: &mut Former| {
            let shard = shards.get(&it.lease.shard);
            let is_of_now = shard.is_some_and(|shard| shard.epoch == Some(told.epoch));
            it.key == *bucket && is_of_now && it.lease.hear(now, told)
        };
        let Some(at) = former.iter_mut().position(hears) else { return false };
        let Former { lease, is_over, .. } = &mut former[at];
        let used = told.answer.map(|answer| answer.used);
        *is_over |= used == Some(0) && !lease.asking;
        true
    }

    /// What is said of them at the end.
    pub(super) fn formers_leave(&mut self, now: Instant, out: &mut Vec<Farewell>) {
        let mut asks = Vec::new();
        for former in &mut self.former {
            former.lease.again = true;
            former.lease.asking = false;
        }
        let all: Vec<_> =
            self.former.iter().map(|it| (it.key.clone(), it.lease.held(), it.ends)).collect();
        self.ask_of_formers(&mut asks);
        for ask in asks {
            let held = all.iter().filter(|(key, ..)| *key == ask.bucket);
            let left = held.map(|(_, held, ends)| (*held, ends.since(now)));
            let left = left.filter(|(held, left)| *held > 0 && !left.is_zero()).collect();
            out.push(Farewell { ask, left });
        }
    }
}
