//! What is believed of a limit, and what a refusal or a clean period makes of it.

use core::time::Duration;

use super::{Pace, Surprise};

/// What is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lesson {
    pub(super) pace: Pace,
    /// A pace that has held. What is tried above it falls back to it.
    pub(super) base: Option<Pace>,
    /// The pace that was refused last.
    pub(super) bad: Option<Pace>,
    /// Full clean periods at this pace.
    pub(super) clean: u32,
    /// After how many of them a pace is tried that was refused.
    pub(super) wait: u32,
    /// By how much the next pace is faster where none is known to be bad.
    pub(super) step: u32,
    /// Whether a full clean period has passed since the last surprise.
    pub(super) confirmed: bool,
    /// Whether paces that had held for some periods were refused after all.
    pub(super) deceived: bool,
    /// Whether the next pace that passes a trial is held for some periods, and nothing faster is tried.
    pub(super) careful: bool,
    /// How many calls were accepted before a refusal that the pace did not explain.
    pub(super) whim: Option<u32>,
    pub(super) spacing: Spacing,
    /// How many calls at once a server had accepted that accepts more if they are evenly spaced.
    pub(super) stock: u32,
    /// Clean periods that were not full since the last surprise.
    pub(super) quiet: u32,
}

/// How far calls are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spacing {
    /// In parts of the even gap.
    pub(super) parts: u32,
    /// Whether bursts are refused where evenly spaced calls are not, so that it stays.
    pub(super) needed: bool,
    /// After how many clean periods calls are let closer together.
    pub(super) wait: u32,
}

/// What is documented, and the fastest pace that is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) documented: Pace,
    pub(super) most: Pace,
}

/// After so many full clean periods a pace has held.
const HELD: u32 = 4;

/// After so many of one call each, the pace that was refused is tried again.
const WAIT_ALONE: u32 = 2;

/// Of so many calls, at most one is refused for seeing whether a known limit is still there.
const CALLS_PER_TRIAL: u32 = 250;

/// After so many clean periods that were not full, calls need not be kept apart so far.
const QUIET: u32 = 4;

/// The whole gap between calls, in parts.
const EVEN: u32 = 8;

// === impl Lesson ===

impl Lesson {
    pub(super) fn new(documented: Pace) -> Self {
        Self {
            pace: documented,
            base: None,
            bad: None,
            clean: 0,
            wait: HELD,
            step: 1,
            confirmed: true,
            deceived: false,
            careful: false,
            whim: None,
            spacing: Spacing { parts: 0, needed: false, wait: HELD },
            stock: 0,
            quiet: 0,
        }
    }

    /// What is believed after a restart. It counts as having held.
    pub(super) fn recalled(bounds: Bounds, pace: Pace, refused: Option<u32>, bursts: bool) -> Self {
        let new = Self::new(bounds.documented);
        let bad = refused.map(|quota| match pace.quota {
            1 => pace.faster(1, bounds.documented),
            own => Pace { quota: quota.max(own), ..pace },
        });
        let spacing = Spacing { parts: if bursts { EVEN } else { 0 }, needed: bursts, wait: HELD };
        Self { pace, base: Some(pace), bad, wait: bounds.rare(pace), spacing, ..new }
    }

    /// Whether it is one that these bounds allow.
    pub(super) fn is_within(&self, bounds: Bounds) -> bool {
        let is = |pace: &Pace| *pace <= bounds.most && pace.period >= bounds.documented.period;
        self.base.is_none_or(|base| is(&base)) && is(&self.pace) && self.spacing.parts <= EVEN
    }

    /// Whether nothing is left of it that is not documented.
    pub(super) fn is_over(&self, bounds: Bounds) -> bool {
        bounds.most == bounds.documented
            && self.pace == bounds.documented
            && self.bad.is_none()
            && self.spacing.parts == 0
            && self.clean >= bounds.rare(bounds.documented)
    }

    /// How far calls are kept apart: evenly while a pace is tried.
    pub(super) fn spacing(&self) -> Spacing {
        let tries = self.base.is_some_and(|base| base < self.pace);
        if tries { Spacing { parts: EVEN, ..self.spacing } } else { self.spacing }
    }

    /// What is believed after a surprise.
    #[must_use]
    pub(super) fn after(
        self,
        bounds: Bounds,
        surprise: Surprise,
        per_call: Option<Duration>,
    ) -> Self {
        let spacing = self.spacing();
        let even = Spacing { parts: EVEN, ..spacing };
        let next = Self { clean: 0, step: 1, confirmed: false, spacing: even, quiet: 0, ..self };
        if self.pace.quota == 1 {
            return self.stretched(bounds, surprise, per_call, next);
        }
        if surprise.accepted == 0 {
            return Self { clean: 0, ..self };
        }
        let back = self.base.unwrap_or(self.pace).min(self.pace);
        if self.confirmed && surprise.accepted * 4 < back.quota * 3 {
            let next = Self { pace: back, ..next };
            let knows = self.base.is_some();
            if knows && spacing.parts < EVEN {
                let wait = bounds.rare(back);
                return Self { spacing: Spacing { needed: true, wait, ..even }, ..next };
            }
            if knows && self.whim.is_none() {
                return Self { whim: Some(surprise.accepted), ..next };
            }
            // Where nothing is known yet, one refusal alone changes nothing.
            if self.bad.is_none() && self.whim.is_none() && surprise.refused < 2 {
                let whim = Some(surprise.accepted);
                return Self { whim, spacing: self.spacing, ..next };
            }
        }
        self.cut(bounds, surprise, per_call, next)
    }

