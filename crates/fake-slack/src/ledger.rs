//! The ledger: what was asked of the fake and what it refused, bounded in memory, exact in sum.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use serde::{Serialize, Serializer};

use super::{Call, Cause, Fault, LimitHit};

/// The latest calls and violations, and the totals of all.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// What all calls come to.
    pub totals: Totals,
    /// The latest calls that were refused for a limit, oldest first.
    pub violations: VecDeque<Violation>,
    /// The latest calls, in the order in which they were counted.
    pub calls: VecDeque<Entry>,
    capacity: usize,
}

/// Sums over every call since the start or the last reset. A call is one of ok, refused,
/// failed, scripted and faulted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// All calls.
    pub calls: u64,
    /// Answered with `ok: true`, or as well as that.
    pub ok: u64,
    /// Refused for a limit: the violations.
    pub refused: u64,
    /// Answered with an error that is no limit's: no token, no channel.
    pub failed: u64,
    /// Answered by a script, unjudged.
    pub scripted: u64,
    /// Without the usual answer because of a fault.
    pub faulted: u64,
    /// Calls to post that were accepted.
    pub posts: u64,
    /// By method; the thousandth and later ones together as `other`.
    pub by_method: BTreeMap<Arc<str>, MethodTotals>,
}

/// Sums over the calls of one method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MethodTotals {
    /// All calls.
    pub calls: u64,
    /// Refused for a limit.
    pub refused: u64,
}

/// A call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Which call since the start or the last reset it is, from 1.
    pub seq: u64,
    /// When it was counted, since the start; in JSON in milliseconds.
    #[serde(rename = "at_ms", serialize_with = "as_millis")]
    pub at: Duration,
    /// The method.
    pub method: Arc<str>,
    /// The app; empty without a valid token.
    pub app: Arc<str>,
    /// The workspace; empty without a valid token.
    pub workspace: Arc<str>,
    /// The channel it named.
    pub channel: Option<Arc<str>>,
    /// What stands for its token.
    pub token: Arc<str>,
    /// What stands for its URL, if whoever knows it may call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Arc<str>>,
    /// The status of the answer.
    pub status: u16,
    /// How it came out.
    pub outcome: RecordedAs,
    /// What went wrong with it on purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
    /// The text it carried, or its beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Arc<str>>,
    /// Which accepted post since the start or the last reset it is, from 1: the order in which
    /// a channel's readers see them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<u64>,
}

/// How a call came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedAs {
    /// Answered with `ok: true`.
    Ok,
    /// Refused for a limit.
    Refused,
    /// Answered with an error that is no limit's.
    Failed,
    /// Answered by a script.
    Scripted,
    /// Without the usual answer because of a fault.
    Faulted,
}

/// A call that was refused for a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The call's `seq`.
    pub seq: u64,
    /// When it was refused, since the start; in JSON in milliseconds.
    #[serde(rename = "at_ms", serialize_with = "as_millis")]
    pub at: Duration,
    /// The method.
    pub method: Arc<str>,
    /// The status of the answer.
    pub status: u16,
    /// Which limit, and why.
    #[serde(flatten)]
    pub refusal: LimitHit,
}

/// So many methods are told apart in the totals.
const METHODS: usize = 1_000;

// === impl Ledger ===

impl Ledger {
    /// An empty one that keeps so many calls and violations.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            totals: Totals::default(),
            violations: VecDeque::new(),
            calls: VecDeque::new(),
            capacity,
        }
    }

    /// How many calls were refused for that reason, among the violations that are kept.
    pub fn refused_for(&self, cause: Cause) -> usize {
        self.violations.iter().filter(|violation| violation.refusal.cause == cause).count()
    }

    /// Writes down a call that was let through or failed for another reason than a limit.
    pub(super) fn record(
        &mut self,
        at: Duration,
        call: &Call,
        status: u16,
        outcome: RecordedAs,
        posts: bool,
    ) {
        let totals = &mut self.totals;
        totals.calls += 1;
        match outcome {
            RecordedAs::Ok => totals.ok += 1,
            RecordedAs::Refused => totals.refused += 1,
            RecordedAs::Failed => totals.failed += 1,
            RecordedAs::Scripted => totals.scripted += 1,
            RecordedAs::Faulted => totals.faulted += 1,
        }
        let order = (posts && outcome == RecordedAs::Ok).then(|| {
            totals.posts += 1;
            totals.posts
        });
        let known = totals.by_method.contains_key(&call.method);
        let name = if known || totals.by_method.len() < METHODS - 1 {
            Arc::clone(&call.method)
        } else {
            "other".into()
        };
        let method = totals.by_method.entry(name).or_default();
        method.calls += 1;
        method.refused += u64::from(outcome == RecordedAs::Refused);

        let entry = Entry {
            seq: totals.calls,
            at,
            method: Arc::clone(&call.method),
            app: Arc::clone(&call.identity.app),
            workspace: Arc::clone(&call.identity.workspace),
            channel: call.channel.clone(),
            token: Arc::clone(&call.identity.token),
            url: call.url.clone(),
            status,
            outcome,
            fault: None,
            text: call.text.clone(),
            order,
        };
        push(&mut self.calls, entry, self.capacity);
    }

    /// Something went wrong with the call that was written down last. A post that was accepted
    /// stays one, whatever its caller hears.
    pub(super) fn spoil(&mut self, fault: Fault, status: u16) {
        let Some(entry) = self.calls.back_mut() else { return };
        entry.fault = Some(fault.as_str());
        if entry.outcome == RecordedAs::Ok && !fault.is_harmless() {
            (entry.outcome, entry.status) = (RecordedAs::Faulted, status);
            self.totals.ok -= 1;
            self.totals.faulted += 1;
        }
    }

    /// Writes down a call that was refused for a limit.
    pub(super) fn refuse(&mut self, at: Duration, call: &Call, refusal: &LimitHit) {
        let status = refusal.status();
        self.record(at, call, status, RecordedAs::Refused, false);
        let violation = Violation {
            seq: self.totals.calls,
            at,
            method: Arc::clone(&call.method),
            status,
            refusal: refusal.clone(),
        };
        push(&mut self.violations, violation, self.capacity);
    }
}

/// Appends, and drops the oldest if there is no room.
fn push<T>(ring: &mut VecDeque<T>, item: T, capacity: usize) {
    while ring.len() >= capacity.max(1) {
        ring.pop_front();
    }
    ring.push_back(item);
}

/// Milliseconds with three decimals.
fn as_millis<S: Serializer>(at: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((at.as_secs_f64() * 1e6).round() / 1e3)
}
