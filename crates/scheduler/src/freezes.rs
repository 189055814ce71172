//! What schedulers that share their limits tell each other of Slack's refusals.
//!
//! A refusal that one of them meets closes the bucket for all, and its end is tried by **one call of
//! all**. The store keeps for each closed bucket for how long it is so still, who probes, and the
//! version of that; everything that happens to it there makes a newer one. A scheduler that hears of a
//! version which it knows already, or of an older one, ignores it. So it does not matter in which order it
//! hears, by an answer, by what all are told, or by the list of all that is closed. Only durations are
//! told, never times: no two clocks are compared.
//!
//! Whose call waits for a bucket after its freeze **claims** the turn to probe, in all such buckets
//! that the call needs at once, or in none. So nobody keeps one turn and waits for another's. The turn is given up
//! when no call has gone by it for a second, or the call came to nothing. A call that passes opens the
//! bucket for all, and each goes on from there by itself. For a while after the freeze, and after the last
//! turn, it matters that there was one: a bucket that nobody has tried in that time is open.
//!
//! That a wider limit is meant may show only in what several schedulers meet: so the store has the last
//! refusal under each of the wider buckets, too; see [`evidence`](super::evidence).
//!
//! While the store is not heard, each does what it does alone. What was closed meanwhile is told when
//! it is heard again, and what it had closed before counts as the store has it then.

use alloc::vec::Vec;
use core::time::Duration;

use limits::BucketKey;

use super::{
    Freeze, Instant, Outcome, Scheduler,
    bucket::Bucket,
    call::Slot,
    call_group::BucketId,
    claims::Claim,
    evidence::{EVIDENCE, WIDE},
    fair_queue::Head,
    half_open::{HalfOpen, Turn},
    in_common::{InCommon, Tale},
    shared::Epoch,
};

/// What is to be told to the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A bucket is closed for so long; of two such times the one that ends later holds.
    Closed {
        /// Which.
        bucket: BucketKey,
        /// For how long.
        left: Duration,
        /// For how long after that, and after each turn to probe, it matters that it was.
        kept: Duration,
    },
    /// A refusal under a wider bucket.
    Witnessed {
        /// The wider one.
        above: BucketKey,
        /// The one that was closed for it.
        below: BucketKey,
        /// For how long.
        left: Duration,
        /// For how long it matters that the wider one was closed.
        kept: Duration,
    },
    /// The operator has ended a freeze: one call probes.
    Thawed {
        /// Which.
        bucket: BucketKey,
        /// For how long it matters that it was closed.
        kept: Duration,
    },
    /// Claims the turn to probe in all of these, or in none.
    Claimed(Vec<BucketKey>),
    /// It was not used, or came to nothing.
    GivenUp(BucketKey),
    /// A call has passed.
    Passed(BucketKey),
    /// What a bucket has learnt.
    Learnt(Tale),
    /// The operator lets all forget what a bucket has learnt.
    Forgotten(BucketKey),
}

/// How a bucket stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub bucket: BucketKey,
    /// Each change has a greater one.
    pub version: u64,
    /// How it is closed, or half-open; nothing if it is open.
    pub shut: Option<Shut>,
}

/// How a bucket is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shut {
    /// For how long; zero if it is half-open.
    pub left: Duration,
    /// Whose turn it is to probe then.
    pub prober: Prober,
}

/// Whose turn it is to probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prober {
    /// Nobody has claimed it.
    Nobody,
    /// This scheduler's.
    Own,
    /// Another one's.
    Another,
}

/// What the store answers to notices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noticed {
    /// The batch that it answers.
    pub batch: u64,
    /// The life of its memory.
    pub epoch: Epoch,
    /// The version of all that it has, after the notices.
    pub version: u64,
    /// Of each claim, whether it was granted.
    pub granted: Vec<bool>,
    /// How the buckets stand that the notices were of.
    pub standings: Vec<Standing>,
    /// All that are closed, if that may have changed otherwise.
    pub all: Option<Vec<Standing>>,
    /// What it has of the buckets of which something was learnt or forgotten.
    pub learnt: Vec<InCommon>,
    /// All that is learnt, if that may have changed otherwise.
    pub all_learnt: Option<Vec<InCommon>>,
}

