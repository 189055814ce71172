//! What a bucket makes of the records that it hears of: of its own, which the store has taken or not, and of
//! those of others.

use alloc::boxed::Box;
use core::time::Duration;

use super::{FLIGHT, Shown, Told};
use crate::{
    Instant,
    bucket::{Bucket, learnt::Lessons},
    in_common::{InCommon, Is},
    learn::{Happened, Learner},
};

// === impl Bucket ===

impl Bucket {
    /// The store has answered that batch. Returns whether nothing is known of it any more.
    pub(crate) fn tale_is_answered(
        &mut self,
        now: Instant,
        batch: u64,
        told: &InCommon,
        most: u32,
    ) -> bool {
        let Some(common) = self.common_mut() else { return false };
        let Some(Told { happened, shown, is_over, .. }) =
            common.told.take_if(|told| told.batch == batch)
        else {
            return false;
        };
        let later = common.later.take();
        match &told.is {
            Is::Gone => return true,
            Is::Kept => {
                common.serial = told.serial;
                common.happened.drain(..happened.min(common.happened.len()));
                common.counted = common.counted.max(shown.flight);
                (common.shown, common.is_anew) = (Some(shown), false);
                if is_over {
                    if common.happened.is_empty() {
                        return true;
                    }
                    (common.serial, common.is_due) = (0, true);
                }
                if let Some((serial, learner)) = later.filter(|(serial, _)| *serial > told.serial) {
                    self.goes_on_from(now, serial, learner);
                }
            }
            Is::Record { text, age } => match later {
                Some((serial, learner)) if serial > told.serial => {
                    self.goes_on_from(now, serial, learner);
                }
                _ => self.goes_on_with(now, told.serial, text, *age, most),
            },
            Is::Same => {}
        }
        false
    }

    /// Whether that is a record of its limit.
    pub(crate) fn reads(&self, text: &str, most: u32) -> bool {
        let now = (Instant::ZERO, Duration::ZERO);
        self.documented().is_some_and(|own| Learner::of_record(text, now, own, most).is_some())
    }

    /// The store has that record. `is_push` says that an older one may come later.
    pub(crate) fn hears_record(
        &mut self,
        now: Instant,
        (serial, text, age): (u64, &str, Duration),
        is_push: bool,
        most: u32,
    ) {
        let Some(documented) = self.documented() else { return };
        let Some(common) = self.common_mut() else { return };
        common.heard_at = now;
        if common.told.is_some() {
            let is_newer = common.later.as_ref().is_none_or(|(later, _)| *later < serial);
            if is_newer && let Some(of) = Learner::of_record(text, (now, age), documented, most) {
                common.later = Some((serial, Box::new(of)));
            }
            return;
        }
        let is_news = if common.is_anew {
            // One of the same number may be another one, if a message was lost before.
            serial >= common.serial
        } else if is_push {
            serial > common.serial
        } else {
            serial != common.serial
        };
        if common.is_anew && serial >= common.serial {
            common.is_anew = false;
            common.is_due = false;
        }
        if is_news {
            self.goes_on_with(now, serial, text, age, most);
        }
    }

    fn goes_on_with(&mut self, now: Instant, serial: u64, text: &str, age: Duration, most: u32) {
        let Some(documented) = self.documented() else { return };
        if let Some(learner) = Learner::of_record(text, (now, age), documented, most) {
            self.goes_on_from(now, serial, Box::new(learner));
        } else if let Some(common) = self.common_mut() {
            // It is of another limit, which is not the one here.
            common.serial = serial;
        }
    }

    /// What happened here is added to that learner.
    fn goes_on_from(&mut self, now: Instant, serial: u64, learner: Box<Learner>) {
        let accepted = self.accepted(now);
        let since_last = self.window.last_aged_from();
        let Some(lessons) = self.lessons_mut() else { return };
        let Lessons { learner: own, common, since, .. } = lessons;
        let Some(common) = common.as_deref_mut() else { return };
        *own = *learner;
        common.serial = serial;
        common.shown = Some(Shown::of(own));
        let (flight, at) = own.flight();
        if let Some(at) = at
            && flight > common.counted
        {
            // What went before the surprise is counted with it.
            common
                .happened
                .retain(|it| !matches!(it, Happened::Accepted { sent, .. } if *sent < at));
            *since = (*since).max(Some(at));
            if accepted > 0 && now.since(at) < FLIGHT {
                let since_last = since_last.map(|last| at.since(last));
                common.happened.push_front(Happened::Counted { flight, accepted, since_last });
                common.is_urgent = true;
            }
            common.counted = flight;
        }
        for happened in &common.happened {
            own.happens(happened);
        }
    }
}
