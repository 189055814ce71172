//! The right to send one call now, and what its drop means.

use std::{sync::Arc, time::Duration};

use limits::BucketKey;
use scheduler::{Instant, Outcome};

use super::{Granted, Inner, State, ghosts::GhostId};
use crate::call::{in_flight::InFlight, record::Headroom};

/// The right to send one call now.
///
/// Dropped before the call is sent, it gives its slots back. Dropped after that, its slots
/// age as those of a call whose answer never came; after an answer they age at once.
#[derive(Debug)]
pub struct Permit {
    inner: Option<scheduler::Permit>,
    /// What its drop says of the call.
    fate: Outcome,
    watched: Watched,
    in_flight: Option<InFlight>,
    shared: Arc<Inner>,
}

/// Whether the call's limits are kept.
#[derive(Clone, Copy, Debug)]
enum Watched {
    No,
    /// It is only watched; its ghost, unless it would have been shed.
    Yes(Option<GhostId>),
}

/// What a refusal by Slack led to.
#[derive(Clone, Debug, Default)]
pub struct ReportedLimit {
    /// The buckets that are closed now: first the one that most likely caused it, then wider ones
    /// that several refusals point to. If there is one, the call may queue again with its permit.
    pub closed: Vec<Closed>,
    /// Whether it was unforeseen: no pause was on, and the window had room.
    pub surprise: bool,
    /// What the call's tightest bucket has left.
    pub headroom: Option<Headroom>,
}

/// A bucket that is closed.
#[derive(Clone, Debug)]
pub struct Closed {
    /// Which.
    pub bucket: BucketKey,
    /// For how long.
    pub pause: Duration,
}

// === impl Permit ===

impl Permit {
    pub(super) fn new(Granted { permit, in_flight }: Granted, shared: &Arc<Inner>) -> Self {
        let (fate, shared) = (Outcome::Unsent, Arc::clone(shared));
        let (inner, in_flight) = (Some(permit), Some(in_flight));
        Self { inner, fate, watched: Watched::No, in_flight, shared }
    }

    /// That of a call that goes whether or not there is room.
    pub(super) fn watched(granted: Granted, ghost: Option<GhostId>, shared: &Arc<Inner>) -> Self {
        let mut permit = Self::new(granted, shared);
        permit.watched = Watched::Yes(ghost);
        permit
    }

    /// Whether the call is only watched: then Slack's answer is handed on as it is.
    pub fn is_watched(&self) -> bool {
        matches!(self.watched, Watched::Yes(_))
    }

    /// Waits until it is written that it was granted, where that is kept.
    pub(super) async fn is_kept(&self) {
        if let Some(store) = self.shared.store.get() {
            store.written().await;
        }
    }

    /// The call is being handed over: from now on Slack may have counted it.
    pub fn sent(&mut self) {
        self.fate = Outcome::Lost;
    }

    /// That the call is in flight: until its answer has ended, which may be after the permit is
    /// settled.
    pub fn in_flight(&mut self) -> Option<InFlight> {
        self.in_flight.take()
    }

    /// It certainly never left.
    pub fn was_not_sent(&mut self) {
        self.fate = Outcome::Unsent;
    }

    /// Its answer is here and is not what was asked for, so the call may be sent again.
    pub fn was_answered(&mut self) {
        self.fate = Outcome::Answered;
        self.answer_begins();
    }

    /// Its attempt is over, and the call may be sent again later: until then it has no slots, but
    /// those that keep the order of posts.
    pub fn end_attempt(&self) {
        if let Some(inner) = &self.inner {
            let mut state = self.shared.lock();
            let now = self.shared.now();
            state.scheduler.end_attempt(now, inner, self.fate);
            state.pump(&self.shared, now);
        }
    }

    /// Its answer's headers are here, and what it says is not known yet: its slots age from now.
    pub fn answer_begins(&self) {
        if let Some(inner) = &self.inner {
            let mut state = self.shared.lock();
            let now = self.shared.now();
            state.scheduler.answered(now, inner);
        }
    }

    /// Its answer is here, or as much of it as says what it is. Tells what the call's
    /// tightest bucket has left.
    pub fn answered(mut self) -> Option<Headroom> {
        let inner = self.inner.take()?;
        let mut state = self.shared.lock();
        let now = self.shared.now();
        let headroom = state.scheduler.headroom(now, &inner);
        settle(&mut state, now, inner, Outcome::Answered, self.watched);
        state.pump(&self.shared, now);
        headroom.map(|headroom| shown(headroom, now))
    }

    /// Slack refused the call and asks for a pause: the bucket that most likely caused it is
    /// closed now, and wider ones where several refusals have one cause.
    pub fn refused(&mut self, retry_after: Duration) -> ReportedLimit {
        self.fate = Outcome::Refused;
        let Some(inner) = &self.inner else { return ReportedLimit::default() };
        let (now, refused, headroom) = {
            let mut state = self.shared.lock();
            let now = self.shared.now();
            let refused = state.scheduler.refused(now, inner, retry_after);
            let headroom = state.scheduler.headroom(now, inner);
            state.pump(&self.shared, now);
            (now, refused, headroom)
        };
        let closed = refused.freezes.into_iter().map(|freeze| {
            self.shared.metrics.froze(freeze.bucket.limit.scope);
            Closed { bucket: freeze.bucket, pause: freeze.until.since(now) }
        });
        ReportedLimit {
            closed: closed.collect(),
            surprise: refused.surprise,
            headroom: headroom.map(|headroom| shown(headroom, now)),
        }
    }

    /// For a replay, with what became of the attempt.
    pub(super) fn into_inner(mut self) -> Option<(scheduler::Permit, Outcome)> {
        Some((self.inner.take()?, self.fate))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            let mut state = self.shared.lock();
            let now = self.shared.now();
            settle(&mut state, now, inner, self.fate, self.watched);
            state.pump(&self.shared, now);
        }
    }
}

/// Settles a permit, and its ghost.
fn settle(
    state: &mut State,
    now: Instant,
    permit: scheduler::Permit,
    outcome: Outcome,
    watched: Watched,
) {
    state.scheduler.settle(now, permit, outcome);
    if let (Watched::Yes(Some(ghost)), Some(ghosts)) = (watched, &mut state.ghosts) {
        ghosts.ended(now, ghost, outcome);
    }
}

/// Headroom as callers are shown it: with a time to wait.
fn shown(headroom: scheduler::Headroom, now: Instant) -> Headroom {
    let scheduler::Headroom { bucket, left, more_at } = headroom;
    Headroom { bucket, left, more_in: more_at.since(now) }
}
