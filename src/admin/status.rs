//! What operators are shown: who waits, why, and until when; who calls most; what became of a reload.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use config::CallerName;
use limits::{BucketKey, Dimension, Limit, Rule, Split, Values};
use scheduler::BucketState;
use serde::Serialize;
use tokio::time::Instant;

use super::snapshot::pressing;
use crate::{
    dead::DeadCredential,
    metrics::Busy,
    pauses::{Paused, Target},
    queue::{Admission, HeldCalls, QueueSnapshot, ServerLoad},
    reload::LastReload,
    state::unix_millis,
    store::{Difference, Shown},
};

/// What people call workspaces and bots, by their ids.
pub type ById = HashMap<Arc<str>, Arc<str>>;

/// Who waits, and for what.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Held calls, by method, class and caller.
    pub queues: Vec<QueueStatus>,
    /// The buckets that are alive; whole workspaces and apps only while they are shut.
    pub buckets: Vec<BucketStatus>,
    /// Callers that have calls held, most of them first.
    pub callers: Vec<Held>,
    /// Workspaces that have calls of the Web API held, most of them first.
    pub workspaces: Vec<Held>,
    /// What the operator has paused.
    pub paused: Vec<PauseStatus>,
    /// Tokens and webhooks whose calls are answered at once, those first that Slack told of first.
    pub dead: Vec<DeadStatus>,
    /// Places that are kept for calls that were sent away.
    pub places: usize,
    /// Calls in flight, to each server and to all.
    pub in_flight: Vec<InFlightStatus>,
}

/// Calls in flight to one server, or to all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InFlightStatus {
    /// The server's host and port; `*` stands for all.
    pub server: Arc<str>,
    /// Calls in flight.
    pub calls: usize,
    /// How many there may be.
    pub most: usize,
    /// Calls that are held and will go there.
    pub held: usize,
}

/// Whose calls are held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The name of the caller or the workspace.
    pub name: Arc<str>,
    /// Calls held.
    pub depth: u64,
}

/// A pause.
#[derive(Clone, Debug, Serialize)]
pub struct PauseStatus {
    /// What is paused.
    #[serde(flatten)]
    pub target: Target,
    /// Whether calls are shed at once, and not held.
    pub shed: bool,
    /// For how long already, in milliseconds.
    pub paused_for_ms: u64,
    /// Calls that wait for its end.
    pub waiting: u64,
}

/// A token or a webhook that Slack has called good for nothing.
#[derive(Clone, Debug, Serialize)]
pub struct DeadStatus {
    /// `token` or `webhook`.
    pub kind: &'static str,
    /// What stands for it: the beginning of its hash.
    pub name: Arc<str>,
    /// The workspace that it counts for, where that is known.
    pub workspace: Option<Arc<str>>,
    /// Who called with it.
    pub caller: CallerName,
    /// Why.
    pub reason: &'static str,
    /// The only method of which it is true; none if it is true of all.
    pub method: Option<Arc<str>>,
    /// For how long, in milliseconds.
    pub for_ms: u64,
    /// In how long a call passes and decides whether it is still so, in milliseconds.
    pub probe_in_ms: u64,
    /// Calls answered so.
    pub answered: u64,
}

/// The held calls of one method, class and caller.
#[derive(Clone, Debug, Serialize)]
pub struct QueueStatus {
    /// The method; `other` for those that are not known.
    pub method: Arc<str>,
    /// Its tier.
    pub tier: &'static str,
    /// The class.
    pub class: &'static str,
    /// The caller.
    pub caller: CallerName,
    /// Calls held.
    pub depth: usize,
    /// How long the oldest of them has waited, in milliseconds.
    pub oldest_wait_ms: u64,
    /// How long that one waits at most, in milliseconds.
    pub hold_ms: u64,
    /// For which bucket the oldest stands in line.
    pub waits_for: Option<String>,
    /// Why it does not go.
    pub why: Option<&'static str>,
    /// For how much longer, in milliseconds; absent if that takes an answer.
    pub until_ms: Option<u64>,
}

