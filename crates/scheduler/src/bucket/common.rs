//! What a bucket learns together with others that share its limit.
//!
//! There is one learner of all, whose record the store keeps, with a number that grows with each change.
//! Who has something to add adds it to the learner that it knows, and tells the store the record that comes
//! of it, and the number of the one that it began with. If that is not the store's any more, it hears which
//! one is, and adds what happened to that one. Until then it keeps what happened here.
//!
//! What each had counted of a period is known to nobody else when the first call of a flight is refused. So
//! it is added by each that hears of the surprise.

use alloc::{boxed::Box, collections::VecDeque};
use core::time::Duration;

use super::Bucket;
use crate::{
    Instant, Outcome,
    in_common::Tale,
    learn::{Happened, Learner, Pace},
};

mod hear;

/// What is known of the learner of all.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is true or not by itself")]
pub(super) struct Common {
    /// The number of its record in the store; 0 if it has none.
    serial: u64,
    /// Whether the store is heard.
    is_heard: bool,
    /// When it was heard last, if it is not.
    heard_at: Instant,
    /// Whether it is among those that have something to tell.
    is_queued: bool,
    /// Whether the store may have lost the record.
    is_anew: bool,
    /// Whether the record is to be told, whatever happened.
    is_due: bool,
    /// Whether that has to be soon.
    is_urgent: bool,
    /// What happened here, and is not in the store's record as far as is known.
    happened: VecDeque<Happened>,
    told: Option<Told>,
    /// A record that was heard of while the answer was waited for.
    later: Option<(u64, Box<Learner>)>,
    /// The last surprise of which is known what was counted here.
    counted: u64,
    /// What all know of it.
    shown: Option<Shown>,
}

/// A record that is on its way.
#[derive(Debug)]
struct Told {
    batch: u64,
    /// How much of what happened is in it.
    happened: usize,
    shown: Shown,
    is_over: bool,
}

/// What of a learner matters to those who add nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    pace: Pace,
    spacing: Duration,
    bad: Option<u32>,
    bursts: bool,
    flight: u64,
}

/// So much of what happened is kept while the store is waited for.
const KEPT: usize = 256;

/// What was counted before a surprise is added within that.
const FLIGHT: Duration = Duration::from_secs(2);

/// Where calls go this far apart or farther, each is told at once.
const SLOW: Duration = Duration::from_secs(1);

// === impl Bucket ===

impl Bucket {
    fn common(&self) -> Option<&Common> {
        self.lessons()?.common.as_deref()
    }

    fn common_mut(&mut self) -> Option<&mut Common> {
        self.lessons_mut()?.common.as_deref_mut()
    }

    /// Whether it learns together with others.
    pub(crate) fn learns_in_common(&self) -> bool {
        self.common().is_some()
    }

    /// Whether the store is heard, or not any more.
    pub(crate) fn is_heard_in_common(&mut self, now: Instant, is_heard: bool) {
        let Some(common) = self.common_mut() else { return };
        (common.is_heard, common.heard_at) = (is_heard, now);
        if is_heard {
            return;
        }
        // It is not known what of it the store has heard. If that is nothing, and nobody else has added
        // anything, the store is told when it is heard again. Alone, nobody counts for all.
        common.is_due |= common.told.is_some() || !common.happened.is_empty();
        common.is_urgent |= common.is_due;
        common.is_anew |= common.is_due && common.serial == 0;
        (common.told, common.later) = (None, None);
        common.happened.clear();
    }

    /// The store may know nothing of it.
    pub(crate) fn is_told_anew(&mut self) {
        if let Some(common) = self.common_mut() {
            (common.is_anew, common.is_due, common.is_urgent) = (true, true, true);
            (common.told, common.later) = (None, None);
        }
    }

    /// The number of its record in the store; nothing if it has none, or the answer is on its way.
    pub(crate) fn record_in_store(&self) -> Option<u64> {
        let common = self.common().filter(|common| common.told.is_none())?;
        Some(common.serial).filter(|serial| *serial > 0)
    }