/// What a scheduler knows of the others' freezes.
#[derive(Debug, Default)]
pub(super) struct Freezes {
    /// The life of the store's memory, as long as it is heard.
    heard: Option<Epoch>,
    /// The life of its memory when it was heard last.
    known: Option<Epoch>,
    pub(super) notices: Vec<Notice>,
    /// What is on its way.
    told: Vec<Notice>,
    /// The number of the next batch.
    pub(super) batch: u64,
    /// The buckets that have something to tell of what they have learnt, and whether that has to be soon.
    pub(super) learnt: Vec<BucketId>,
    pub(super) is_urgent: bool,
}

/// A turn that no call has used for so long is given up.
const UNUSED: Duration = Duration::from_secs(1);
/// A claim that was refused is not made again for so long.
const REFUSED: Duration = Duration::from_millis(200);
/// Another's turn is claimed after so long: it may be gone.
const ANOTHER: Duration = Duration::from_secs(1);
/// So many thaws are kept for a store that is not heard.
const KEPT: usize = 1024;

// === impl Freezes ===

impl Freezes {
    pub(super) fn is_heard(&self) -> bool {
        self.heard.is_some()
    }

    /// Whether there is something to tell, and somebody to hear it.
    pub(super) fn has_news(&self) -> bool {
        self.is_heard() && (self.is_urgent || !self.notices.is_empty())
    }

    /// Tells that, as soon as somebody hears it.
    pub(super) fn keep(&mut self, notice: Notice) {
        if self.is_heard() || self.notices.len() < KEPT {
            self.notices.push(notice);
        }
    }
}

// === impl Bucket ===

impl Bucket {
    /// For how long after a freeze it matters that there was one.
    fn keeps_freezes_for(&self) -> Duration {
        self.period().max(EVIDENCE)
    }
}

// === impl Scheduler ===

impl Scheduler {
    /// Moves what is to be told to the others into `out`. Returns the number of that batch: the next one
    /// may be fetched when it is answered, or the store is not heard.
    pub fn notices(&mut self, now: Instant, out: &mut Vec<Notice>) -> u64 {
        self.tales(now, out);
        let Some(leases) = &mut self.leases else { return 0 };
        let freezes = &mut leases.freezes;
        freezes.told.clone_from(&freezes.notices);
        out.append(&mut freezes.notices);
        freezes.batch += 1;
        freezes.batch - 1
    }

    /// Whether there is something to tell, and somebody to hear it.
    pub fn has_notices(&self) -> bool {
        self.leases.as_ref().is_some_and(|leases| leases.freezes.has_news())
    }

    /// The store has answered notices.
    pub fn noticed(&mut self, now: Instant, noticed: Noticed) {
        self.advance(now);
        let Some(leases) = &mut self.leases else { return };
        let Noticed { batch, epoch, version, granted, standings, all, learnt, all_learnt } =
            noticed;
        let freezes = &mut leases.freezes;
        let told = core::mem::take(&mut freezes.told);
        let (heard, known) = (freezes.heard.replace(epoch), freezes.known.replace(epoch));
        if known != Some(epoch) {
            self.is_told_anew(now);
        } else if heard.is_none() {
            self.tells_what_is_not_known(now);
        }
        for standing in standings {
            self.stands(now, standing, Some(batch));
        }
        let claims = told.into_iter().filter_map(|notice| match notice {
            Notice::Claimed(buckets) => Some(buckets),
            _ => None,
        });
        for (buckets, granted) in claims.zip(granted) {
            self.claim_is_answered(now, buckets, granted);
        }
        if let Some(all) = all {
            self.are_all(now, version, all);
        }
        let is_new = known != Some(epoch);
        self.lessons_are(now, batch, (heard.is_none(), is_new), &learnt, all_learnt.as_deref());
        self.run(now);
    }

    /// The store tells all how a bucket stands. If its memory lives another life than it was heard of,
    /// that is ignored.
    pub fn stands_now(&mut self, now: Instant, epoch: Epoch, standing: Standing) {
        self.advance(now);
        let heard = self.leases.as_ref().and_then(|leases| leases.freezes.heard);
        if heard == Some(epoch) {
            self.stands(now, standing, None);
            self.run(now);
        }
    }

