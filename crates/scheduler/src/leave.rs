//! What a scheduler says to the store before its process ends.
//!
//! What it holds and does not use, others may have at once. What it has used still counts for a
//! while, and nobody is there to give it back. So it says for how long, and the store keeps each slot
//! from others for so long and no longer. From then on it uses no slot of a shared limit.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Instant, Scheduler, alone::State, bucket::Bucket, call_group::BucketId, shared::Ask};

/// What is said of a bucket at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Farewell {
    /// The last ask. It wants nothing.
    pub ask: Ask,
    /// For how long so many slots still count, the shortest first.
    pub left: Vec<(u32, Duration)>,
}

/// How many different times are said of one bucket at most: the store keeps them all.
const TIMES: u32 = 64;

// === impl Scheduler ===

impl Scheduler {
    /// Leaves those that share the limits: moves what is to be said of each bucket into `out`, for
    /// the parts of the store that are heard, and uses no slot of a shared limit any more.
    pub fn leave(&mut self, now: Instant, out: &mut Vec<Farewell>) {
        self.advance(now);
        self.scatter(now, |_| true);
        let Some(leases) = &mut self.leases else { return };
        let flight = leases.sharing.flight;
        for (_, bucket) in self.buckets.iter_mut() {
            let left = bucket.counts_for(now, flight);
            let (quota, period, key) = (bucket.quota(), bucket.period(), bucket.key.clone());
            let Some(lease) = bucket.lease_mut() else { continue };
            let shard = leases.shards.get(&lease.shard);
            let connected = shard.filter(|shard| shard.state == State::Connected);
            let Some(epoch) = connected.and_then(|shard| shard.epoch) else { continue };
            if left.is_empty() && lease.is_settled() {
                continue;
            }
            leases.number += 1;
            let ask = lease.ask(key, epoch, leases.number, 1, quota, period);
            out.push(Farewell { ask: Ask { wants: [0; 3], ..ask }, left });
        }
        leases.formers_leave(now, out);
        leases.has_left = true;
        leases.shards.values_mut().for_each(|shard| shard.state = State::Left);
        let all: Vec<BucketId> = self.buckets.iter().map(|(id, _)| id).collect();
        for id in all {
            self.set_cap(now, id);
        }
    }
}

// === impl Bucket ===

impl Bucket {
    /// For how long so many of its slots still count. A call that has no answer yet may be in flight
    /// for so long. Of many different times some are said to be longer than they are.
    fn counts_for(&mut self, now: Instant, flight: Duration) -> Vec<(u32, Duration)> {
        let (ends, flying) = self.ends(now);
        let ends = ends.into_iter().map(|end| (1, end.since(now)));
        let flying = (flying > 0).then(|| (flying, flight + self.period()));
        let mut all: Vec<_> = ends.chain(flying).collect();
        all.sort_unstable_by_key(|(_, left)| *left);
        let Some((_, longest)) = all.last().copied() else { return all };
        let grain = (longest.as_nanos() / u128::from(TIMES)).max(1);
        let many = all.len() > TIMES as usize;
        let round = |left: Duration| {
            if many { nanos(left.as_nanos().div_ceil(grain) * grain) } else { left }
        };
        let mut rounded: Vec<(u32, Duration)> = Vec::new();
        for (slots, left) in all {
            match rounded.last_mut() {
                Some((before, same)) if *same == round(left) => *before += slots,
                _ => rounded.push((slots, round(left))),
            }
        }
        rounded
    }
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
