//! A client that is as simple as can be: a window, a freeze, and a learner.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use super::{
    Learner, Pace, Surprise,
    stage::{Client, PERIOD},
};
use crate::{Instant, window::Window};

#[derive(Debug)]
pub(crate) struct Alone {
    documented: Pace,
    most: Option<u32>,
    window: Window,
    pub(crate) learner: Option<Learner>,
    frozen_until: Instant,
    /// How many calls may be in flight after a freeze.
    probes: Option<usize>,
    in_flight: BTreeMap<u64, Instant>,
    refused: Vec<Instant>,
    sent_at: Instant,
    surprises: u32,
    next: u64,
}

// === impl Alone ===

impl Alone {
    /// With `most`, more than the documented quota is tried.
    pub(crate) fn new(quota: u32, most: Option<u32>) -> Self {
        Self {
            documented: Pace { quota, period: PERIOD },
            most,
            window: Window::sliding(NonZeroU32::new(quota).unwrap(), PERIOD),
            learner: None,
            frozen_until: Instant::ZERO,
            probes: None,
            in_flight: BTreeMap::new(),
            refused: Vec::new(),
            sent_at: Instant::ZERO,
            surprises: 0,
            next: 0,
        }
    }

    fn new_learner(&self) -> Learner {
        Learner::new(self.documented, self.most.unwrap_or(0))
    }

    /// When a call may go; nothing if that is unknown.
    fn opens_at(&mut self, now: Instant) -> Option<Instant> {
        self.window.expire(now);
        if self.probes.is_some_and(|probes| self.in_flight.len() >= probes) {
            return None;
        }
        let spaced = self.learner.as_ref().map_or(now, |learner| self.sent_at + learner.spacing());
        Some(self.window.next_free_at(now)?.max(self.frozen_until).max(spaced).max(now))
    }

    fn set_pace(&mut self, now: Instant) {
        let Pace { quota, period } = self.pace(now);
        let mut window = Window::sliding(NonZeroU32::new(quota).unwrap(), period);
        window.take_over(now, self.window.in_flight(), self.window.ages_from());
        if quota < self.window.quota() {
            window.ease(self.accepted(now).min(self.window.cap()));
        }
        self.window = window;
    }

    /// How many calls were accepted in the last period.
    fn accepted(&mut self, now: Instant) -> u32 {
        self.refused.retain(|at| *at + self.window.period() > now);
        let ageing = self.window.used() - self.window.in_flight();
        ageing.saturating_sub(u32::try_from(self.refused.len()).unwrap())
    }

    fn refused(&mut self, now: Instant, sent: Instant, pause: Duration) {
        if self.probes.is_none() || sent >= self.frozen_until {
            self.surprises += 1;
            self.window.expire(now);
            let surprise = Surprise {
                accepted: self.accepted(now),
                refused: 0,
                since_last: self.window.last_aged_from().map(|last| now.since(last)),
                retry_after: pause,
                hint: None,
            };
            let mut learner = self.learner.take().unwrap_or_else(|| self.new_learner());
            learner.surprised(now, surprise);
            self.learner = Some(learner);
        }
        if let Some(learner) = &mut self.learner {
            learner.refused(sent);
        }
        (self.frozen_until, self.probes) = (self.frozen_until.max(now + pause), Some(1));
        self.window.answered(now);
        self.refused.push(now);
        self.set_pace(now);
    }
}

impl Client for Alone {
    fn go(&mut self, now: Instant) -> Vec<u64> {
        let mut gone = Vec::new();
        while self.opens_at(now) == Some(now) {
            if let Some(learner) = &mut self.learner {
                learner.sent(now.since(self.sent_at));
            }
            self.next += 1;
            self.window.take();
            self.sent_at = now;
            self.in_flight.insert(self.next, now);
            gone.push(self.next);
        }
        gone
    }

    fn wake(&mut self, now: Instant) -> Option<Instant> {
        self.opens_at(now)
    }

    fn answered(&mut self, now: Instant, call: u64, refused: Option<Duration>) {
        let sent = self.in_flight.remove(&call).unwrap();
        if let Some(pause) = refused {
            return self.refused(now, sent, pause);
        }
        self.window.answered(now);
        if let Some(probes) = &mut self.probes
            && sent >= self.frozen_until
        {
            *probes += 1;
            self.probes = self.probes.filter(|probes| *probes < 64);
        }
        if self.learner.is_none() && self.most.is_some() {
            self.learner = Some(self.new_learner());
        }
        if let Some(learner) = &mut self.learner {
            let changed = learner.accepted(now, sent, None);
            if learner.is_over() && self.most.is_none() {
                self.learner = None;
            }
            if changed {
                self.set_pace(now);
            }
        }
    }

    fn pace(&mut self, _: Instant) -> Pace {
        self.learner.as_ref().map_or(self.documented, Learner::pace)
    }

    fn surprises(&self) -> u32 {
        self.surprises
    }
}
