//! What the live page is told each second: of all that `/status` has, the part that matters, so that
//! it stays small however many buckets and callers there are.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
};

use limits::Dimension;
use serde::Serialize;
use slack::{Catalogue, OTHER};

use super::{
    AdminState, BucketStatus, DeadStatus, Held, PauseStatus, QueueStatus, ReloadStatus, Status,
    Totals,
    history::Sample,
    lessons::{LessonStatus, lessons},
    mode::ModePage,
    status::left,
};
use crate::{metrics::Busy, state::unix_millis};

/// How things stand.
#[derive(Debug, Serialize)]
pub(super) struct Snapshot<'s> {
    /// When, in milliseconds of Unix time.
    at: u64,
    slackwater: &'static str,
    /// Where it listens for bots.
    listen: SocketAddr,
    totals: Totals,
    mode: ModePage,
    #[serde(skip_serializing_if = "Option::is_none")]
    reload: Option<ReloadStatus>,
    paused: Truncated<PauseStatus>,
    dead: Truncated<DeadStatus>,
    queues: Truncated<QueueStatus>,
    methods: Truncated<MethodView>,
    callers: Truncated<Activity>,
    workspaces: Truncated<Activity>,
    buckets: Truncated<BucketStatus>,
    /// What was learnt of limits.
    learnt: Truncated<LessonStatus>,
    /// The newest of the history.
    sample: Option<&'s Sample>,
}

/// The first of a list, and how long it is.
#[derive(Debug, Serialize)]
pub(super) struct Truncated<T> {
    first: Vec<T>,
    all: usize,
}

/// A method that has calls held, a bucket of its own, or calls of late.
#[derive(Debug, Serialize)]
struct MethodView {
    method: Arc<str>,
    tier: &'static str,
    held: Depths,
    /// How long the oldest held call has waited, in milliseconds.
    oldest_wait_ms: u64,
    /// Why the oldest does not go, and for how much longer.
    why: Option<&'static str>,
    until_ms: Option<u64>,
    slots: Slots,
}

/// Held calls by class.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Depths {
    interactive: usize,
    normal: usize,
    background: usize,
}

/// The buckets that calls of a method count against.
#[derive(Clone, Debug, Default, Serialize)]
struct Slots {
    /// The one that has least room, and how it stands.
    limit: Arc<str>,
    used: u32,
    quota: u32,
    /// All of them, those that have no room, and those that are shut.
    buckets: usize,
    full: usize,
    frozen: usize,
    /// Until the last of them opens, in milliseconds.
    frozen_for_ms: u64,
    probing: bool,
}

/// What a caller or a workspace does.
#[derive(Debug, Serialize)]
struct Activity {
    name: Arc<str>,
    /// Calls held.
    held: u64,
    /// Calls answered in this minute and the one before, the shed ones too.
    requests: u64,
    /// Those of them that were shed.
    sheds: u64,
}

/// So many of each are told of.
const QUEUES: usize = 60;
const METHODS: usize = 60;
const ACTIVITIES: usize = 30;
const PAUSES: usize = 100;
const DEAD: usize = 10;
const BUCKETS: usize = 100;
const LESSONS: usize = 20;

// === impl Snapshot ===

impl<'s> Snapshot<'s> {
    pub(super) fn of(state: &AdminState, sample: Option<&'s Sample>) -> Self {
        let status = Status::of(&state.admission, &state.names.all());
        let totals = Totals::of(state, &status);
        let config = state.live.config();
        let methods = methods(&status, sample, &config.catalogue);
        let Status { mut queues, mut buckets, callers, workspaces, paused, dead, .. } = status;
        queues.sort_by_key(|queue| Reverse(queue.oldest_wait_ms));
        most_pressing_first(&mut buckets);
        let mut learnt = lessons(&buckets);
        learnt.sort_by_key(|lesson| (!lesson.several, Reverse(lesson.buckets)));
        let top = state.metrics.counters.answers.top();
        Self {
            at: unix_millis(),
            slackwater: env!("CARGO_PKG_VERSION"),
            listen: state.listen,
            totals,
            mode: ModePage::from(&state.admission.modes()),
            reload: state.live.last().map(ReloadStatus::from),
            paused: Truncated::of(paused, PAUSES),
            dead: Truncated::of(dead, DEAD),
            queues: Truncated::of(queues, QUEUES),
            methods,
            callers: Truncated::of(activities(callers, top.callers), ACTIVITIES),
            workspaces: Truncated::of(activities(workspaces, top.workspaces), ACTIVITIES),
            learnt: Truncated::of(learnt, LESSONS),
            buckets: Truncated::of(buckets, BUCKETS),
            sample,
        }
    }
}

// === impl Truncated ===

impl<T> Truncated<T> {
    /// The first of them.
    pub(super) fn of(mut list: Vec<T>, most: usize) -> Self {
        let all = list.len();
        list.truncate(most);
        Self { first: list, all }
    }
}

// === impl Slots ===

