//! The life of a bucket's slot: a call takes it, and it is settled, or kept for the next attempt.

use core::time::Duration;

use limits::{AgeFrom, Class, Rule};

use super::{Bucket, LOST_GRACE};
use crate::{Instant, Outcome, call::Slot, window::Window};

// === impl Bucket ===

impl Bucket {
    /// Takes a slot for a call of that class.
    pub(crate) fn take(&mut self, now: Instant, class: Class) {
        if self.is_watched {
            self.takes_fresh();
        }
        if self.learns {
            self.learns_of_sent(now);
        }
        self.in_flight += 1;
        self.used_at = now;
        if self.is_open() {
            return;
        }
        if let Some(patience) = self.patience() {
            self.window.take_ageing(now + patience);
            return;
        }
        let ages = self.key.limit.age_from == AgeFrom::Send && !self.counts_in_flight();
        self.reserve.take(now, class, &self.window, ages);
        for window in self.windows_mut() {
            if ages { window.take_ageing(now) } else { window.take() }
        }
    }

    /// Settles a slot that a call of that class took.
    pub(crate) fn settle(&mut self, slot: Slot, now: Instant, class: Class, outcome: Outcome) {
        let Slot { taken, kept, .. } = slot;
        self.in_flight = self.in_flight.saturating_sub(1);
        if kept {
            self.put_back(class);
            return;
        }
        if let Some(patience) = self.patience() {
            // Nothing happens where it was given up.
            self.window.give_back_ageing(taken + patience);
            return;
        }
        let ages_from_send = self.key.limit.age_from == AgeFrom::Send;
        let counts_in_flight = self.counts_in_flight();
        let change = |window: &mut Window| match (outcome, ages_from_send) {
            (Outcome::Unsent, true) if !counts_in_flight => window.give_back_ageing(taken),
            (Outcome::Unsent, _) => window.give_back(),
            (_, true) if !counts_in_flight => {}
            (Outcome::Lost, false) => window.lost(now + LOST_GRACE),
            _ => window.answered(now),
        };
        self.windows_mut().for_each(change);
        self.reserve.settle(class, change);
        if self.is_watched {
            self.uses_no_slot_again();
        }
        if outcome == Outcome::Answered
            && let Some(half_open) = &mut self.half_open
            && half_open.passed(taken, self.window.quota())
        {
            self.half_open = None;
        }
        if self.learns {
            self.learns_of_end(now, taken, class, outcome);
        }
    }

    /// A call does not go that has kept its slot.
    #[cold]
    pub(super) fn put_back(&mut self, class: Class) {
        if self.is_in_order() {
            self.window.give_back();
            return;
        }
        self.windows_mut().for_each(Window::give_back);
        self.reserve.settle(class, Window::give_back);
        if self.is_watched {
            self.uses_no_slot_again();
        }
    }

    /// The call of a slot was refused and waits for its next attempt. Whether it keeps the slot
    /// meanwhile: one in order has no end then. Where it was given up, another call may have it.
    pub(crate) fn keep(&mut self, now: Instant, slot: &mut Slot) -> bool {
        let Some(patience) = self.patience() else {
            // One on lease would be kept while others are missing that come before it.
            return self.counts_in_flight() && self.lease().is_none();
        };
        self.window.give_back_ageing(slot.taken + patience);
        self.expire(now);
        slot.kept = self.window.has_free_slot();
        if slot.kept {
            self.window.take();
        }
        slot.kept
    }

    /// The call of a slot that was kept goes.
    pub(crate) fn resume(&mut self, now: Instant, class: Class, slot: &mut Slot) {
        if !slot.kept {
            return;
        }
        if let Some(patience) = self.patience() {
            self.window.give_back();
            self.window.take_ageing(now + patience);
        } else {
            self.sends(now, class);
        }
        (slot.taken, slot.kept) = (now, false);
    }

    /// A call goes that took its slot by [`Self::collect`].
    #[cold]
    pub(super) fn sends(&mut self, now: Instant, class: Class) {
        if self.key.limit.age_from == AgeFrom::Send && !self.counts_in_flight() {
            self.windows_mut().for_each(|window| window.answered(now));
            self.reserve.settle(class, |window| window.answered(now));
        }
    }

    /// When the next call in order goes although the one before it has no answer.
    pub(crate) fn gives_up_at(&self) -> Option<Instant> {
        self.patience().and_then(|_| self.window.first_end())
    }

    /// How long a call in order holds up the next at most, if its calls go in order.
    pub(super) fn patience(&self) -> Option<Duration> {
        match self.key.limit.rule {
            Rule::InOrder(patience) => Some(patience),
            _ => None,
        }
    }
}
