//! Tokens and webhooks that Slack has called good for nothing: their calls are answered at once, as Slack
//! answered the last one. Pure: time is an argument.
//!
//! A dead integration that goes on calling would take its app's slots and wait in its queues for an answer
//! that everybody knows. What is dead is known by the hash of its credential, and only in memory: of a token as
//! it was sent, or of a webhook's URL.
//!
//! - A call a minute passes and decides: its answer says whether it is still so. `auth.test` always passes,
//!   because whoever asks that wants to know.
//! - What Slack accepts lives, at once.
//! - `invalid_auth` may be true of one method only. It counts for the others when a second method says it, or
//!   `auth.test`.
//! - What nobody has confirmed for ten minutes is forgotten, and of more than 1,024 what was used longest ago.

mod answer;
mod credential;

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use config::{CallerName, FailFast};
use foldhash::fast::RandomState;
use lru::LruCache;
use slack::Dead;
use tokio::time::Instant;

pub use self::{
    answer::{Answer, FailedFast},
    credential::Credential,
};
use crate::call::Call;

/// What is dead.
#[derive(Debug)]
pub(crate) struct Graves {
    rules: FailFast,
    dead: LruCache<Arc<Credential>, Grave, RandomState>,
    /// When this minute of the log began, and how much was told in it.
    minute: Option<(Instant, u32)>,
}

/// One that is dead.
#[derive(Debug)]
struct Grave {
    answer: FailedFast,
    /// The only method that said so, where that is not enough for others.
    only: Option<Arc<str>>,
    since: Instant,
    /// When Slack said so last.
    confirmed: Instant,
    /// When a call may pass and decide.
    probe_at: Instant,
    /// Calls answered.
    answered: u64,
    workspace: Option<Arc<str>>,
    caller: CallerName,
}

/// What operators are shown of it: neither a token nor a webhook's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadCredential {
    /// `token` or `webhook`.
    pub kind: &'static str,
    /// What stands for it, as in keys of buckets.
    pub name: Arc<str>,
    /// The workspace that it counts for, where that is known.
    pub workspace: Option<Arc<str>>,
    /// Who called with it last.
    pub caller: CallerName,
    /// Why.
    pub reason: Dead,
    /// The only method of which it is true; absent if it is true of all.
    pub method: Option<Arc<str>>,
    /// For how long.
    pub age: Duration,
    /// In how long a call passes and decides.
    pub probe_in: Duration,
    /// Calls answered since.
    pub answered: u64,
}

/// What an answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is dead. It was not before, and that is told where it has been told seldom of late.
    Died {
        /// Whether to tell of it.
        tell: bool,
    },
    /// It is still dead.
    StillDead,
    /// It lives again.
    Revived,
}

/// The method that tells whose a token is.
const ASKS: &str = "auth.test";
/// So many are known at once. With an answer of 1 KiB each they take about a mebibyte.
const MOST: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
/// How long one is remembered that nobody confirms: ten probes.
const KEPT: u32 = 10;
/// So many deaths are told of in a minute: anybody can make up tokens.
const TOLD: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);

// === impl Graves ===

impl Graves {
    pub(crate) fn new(rules: FailFast) -> Self {
        Self { rules, dead: LruCache::with_hasher(MOST, RandomState::default()), minute: None }
    }

    /// The operator says otherwise.
    pub(crate) fn configure(&mut self, rules: FailFast) {
        self.rules = rules;
        if !rules.on {
            self.dead.clear();
        }
    }