/// One bucket.
#[derive(Clone, Debug, Serialize)]
pub struct BucketStatus {
    /// The limit's name.
    #[serde(serialize_with = "name")]
    pub limit: Arc<Limit>,
    /// The values it counts by.
    #[serde(serialize_with = "values")]
    pub key: Values,
    /// What people call its bot and its workspace, as far as Slack has told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whose: Option<String>,
    /// Slots taken.
    pub used: u32,
    /// Slots in all; none if its limit has no figure, because it shuts on evidence only.
    pub quota: Option<u32>,
    /// Calls that are held for it.
    pub waiting: u64,
    /// Places in its line, of calls that were sent away.
    pub places: u64,
    /// For how much longer it is closed, in milliseconds; 0 if it is open.
    pub frozen_for_ms: u64,
    /// Whether, after a pause, calls are let through one by one.
    pub probing: bool,
    /// What Slack's refusals have taught of its limit, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learnt: Option<LearntStatus>,
}

/// What a bucket has learnt of its limit.
#[derive(Clone, Debug, Serialize)]
pub struct LearntStatus {
    /// What it keeps to instead: of this, a replica with a part of each limit has its part.
    pub quota: u32,
    /// Slots in all, as configured.
    pub configured: u32,
    /// The period in which Slack accepts `quota` calls.
    pub period_ms: u64,
    /// The configured one.
    #[serde(skip)]
    pub(super) configured_period_ms: u64,
    /// The quota that was refused last, if it has not been accepted since.
    pub refused: Option<u32>,
    /// How far calls are kept apart.
    pub spacing_ms: u64,
    /// Whether that is because Slack refuses bursts.
    pub bursts: bool,
    /// How long ago the last lesson was; none if only more than configured has been tried.
    pub ago_ms: Option<u64>,
    /// Why it keeps to something else: Slack accepts `fewer_calls` or `more_calls`, or it refuses
    /// `bursts`; `nothing` if it keeps to what is configured again.
    pub why: &'static str,
}

/// How many are not in a list that would be too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct LeftOut {
    queues: usize,
    buckets: usize,
}

/// Who calls much.
#[derive(Debug, Serialize)]
pub(super) struct BusyStatus {
    /// The name of the caller or the workspace.
    name: Arc<str>,
    /// Calls answered in this minute and the one before, the shed ones too.
    requests: u64,
    /// Those of them that were shed.
    sheds: u64,
}

/// Which replica it is.
#[derive(Debug, Serialize)]
pub(super) struct ReplicaStatus {
    /// Counted from 0.
    ordinal: u32,
    /// How many there are.
    replicas: u32,
}

/// The last reload.
#[derive(Debug, Serialize)]
pub(super) struct ReloadStatus {
    /// `applied` or `refused`.
    result: &'static str,
    /// How long ago, in milliseconds.
    ago_ms: u64,
    /// The first thing that is wrong with what was refused.
    mistake: Option<String>,
    /// How many there are.
    mistakes: usize,
}

/// The store that replicas share.
#[derive(Debug, Serialize)]
pub(super) struct SharedStatus {
    /// `connected`, `alone` or `lease_over`.
    state: &'static str,
    /// For how long that has been so, in milliseconds.
    for_ms: u64,
    /// How many replicas there are.
    members: usize,
    /// The servers that this replica is connected to: `10.0.0.7:6379`.
    servers: Vec<String>,
    /// The limits that another replica has been given with other figures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    limits_differ: Vec<DifferenceStatus>,
}

/// A limit that another replica has been given with other figures.
#[derive(Debug, Serialize)]
struct DifferenceStatus {
    /// Its name.
    limit: Arc<str>,
    /// A method that it is about, if it counts by method.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Arc<str>>,
    /// What this replica has: `20 per 60s`.
    here: String,
    /// What the other one has.
    elsewhere: String,
}

/// So many queues and buckets are told of. A page that is not read is kept for its reader.
const MOST: usize = 1000;