    /// Whether it is to be put among those that have something to tell, and whether that has to be soon.
    pub(crate) fn has_a_tale(&mut self) -> Option<bool> {
        let lessons = self.lessons_mut()?;
        let shown = Shown::of(&lessons.learner);
        let common = lessons.common.as_deref_mut().filter(|common| common.is_heard)?;
        let has = common.is_due || !common.happened.is_empty();
        if !has || common.told.is_some() {
            return None;
        }
        let is_slow = shown.pace.gap() >= SLOW;
        let is_urgent = is_slow || common.is_urgent || common.shown != Some(shown);
        let is_new = !core::mem::replace(&mut common.is_queued, true);
        (is_new || is_urgent).then_some(is_urgent)
    }

    /// What is to be told of it, in that batch.
    pub(crate) fn tale(&mut self, now: Instant, batch: u64) -> Option<Tale> {
        let bucket = self.key.clone();
        let lessons = self.lessons_mut()?;
        let (shown, is_over) = (Shown::of(&lessons.learner), lessons.learner.is_over());
        let common = lessons.common.as_deref_mut()?;
        common.is_queued = false;
        let has = common.is_due || !common.happened.is_empty();
        if !has || common.told.is_some() || !common.is_heard {
            return None;
        }
        let (serial, is_anew, is_news) =
            (common.serial, common.is_anew, common.shown != Some(shown));
        (common.is_due, common.is_urgent) = (false, false);
        common.told = Some(Told { batch, happened: common.happened.len(), shown, is_over });
        let record = (!is_over).then(|| lessons.learner.record(now));
        Some(Tale { bucket, serial, is_news, is_anew, record })
    }

    /// Something happened here. Alone, nobody learns for all.
    pub(super) fn happens(&mut self, what: Happened) {
        let Some(lessons) = self.lessons_mut() else { return };
        let Some(common) = lessons.common.as_deref_mut().filter(|common| common.is_heard) else {
            return;
        };
        lessons.learner.happens(&what);
        if common.happened.len() < KEPT {
            common.happened.push_back(what);
        }
    }

    /// A call has ended that went at `sent`.
    pub(super) fn ends_in_common(
        &mut self,
        at: Instant,
        sent: Instant,
        background: Option<u32>,
        outcome: Outcome,
    ) {
        match outcome {
            Outcome::Answered => self.happens(Happened::Accepted { at, sent, background }),
            Outcome::Refused => self.happens(Happened::Refused { sent }),
            Outcome::Unsent | Outcome::Lost => {}
        }
    }

    /// It learns nothing by itself. What it had learnt before is told.
    pub(super) fn begin_in_common(&mut self) {
        let is_shared = self.lease().is_some();
        if let Some(lessons) = self.lessons_mut() {
            lessons.common = is_shared.then(Box::default);
        }
    }

    /// What it remembers is to be told.
    pub(super) fn is_recalled_in_common(&mut self) {
        if let Some(common) = self.common_mut() {
            (common.is_anew, common.is_due, common.is_urgent) = (true, true, true);
        }
    }

    /// Nothing is left to learn: the others are told so.
    pub(super) fn is_over_in_common(&mut self) {
        if let Some(common) = self.common_mut() {
            common.is_due = true;
        }
    }

    /// It goes by another name: under that one, the store knows nothing of it.
    pub(crate) fn is_renamed_in_common(&mut self) {
        if let Some(common) = self.common_mut() {
            let Common { is_heard, heard_at, is_queued, .. } = *common;
            *common = Common { is_heard, heard_at, is_queued, ..Common::default() };
            (common.is_anew, common.is_due, common.is_urgent) = (true, true, true);
        }
    }

    /// Until when what all know is remembered; nothing if the store says that.
    pub(super) fn common_until(&self) -> Option<Instant> {
        let common = self.common()?;
        Some(if common.is_heard && common.serial > 0 { Instant::FAR } else { common.heard_at })
    }

    /// How far apart all calls go, if that is what the store has to see to.
    pub(crate) fn spacing_of_all(&self) -> Option<Duration> {
        self.lease()?;
        Some(self.lessons()?.learner.spacing())
    }
}

// === impl Shown ===

impl Shown {
    fn of(learner: &Learner) -> Self {
        Self {
            pace: learner.pace(),
            spacing: learner.spacing(),
            bad: learner.bad(),
            bursts: learner.refuses_bursts(),
            flight: learner.flight().0,
        }
    }
}
