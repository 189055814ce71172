//! Limits that are shared with other replicas: what the store's client says to the scheduler, and
//! hears from it.
//!
//! Whatever uses the scheduler takes the lock, and whoever takes the lock looks first whether the lease
//! is over. So no call goes by a right that others may have by now. The clock for that goes on while the
//! machine is suspended, which tokio's does not.

use std::time::Duration;

use limits::BucketKey;
use rustix::time::{ClockId, clock_gettime};
use scheduler::{Ask, Farewell, Link, Shard, Sharing, Told};

use super::{Admission, Inner, State};

/// Until when each part of the store may not have forgotten this replica, by [`boot_time`].
#[derive(Debug, Default)]
pub(super) struct Leases {
    until: Vec<(Shard, Duration)>,
    /// The first of them.
    first: Option<Duration>,
    /// The names of processes that have ended, and of which all is known that they used.
    ended: Vec<String>,
}

/// The time since the machine's start, suspensions included.
pub fn boot_time() -> Duration {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::Boottime;
    // There it includes them.
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::Monotonic;
    let now = clock_gettime(CLOCK);
    let seconds = Duration::from_secs(u64::try_from(now.tv_sec).unwrap_or(0));
    seconds + Duration::from_nanos(u64::try_from(now.tv_nsec).unwrap_or(0))
}

// === impl Admission ===

impl Admission {
    /// Shares all limits with other replicas from now on. No call may have come before.
    pub fn share(&self, sharing: Sharing) {
        let mut state = self.shared.lock();
        state.scheduler.share(sharing);
        state.to_say.share();
    }

    /// Resolves when something may have to be said to the store.
    pub async fn has_asks(&self) {
        self.shared.asks.notified().await;
    }

    /// Moves what is to be said to the store into `out`; see [`scheduler::Scheduler::asks`].
    pub fn move_asks(&self, out: &mut Vec<Ask>) {
        let mut state = self.shared.lock();
        let now = self.shared.now();
        state.scheduler.asks(now, out);
        state.pump(&self.shared, now);
    }

    /// The store says something of buckets.
    pub fn hear(&self, told: impl IntoIterator<Item = (BucketKey, Told)>) {
        let mut state = self.shared.lock();
        let now = self.shared.now();
        for (bucket, told) in told {
            state.scheduler.leased(now, &bucket, told);
        }
        state.pump(&self.shared, now);
    }

    /// Whether a part of the store can be heard has changed, or it has answered a beat.
    pub fn link(&self, shard: Shard, how: Link) {
        let mut state = self.shared.lock();
        let now = self.shared.now();
        match how {
            Link::Forgotten | Link::LeaseOver => state.leases.end(shard),
            Link::Connected { .. } | Link::Cold { .. } | Link::Alone | Link::NewEpoch(_) => {}
        }
        state.scheduler.alone(now, shard, how);
        state.pump(&self.shared, now);
    }

    /// A part of the store has not forgotten this replica before then, by [`boot_time`].
    pub fn lease(&self, shard: Shard, until: Duration) {
        self.shared.lock().leases.extend(shard, until);
    }

    /// Whether a part of the store has been told, in its epoch of now, all that is held.
    pub fn has_told_all(&self, shard: Shard) -> bool {
        self.shared.lock().scheduler.has_told_all(shard)
    }

    /// Whether a part of the store grants nothing of what is used here; see [`scheduler::Scheduler::is_cold`].
    pub fn is_cold(&self, shard: Shard) -> bool {
        self.shared.lock().scheduler.is_cold(shard)
    }

    /// Uses no slot of a shared limit any more, and moves into `out` for how long those still count
    /// that were used; see [`scheduler::Scheduler::leave`].
    pub fn leave(&self, out: &mut Vec<Farewell>) {
        let mut state = self.shared.lock();
        let now = self.shared.now();
        state.scheduler.leave(now, out);
        state.pump(&self.shared, now);
    }

    /// All that processes have used that are known by these names, and have ended, is known here.
    pub fn take_over(&self, ended: Vec<String>) {
        self.shared.lock().leases.ended = ended;
    }

    /// The names of processes that have ended, and of which all is known that they used.
    pub fn ended(&self) -> Vec<String> {
        self.shared.lock().leases.ended.clone()
    }

    /// Keeps a name by which the store knows this process from now on, where anything is kept.
    pub fn keep_name(&self, name: String) {
        if let Some(store) = self.shared.store.get() {
            store.named(name);
        }
    }

    /// How many slots of shared limits are held.
    pub fn held_on_lease(&self) -> u64 {
        self.shared.lock().scheduler.held_on_lease()
    }

    /// The same, and of which limits most are, so many of them.
    pub fn most_held_on_lease(&self, most: usize) -> (u64, Vec<(BucketKey, u32)>) {
        self.shared.lock().scheduler.most_held_on_lease(most)
    }
}

// === impl State ===

impl State {
    /// Before anything else: is a lease over?
    pub(super) fn check_leases(&mut self, shared: &Inner) {
        let Some(first) = self.leases.first else { return };
        let boot = boot_time();
        if boot < first {
            return;
        }
        let now = shared.now();
        for shard in self.leases.take_over(boot) {
            self.scheduler.alone(now, shard, Link::LeaseOver);
        }
        // What became of that the timer tells.
        shared.earlier.notify_one();
    }
}

// === impl Leases ===

impl Leases {
    fn extend(&mut self, shard: Shard, until: Duration) {
        match self.until.iter_mut().find(|(of, _)| *of == shard) {
            Some((_, before)) => *before = until.max(*before),
            None => self.until.push((shard, until)),
        }
        self.set_first();
    }

    fn end(&mut self, shard: Shard) {
        self.until.retain(|(of, _)| *of != shard);
        self.set_first();
    }

    /// Those that are over.
    fn take_over(&mut self, now: Duration) -> Vec<Shard> {
        let over = |(_, until): &mut (Shard, Duration)| *until <= now;
        let over = self.until.extract_if(.., over).map(|(shard, _)| shard).collect();
        self.set_first();
        over
    }

    fn set_first(&mut self) {
        self.first = self.until.iter().map(|(_, until)| *until).min();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Red when an answer that comes late shortens a lease, and when one that is over stays.
    #[test]
    fn a_lease_is_over_once_and_only_when_its_time_has_come() {
        let mut leases = Leases::default();
        assert_eq!(leases.first, None);
        leases.extend(Shard(1), at(30));
        leases.extend(Shard(2), at(31));
        leases.extend(Shard(1), at(40));
        leases.extend(Shard(1), at(35));
        assert_eq!(leases.first, Some(at(31)));
        assert_eq!(leases.take_over(at(30)), []);
        assert_eq!(leases.take_over(at(39)), [Shard(2)]);
        assert_eq!(leases.take_over(at(39)), []);
        leases.end(Shard(1));
        assert_eq!((leases.first, leases.take_over(at(99))), (None, vec![]));
    }
}