    /// The store tells all what it has learnt of a bucket. If its memory lives another life than it was heard
    /// of, that is ignored.
    pub fn learns_now(&mut self, now: Instant, epoch: Epoch, learnt: &InCommon) {
        self.advance(now);
        let heard = self.leases.as_ref().and_then(|leases| leases.freezes.heard);
        if heard == Some(epoch) {
            self.lesson_is(now, learnt);
            self.run(now);
        }
    }

    /// The store is not heard: each does what it does alone.
    pub fn notices_nobody(&mut self, now: Instant) {
        self.advance(now);
        let Some(leases) = &mut self.leases else { return };
        let freezes = &mut leases.freezes;
        freezes.heard = None;
        let told = core::mem::take(&mut freezes.told).into_iter();
        let all = told.chain(core::mem::take(&mut freezes.notices));
        let is_kept = |it: &Notice| matches!(it, Notice::Thawed { .. } | Notice::Forgotten(_));
        freezes.notices = all.filter(is_kept).collect();
        self.each_half_open(|half_open| {
            if half_open.tells.take().is_some() {
                half_open.version = 0;
            }
            half_open.turn = Turn::Own;
        });
        self.hears_of_lessons(now, false, false);
        self.run(now);
    }

    /// A bucket was frozen here: the others are told.
    #[cold]
    pub(super) fn tell_of_freeze(&mut self, now: Instant, id: BucketId) {
        let (Some(leases), bucket) = (&mut self.leases, &mut self.buckets[id]) else { return };
        let freezes = &mut leases.freezes;
        let kept = bucket.keeps_freezes_for();
        let (key, batch) = (bucket.key.clone(), freezes.batch);
        let Some(half_open) = bucket.half_open_mut() else { return };
        if !freezes.is_heard() {
            half_open.version = 0;
            return;
        }
        let left = half_open.until.since(now);
        (half_open.turn, half_open.tells) = (Turn::Free { from: now }, Some(batch));
        bucket.is_watched = true;
        freezes.notices.push(Notice::Closed { bucket: key, left, kept });
    }

    /// There was a refusal under a wider bucket: the others are told.
    #[cold]
    pub(super) fn tell_of_refusal(&mut self, above: BucketId, below: BucketId, left: Duration) {
        let kept = self.buckets[above].keeps_freezes_for();
        let (above, below) = (self.buckets[above].key.clone(), self.buckets[below].key.clone());
        if let Some(leases) = &mut self.leases
            && leases.freezes.is_heard()
        {
            let left = left.min(WIDE);
            leases.freezes.notices.push(Notice::Witnessed { above, below, left, kept });
        }
    }

    /// The operator has ended a freeze here: so it is for the others.
    #[cold]
    pub(super) fn tell_of_thaw(&mut self, now: Instant, id: BucketId) {
        let (Some(leases), bucket) = (&mut self.leases, &mut self.buckets[id]) else { return };
        let freezes = &mut leases.freezes;
        let kept = bucket.keeps_freezes_for();
        let (key, batch) = (bucket.key.clone(), freezes.batch);
        let Some(half_open) = bucket.half_open_mut() else { return };
        half_open.tells = Some(batch);
        if freezes.is_heard() {
            half_open.turn = Turn::Free { from: now };
            bucket.is_watched = true;
        } else if freezes.notices.len() >= KEPT {
            return;
        }
        freezes.notices.push(Notice::Thawed { bucket: key, kept });
    }

    /// What is known under one name of a bucket is not known under the other.
    #[cold]
    pub(super) fn freeze_is_renamed(&mut self, now: Instant, id: BucketId, before: BucketKey) {
        let (Some(leases), bucket) = (&mut self.leases, &mut self.buckets[id]) else { return };
        let Some(half_open) = bucket.half_open_mut() else { return };
        if let Turn::Mine { .. } = half_open.turn {
            leases.freezes.notices.push(Notice::GivenUp(before));
        }
        if half_open.is_frozen(now) {
            *half_open = HalfOpen::new(half_open.until);
            self.tell_of_freeze(now, id);
        } else {
            half_open.opens(now);
        }
        self.look_again(id);
    }