    /// Whether anything is dead at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.dead.is_empty()
    }

    /// The credential of a call, if it matters.
    pub(crate) fn credential(&self, call: &Call) -> Option<Credential> {
        Credential::of(call).filter(|_| self.rules.on)
    }

    /// Whether a call's credential is dead, or was when it was used last.
    pub(crate) fn knows(&self, call: &Call) -> bool {
        !self.dead.is_empty()
            && Credential::of(call).is_some_and(|credential| self.dead.contains(&credential))
    }

    /// What a call is answered at once; nothing if it may go.
    pub(crate) fn meet(&mut self, now: Instant, call: &Call) -> Option<FailedFast> {
        let credential = Credential::of(call)?;
        let grave = self.dead.get_mut(&credential)?;
        if grave.confirmed + self.rules.probe_after * KEPT <= now {
            self.dead.pop(&credential);
            return None;
        }
        if !grave.is_of(method(call)) {
            return None;
        }
        if grave.probe_at <= now {
            grave.probe_at = now + self.rules.probe_after;
            return None;
        }
        grave.answered += 1;
        grave.is_used_by(call);
        Some(grave.answer.clone())
    }

    /// Slack said that a call's credential is dead.
    pub(crate) fn died(
        &mut self,
        now: Instant,
        call: &Call,
        credential: &Arc<Credential>,
        answer: Answer,
    ) -> Change {
        let method = method(call);
        let probe_at = now + self.rules.probe_after;
        let narrow = answer.reason.may_be_of_one_method() && &**method != ASKS;
        if let Some(grave) = self.dead.get_mut(credential) {
            if !narrow || grave.only.as_ref().is_some_and(|only| only != method) {
                grave.only = None;
            }
            (grave.confirmed, grave.probe_at) = (now, probe_at);
            grave.is_used_by(call);
            grave.answer = FailedFast(Arc::new(answer));
            return Change::StillDead;
        }
        let mut grave = Grave {
            answer: FailedFast(Arc::new(answer)),
            only: narrow.then(|| Arc::clone(method)),
            since: now,
            confirmed: now,
            probe_at,
            answered: 0,
            workspace: None,
            caller: call.caller.clone(),
        };
        grave.is_used_by(call);
        self.dead.push(Arc::clone(credential), grave);
        Change::Died { tell: self.tells(now) }
    }

    /// Slack accepted a call's credential.
    pub(crate) fn lives(&mut self, call: &Call, credential: &Credential) -> Option<Change> {
        let grave = self.dead.peek(credential)?;
        // What one method refuses is not good because another takes it.
        grave.only.as_ref().is_none_or(|only| only == method(call)).then(|| {
            self.dead.pop(credential);
            Change::Revived
        })
    }

    /// What held calls with that credential are answered, those of a method at a time.
    pub(crate) fn of_held(
        &mut self,
        credential: &Credential,
        method: &Arc<str>,
    ) -> Option<FailedFast> {
        let grave = self.dead.peek_mut(credential)?;
        grave.is_of(method).then(|| {
            grave.answered += 1;
            grave.answer.clone()
        })
    }

    /// What is dead now, in no order.
    pub(crate) fn list(&self, now: Instant) -> Vec<DeadCredential> {
        let kept = self.rules.probe_after * KEPT;
        let dead = self.dead.iter().filter(|(_, grave)| now < grave.confirmed + kept);
        dead.map(|(credential, grave)| DeadCredential {
            kind: credential.kind(),
            name: credential.name(),
            // Of a token of which nothing is known its own name stands for the workspace.
            workspace: grave.workspace.clone().filter(|it| *it != credential.name()),
            caller: grave.caller.clone(),
            reason: grave.answer.0.reason,
            method: grave.only.clone(),
            age: now.saturating_duration_since(grave.since),
            probe_in: grave.probe_at.saturating_duration_since(now),
            answered: grave.answered,
        })
        .collect()
    }

    fn tells(&mut self, now: Instant) -> bool {
        let this_minute = |at: Instant| now.saturating_duration_since(at) < MINUTE;
        let (began, told) = self.minute.filter(|(at, _)| this_minute(*at)).unwrap_or((now, 0));
        self.minute = Some((began, told.saturating_add(1)));
        told < TOLD
    }
}

// === impl Grave ===

impl Grave {
    /// That call has come with it.
    fn is_used_by(&mut self, call: &Call) {
        // A question of the proxy's own tells nothing.
        if let Some(labels) = call.record.labels() {
            self.caller = call.caller.clone();
            self.workspace.clone_from(&labels.workspace);
        }
    }

    /// Whether it concerns calls of that method.
    fn is_of(&self, method: &Arc<str>) -> bool {
        &**method != ASKS && self.only.as_ref().is_none_or(|only| only == method)
    }
}

/// A call's method. One that has a credential has one.
fn method(call: &Call) -> &Arc<str> {
    static NONE: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| "-".into());
    call.method.as_ref().map_or(&NONE, |method| &method.name)
}