impl Slots {
    /// One more bucket.
    fn add(&mut self, bucket: &BucketStatus) {
        self.join(&Self {
            limit: Arc::clone(&bucket.limit.name),
            used: bucket.used,
            quota: bucket.quota.unwrap_or(0),
            buckets: 1,
            full: usize::from(bucket.is_full()),
            frozen: usize::from(bucket.frozen_for_ms > 0),
            frozen_for_ms: bucket.frozen_for_ms,
            probing: bucket.probing,
        });
    }

    fn join(&mut self, other: &Self) {
        let fuller = u64::from(other.used) * u64::from(self.quota)
            > u64::from(self.used) * u64::from(other.quota);
        if self.buckets == 0 || fuller {
            self.limit = Arc::clone(&other.limit);
            (self.used, self.quota) = (other.used, other.quota);
        }
        self.buckets += other.buckets;
        self.full += other.full;
        self.frozen += other.frozen;
        self.frozen_for_ms = self.frozen_for_ms.max(other.frozen_for_ms);
        self.probing |= other.probing;
    }
}

// === impl MethodView ===

impl MethodView {
    fn new(method: &Arc<str>, tier: &'static str) -> Self {
        Self {
            method: Arc::clone(method),
            tier,
            held: Depths::default(),
            oldest_wait_ms: 0,
            why: None,
            until_ms: None,
            slots: Slots::default(),
        }
    }

    fn waits(&mut self, queue: &QueueStatus) {
        let Depths { interactive, normal, background } = &mut self.held;
        *match queue.class {
            "interactive" => interactive,
            "background" => background,
            _ => normal,
        } += queue.depth;
        if queue.oldest_wait_ms >= self.oldest_wait_ms {
            self.oldest_wait_ms = queue.oldest_wait_ms;
            (self.why, self.until_ms) = (queue.why, queue.until_ms);
        }
    }

    fn depth(&self) -> usize {
        self.held.interactive + self.held.normal + self.held.background
    }
}

/// The methods of which there is something to tell, those that wait longest first. Limits that several
/// methods count against are told of with each of them.
fn methods(
    status: &Status,
    sample: Option<&Sample>,
    catalogue: &Catalogue,
) -> Truncated<MethodView> {
    let mut slots = HashMap::<(&str, Option<&str>), Slots>::new();
    let mut all = BTreeMap::<Arc<str>, MethodView>::new();
    let known = |name: &str| catalogue.get(name).unwrap_or_else(|| catalogue.unknown());
    for bucket in &status.buckets {
        let method = bucket.method().map(|name| &*known(name).name);
        slots.entry((&bucket.limit.name, method)).or_default().add(bucket);
        if let Some(name) = method {
            let method = known(name);
            let new = || MethodView::new(&method.name, method.tier.as_str());
            all.entry(Arc::clone(&method.name)).or_insert_with(new);
        }
    }
    for queue in &status.queues {
        let view = all.entry(Arc::clone(&queue.method));
        view.or_insert_with(|| MethodView::new(&queue.method, queue.tier)).waits(queue);
    }
    for name in sample.into_iter().flat_map(Sample::methods) {
        let method = catalogue.get(name).filter(|_| name != OTHER);
        if let Some(method) = method {
            let new = || MethodView::new(&method.name, method.tier.as_str());
            all.entry(Arc::clone(&method.name)).or_insert_with(new);
        }
    }
    for (name, view) in &mut all {
        for limit in &known(name).limits {
            let by_method = limit.scope.iter().any(|by| by == Dimension::Method);
            let own = by_method.then_some(&**name);
            if let Some(slots) = slots.get(&(&*limit.name, own)) {
                view.slots.join(slots);
            }
        }
    }
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_by(|one, other| {
        let urgency = |view: &MethodView| {
            let slots = &view.slots;
            let left = left(slots.used, slots.quota);
            (view.depth() == 0, slots.frozen == 0, Reverse(view.depth()), left)
        };
        urgency(one).cmp(&urgency(other)).then_with(|| one.method.cmp(&other.method))
    });
    Truncated::of(all, METHODS)
}

/// Those that have calls held, then those that call most.
fn activities(held: Vec<Held>, busiest: Vec<Busy>) -> Vec<Activity> {
    let mut lately: HashMap<_, _> =
        busiest.iter().map(|busy| (Arc::clone(&busy.name), (busy.requests, busy.sheds))).collect();
    let mut all: Vec<_> = held
        .into_iter()
        .map(|Held { name, depth }| {
            let (requests, sheds) = lately.remove(&name).unwrap_or_default();
            Activity { name, held: depth, requests, sheds }
        })
        .collect();
    let others = busiest.into_iter().filter(|busy| lately.contains_key(&busy.name));
    all.extend(others.map(|Busy { name, requests, sheds }| Activity {
        name,
        held: 0,
        requests,
        sheds,
    }));
    all
}

/// Shut ones first, then those that calls wait for, then the fullest.
pub(super) fn most_pressing_first(buckets: &mut [BucketStatus]) {
    buckets.sort_by_cached_key(pressing);
}

