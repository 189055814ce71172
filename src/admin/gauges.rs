//! What is known only by looking: gauges that are brought up to date at a scrape.

use std::time::Duration;

use prometheus::{Gauge, GaugeVec, IntGauge, IntGaugeVec};
use slack::{Catalogue, Mode, OTHER};

use super::{
    Status,
    lessons::{LessonStatus, lessons},
};
use crate::{
    metrics::{LABELS, Registry},
    pauses::Target,
    queue::{Modes, ServerLoad},
};

/// Handles to what is looked up at a scrape. Clones are the same gauges.
#[derive(Clone, Debug)]
pub(super) struct Gauges {
    ready: IntGauge,
    connections: IntGauge,
    shadow: IntGaugeVec,
    queue_depth: IntGaugeVec,
    caller_depth: IntGaugeVec,
    held_why: IntGaugeVec,
    most_in_flight: IntGaugeVec,
    oldest_wait: GaugeVec,
    hold: GaugeVec,
    slots_used: IntGaugeVec,
    slots_quota: IntGaugeVec,
    frozen: IntGauge,
    frozen_for: Gauge,
    places: IntGauge,
    paused: IntGaugeVec,
    dead: IntGaugeVec,
    learnt: LearntGauges,
}

/// What was learnt of limits, by limit and method.
#[derive(Clone, Debug)]
struct LearntGauges {
    buckets: IntGaugeVec,
    quota: IntGaugeVec,
    configured: IntGaugeVec,
    refused: IntGaugeVec,
    ago: GaugeVec,
}

/// What can be dead.
const DEAD: [&str; 2] = ["token", "webhook"];

// === impl Gauges ===

impl Gauges {
    /// Registers what the process and the build export by themselves, too.
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        #[cfg(target_os = "linux")]
        registry.process()?;
        let build = registry.gauges(
            "slackwater_build_info",
            "Always 1; the version is in the label.",
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            ready: registry
                .gauge("slackwater_ready", "Whether calls are welcome: 1, or 0 from SIGTERM on.")?,
            connections: registry
                .gauge("slackwater_connections", "Connections of clients that are open.")?,
            shadow: registry.gauges(
                "slackwater_shadow",
                "What is only watched: the proxy (1 or 0), and how many methods.",
                &["kind"],
            )?,
            queue_depth: registry.gauges(
                "slackwater_queue_depth",
                "Calls held.",
                &["method", "tier", "class"],
            )?,
            caller_depth: registry.gauges(
                "slackwater_caller_queue_depth",
                "Calls held, by caller: the fifty with the most, and all others as other.",
                &["caller"],
            )?,
            held_why: registry.gauges(
                "slackwater_queue_held",
                "Calls held, by why the oldest of their queue does not go.",
                &["why"],
            )?,
            most_in_flight: registry.gauges(
                "slackwater_in_flight_most",
                "How many calls may be in flight to one server (each), and to all.",
                &["to"],
            )?,
            oldest_wait: registry.fractions(
                "slackwater_queue_oldest_wait_seconds",
                "How long the oldest held call of the method has waited.",
                &["method"],
            )?,
            hold: registry.fractions(
                "slackwater_queue_hold_seconds",
                "How long the oldest held call of the method waits at most.",
                &["method"],
            )?,
            slots_used: registry.gauges(
                "slackwater_slots_used",
                "Slots taken in the buckets that count by method.",
                &["method"],
            )?,
            slots_quota: registry.gauges(
                "slackwater_slots_quota",
                "Slots in all of the buckets that count by method.",
                &["method"],
            )?,
            learnt: LearntGauges::register(registry)?,
            frozen_for: registry.fraction(
                "slackwater_frozen_seconds",
                "For how much longer a bucket is closed: the longest; 0 where none is.",
            )?,
            frozen: registry
                .gauge("slackwater_frozen_buckets", "Buckets closed because Slack said so.")?,
            places: registry
                .gauge("slackwater_places", "Places kept for calls that were sent away.")?,
            dead: registry.gauges(
                "slackwater_dead",
                "Tokens and webhooks that Slack has called good for nothing.",
                &["kind"],
            )?,
            paused: registry.gauges(
                "slackwater_paused",
                "Methods, callers and workspaces that the operator has paused.",
                &["kind"],
            )?,
        })
    }

    /// Whether calls are welcome, and which are only watched; and how many clients are connected.
    pub(super) fn set_health(
        &self,
        ready: bool,
        connections: usize,
        modes: &Modes,
        catalogue: &Catalogue,
    ) {
        self.ready.set(ready.into());
        self.connections.set(i64::try_from(connections).unwrap_or(i64::MAX));
        let watched = catalogue.methods().filter(|method| modes.is_shadow(Some(method))).count();
        let methods = i64::try_from(watched).unwrap_or(i64::MAX);
        let proxy = i64::from(modes.proxy() == Mode::Shadow);
        self.shadow.with_label_values(&["proxy"]).set(proxy);
        self.shadow.with_label_values(&["method"]).set(methods);
    }

    /// How the queue stands. Methods that the catalogue does not know are `other`.
    pub(super) fn set_queue(&self, status: &Status, catalogue: &Catalogue) {
        // Scrapes are rare and what is gone must not linger, so the gauges are made anew.
        self.queue_depth.reset();
        self.oldest_wait.reset();
        self.hold.reset();
        for queue in &status.queues {
            let depth = i64::try_from(queue.depth).unwrap_or(i64::MAX);
            let labels = [&*queue.method, queue.tier, queue.class];
            self.queue_depth.with_label_values(&labels).add(depth);
            let oldest = self.oldest_wait.with_label_values(&[&*queue.method]);
            let wait = Duration::from_millis(queue.oldest_wait_ms).as_secs_f64();
            if wait >= oldest.get() {
                oldest.set(wait);
                let hold = Duration::from_millis(queue.hold_ms).as_secs_f64();
                self.hold.with_label_values(&[&*queue.method]).set(hold);
            }
        }
        self.held_why.reset();
        for queue in &status.queues {
            let depth = i64::try_from(queue.depth).unwrap_or(i64::MAX);
            let why = queue.why.unwrap_or("turn");
            self.held_why.with_label_values(&[why]).add(depth);
        }
        for load in &status.in_flight {
            let to = if &*load.server == ServerLoad::ALL { "all" } else { "each" };
            let most = i64::try_from(load.most).unwrap_or(i64::MAX);
            self.most_in_flight.with_label_values(&[to]).set(most);
        }
        self.caller_depth.reset();
        for (n, held) in status.callers.iter().enumerate() {
            let label = if n < LABELS { &*held.name } else { OTHER };
            let depth = i64::try_from(held.depth).unwrap_or(i64::MAX);
            self.caller_depth.with_label_values(&[label]).add(depth);
        }
        let frozen = status.buckets.iter().filter(|bucket| bucket.frozen_for_ms > 0).count();
        let longest = status.buckets.iter().map(|bucket| bucket.frozen_for_ms).max();
        self.frozen_for.set(Duration::from_millis(longest.unwrap_or(0)).as_secs_f64());
        self.frozen.set(i64::try_from(frozen).unwrap_or(i64::MAX));
        self.places.set(i64::try_from(status.places).unwrap_or(i64::MAX));
        for kind in Target::KINDS {
            let paused = status.paused.iter().filter(|pause| pause.target.kind() == kind).count();
            let gauge = self.paused.with_label_values(&[kind]);
            gauge.set(i64::try_from(paused).unwrap_or(i64::MAX));
        }
        for kind in DEAD {
            let dead = status.dead.iter().filter(|dead| dead.kind == kind).count();
            let gauge = self.dead.with_label_values(&[kind]);
            gauge.set(i64::try_from(dead).unwrap_or(i64::MAX));
        }
        self.learnt.set(&lessons(&status.buckets), catalogue);
        self.slots_used.reset();
        self.slots_quota.reset();
        for bucket in &status.buckets {
            if let Some(method) = bucket.method() {
                let label = [catalogue.get(method).map_or(OTHER, |method| &method.name)];
                self.slots_used.with_label_values(&label).add(bucket.used.into());
                self.slots_quota.with_label_values(&label).add(bucket.quota.unwrap_or(0).into());
            }
        }
    }
}

