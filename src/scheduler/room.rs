//! Room for people: which of a window's free slots go to calls that no person waits for.
//!
//! A class before another is no help to a click that finds the window full: it waits for the
//! next slot to age, up to a period. So some slots are kept free for it.
//!
//! **Background** calls hold at most their share of a window and always leave one slot, and
//! they are evenly spaced: a drain takes what it may have at a steady pace and not at once.
//! Only where their floor is due they need not be spaced. A window of one slot has no share:
//! there the order alone decides.
//!
//! **Normal** calls may take a whole window at once where nobody interactive is seen. Where
//! somebody was in the last ten periods, they burst to half of the window. Beyond that they
//! are spread over the time till the next slot ages: with `free` slots left, the next call
//! goes when the `free + 1`th part of that time has passed, and so on, so that there is a free
//! slot most of the time and the window is used up just when it gets room again.

use std::time::Duration;

use super::{Class, time::Instant, window::Window};

/// The part of a window that background calls may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(f64);

/// Who may take a bucket's free slots.
#[derive(Debug)]
pub(super) struct Room {
    /// How many slots background calls may hold.
    background: u32,
    /// Those that they hold, since the first one came.
    held: Option<Box<Held>>,
    /// Until when interactive calls are expected.
    people_until: Instant,
    /// When the last call went.
    last: Option<Instant>,
}

#[derive(Debug)]
struct Held {
    slots: Window,
    /// When the next one is due.
    due: Instant,
}

/// For so many periods after an interactive call, others are expected.
const EXPECTED: u64 = 10;

// === impl Share ===

impl Share {
    /// That part of one: above 0, and 1 at most.
    pub fn new(part: f64) -> Option<Self> {
        (part > 0.0 && part <= 1.0).then_some(Self(part))
    }

    /// As a number.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// Its slots of a window that has so many.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a u32 that is not negative is one"
    )]
    fn of(self, quota: u32) -> u32 {
        (f64::from(quota) * self.0).floor() as u32
    }
}

/// Three quarters.
impl Default for Share {
    fn default() -> Self {
        Self(0.75)
    }
}

// === impl Room ===

impl Room {
    /// For a window of `quota` slots.
    pub(super) fn new(quota: u32, share: Share) -> Self {
        let background = share.of(quota).min(quota.saturating_sub(1));
        Self { background, held: None, people_until: Instant::ZERO, last: None }
    }

    /// An interactive call came to a bucket of this period.
    pub(super) fn expect_people(&mut self, now: Instant, period: Duration) {
        self.people_until = now.after(period, EXPECTED);
    }

    /// Until when interactive calls are expected.
    pub(super) fn people_until(&self) -> Instant {
        self.people_until
    }

    /// When a call of that class may take one of the free slots of `window`; `None` if that
    /// takes an answer.
    pub(super) fn opens_at(&self, now: Instant, class: Class, window: &Window) -> Option<Instant> {
        match class {
            Class::Interactive => Some(now),
            Class::Normal => Some(self.spread(now, window)),
            Class::Background => {
                let spread = self.spread(now, window);
                let Some(held) = self.held.as_ref().filter(|_| self.background > 0) else {
                    return Some(spread);
                };
                Some(held.slots.room_at(now)?.max(held.due).max(spread))
            }
        }
    }

    /// The same for a class whose floor is due: only the share counts.
    pub(super) fn opens_for_due_at(&self, now: Instant, class: Class) -> Option<Instant> {
        match &self.held {
            Some(held) if class == Class::Background && self.background > 0 => {
                held.slots.room_at(now)
            }
            _ => Some(now),
        }
    }

    /// When the `ahead`th next background call may go at the earliest.
    pub(super) fn forecast(&self, now: Instant, ahead: u64, period: Duration) -> Instant {
        let Some(held) = self.held.as_ref().filter(|_| self.background > 0) else { return now };
        let due = held.due.max(now).after(period / self.background, ahead);
        held.slots.forecast(now, ahead).max(due)
    }

    /// A call of that class takes a slot of `window`.
    pub(super) fn take(&mut self, now: Instant, class: Class, window: &Window, ages: bool) {
        self.last = Some(now);
        if class != Class::Background || self.background == 0 {
            return;
        }
        let period = window.period();
        let held = self.held.get_or_insert_with(|| {
            Box::new(Held { slots: Window::like(window, self.background), due: now })
        });
        held.slots.expire(now);
        if ages {
            held.slots.take_ageing(now)
        } else {
            held.slots.take()
        }
        // From when it was due: one that went a little late delays no other.
        let pace = period / self.background;
        let due = held.due + pace;
        held.due = if due > now { due.min(now + pace) } else { now + pace };
    }

    /// A slot that a call of that class took changes.
    pub(super) fn settle(&mut self, class: Class, change: impl FnOnce(&mut Window)) {
        if let Some(held) = self.held.as_mut().filter(|_| class == Class::Background) {
            change(&mut held.slots);
        }
    }

    /// Frees the slots whose time has come.
    pub(super) fn expire(&mut self, now: Instant) {
        if let Some(held) = &mut self.held {
            held.slots.expire(now);
        }
    }

    /// When a normal call may take a free slot.
    fn spread(&self, now: Instant, window: &Window) -> Instant {
        let Some(last) = self.last.filter(|_| self.people_until > now) else { return now };
        let (used, quota) = (window.used(), window.quota());
        if used >= quota || (used + 1).saturating_mul(2) <= quota {
            return now;
        }
        let free = quota - used;
        let next = window.first_end().unwrap_or_else(|| last + window.period());
        (last + next.since(last) / (free + 1)).min(self.people_until)
    }
}