fn name<S: serde::Serializer>(limit: &Limit, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&limit.name)
}

fn values<S: serde::Serializer>(values: &Values, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(values.as_str())
}

/// The buckets that there is something to show of, in no order.
pub(super) fn buckets(admission: &Admission, names: &ById) -> Vec<BucketStatus> {
    let (now, buckets) = admission.buckets();
    let shown = buckets.into_iter().filter(is_shown);
    shown.map(|bucket| BucketStatus::new(bucket, names, now)).collect()
}

// === impl Status ===

impl Status {
    /// How the queue stands now.
    pub fn of(admission: &Admission, names: &ById) -> Self {
        Self::new(admission.snapshot(), names, unix_millis())
    }

    /// `clock` is now in milliseconds of Unix time.
    fn new(snapshot: QueueSnapshot, names: &ById, clock: u64) -> Self {
        let QueueSnapshot { now, mut queues, buckets: all, paused, dead, places, servers } =
            snapshot;
        queues.sort_by(|one, other| {
            (&one.method, one.class, &one.caller).cmp(&(&other.method, other.class, &other.caller))
        });
        let callers = queues.iter().map(|queue| (&queue.caller, queue.depth as u64));
        let callers = most_held(callers.map(|(name, depth)| (Arc::clone(name.shared()), depth)));
        let workspaces = most_held(all.iter().filter_map(|bucket| {
            let name = workspace(bucket).filter(|_| bucket.waiting > 0)?;
            Some((Arc::from(name), bucket.waiting))
        }));
        let (buckets, others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_shown);
        let buckets = buckets.into_iter();
        let mut buckets: Vec<_> =
            buckets.map(|bucket| BucketStatus::new(bucket, names, now)).collect();
        buckets.sort_by(|one, other| {
            (&one.limit.name, &one.key).cmp(&(&other.limit.name, &other.key))
        });
        let paused = paused.into_iter().map(|Paused { target, since, shed }| {
            let gate = target.gate();
            let gate = others.iter().find(|bucket| bucket.key == gate);
            let waiting = gate.map_or(0, |bucket| bucket.waiting);
            PauseStatus { target, shed, paused_for_ms: clock.saturating_sub(since), waiting }
        });
        let paused = paused.collect();
        let mut dead: Vec<_> = dead.into_iter().map(DeadStatus::from).collect();
        dead.sort_by(|one, other| (other.for_ms, &one.name).cmp(&(one.for_ms, &other.name)));
        let queues = queues.into_iter().map(|queue| QueueStatus::new(queue, now)).collect();
        let in_flight = servers.into_iter().map(InFlightStatus::from).collect();
        Self { queues, buckets, callers, workspaces, paused, dead, places, in_flight }
    }
}

impl Status {
    /// The queues that wait longest and the buckets that press most, as many as may be, and how many are left
    /// out. Their order is as it was.
    pub(super) fn bounded(mut self) -> (Self, LeftOut) {
        let left = |all: usize| all.saturating_sub(MOST);
        let left_out =
            LeftOut { queues: left(self.queues.len()), buckets: left(self.buckets.len()) };
        keep(&mut self.queues, |queue| Reverse(queue.oldest_wait_ms));
        keep(&mut self.buckets, pressing);
        (self, left_out)
    }
}

/// Keeps those that come first by that key, as many as may be, in the order that they have.
fn keep<T, K: Ord>(list: &mut Vec<T>, key: impl Fn(&T) -> K) {
    if list.len() > MOST {
        let mut all: Vec<_> = list.drain(..).enumerate().collect();
        all.sort_by_cached_key(|(_, one)| key(one));
        all.truncate(MOST);
        all.sort_by_key(|(at, _)| *at);
        list.extend(all.into_iter().map(|(_, one)| one));
    }
}

// === impl QueueStatus ===