// === impl LearntGauges ===

impl LearntGauges {
    fn register(registry: &Registry) -> prometheus::Result<Self> {
        let labels = &["limit", "method"];
        Ok(Self {
            buckets: registry.gauges(
                "slackwater_learnt_buckets",
                "Buckets that keep to another limit than the configured one: Slack accepts \
                 fewer_calls, more_calls, or refuses bursts.",
                &["limit", "method", "why"],
            )?,
            quota: registry.gauges(
                "slackwater_learnt_quota",
                "The lowest quota that a bucket has learnt.",
                labels,
            )?,
            configured: registry.gauges(
                "slackwater_learnt_configured_quota",
                "The quota that is configured where another one was learnt.",
                labels,
            )?,
            refused: registry.gauges(
                "slackwater_learnt_refused_quota",
                "The lowest quota that Slack refused last where something was learnt.",
                labels,
            )?,
            ago: registry.fractions(
                "slackwater_learnt_age_seconds",
                "How long ago the last lesson was.",
                labels,
            )?,
        })
    }

    /// Methods that the catalogue does not know are `other`; `-` is a limit that counts all.
    fn set(&self, lessons: &[LessonStatus], catalogue: &Catalogue) {
        let Self { buckets, quota, configured, refused, ago } = self;
        [buckets, quota, configured, refused].into_iter().for_each(IntGaugeVec::reset);
        ago.reset();
        for lesson in lessons {
            let method = lesson
                .method
                .as_deref()
                .map_or("-", |method| catalogue.get(method).map_or(OTHER, |method| &method.name));
            let labels = [&*lesson.limit, method];
            let more =
                lesson.buckets - lesson.lower - lesson.bursts.min(lesson.buckets - lesson.lower);
            let whys =
                [("fewer_calls", lesson.lower), ("bursts", lesson.bursts), ("more_calls", more)];
            for (why, many) in whys.into_iter().filter(|(_, many)| *many > 0) {
                let many = i64::try_from(many).unwrap_or(i64::MAX);
                buckets.with_label_values(&[labels[0], labels[1], why]).add(many);
            }
            let lowest = quota.with_label_values(&labels);
            let is_first = lowest.get() == 0;
            if is_first || lowest.get() > lesson.lowest.into() {
                lowest.set(lesson.lowest.into());
            }
            configured.with_label_values(&labels).set(lesson.configured.into());
            if let Some(worst) = lesson.refused {
                let gauge = refused.with_label_values(&labels);
                gauge.set(if is_first { worst.into() } else { gauge.get().min(worst.into()) });
            }
            if let Some(ms) = lesson.ago_ms {
                let seconds = Duration::from_millis(ms).as_secs_f64();
                let gauge = ago.with_label_values(&labels);
                gauge.set(if is_first { seconds } else { gauge.get().min(seconds) });
            }
        }
    }
}
