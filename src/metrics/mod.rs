//! What Prometheus sees. One table of names, labels and help texts; label values are bounded
//! whatever callers send: a method that the catalogue does not know is `other`.

mod busiest;
mod gather;
mod health;
mod registry;
mod shadow;
mod sums;

use busiest::Busiest;
pub use busiest::Busy;
pub use gather::CONTENT_TYPE;
use gather::Shown;
use health::Health;
use registry::Registry;
use shadow::Shadow;
pub use sums::{Counts, Sums};

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::StatusCode;
use limits::{Dimension, Scope};
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use serde::Serialize;
use tokio::time::Instant;

use crate::call::record::Record;

/// Handles to every metric. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    all: Arc<All>,
}

#[derive(Debug)]
struct All {
    registry: Registry,
    requests: IntCounterVec,
    wait: HistogramVec,
    sheds: IntCounterVec,
    refusals: IntCounterVec,
    freezes: IntCounterVec,
    replays: IntCounterVec,
    exchange: HistogramVec,
    shadow: Shadow,
    in_flight: IntGaugeVec,
    busiest: Mutex<Ranks>,
    store_errors: IntCounter,
    reloads: IntCounterVec,
    shown: Shown,
    health: Health,
}

/// Who is busiest.
#[derive(Debug)]
struct Ranks {
    callers: Busiest,
    workspaces: Busiest,
}

/// Who calls most, the busiest first.
#[derive(Clone, Debug, Serialize)]
pub struct Top {
    /// Callers.
    pub callers: Vec<Busy>,
    /// Workspaces.
    pub workspaces: Vec<Busy>,
}

/// An exchange that is going on.
#[derive(Debug)]
pub struct InFlight(IntGauge);

/// From a millisecond to the longest hold: most calls wait for nothing, those of a job for minutes.
const WAIT: [f64; 17] = [
    0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0,
    900.0, 3600.0,
];
/// From a few milliseconds to the longest time-out.
const EXCHANGE: [f64; 13] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

