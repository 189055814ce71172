//! What a bucket has learnt of its limit, and how it keeps to that.
//!
//! A bucket has a learner from its first surprise on, or where more than the documented quota may
//! be tried. All of it is out of the way of a bucket that has none. The learner's pace takes the
//! place of the documented rate as another limit would; the bucket's name keeps the documented one.

use alloc::{boxed::Box, collections::VecDeque, sync::Arc};
use core::{num::NonZeroU32, time::Duration};

use limits::{AgeFrom, Class, Limit, Rate, Rule, Share};

use super::{Bucket, common::Common};
use crate::{
    Block, BlockReason, Instant, KeptLesson, Learnt, Outcome,
    learn::{Happened, Learner, Pace, Surprise},
    lease::Lease,
    split::Replica,
};

/// What a bucket has learnt.
#[derive(Debug)]
pub(super) struct Lessons {
    pub(super) learner: Learner,
    /// The pace that the window has.
    kept_to: Pace,
    /// Until when slots of refused calls age: these were not accepted.
    refused: VecDeque<Instant>,
    /// When the last surprise was.
    pub(super) since: Option<Instant>,
    /// What a successor has been told of it.
    noted: Option<KeptLesson>,
    /// If it learns together with others: what is known of that.
    pub(super) common: Option<Box<Common>>,
}

/// For so long after its last call, a bucket remembers what it has learnt.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

// === impl Bucket ===

impl Bucket {
    pub(super) fn lessons(&self) -> Option<&Lessons> {
        self.rare.as_ref()?.lessons.as_deref()
    }

    pub(super) fn lessons_mut(&mut self) -> Option<&mut Lessons> {
        self.rare.as_mut()?.lessons.as_deref_mut()
    }

    /// What is documented; nothing for a limit without a rate.
    pub(super) fn documented(&self) -> Option<Pace> {
        match self.key.limit.rule {
            Rule::Rate(Rate { limit, per, .. }) => Some(Pace { quota: limit.get(), period: per }),
            _ => None,
        }
    }

    /// Whether a learner would have something to do that it has not: the limit is used up, and more
    /// may be tried.
    #[cold]
    pub(crate) fn is_used_up(&self) -> bool {
        self.documented().is_some() && self.used_by_all() >= self.window.quota()
    }

    /// Gives it a learner, if it has a rate and no learner. `above` is the quota up to which more
    /// than documented is tried, in percent of the documented one.
    #[cold]
    pub(crate) fn begin_to_learn(&mut self, above: Option<u32>) {
        let Some(documented) = self.documented().filter(|_| !self.learns) else { return };
        let learner = Learner::new(documented, self.most(above));
        let lessons = Lessons {
            learner,
            kept_to: documented,
            refused: VecDeque::new(),
            since: None,
            noted: None,
            common: None,
        };
        self.rare().lessons = Some(Box::new(lessons));
        self.learns = true;
        self.knows_its_part();
        self.begin_in_common();
    }

    /// The quota up to which more than documented is tried, in percent of the documented one.
    pub(crate) fn most(&self, above: Option<u32>) -> u32 {
        let documented = self.documented().map_or(0, |documented| documented.quota);
        let most = u64::from(documented) * u64::from(above.unwrap_or(0)) / 100;
        u32::try_from(most).unwrap_or(u32::MAX)
    }

    /// How much of its limit it has is known, or has changed.
    #[cold]
    pub(super) fn knows_its_part(&mut self) {
        let own = self.window.quota();
        if let Some(lessons) = self.lessons_mut() {
            lessons.learner.set_part(own, lessons.kept_to.quota);
        }
    }

    /// A call was refused that went at `sent`, and that a freeze or a full window does not explain.
    #[cold]
    pub(crate) fn learn(
        &mut self,
        now: Instant,
        sent: Instant,
        retry_after: Duration,
        hint: Option<u32>,
    ) {
        self.expire(now);
        if self.window.used() > self.window.quota().max(self.window.cap()) {
            // More calls went than should have, as in shadow mode.
            return;
        }
        let since_last = self.window.last_aged_from().map(|last| now.since(last));
        // What others have had accepted they add themselves.
        let accepted = self.accepted(now);
        let surprise = Surprise { accepted, refused: 0, since_last, retry_after, hint };
        let Some(lessons) = self.lessons_mut() else { return };
        lessons.since = Some(now);
        if lessons.common.is_some() {
            self.happens(Happened::Surprised { at: now, sent, surprise });
        } else {
            lessons.learner.surprised(now, surprise);
        }
    }