impl QueueStatus {
    fn new(held: HeldCalls, now: scheduler::Instant) -> Self {
        let (bucket, block) = held.waits_for.unzip();
        Self {
            method: held.method,
            tier: held.tier,
            class: held.class.as_str(),
            caller: held.caller,
            depth: held.depth,
            oldest_wait_ms: millis(held.oldest_wait),
            hold_ms: millis(held.hold),
            waits_for: bucket.map(|bucket| bucket.to_string()),
            why: block.map(|block| block.reason.as_str()),
            until_ms: block.and_then(|block| block.until).map(|at| millis(at.since(now))),
        }
    }
}

// === impl DeadStatus ===

impl From<DeadCredential> for DeadStatus {
    fn from(dead: DeadCredential) -> Self {
        Self {
            kind: dead.kind,
            name: dead.name,
            workspace: dead.workspace,
            caller: dead.caller,
            reason: dead.reason.as_str(),
            method: dead.method,
            for_ms: millis(dead.age),
            probe_in_ms: millis(dead.probe_in),
            answered: dead.answered,
        }
    }
}

// === impl LearntStatus ===

impl LearntStatus {
    fn new(learnt: scheduler::Learnt, now: scheduler::Instant) -> Self {
        let (quota, configured) = (learnt.quota, learnt.documented);
        Self {
            quota,
            configured,
            configured_period_ms: millis(learnt.per),
            why: match quota.cmp(&configured).then(learnt.per.cmp(&learnt.period)) {
                Ordering::Less => "fewer_calls",
                Ordering::Greater => "more_calls",
                Ordering::Equal if learnt.bursts => "bursts",
                Ordering::Equal => "nothing",
            },
            period_ms: millis(learnt.period),
            refused: learnt.refused,
            spacing_ms: millis(learnt.spacing),
            bursts: learnt.bursts,
            ago_ms: learnt.since.map(|since| millis(now.since(since))),
        }
    }
}

impl LearntStatus {
    /// Whether it keeps to something else than what is configured.
    pub(super) fn is_other(&self) -> bool {
        self.is_lower() || self.quota > self.configured || self.bursts
    }

    /// Whether it keeps to fewer calls.
    pub(super) fn is_lower(&self) -> bool {
        self.quota < self.configured || self.period_ms > self.configured_period_ms
    }
}

// === impl InFlightStatus ===

impl From<ServerLoad> for InFlightStatus {
    fn from(ServerLoad { server, in_flight, most, held }: ServerLoad) -> Self {
        Self { server, calls: in_flight, most, held }
    }
}

// === impl BucketStatus ===

impl BucketStatus {
    fn new(bucket: BucketState, names: &ById, now: scheduler::Instant) -> Self {
        let whose = whose(&bucket.key, names);
        let has_figure = !matches!(bucket.key.limit.rule, Rule::Open | Rule::Gate);
        Self {
            limit: bucket.key.limit,
            key: bucket.key.values,
            whose,
            used: bucket.used,
            quota: has_figure.then_some(bucket.quota),
            waiting: bucket.waiting,
            places: bucket.places,
            frozen_for_ms: bucket.frozen_until.map_or(0, |until| millis(until.since(now))),
            probing: bucket.probing,
            learnt: bucket.learnt.map(|learnt| LearntStatus::new(learnt, now)),
        }
    }

    /// Whether every slot is taken.
    pub fn is_full(&self) -> bool {
        self.quota.is_some_and(|quota| self.used >= quota)
    }

    /// How much of it is left, in thousandths.
    pub(super) fn left(&self) -> u64 {
        self.quota.map_or(1000, |quota| left(self.used, quota))
    }

    /// The method that it counts, if its limit counts by method.
    pub fn method(&self) -> Option<&str> {
        self.key.get(self.limit.scope, Dimension::Method)
    }
}

// === impl BusyStatus ===

impl From<Busy> for BusyStatus {
    fn from(Busy { name, requests, sheds }: Busy) -> Self {
        Self { name, requests, sheds }
    }
}

// === impl ReplicaStatus ===