    /// Before a slot is settled of a bucket that is half-open: has a probe ended?
    #[cold]
    pub(super) fn probe_ends(&mut self, now: Instant, slot: &Slot, outcome: Outcome) {
        let (Some(leases), bucket) = (&mut self.leases, &mut self.buckets[slot.bucket]) else {
            return;
        };
        let freezes = &mut leases.freezes;
        let key = bucket.key.clone();
        let Some(half_open) = bucket.half_open_mut() else { return };
        if slot.kept || slot.taken < half_open.until || half_open.turn == Turn::Own {
            return;
        }
        let is_own = matches!(half_open.turn, Turn::Mine { .. });
        let notice = match outcome {
            Outcome::Answered => {
                half_open.turn = Turn::Own;
                Notice::Passed(key)
            }
            _ if is_own => {
                half_open.turn = Turn::Free { from: now };
                Notice::GivenUp(key)
            }
            _ => return,
        };
        half_open.tells = Some(freezes.batch);
        freezes.notices.push(notice);
    }

    /// After a look at a bucket that is half-open: claims the turn to probe, or gives it up.
    #[cold]
    pub(super) fn settle_turn(&mut self, now: Instant, id: BucketId) {
        let bucket = &self.buckets[id];
        let Some(half_open) = bucket.half_open().filter(|it| !it.is_frozen(now)) else { return };
        match half_open.turn {
            Turn::Free { from } | Turn::Another { from, .. }
                if from <= now && bucket.queue.has_parked() =>
            {
                self.claim_turn(now, id);
                self.claims_later(now, id);
            }
            Turn::Mine { since }
                if bucket.in_flight() == 0 && (bucket.waiting == 0 || since + UNUSED <= now) =>
            {
                self.give_up_turn(now, id);
            }
            _ => {}
        }
    }

    fn claim_turn(&mut self, now: Instant, id: BucketId) {
        let Some((_, Head { group, .. })) = self.buckets[id].queue.next([true; 3]) else { return };
        let mut buckets = Vec::new();
        let mut is_frozen = false;
        for need in self.groups[group].needs() {
            let bucket = &mut self.buckets[need];
            let key = bucket.key.clone();
            let Some(half_open) = bucket.half_open_mut() else { continue };
            is_frozen |= half_open.is_frozen(now);
            match half_open.turn {
                Turn::Free { .. } => half_open.turn = Turn::Claimed,
                Turn::Another { ends, .. } => {
                    half_open.turn = Turn::Another { from: now + ANOTHER, ends };
                }
                Turn::Own | Turn::Claimed | Turn::Mine { .. } => continue,
            }
            buckets.push((need, key));
        }
        if is_frozen {
            // It waits for that one first.
            for (need, _) in buckets {
                if let Some(half_open) = self.buckets[need].half_open_mut()
                    && half_open.turn == Turn::Claimed
                {
                    half_open.turn = Turn::Free { from: now + REFUSED };
                }
            }
            return;
        }
        if let Some(leases) = &mut self.leases {
            let buckets = buckets.into_iter().map(|(_, key)| key).collect();
            leases.freezes.notices.push(Notice::Claimed(buckets));
        }
    }

    /// What could not be claimed now is not tried again at once.
    fn claims_later(&mut self, now: Instant, id: BucketId) {
        if let Some(half_open) = self.buckets[id].half_open_mut()
            && let Turn::Free { from } | Turn::Another { from, .. } = &mut half_open.turn
            && *from <= now
        {
            *from = now + REFUSED;
        }
    }

    fn give_up_turn(&mut self, now: Instant, id: BucketId) {
        let (Some(leases), bucket) = (&mut self.leases, &mut self.buckets[id]) else { return };
        let (key, batch) = (bucket.key.clone(), leases.freezes.batch);
        if let Some(half_open) = bucket.half_open_mut() {
            // Another one may have a call that can go.
            half_open.turn = Turn::Free { from: now + REFUSED };
            half_open.tells = Some(batch);
            leases.freezes.notices.push(Notice::GivenUp(key));
        }
    }

