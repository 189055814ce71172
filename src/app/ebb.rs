//! Gives memory back to the system when a flood is over.
//!
//! What connections and calls took is free when they end, but it stays with the process: the allocator keeps it
//! for the next flood, which may never come. So somebody looks how much they take, and when that is far less than it
//! was, has the allocator give back what is free. While that happens calls may wait for memory for some milliseconds,
//! so it is done once a minute at most.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::task::TaskTracker;

use crate::call::body::Memory;

/// What connections and calls took, and when memory was given back.
#[derive(Debug, Default)]
struct Ebb {
    /// The most since then, in bytes.
    most: usize,
    last: Option<Instant>,
}

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(5);
/// How long nothing is given back after that was done.
const PAUSE: Duration = Duration::from_secs(60);
/// What has to be free before it is worth it, in bytes.
const WORTH: usize = 4 << 20;
/// About what a connection takes, in bytes.
const CONNECTION: usize = 24 << 10;

/// Gives memory back when calls and connections take far less than they did, until it is dropped.
pub(super) async fn give_back(memory: Memory, connections: TaskTracker) {
    let (mut ebb, mut looks) = (Ebb::default(), interval(EVERY));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = looks.tick().await;
        let (bytes, _) = memory.held();
        if ebb.is_over(now, bytes.saturating_add(connections.len().saturating_mul(CONNECTION))) {
            heap::give_back();
            let took = Instant::now().duration_since(now);
            tracing::debug!(?took, "what a flood has left free was given back to the system");
        }
    }
}

// === impl Ebb ===

impl Ebb {
    /// Whether so little is taken now that memory is to be given back.
    fn is_over(&mut self, now: Instant, taken: usize) -> bool {
        self.most = self.most.max(taken);
        let is_low = taken <= self.most / 2 && self.most - taken >= WORTH;
        if !is_low || self.last.is_some_and(|last| now < last + PAUSE) {
            return false;
        }
        *self = Self { most: taken, last: Some(now) };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// Red when it is done while a flood goes on, when it is done more than once a minute, and when little is
    /// worth it.
    #[test]
    fn memory_is_given_back_when_a_flood_is_over() {
        let (mut ebb, start) = (Ebb::default(), Instant::now());
        for (at, taken, expected) in [
            (0, 0, false),
            (5, 100 * MIB, false),
            (10, 300 * MIB, false),
            (15, 160 * MIB, false),
            (20, 140 * MIB, true),
            (25, 2 * MIB, false),
            (75, 2 * MIB, false),
            (80, 2 * MIB, true),
            (85, 0, false),
            (500, 0, false),
            (505, 6 * MIB, false),
            (510, MIB, true),
            (700, 3 * MIB, false),
            (705, 0, false),
        ] {
            assert_eq!(ebb.is_over(start + Duration::from_secs(at), taken), expected, "{at} s");
        }
    }
}
