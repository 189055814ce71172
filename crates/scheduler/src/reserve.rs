//! The reserve: slots of a window that are kept free for people.
//!
//! A higher class is no help to a click that finds the window full: it waits for the next slot to
//! age, up to a period. So some slots are reserved for interactive calls. The reserve decides when
//! calls of the other classes may take a free slot.
//!
//! **Background** calls hold at most their share of a window and always leave one slot, and
//! they are evenly spaced: a drain takes what it may have at a steady pace and not at once.
//! Only where their floor is due they need not be spaced. A window of one slot has no share:
//! there the order alone decides. Nor has a limit that counts by caller: a job may take all of a
//! budget of its own.
//!
//! **Normal** calls may take a whole window at once where no interactive call is seen. Where
//! one came in the last ten periods, they burst to half of the window at most. Beyond that
//! they keep the pace of the limit: every call, of whatever class, moves the time when the next
//! normal one is due by a period's part for one slot. So slots become free again one by one and
//! not in a bunch with a period of nothing between, whatever bunch there was before, and a
//! click finds a slot free or waits for about one slot time. It costs no throughput: at that
//! pace the window is as full as it may be. A call that goes a little late does not delay the
//! next, so nothing is lost to the time that answers take.

use alloc::boxed::Box;
use core::time::Duration;

use limits::{Class, Share};

use super::{
    prefetch::prefetch,
    time::Instant,
    window::{Forecast, Window},
};

/// When each class may take a bucket's free slots.
#[derive(Debug)]
pub(super) struct Reserve {
    /// How many slots background calls may hold.
    background: u32,
    /// The slots that they hold, once the first one has come.
    held: Option<Box<Held>>,
    /// Until when interactive calls are expected.
    people_until: Instant,
    /// When the next call beyond half of the window is due, by the pace of the limit.
    due: Instant,
}

#[derive(Debug)]
struct Held {
    slots: Window,
    /// When the next one is due.
    due: Instant,
}

/// For so many periods after an interactive call, others are expected.
const EXPECTED: u64 = 10;

// === impl Reserve ===

impl Reserve {
    /// For a window of `quota` slots.
    pub(super) fn new(quota: u32, share: Share) -> Self {
        let background = share.of(quota).min(quota.saturating_sub(1));
        Self { background, held: None, people_until: Instant::ZERO, due: Instant::ZERO }
    }

    /// Fetches what it has elsewhere in memory into the cache: it is needed soon.
    pub(super) fn prefetch(&self) {
        self.held.iter().for_each(|held| prefetch(&**held));
    }

    /// How many slots background calls may hold; zero where they have no share of their own.
    pub(super) fn background(&self) -> u32 {
        self.background
    }

    /// An interactive call came to a bucket of this period.
    pub(super) fn expect_people(&mut self, now: Instant, period: Duration) {
        self.people_until = now.after(period, EXPECTED);
    }

    /// Until when interactive calls are expected.
    pub(super) fn people_until(&self) -> Instant {
        self.people_until
    }

    /// When a call of that class may take one of the free slots of `window`; `None` if that is
    /// unknown until a response arrives. Slots of background calls whose time has come need not be
    /// freed first: they open in the past then, and no forecast is earlier than their pace.
    pub(super) fn opens_at(&self, now: Instant, class: Class, window: &Window) -> Option<Instant> {
        match class {
            Class::Interactive => Some(now),
            Class::Normal => Some(self.spread(now, window)),
            Class::Background => {
                let spread = self.spread(now, window);
                let Some(held) = self.held.as_ref().filter(|_| self.background > 0) else {
                    return Some(spread);
                };
                Some(held.slots.next_free_at(now)?.max(held.due).max(spread))
            }
        }
    }

    /// The same for a class whose floor is due: only the share counts.
    pub(super) fn opens_for_due_at(&self, now: Instant, class: Class) -> Option<Instant> {
        match &self.held {
            Some(held) if class == Class::Background && self.background > 0 => {
                held.slots.next_free_at(now)
            }
            _ => Some(now),
        }
    }

    /// How many calls of that class may go at one instant, as far as that is limited: those that
    /// keep a pace go one by one.
    pub(super) fn at_once(&self, now: Instant, class: Class, window: &Window) -> Option<u32> {
        let paced = class == Class::Background && self.background > 0 && self.held.is_some();
        let spread = class > Class::Interactive && self.people_until > now;
        let half = (window.quota() / 2).saturating_sub(window.used());
        match (paced, spread) {
            (true, _) => Some(1),
            (false, true) => Some(half.max(1)),
            (false, false) => None,
        }
    }

    /// When the `ahead`th next background call may go at the earliest, by that forecast.
    pub(super) fn forecast(
        &self,
        by: Forecast,
        now: Instant,
        ahead: u64,
        period: Duration,
    ) -> Instant {
        let Some(held) = self.held.as_ref().filter(|_| self.background > 0) else { return now };
        let due = held.due.max(now).after(period / self.background, ahead);
        by(&held.slots, now, ahead).max(due)
    }

    /// A call of that class takes a slot of `window`.
    #[inline]
    pub(super) fn take(&mut self, now: Instant, class: Class, window: &Window, ages: bool) {
        let period = window.period();
        self.due = paced(self.due, now, window.pace());
        if class != Class::Background || self.background == 0 {
            return;
        }
        let held = self.held.get_or_insert_with(|| {
            Box::new(Held { slots: Window::like(window, self.background), due: now })
        });
        held.slots.expire(now);
        if ages {
            held.slots.take_ageing(now);
        } else {
            held.slots.take();
        }
        // A floor may have let it go before it was due.
        let pace = period / self.background;
        held.due = paced(held.due, now, pace).min(now + pace);
    }

    /// A slot that a call of that class took changes.
    pub(super) fn settle(&mut self, class: Class, change: impl FnOnce(&mut Window)) {
        if let Some(held) = self.held.as_mut().filter(|_| class == Class::Background) {
            change(&mut held.slots);
        }
    }

    /// Becomes the reserve of `window`, which has taken over what the window of `before` knew.
    pub(super) fn take_over(&mut self, now: Instant, before: &Self, window: &Window) {
        self.people_until = before.people_until;
        self.due = before.due.min(now + window.period());
        self.held = before.held.as_ref().map(|held| {
            let mut slots = Window::like(window, self.background);
            slots.take_over(now, held.slots.in_flight(), held.slots.ages_from());
            Box::new(Held { slots, due: held.due.min(now + window.period()) })
        });
    }

    /// Becomes the reserve of two windows that become one.
    pub(super) fn absorb(&mut self, other: Self) {
        self.background = self.background.min(other.background);
        self.people_until = self.people_until.max(other.people_until);
        self.due = self.due.max(other.due);
        match (&mut self.held, other.held) {
            (Some(held), Some(other)) => {
                held.slots.absorb(&other.slots);
                held.due = held.due.max(other.due);
            }
            (None, held) => self.held = held,
            (Some(_), None) => {}
        }
    }

    /// When a normal call may take a free slot.
    fn spread(&self, now: Instant, window: &Window) -> Instant {
        let due = self.due.min(self.people_until);
        if due <= now {
            return now;
        }
        let half = (window.quota() / 2).checked_sub(1);
        half.and_then(|half| window.falls_to(now, half)).map_or(due, |at| at.min(due))
    }
}

/// When the next call is due after one that goes `now`. It may be late by one pace without
/// delaying the next.
fn paced(due: Instant, now: Instant, pace: Duration) -> Instant {
    due.max(now.before(pace)) + pace
}