impl From<Split> for ReplicaStatus {
    fn from(split: Split) -> Self {
        Self { ordinal: split.ordinal(), replicas: split.replicas().get() }
    }
}

// === impl ReloadStatus ===

impl From<Shown> for SharedStatus {
    fn from(Shown { state, members, since, differences, servers }: Shown) -> Self {
        let for_ms = millis(Instant::now().saturating_duration_since(since));
        let limits_differ = differences.into_iter().map(DifferenceStatus::from).collect();
        let servers = servers.iter().map(ToString::to_string).collect();
        Self { state: state.as_str(), for_ms, members, servers, limits_differ }
    }
}

impl From<Difference> for DifferenceStatus {
    fn from(Difference { limit, method, here, elsewhere }: Difference) -> Self {
        Self { limit, method, here: here.to_string(), elsewhere: elsewhere.to_string() }
    }
}

impl From<LastReload> for ReloadStatus {
    fn from(LastReload { at, mistakes }: LastReload) -> Self {
        Self {
            result: if mistakes.is_some() { "refused" } else { "applied" },
            ago_ms: millis(Instant::now().saturating_duration_since(at)),
            mistake: mistakes.as_deref().and_then(|mistakes| mistakes.first().cloned()),
            mistakes: mistakes.map_or(0, |mistakes| mistakes.len()),
        }
    }
}

/// How much of so many slots is left, in thousandths.
pub(super) fn left(used: u32, quota: u32) -> u64 {
    let free = u64::from(quota.saturating_sub(used));
    free * 1000 / u64::from(quota.max(1))
}

/// `helper in Acme`.
fn whose(key: &BucketKey, names: &ById) -> Option<String> {
    let name = |by| key.value(by).and_then(|id| names.get(id));
    match (name(Dimension::App), name(Dimension::Workspace)) {
        (Some(bot), Some(workspace)) => Some(format!("{bot} in {workspace}")),
        (one, other) => one.or(other).map(ToString::to_string),
    }
}

/// The workspace that a bucket is the whole of.
fn workspace(bucket: &BucketState) -> Option<&str> {
    let is_whole = bucket.key.limit.rule == Rule::Open;
    bucket.key.value(Dimension::Workspace).filter(|_| is_whole)
}

/// Each name once, with the most calls first.
fn most_held(all: impl Iterator<Item = (Arc<str>, u64)>) -> Vec<Held> {
    let mut depths = BTreeMap::<Arc<str>, u64>::new();
    for (name, depth) in all {
        *depths.entry(name).or_default() += depth;
    }
    let mut held: Vec<_> = depths.into_iter().map(|(name, depth)| Held { name, depth }).collect();
    held.sort_by_key(|held| Reverse(held.depth));
    held
}

