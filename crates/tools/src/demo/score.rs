//! What one side of the demo comes to, counted as its bots see it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::bots::PEOPLE;

/// The score of one side. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Score(Arc<Mutex<Counts>>);

/// What is counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// Conversations that the job has closed.
    pub(super) closed: usize,
    /// 429s that the job got.
    pub(super) job_refused: u64,
    /// 429s that people's clicks got.
    pub(super) people_refused: u64,
    /// Calls that failed in any other way.
    pub(super) failed: u64,
    /// How long it took to close all.
    pub(super) finished: Option<Duration>,
    /// What each click waited that worked in the end.
    waits: Vec<Duration>,
    /// Since when each person waits.
    waiting: [Option<Instant>; PEOPLE],
}

/// What people's clicks waited; one that still waits counts with what it has waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clicks {
    /// The median.
    pub(super) median: Duration,
    /// The longest.
    pub(super) worst: Duration,
    /// Whether that one waits still.
    pub(super) waits_still: bool,
}

// === impl Score ===

impl Score {
    /// The counts, to be read or changed in a few lines.
    pub(super) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Counts ===

impl Counts {
    /// A person clicks.
    pub(super) fn clicked(&mut self, person: usize, now: Instant) {
        self.waiting[person] = Some(now);
    }

    /// What they clicked for has come.
    pub(super) fn served(&mut self, person: usize, now: Instant) {
        if let Some(since) = self.waiting[person].take() {
            self.waits.push(now.duration_since(since));
        }
    }

    /// What clicks waited up to now; none if nobody has clicked.
    pub(super) fn clicks(&self, now: Instant) -> Option<Clicks> {
        let unserved = self.waiting.iter().flatten().map(|since| now.duration_since(*since));
        // A click that was made this moment is no short wait.
        let longest = self.waits.iter().max().copied().unwrap_or_default();
        let unserved = unserved.filter(|wait| *wait > longest || self.waits.is_empty());
        let mut waits: Vec<Duration> = self.waits.iter().copied().chain(unserved).collect();
        waits.sort_unstable();
        let worst = *waits.last()?;
        Some(Clicks { median: waits[waits.len() / 2], worst, waits_still: worst > longest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_that_still_waits_counts_when_it_is_the_longest() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut counts = Counts::default();
        assert_eq!(counts.clicks(at(0)), None);
        for (person, from, to) in [(0, 0, 10), (1, 0, 30), (0, 100, 120)] {
            counts.clicked(person, at(from));
            counts.served(person, at(to));
        }
        let clicks = |median, worst, waits_still| {
            let [median, worst] = [median, worst].map(Duration::from_millis);
            Some(Clicks { median, worst, waits_still })
        };
        assert_eq!(counts.clicks(at(200)), clicks(20, 30, false));
        counts.clicked(2, at(200));
        assert_eq!(counts.clicks(at(205)), clicks(20, 30, false));
        assert_eq!(counts.clicks(at(900)), clicks(30, 700, true));
    }
}
