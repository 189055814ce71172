//! A bucket that is shared: what it holds on lease, and what others use of it.

use alloc::vec::Vec;

use limits::Class;

use super::Bucket;
use crate::{Instant, fair_queue::Ahead, lease::Lease, window::Window};

// === impl Bucket ===

impl Bucket {
    /// What is held of it, if it is shared.
    pub(crate) fn lease(&self) -> Option<&Lease> {
        // Of one that is not shared, nothing else is looked at.
        if !self.is_watched {
            return None;
        }
        self.rare.as_ref()?.lease.as_ref()
    }

    pub(crate) fn lease_mut(&mut self) -> Option<&mut Lease> {
        if !self.is_watched {
            return None;
        }
        self.rare.as_mut()?.lease.as_mut()
    }

    /// Makes it a shared one.
    pub(crate) fn share(&mut self, lease: Lease) {
        self.rare().lease = Some(lease);
        self.is_watched = true;
    }

    /// Lets so many of its slots be used here.
    pub(crate) fn set_cap(&mut self, cap: u32) {
        self.window.set_cap(cap);
    }

    /// Takes a slot on lease for a call of that class that does not go yet.
    #[cold]
    pub(crate) fn collect(&mut self, now: Instant, class: Class) {
        self.takes_fresh();
        self.in_flight += 1;
        self.used_at = now;
        self.reserve.take(now, class, &self.window, false);
        self.windows_mut().for_each(Window::take);
    }

    /// Whether a slot that may be taken is one that is held: the store grants it to nobody else.
    pub(crate) fn may_keep_one(&self) -> bool {
        let is_held = |lease: &Lease| self.window.used() < lease.reusable(lease.is_cold);
        self.lease().is_some_and(|lease| lease.returns() || is_held(lease))
    }

    #[cold]
    pub(super) fn takes_fresh(&mut self) {
        if let Some(lease) = self.lease_mut() {
            lease.take();
        }
    }

    /// A slot on lease that is taken no more is given back, as long as the store grants it to others.
    #[cold]
    pub(super) fn uses_no_slot_again(&mut self) {
        if let Some(lease) = self.lease().filter(|lease| lease.returns()) {
            let cap = self.window.used() + lease.fresh();
            self.window.set_cap(cap);
        }
    }

    /// Slots taken here, and by those who share the limit, as far as is known.
    pub(crate) fn used_by_all(&self) -> u32 {
        let others = self.lease().filter(|lease| lease.is_connected).map_or(0, Lease::others);
        self.window.taken().saturating_add(others)
    }

    /// When such a call can go at the earliest if others wait, too, who share the limit. As in all
    /// forecasts, those who come later do not count.
    #[cold]
    pub(super) fn forecast_of_all(&self, now: Instant, ahead: Ahead) -> Option<Instant> {
        let lease = self.lease().filter(|lease| lease.returns())?;
        let free = self.quota().saturating_sub(self.used_by_all());
        let each = self.period() / self.quota();
        lease.forecast(now, ahead.all, self.queue.callers(), free, each)
    }

    /// How many of its slots are taken here, and how many calls may go now, as far as it is not a
    /// slot on lease that they lack.
    pub(crate) fn used_and_room(&mut self, now: Instant) -> (u32, u32) {
        self.expire(now);
        let frozen = self.frozen_until(now).map(|_| 0);
        let probes = self.half_open.as_ref().map(|half_open| half_open.left(self.in_flight));
        let burst = self.burst().map(Window::free);
        let spaced = self.learns.then(|| self.at_once(now)).flatten();
        let room = [frozen, probes, burst, spaced];
        let room = room.into_iter().flatten().min().unwrap_or(u32::MAX);
        (self.window.used(), room)
    }

    /// When each of its slots that age has aged, and how many have no end yet.
    pub(crate) fn ends(&mut self, now: Instant) -> (Vec<Instant>, u32) {
        self.expire(now);
        (self.window.ends().collect(), self.window.in_flight())
    }
}
