//! The text that Prometheus scrapes, with the gauges brought up to date.

use std::time::Duration;

use prometheus::{Encoder, Gauge, GaugeVec, IntGauge, IntGaugeVec, TextEncoder};
use slack::{Catalogue, OTHER};

use super::{Metrics, busiest::LABELS, registry::Registry, sums::by_label};
use crate::{
    pauses::Target,
    queue::{ShedReason, Status},
};

/// The media type of the text.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// What is known only by looking: brought up to date when somebody looks.
#[derive(Debug)]
pub(super) struct Shown {
    queue_depth: IntGaugeVec,
    caller_depth: IntGaugeVec,
    oldest_wait: GaugeVec,
    hold: GaugeVec,
    slots_used: IntGaugeVec,
    slots_quota: IntGaugeVec,
    frozen: IntGauge,
    frozen_for: Gauge,
    places: IntGauge,
    paused: IntGaugeVec,
}

// === impl Metrics ===

impl Metrics {
    /// Everything in Prometheus' text format, the queue as `status` has it. Methods that the
    /// catalogue does not know are `other`.
    ///
    /// # Errors
    /// If a metric cannot be written as text, which a sound build never meets.
    pub fn text(&self, status: &Status, catalogue: &Catalogue) -> prometheus::Result<Vec<u8>> {
        self.all.shown.show(status, catalogue);
        self.begin(status);
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.all.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// Counters of what goes wrong are there with 0 before they count: Prometheus sees how much a
    /// series grows, and not where it begins. Each method has its own from its first call on, so they
    /// are as many as those that are called.
    fn begin(&self, status: &Status) {
        let mut methods = by_label(&self.all.requests, "method");
        methods.extend(status.queues.iter().map(|queue| (queue.method.to_string(), 0)));
        for method in methods.keys() {
            for reason in ShedReason::ALL {
                self.all.sheds.with_label_values(&[method, reason.as_str()]);
            }
            for surprise in [true, false] {
                self.refusals(method, surprise);
            }
            self.all.replays.with_label_values(&[method]);
        }
    }
}

// === impl Shown ===

impl Shown {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
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
            frozen_for: registry.fraction(
                "slackwater_frozen_seconds",
                "For how much longer a bucket is closed: the longest; 0 where none is.",
            )?,
            frozen: registry
                .gauge("slackwater_frozen_buckets", "Buckets closed because Slack said so.")?,
            places: registry
                .gauge("slackwater_places", "Places kept for calls that were sent away.")?,
            paused: registry.gauges(
                "slackwater_paused",
                "Methods, callers and workspaces that the operator has paused.",
                &["kind"],
            )?,
        })
    }

    fn show(&self, status: &Status, catalogue: &Catalogue) {
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
        self.slots_used.reset();
        self.slots_quota.reset();
        for bucket in &status.buckets {
            if let Some(method) = bucket.method() {
                let label = [catalogue.get(method).map_or(OTHER, |method| &method.name)];
                self.slots_used.with_label_values(&label).add(bucket.used.into());
                self.slots_quota.with_label_values(&label).add(bucket.quota.into());
            }
        }
    }
}