/// A whole workspace or app says something only while it is shut, and an order only while a call
/// waits for the one before: there is one for each thing that calls change. Pauses are told by
/// themselves.
fn is_shown(bucket: &BucketState) -> bool {
    match bucket.key.limit.rule {
        Rule::Rate(_) | Rule::Concurrency(_) => true,
        Rule::InOrder(_) => bucket.waiting > 0,
        Rule::Open => bucket.frozen_until.is_some() || bucket.probing,
        Rule::Gate => false,
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use slack::{AppKind, Catalogue, IN_ORDER, OPEN};

    use super::*;

    const NOW: scheduler::Instant = scheduler::Instant::from_nanos(1 << 40);

    fn bucket(limit: &Arc<Limit>, values: &str, waiting: u64) -> BucketState {
        let key = BucketKey { limit: Arc::clone(limit), values: values.into() };
        let (used, quota, places, frozen_until, probing) = (1, 20, 0, None, false);
        BucketState {
            key,
            used,
            quota,
            held: None,
            frozen_until,
            probing,
            waiting,
            places,
            learnt: None,
        }
    }

    /// Red when the page has no bound, when what presses is left out, and when what is left out is not said.
    #[test]
    fn a_page_has_so_many_rows_and_says_what_it_leaves_out() {
        let catalogue = Catalogue::built_in(AppKind::Internal).unwrap();
        let tier = &catalogue.method("conversations.list").limits[0];
        let mut buckets: Vec<_> =
            (0..MOST + 3).map(|n| bucket(tier, &format!("A1/T{n:05}"), 0)).collect();
        buckets[MOST + 1].probing = true;
        let queue = |n: usize| HeldCalls {
            method: format!("m{n:05}").into(),
            tier: "tier2",
            class: limits::Class::Normal,
            caller: "job".try_into().unwrap(),
            depth: 1,
            oldest_wait: std::time::Duration::from_secs(n as u64),
            hold: std::time::Duration::ZERO,
            waits_for: None,
        };
        let queues = (0..MOST + 2).map(queue).collect();
        let (paused, dead, servers) = Default::default();
        let snapshot =
            QueueSnapshot { now: NOW, queues, buckets, paused, dead, places: 0, servers };
        let (page, left_out) = Status::new(snapshot, &ById::new(), 0).bounded();
        assert_eq!(left_out, LeftOut { queues: 2, buckets: 3 });
        assert_eq!((page.queues.len(), page.buckets.len()), (MOST, MOST));
        assert_eq!((&*page.queues[0].method, &*page.queues[MOST - 1].method), ("m00002", "m01001"));
        assert_eq!(page.buckets[0].key.as_str(), "A1/T00000");
        assert_eq!(page.buckets[MOST - 1].key.as_str(), "A1/T01001", "the one that is shut");
    }

    /// Red when a pause is among the buckets, when a whole workspace is one that is open, and when
    /// another bucket's calls are taken for those that wait for the end of a pause. And when there is
    /// an order for each message that is changed.
    #[test]
    fn pauses_and_what_is_open_are_not_among_the_buckets() {
        let catalogue = Catalogue::built_in(AppKind::Internal).unwrap();
        let tier = &catalogue.method("conversations.list").limits[0];
        let whole = OPEN.iter().find(|limit| limit.scope.contains(Dimension::Workspace)).unwrap();
        let target = Target::Caller("job".try_into().unwrap());
        let gate = target.gate();
        let shut = BucketState { frozen_until: Some(NOW), ..bucket(whole, "A1/T2", 0) };
        let buckets = vec![
            shut,
            bucket(&IN_ORDER, "A1/T1/channel=C1,ts=1/job", 0),
            bucket(&IN_ORDER, "A1/T1/channel=C1,ts=2/job", 1),
            bucket(&gate.limit, "job", 3),
            bucket(&gate.limit, "other", 9),
            bucket(whole, "A1/T1", 4),
            bucket(tier, "A1/T1/conversations.list", 4),
        ];
        let paused = vec![Paused { target, since: 500, shed: false }];
        let queues = Vec::new();
        let (dead, servers) = Default::default();
        let snapshot =
            QueueSnapshot { now: NOW, queues, buckets, paused, dead, places: 0, servers };
        let names = [("A1", "helper"), ("T1", "Acme")].map(|(id, name)| (id.into(), name.into()));
        let status = Status::new(snapshot, &names.into(), 700);
        let shown: Vec<_> = status.buckets.iter().map(|one| one.key.as_str()).collect();
        let wanted = ["A1/T1/channel=C1,ts=2/job", "A1/T1/conversations.list", "A1/T2"];
        assert_eq!(shown, wanted);
        let owners = status.buckets.iter().map(|one| one.whose.as_deref()).collect::<Vec<_>>();
        assert_eq!(owners, [Some("helper in Acme"), Some("helper in Acme"), Some("helper")]);
        // Nobody wants to read 4,294,967,295.
        let quotas = status.buckets.iter().map(|one| one.quota).collect::<Vec<_>>();
        assert_eq!(quotas, [Some(20), Some(20), None]);
        assert_eq!(status.workspaces, [Held { name: "T1".into(), depth: 4 }]);
        assert_eq!((status.paused[0].waiting, status.paused[0].paused_for_ms), (3, 200));
    }
}
