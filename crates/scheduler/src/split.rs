//! The parts of a replica's limits, where several replicas share them without a store.
//!
//! Which part is whose is arithmetic; see [`limits::Split`]. Each bucket has its part for its window,
//! so all that is divided by a quota is divided by the part of it: what is left to people, and what
//! background calls may take. A bucket that is renamed has another part.

use alloc::{sync::Arc, vec::Vec};
use core::time::Duration;

use limits::{BucketKey, Part, Rule, Split};

use super::{
    Instant, Scheduler,
    bucket::Bucket,
    call_group::BucketId,
    turns::{Turns, WallClock},
    window::Window,
};

/// Which replica this is, and what time it is for all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replica {
    split: Split,
    clock: WallClock,
}

// === impl Replica ===

impl Replica {
    /// The window of a bucket that keeps to that rule, and the shorter one of a limit that refuses
    /// bursts, if it is split.
    pub(super) fn windows(&self, key: &BucketKey, rule: Rule) -> Option<(Window, Option<Window>)> {
        let window = |part| match part {
            Part::Slots(slots, per) if per.is_zero() => Window::at_once(slots),
            Part::Slots(slots, per) => Window::sliding(slots, per),
            Part::Turns(turns) => Window::in_turns(Turns::new(turns, self.clock)),
        };
        let (whole, burst) = self.split.part_of(key, rule)?;
        Some((window(whole), burst.map(window)))
    }
}

// === impl Scheduler ===

impl Scheduler {
    /// This scheduler is one of several: of each limit it has a part from now on. `wall` is the time
    /// since 1970 by the clock that all of them share. It is to be told again when that clock is set.
    pub fn split(&mut self, now: Instant, split: Split, wall: Duration) {
        let replica = Replica { split, clock: WallClock::new(now, wall) };
        let before = self.replica.replace(replica);
        self.advance(now);
        if before.is_some_and(|before| before.split == split) {
            let all = self.buckets.iter_mut();
            let turned =
                all.filter_map(|(id, bucket)| bucket.set_clock(replica.clock).then_some(id));
            for id in turned.collect::<Vec<_>>() {
                self.look_again(id);
            }
        } else {
            let all: Vec<_> = self.buckets.iter().map(|(id, _)| id).collect();
            for id in all {
                self.part_anew(now, id);
            }
        }
        self.run(now);
    }

    /// A bucket has another name, or another part.
    pub(super) fn part_anew(&mut self, now: Instant, id: BucketId) {
        if self.replica.is_some() {
            let limit = Arc::clone(&self.buckets[id].key.limit);
            self.relimit_bucket(now, id, limit);
        }
    }
}

// === impl Bucket ===

impl Bucket {
    /// The wall clock is set. Whether it matters here.
    fn set_clock(&mut self, clock: WallClock) -> bool {
        let mut takes_turns = false;
        for window in self.windows_mut() {
            takes_turns |= window.set_clock(clock);
        }
        takes_turns
    }
}