// === impl Metrics ===

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// If two metrics have one name, which a sound build never meets.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::default();
        let build = registry.gauges(
            "slackwater_build_info",
            "Always 1; the version is in the label.",
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let callers = registry.counters(
            "slackwater_caller_requests_total",
            "Calls answered, by caller: the fifty busiest, and all others as other.",
            &["caller"],
        )?;
        let workspaces = registry.counters(
            "slackwater_workspace_requests_total",
            "Calls answered, by workspace: the fifty busiest, and all others as other.",
            &["workspace"],
        )?;
        let now = Instant::now();
        let all = All {
            requests: registry.counters(
                "slackwater_requests_total",
                "Calls answered, by the status that the caller got.",
                &["method", "tier", "class", "code"],
            )?,
            wait: registry.histograms(
                "slackwater_wait_seconds",
                "How long calls waited for their turn, over all attempts.",
                &["tier", "class"],
                &WAIT,
            )?,
            sheds: registry.counters(
                "slackwater_sheds_total",
                "Calls refused instead of held, or handed back refused by Slack.",
                &["method", "reason"],
            )?,
            refusals: registry.counters(
                "slackwater_upstream_429_total",
                "Calls that Slack refused for a limit, and whether that was unforeseen.",
                &["method", "surprise"],
            )?,
            freezes: registry.counters(
                "slackwater_freezes_total",
                "Buckets closed because Slack refused a call, by what they count per.",
                &["scope"],
            )?,
            replays: registry.counters(
                "slackwater_replays_total",
                "Calls queued again after Slack had refused them.",
                &["method"],
            )?,
            exchange: registry.histograms(
                "slackwater_upstream_seconds",
                "Time from sending a call to its answer's headers.",
                &["upstream", "code"],
                &EXCHANGE,
            )?,
            shadow: Shadow::new(&registry)?,
            in_flight: registry.gauges(
                "slackwater_in_flight",
                "Calls sent and not answered yet.",
                &["upstream"],
            )?,
            busiest: Mutex::new(Ranks {
                callers: Busiest::new(now, callers),
                workspaces: Busiest::new(now, workspaces),
            }),
            store_errors: registry.counter(
                "slackwater_store_errors_total",
                "Times that the state file could not be written, or not within a second.",
            )?,
            reloads: registry.counters(
                "slackwater_config_reloads_total",
                "New configurations, by whether they were applied or refused.",
                &["result"],
            )?,
            shown: Shown::new(&registry)?,
            health: Health::new(&registry)?,
            registry,
        };
        Ok(Self { all: Arc::new(all) })
    }

    /// A call was answered.
    pub fn answered(&self, record: &Record, status: StatusCode) {
        let (tier, class) = (record.tier(), record.class());
        let labels = [record.method(), tier, class, status.as_str()];
        self.all.requests.with_label_values(&labels).inc();
        if let Some(labels) = record.labels() {
            self.answered_to(labels.caller.shared(), labels.workspace.as_ref());
        }
        if record.attempts() > 0 {
            let wait = self.all.wait.with_label_values(&[tier, class]);
            wait.observe(record.wait().as_secs_f64());
        }
    }

    fn answered_to(&self, caller: &Arc<str>, workspace: Option<&Arc<str>>) {
        let now = Instant::now();
        let mut ranks = self.ranks();
        ranks.callers.count(now, caller);
        if let Some(workspace) = workspace {
            ranks.workspaces.count(now, workspace);
        }
    }

    /// Who calls most.
    pub fn top(&self) -> Top {
        let now = Instant::now();
        let mut ranks = self.ranks();
        Top { callers: ranks.callers.top(now), workspaces: ranks.workspaces.top(now) }
    }

    /// Whether a caller of that name has called lately, as far as names are kept.
    pub fn knows_caller(&self, name: &str) -> bool {
        self.ranks().callers.has(name)
    }

    /// The same for a workspace.
    pub fn knows_workspace(&self, name: &str) -> bool {
        self.ranks().workspaces.has(name)
    }

    fn ranks(&self) -> MutexGuard<'_, Ranks> {
        self.all.busiest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call was shed.
    pub fn shed(&self, method: &str, reason: &str) {
        self.all.sheds.with_label_values(&[method, reason]).inc();
    }

    /// Slack refused a call; by surprise where no pause was on and the window had room.
    pub fn refused(&self, method: &str, surprise: bool) {
        self.refusals(method, surprise).inc();
    }

    fn refusals(&self, method: &str, surprise: bool) -> IntCounter {
        let surprise = if surprise { "true" } else { "false" };
        self.all.refusals.with_label_values(&[method, surprise])
    }

    /// A bucket of a limit with that scope was closed. The label is bounded: limits come from
    /// the catalogue and the configuration only.
    pub fn froze(&self, scope: Scope) {
        let scope: Vec<_> = scope.iter().map(Dimension::as_str).collect();
        self.all.freezes.with_label_values(&[scope.join("_")]).inc();
    }

    /// The state file could not be written.
    pub fn store_failed(&self) {
        self.all.store_errors.inc();
    }

    /// A new configuration was applied, or refused.
    pub fn reloaded(&self, applied: bool) {
        let result = if applied { "applied" } else { "refused" };
        self.all.reloads.with_label_values(&[result]).inc();
        self.all.health.reloaded(applied);
    }

    /// A refused call goes to the queue again.
    pub fn replayed(&self, method: &str) {
        self.all.replays.with_label_values(&[method]).inc();
    }

    /// An exchange begins; it ends when the guard is dropped.
    pub fn in_flight(&self, upstream: &str) -> InFlight {
        let gauge = self.all.in_flight.with_label_values(&[upstream]);
        gauge.inc();
        InFlight(gauge)
    }

    /// An exchange came to its end.
    pub fn exchanged(&self, upstream: &str, code: &str, took: Duration) {
        let histogram: Histogram = self.all.exchange.with_label_values(&[upstream, code]);
        histogram.observe(took.as_secs_f64());
    }
}

// === impl InFlight ===

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