    /// How many calls were accepted in the last period.
    pub(super) fn accepted(&mut self, now: Instant) -> u32 {
        let ageing = self.window.used().saturating_sub(match self.key.limit.age_from {
            AgeFrom::Answer => self.window.in_flight(),
            AgeFrom::Send => self.in_flight,
        });
        let Some(lessons) = self.lessons_mut() else { return ageing };
        lessons.refused.retain(|until| *until > now);
        ageing.saturating_sub(u32::try_from(lessons.refused.len()).unwrap_or(u32::MAX))
    }

    /// A call goes.
    #[cold]
    pub(super) fn learns_of_sent(&mut self, now: Instant) {
        let after = now.since(self.used_at);
        if let Some(lessons) = self.lessons_mut().filter(|lessons| lessons.common.is_none()) {
            lessons.learner.sent(after);
        }
    }

    /// A call has ended that took its slot at `taken`.
    #[cold]
    pub(super) fn learns_of_end(
        &mut self,
        now: Instant,
        taken: Instant,
        class: Class,
        outcome: Outcome,
    ) {
        let background = (class == Class::Background).then(|| self.reserve.background());
        let period = self.window.period();
        let quota = self.window.quota();
        let background = background.filter(|share| *share > 0);
        let Some(lessons) = self.lessons_mut() else { return };
        let is_common = lessons.common.is_some();
        match outcome {
            Outcome::Answered if !is_common => {
                lessons.learner.accepted(now, taken, background);
            }
            Outcome::Refused => {
                if !is_common {
                    lessons.learner.refused(taken);
                }
                lessons.refused.push_back(now + period);
                if lessons.refused.len() > quota as usize * 2 {
                    lessons.refused.pop_front();
                }
            }
            Outcome::Answered | Outcome::Unsent | Outcome::Lost => {}
        }
        if is_common {
            self.ends_in_common(now, taken, background, outcome);
        }
    }

    /// Keeps to the pace that is believed now. Returns whether anything has changed.
    #[cold]
    pub(crate) fn keep_to_pace(
        &mut self,
        now: Instant,
        share: Share,
        replica: Option<&Replica>,
    ) -> bool {
        let Some(lessons) = self.lessons_mut() else { return false };
        let pace = lessons.learner.pace();
        let changed = pace != lessons.kept_to;
        let slower = pace < lessons.kept_to;
        lessons.kept_to = pace;
        if lessons.learner.is_over() {
            if lessons.common.is_some() {
                self.is_over_in_common();
            } else {
                self.unlearn();
            }
        }
        if changed {
            let limit = Arc::clone(&self.key.limit);
            let accepted = self.accepted(now).min(self.window.cap());
            self.rebuild(now, limit, share, replica);
            // A server that had accepted more than this pace does not count as the window does.
            // Calls are kept apart now, and that is enough.
            if slower && !self.spacing().is_zero() && self.lease().is_none() {
                self.window.ease(accepted);
            }
        }
        changed
    }

    /// Forgets what it has learnt, and keeps to what is documented.
    #[cold]
    pub(crate) fn forget_lessons(&mut self, now: Instant, share: Share, replica: Option<&Replica>) {
        self.unlearn();
        let limit = Arc::clone(&self.key.limit);
        self.rebuild(now, limit, share, replica);
    }

    fn unlearn(&mut self) {
        self.learns = false;
        if let Some(rare) = &mut self.rare {
            rare.lessons = None;
        }
    }

    /// Forgets what it has learnt of a limit that is another one now.
    pub(super) fn unlearn_for(&mut self, limit: &Limit) {
        let rate = |limit: &Limit| match limit.rule {
            Rule::Rate(rate) => Some((rate.limit, rate.per)),
            _ => None,
        };
        if self.learns && rate(limit) != rate(&self.key.limit) {
            self.unlearn();
        }
    }

    /// What a limit allows at the pace that is believed.
    pub(super) fn rule_of(&self, limit: &Limit) -> Rule {
        match (limit.rule, self.lessons().map(|lessons| lessons.learner.pace())) {
            (Rule::Rate(rate), Some(pace)) => {
                let limit = NonZeroU32::new(pace.quota).unwrap_or(NonZeroU32::MIN);
                let burst = rate.burst.filter(|burst| *burst < limit);
                Rule::Rate(Rate { limit, per: pace.period, burst, ..rate })
            }
            (rule, _) => rule,
        }
    }