    /// A quota of more than one is cut.
    fn cut(
        self,
        bounds: Bounds,
        surprise: Surprise,
        per_call: Option<Duration>,
        next: Self,
    ) -> Self {
        let quota = self.pace.quota;
        let accepted = surprise.accepted.max(self.whim.unwrap_or(0));
        let hint = surprise.hint.map(|hint| hint.max(1));
        let least = hint.map_or(quota / 2, |hint| hint.min(quota / 2)).max(1);
        let new = accepted.clamp(least, quota - 1);
        let (new, most) = self.without_stock(new, accepted, per_call);
        let new = hint.map_or(new, |hint| new.min(hint)).max(least);
        let pace = |quota| Pace { quota, ..self.pace };
        let bad = pace((most + 1).min(quota));
        let next = Self { bad: Some(bad), whim: None, ..next };
        match self.base {
            // What was tried above a pace that had held is refused.
            Some(base) if base < self.pace && new * 10 >= base.quota * 7 => {
                let climbed = self.bad != Some(self.pace);
                if new <= base.quota || !self.confirmed || self.deceived {
                    let deceived = self.deceived || climbed;
                    // Without the whole stock, what was accepted is no more than what is refilled.
                    let refilled = accepted.min(quota - 1).saturating_sub(self.stock);
                    let knows = self.confirmed && self.stock > 0;
                    let back = if knows { base.max(pace(refilled)) } else { base };
                    let (wait, bad) = (bounds.rare(back), Some(pace(back.quota + 1)));
                    // A small stock is used up before a pace that is too fast has held.
                    let is_much = back.quota * 2 >= bounds.documented.quota;
                    let careful = climbed && is_much && (1..HELD).contains(&self.stock);
                    Self { pace: back, bad, wait, deceived, careful, ..next }
                } else {
                    Self { pace: pace(new), ..next }
                }
            }
            _ => {
                let near = |was: Pace| was.quota.abs_diff(bad.quota) * 10 <= bad.quota;
                let known = self.bad.is_some_and(near);
                let wait = if known { bounds.rare(pace(new)) } else { HELD };
                let base = self.base.filter(|base| base.quota <= new);
                Self { pace: pace(new), wait, base, ..next }
            }
        }
    }

    /// How many calls a period a server refills of which so many were accepted, and at most so many,
    /// where some of them were left from before: between two refusals, as many come in as are accepted.
    fn without_stock(&self, new: u32, accepted: u32, per_call: Option<Duration>) -> (u32, u32) {
        let each = per_call.filter(|each| self.spacing.needed && !each.is_zero());
        let average = each.map(|each| (self.pace.period + each / 2).as_nanos() / each.as_nanos());
        let least = new.saturating_sub(self.stock);
        match average.and_then(|average| u32::try_from(average).ok()) {
            Some(average) => (average.clamp(least, new), accepted),
            None if self.spacing.needed && !self.confirmed => (new - new / 8, accepted),
            None => (new, accepted),
        }
    }

    /// One call a period is too many: the period gets longer.
    fn stretched(
        self,
        bounds: Bounds,
        surprise: Surprise,
        per_call: Option<Duration>,
        next: Self,
    ) -> Self {
        let Some(since) = surprise.since_last.filter(|since| *since <= self.pace.period * 2) else {
            return Self { clean: 0, ..self };
        };
        let period = self.pace.period;
        // At this pace a call has passed: it is too fast only for windows with fixed edges.
        let each = per_call.filter(|_| self.clean > 0);
        let each = each.map(|each| each.clamp(period * 65 / 64, period * 5 / 4));
        let held = self.base.filter(|base| *base < self.pace);
        let held = held.filter(|held| each.is_none_or(|each| each <= held.period));
        let known = held.is_some() || self.bad.is_some() || each.is_some();
        let pace = held.unwrap_or_else(|| {
            let per = since + surprise.retry_after;
            let per = match each {
                Some(each) => per.max(each),
                // It was the period that the server had told, and more than that was needed.
                None if known => per.max(period * 17 / 16),
                None => per,
            };
            self.pace.slower(per, bounds.documented.period)
        });
        let wait = if known { bounds.rare(pace) } else { WAIT_ALONE };
        Self { pace, base: held, bad: Some(pace.faster(1, bounds.documented)), wait, ..next }
    }