/// How much it presses: the least goes first.
pub(super) fn pressing(bucket: &BucketStatus) -> impl Ord + use<> {
    let is_open = bucket.frozen_for_ms == 0 && !bucket.probing;
    let name = (Arc::clone(&bucket.limit.name), Arc::clone(bucket.key.shared()));
    (is_open, Reverse(bucket.waiting > 0), bucket.left(), Reverse(bucket.waiting), name)
}

#[cfg(test)]
mod tests {
    use slack::AppKind;

    use super::*;

    fn catalogue() -> Catalogue {
        Catalogue::built_in(AppKind::Internal).unwrap()
    }

    fn bucket(of: &str, limit: &str, key: &str, used: u32, frozen_for_ms: u64) -> BucketStatus {
        let catalogue = catalogue();
        let mut limits = catalogue.method(of).limits.iter();
        let limit = limits.find(|one| &*one.name == limit).unwrap();
        BucketStatus {
            limit: Arc::clone(limit),
            key: key.into(),
            whose: None,
            used,
            quota: Some(20),
            waiting: 0,
            places: 0,
            frozen_for_ms,
            probing: false,
            learnt: None,
        }
    }

    fn queue(method: &str, class: &'static str, depth: usize, oldest_wait_ms: u64) -> QueueStatus {
        QueueStatus {
            method: method.into(),
            tier: "tier2",
            class,
            caller: "job".try_into().unwrap(),
            depth,
            oldest_wait_ms,
            hold_ms: 0,
            waits_for: None,
            why: Some(if depth > 5 { "full" } else { "turn" }),
            until_ms: None,
        }
    }

    fn status(queues: Vec<QueueStatus>, buckets: Vec<BucketStatus>) -> Status {
        let (callers, workspaces, paused, dead, in_flight) = Default::default();
        Status { queues, buckets, callers, workspaces, paused, dead, places: 0, in_flight }
    }

    /// Red when a limit of another method counts, when one that several share does not, and when the
    /// emptiest bucket stands for all.
    #[test]
    fn a_method_tells_of_the_fullest_bucket_of_its_limits() {
        let list = "conversations.list";
        let buckets = vec![
            bucket(list, "tier2", "A1/T1/conversations.list", 3, 0),
            bucket(list, "tier2", "A1/T2/conversations.list", 20, 700),
            bucket("users.list", "tier2", "A1/T1/users.list", 19, 900),
            bucket("chat.postMessage", "post_per_workspace", "A1/T1", 7, 0),
        ];
        let queues = vec![
            queue(list, "normal", 9, 500),
            queue(list, "background", 2, 400),
            queue("chat.postMessage", "interactive", 1, 30),
        ];
        let methods = methods(&status(queues, buckets), None, &catalogue()).first;
        let names: Vec<_> = methods.iter().map(|view| &*view.method).collect();
        assert_eq!(names, [list, "chat.postMessage", "users.list"]);
        let Slots { used, buckets, full, frozen, frozen_for_ms, .. } = methods[0].slots;
        assert_eq!((used, buckets, full, frozen, frozen_for_ms), (20, 2, 1, 1, 700));
        let MethodView { held, oldest_wait_ms, why, .. } = &methods[0];
        assert_eq!(
            (held.normal, held.background, *oldest_wait_ms, *why),
            (9, 2, 500, Some("full"))
        );
        assert_eq!((methods[1].slots.used, methods[1].held.interactive), (7, 1));
        assert_eq!(&*methods[1].slots.limit, "post_per_workspace");
        assert_eq!(methods[2].slots.frozen_for_ms, 900);
    }

    /// Red when what callers send chooses the names, and when they have no bound.
    #[test]
    fn methods_that_nobody_knows_are_one() {
        let key = |n| format!("A1/T1/unheard.of.{n}");
        let buckets = (0..9).map(|n| bucket("conversations.list", "tier2", &key(n), n, 0));
        let methods = methods(&status(vec![], buckets.collect()), None, &catalogue());
        assert_eq!((methods.all, &*methods.first[0].method), (1, OTHER));
        let known = catalogue();
        let all = known.methods().map(|method| queue(&method.name, "normal", 1, 0)).collect();
        let Truncated { first, all } = super::methods(&status(all, vec![]), None, &known);
        assert_eq!((first.len(), all), (METHODS, known.methods().len()));
    }

    #[test]
    fn who_has_calls_held_comes_before_who_is_busy() {
        let held = vec![Held { name: "slow".into(), depth: 3 }];
        let busy = |name: &str, requests| Busy { name: name.into(), requests, sheds: requests / 2 };
        let all = activities(held, vec![busy("quick", 90), busy("slow", 2)]);
        let all = all.iter().map(|one| (&*one.name, one.held, one.requests, one.sheds));
        assert_eq!(all.collect::<Vec<_>>(), [("slow", 3, 2, 1), ("quick", 0, 90, 45)]);
    }
}