    /// How long it keeps calls apart; zero if it does not. Those of all the store does.
    pub(super) fn spacing(&self) -> Duration {
        if self.lease().is_some_and(Lease::returns) {
            return Duration::ZERO;
        }
        self.lessons().map_or(Duration::ZERO, |lessons| lessons.learner.spacing())
    }

    /// What blocks a call that would be too close to the one before.
    #[cold]
    pub(super) fn spaced(&self, now: Instant) -> Option<Block> {
        let until = self.used_at + self.spacing();
        (until > now).then_some(Block { reason: BlockReason::Spaced, until: Some(until) })
    }

    /// How many calls may go at once, if they are kept apart.
    #[cold]
    pub(super) fn at_once(&self, now: Instant) -> Option<u32> {
        (!self.spacing().is_zero()).then(|| u32::from(self.spaced(now).is_none()))
    }

    /// When a call with so many others before it can go at the earliest, for the spacing, which is
    /// soon given up as a rule.
    #[cold]
    pub(super) fn forecast_of_spaced(&self, ahead: u64) -> Instant {
        let turns = ahead.min(self.quota().into()) + 1;
        self.used_at.after(self.spacing(), turns)
    }

    /// Until when it remembers what it has learnt.
    #[cold]
    pub(super) fn learnt_until(&self) -> Instant {
        (self.used_at + KEPT).max(self.common_until().map_or(self.used_at, |until| until + KEPT))
    }

    /// Takes over what another bucket of the same limit has learnt, if that is the slower pace.
    pub(super) fn absorb_lessons(&mut self, other: Option<Box<Lessons>>) {
        let pace = |lessons: &Lessons| lessons.learner.pace();
        let Some(mut other) = other else { return };
        let own = self.documented().map(|pace| self.lessons().map_or(pace, |own| own.kept_to));
        if let Some(own) = own
            && self.lessons().is_none_or(|own| pace(&other) < pace(own))
        {
            other.kept_to = own;
            self.rare().lessons = Some(other);
            self.learns = true;
            self.is_renamed_in_common();
        }
    }

    /// What a successor has to know of it, and what it has been told.
    pub(crate) fn kept_and_noted(&self) -> (Option<KeptLesson>, Option<KeptLesson>) {
        (self.kept(), self.lessons().and_then(|lessons| lessons.noted))
    }

    fn kept(&self) -> Option<KeptLesson> {
        let (learnt, documented) = (self.learnt()?, self.documented()?);
        let Learnt { quota, period, refused, bursts, since, .. } = learnt;
        let is_new = Pace { quota, period } != documented || refused.is_some() || bursts;
        let (documented, per) = (documented.quota, documented.period);
        is_new.then_some(KeptLesson { documented, per, quota, period, refused, bursts, since })
    }

    /// A successor is told of that.
    pub(crate) fn is_noted(&mut self, kept: Option<KeptLesson>) {
        if let Some(lessons) = self.lessons_mut() {
            lessons.noted = kept;
        }
    }

    /// Whether that was learnt of the limit that it has.
    pub(crate) fn is_of_this(&self, kept: &KeptLesson) -> bool {
        let KeptLesson { documented: quota, per: period, .. } = *kept;
        self.documented() == Some(Pace { quota, period }) && kept.quota > 0
    }

    /// Remembers what it had learnt before a restart.
    pub(crate) fn recall(&mut self, now: Instant, kept: KeptLesson) {
        self.used_at = self.used_at.max(now);
        if let Some(lessons) = self.lessons_mut() {
            let KeptLesson { quota, period, refused, bursts, since, .. } = kept;
            lessons.learner.recall(Pace { quota, period }, refused, bursts);
            (lessons.since, lessons.noted) = (since, Some(kept));
        }
        self.is_recalled_in_common();
    }

    /// What it has learnt.
    pub(crate) fn learnt(&self) -> Option<Learnt> {
        let (lessons, documented) = (self.lessons()?, self.documented()?);
        let Pace { quota, period } = lessons.kept_to;
        Some(Learnt {
            documented: documented.quota,
            per: documented.period,
            quota,
            period,
            refused: lessons.learner.bad(),
            spacing: lessons.learner.spacing(),
            bursts: lessons.learner.refuses_bursts(),
            since: lessons.since,
        })
    }
}