    /// A period was full and nothing was refused: `accepted` calls went, so many of them `close` to
    /// the one before.
    pub(super) fn confirm(&mut self, bounds: Bounds, accepted: u32, close: u32) {
        self.clean += 1;
        if !self.confirmed {
            self.confirmed = true;
            match self.bad {
                // More were accepted, evenly spaced, than of the burst that was refused.
                Some(bad) if self.pace.quota > 1 && bad.quota <= accepted => {
                    self.spacing.needed = true;
                    self.stock = (bad.quota - 1).min(self.pace.quota / 4);
                    self.bad = None;
                }
                _ if !self.spacing.needed => self.spacing.parts = 0,
                _ => {}
            }
        }
        // One call a period says all that there is to say.
        if self.clean >= HELD || self.pace.quota == 1 {
            self.whim = None;
            if self.base.is_none_or(|base| base < self.pace) {
                self.deceived = false;
            }
            self.base = Some(self.pace);
        }
        self.loosen(close);
        if self.pace < bounds.most {
            self.grow(bounds);
        }
    }

    /// A period was not full, and nothing was refused. Where few call, no period may ever be full,
    /// and they need not be kept apart for ever.
    pub(super) fn rest(&mut self) {
        self.quiet += 1;
        if self.quiet.is_multiple_of(QUIET) {
            self.whim = None;
            let Spacing { parts, needed, .. } = self.spacing;
            self.spacing.parts = if needed { parts / 2 } else { 0 };
            self.spacing.needed = self.spacing.parts > 0;
        }
    }

    /// Lets calls closer together, if that may be and what was tried has passed.
    fn loosen(&mut self, close: u32) {
        let Spacing { parts, needed, wait } = self.spacing;
        let tried = parts == EVEN || close * 4 >= self.pace.quota;
        if needed && tried && (parts < EVEN || self.clean >= wait) {
            self.spacing.parts = parts / 2;
            self.spacing.needed = parts > 1;
        }
    }

    fn grow(&mut self, bounds: Bounds) {
        let Bounds { documented, most } = bounds;
        match self.bad {
            Some(bad) if self.pace.quota + 1 < bad.quota => {
                let more = (bad.quota - 1 - self.pace.quota).div_ceil(2);
                self.pace = self.pace.faster(more, most);
                self.clean = 0;
            }
            Some(bad) if self.pace < bad => {
                if self.clean >= self.wait {
                    (self.base, self.step, self.clean) = (Some(self.pace), 1, 0);
                    self.pace = self.pace.faster(1, most);
                }
            }
            Some(_) if self.careful => {
                self.bad = Some(self.pace.faster(1, most));
                (self.careful, self.wait, self.clean) = (false, HELD, 0);
            }
            // It was bad, and is not any more, at least for calls that are evenly spaced.
            Some(_) => {
                self.bad = None;
                // Where the period changes, a refusal tells less of how far was too far.
                self.step = if self.pace.quota == 1 { 2 } else { u32::MAX };
                self.spacing = Spacing { parts: EVEN, needed: true, wait: HELD };
                self.climb(documented, most);
            }
            None => self.climb(documented, most),
        }
    }

    fn climb(&mut self, documented: Pace, most: Pace) {
        let below = self.pace < documented;
        let step = if below { self.step } else { (self.pace.quota / 10).max(1) };
        let most = if below { documented } else { most };
        self.pace = self.pace.faster(step, most);
        self.step = self.step.saturating_mul(2);
        self.clean = 0;
    }
}

// === impl Spacing ===

impl Spacing {
    /// Whether it stays when a pace is confirmed.
    pub(super) fn is_needed(self) -> bool {
        self.needed
    }

    /// How long after a call the next one may go.
    pub(super) fn of(self, pace: Pace) -> Duration {
        pace.gap() * self.parts / EVEN
    }

    /// Calls that are closer together show that less spacing does.
    pub(super) fn before(self, pace: Pace) -> Option<Duration> {
        let before = Self { parts: (self.parts * 2).max(1), ..self };
        (self.parts < EVEN).then(|| before.of(pace))
    }
}

// === impl Bounds ===

impl Bounds {
    /// With `most`, more than is documented may be tried.
    pub(super) fn new(documented: Pace, most: u32) -> Self {
        let most = Pace { quota: documented.quota.max(most), ..documented };
        Self { documented, most }
    }

    /// After how many periods at that pace one more refusal costs little.
    fn rare(self, pace: Pace) -> u32 {
        let quota = pace.quota.max(self.documented.quota / 2).max(1);
        let periods = self.documented.period.as_millis()
            * u128::from(CALLS_PER_TRIAL.div_ceil(quota))
            / pace.period.as_millis().max(1);
        u32::try_from(periods).unwrap_or(u32::MAX).max(HELD)
    }
}