    /// When to look at a bucket for the turn to probe.
    #[cold]
    pub(super) fn turn_at(&self, id: BucketId) -> Option<Instant> {
        let bucket = &self.buckets[id];
        let half_open = bucket.half_open()?;
        match half_open.turn {
            Turn::Free { from } | Turn::Another { from, .. } if bucket.queue.has_parked() => {
                Some(from.max(half_open.until))
            }
            Turn::Mine { since } if bucket.in_flight() == 0 => Some(since + UNUSED),
            _ => None,
        }
    }

    /// A claim is granted, or not.
    fn claim_is_answered(&mut self, now: Instant, buckets: Vec<BucketKey>, granted: bool) {
        for key in buckets {
            let id = self.buckets.find(&key);
            let half_open = id.and_then(|id| self.buckets[id].half_open_mut());
            match half_open {
                Some(half_open) if granted && half_open.turn != Turn::Own => {
                    half_open.turn = Turn::Mine { since: now };
                }
                Some(half_open) if half_open.turn == Turn::Claimed => {
                    half_open.turn = Turn::Free { from: now + REFUSED };
                }
                None if granted => {
                    if let Some(leases) = &mut self.leases {
                        leases.freezes.notices.push(Notice::GivenUp(key));
                    }
                }
                Some(_) | None => {}
            }
            if let Some(id) = id {
                self.look_again(id);
            }
        }
    }

    /// A bucket stands so; `answers` is the batch that this is the answer to.
    fn stands(&mut self, now: Instant, standing: Standing, answers: Option<u64>) {
        let Standing { bucket: key, version, shut } = standing;
        let Some(Shut { left, prober }) = shut else {
            if let Some(id) = self.buckets.find(&key) {
                self.is_open(now, id, version, answers);
            }
            return;
        };
        let flight = self.leases.as_ref().map_or(Duration::ZERO, |leases| leases.sharing.flight);
        let ends = now + left + UNUSED + flight;
        let is_name = !key.values.is_crowd();
        for id in self.resolve(now, &[key]) {
            if is_name && self.buckets[id].is_crowd() {
                self.crowd_is_shut(now, id, now + left);
                continue;
            }
            let before = self.buckets[id].half_open().copied();
            if before.is_some_and(|before| !before.hears(version, answers)) {
                continue;
            }
            let until = now + left;
            match before {
                Some(before) if before.is_frozen(now) && before.until > until => {
                    self.ends_earlier(id, until);
                }
                Some(before) if before.until >= until => {}
                _ => {
                    self.shut(now, id, until);
                }
            }
            let bucket = &mut self.buckets[id];
            bucket.is_watched = true;
            let key = bucket.key.clone();
            let Some(half_open) = bucket.half_open_mut() else { continue };
            let turn = before.map_or(Turn::Own, |before| before.turn);
            half_open.turn = match (prober, turn) {
                (Prober::Own, Turn::Mine { .. })
                | (Prober::Own | Prober::Nobody, Turn::Claimed)
                    if left.is_zero() =>
                {
                    turn
                }
                (Prober::Another, _) => Turn::Another { from: now + ANOTHER, ends },
                (Prober::Own | Prober::Nobody, _) => Turn::Free { from: now },
            };
            (half_open.version, half_open.tells) = (version, None);
            if prober == Prober::Own && matches!(half_open.turn, Turn::Free { .. }) {
                // The answer that granted it was lost.
                if let Some(leases) = &mut self.leases {
                    leases.freezes.notices.push(Notice::GivenUp(key));
                }
            }
            self.look_again(id);
        }
    }

    /// A name is closed that shares a bucket here with others: so is that bucket, for as long. The store has
    /// no record under its name, so it is no claim of that one's turn that opens it again.
    fn crowd_is_shut(&mut self, now: Instant, id: BucketId, until: Instant) {
        let before = self.buckets[id].half_open().copied();
        if until <= now || before.is_some_and(|before| before.until >= until) {
            return;
        }
        self.shut(now, id, until);
        if let Some(half_open) = self.buckets[id].half_open_mut()
            && before.is_some_and(|before| before.turn != Turn::Own)
        {
            half_open.turn = Turn::Free { from: now };
        }
        self.look_again(id);
    }

    /// A bucket is open for all.
    fn is_open(&mut self, now: Instant, id: BucketId, version: u64, answers: Option<u64>) {
        let Some(half_open) = self.buckets[id].half_open_mut() else { return };
        if !half_open.hears(version, answers) {
            return;
        }
        if half_open.turn != Turn::Own {
            half_open.opens(now);
        }
        (half_open.version, half_open.tells) = (version, None);
        self.look_again(id);
    }

    /// These are all that are closed.
    fn are_all(&mut self, now: Instant, version: u64, all: Vec<Standing>) {
        let mut closed = Vec::with_capacity(all.len());
        for standing in all {
            let key = standing.bucket.clone();
            self.stands(now, standing, None);
            closed.extend(self.buckets.find(&key));
        }
        closed.sort_unstable();
        let is_open = |bucket: &Bucket| {
            let known = bucket.half_open().filter(|it| it.tells.is_none() && it.version > 0);
            known.is_some_and(|it| it.turn != Turn::Own && it.version <= version)
        };
        let open = self.buckets.iter().filter(|(_, bucket)| is_open(bucket)).map(|(id, _)| id);
        let open = open.filter(|id| closed.binary_search(id).is_err()).collect::<Vec<_>>();
        for id in open {
            self.is_open(now, id, version.saturating_add(1), None);
        }
    }

    /// Its memory is another one: it is told of all that is closed, and what is half-open each opens by
    /// itself.
    fn is_told_anew(&mut self, now: Instant) {
        self.each_half_open(|half_open| {
            (half_open.version, half_open.tells) = (0, None);
            if !half_open.is_frozen(now) {
                half_open.turn = Turn::Own;
            }
        });
        self.tells_what_is_not_known(now);
    }

    /// It is heard again: it is told of what was closed meanwhile.
    fn tells_what_is_not_known(&mut self, now: Instant) {
        let is_news = |bucket: &Bucket| {
            let frozen = bucket.half_open().filter(|it| it.is_frozen(now));
            frozen.is_some_and(|it| it.version == 0)
        };
        let news = self.buckets.iter().filter(|(_, bucket)| is_news(bucket)).map(|(id, _)| id);
        for id in news.collect::<Vec<_>>() {
            self.tell_of_freeze(now, id);
        }
    }

    /// Changes how each bucket that is closed or half-open is so, and looks at it again.
    fn each_half_open(&mut self, mut change: impl FnMut(&mut HalfOpen)) {
        let mut changed = Vec::new();
        for (id, bucket) in self.buckets.iter_mut() {
            if let Some(half_open) = bucket.half_open_mut() {
                change(half_open);
                changed.push(id);
            }
        }
        for id in changed {
            self.look_again(id);
        }
    }

    /// A freeze ends earlier than it was to.
    fn ends_earlier(&mut self, id: BucketId, until: Instant) {
        let bucket = &mut self.buckets[id];
        bucket.thaw(until);
        let freeze = Freeze { bucket: bucket.key.clone(), until };
        self.note_freeze(&freeze);
    }

    /// Closes a bucket, for this scheduler only.
    pub(super) fn shut(&mut self, now: Instant, id: BucketId, until: Instant) -> Freeze {
        if let Some(Claim { call, .. }) = self.buckets[id].claim {
            self.give_up_claims(call);
        }
        let bucket = &mut self.buckets[id];
        bucket.freeze(until);
        let freeze = Freeze { bucket: bucket.key.clone(), until };
        if self.leases.is_some() {
            self.scatter_at(now, id);
        }
        // It may have been frozen for longer already.
        let until = self.buckets[id].frozen_until(now).unwrap_or(until);
        self.note_freeze(&Freeze { until, ..freeze.clone() });
        self.touch(id);
        freeze
    }
}

// === impl HalfOpen ===

impl HalfOpen {
    /// Whether a version of it says something new; `answers` is the batch that is answered by it.
    fn hears(&self, version: u64, answers: Option<u64>) -> bool {
        match (self.tells, answers) {
            // What the store makes of that is told by its answer.
            (Some(tells), Some(batch)) => tells <= batch,
            (Some(_), None) => false,
            (None, Some(_)) => version >= self.version,
            (None, None) => version > self.version,
        }
    }
}
