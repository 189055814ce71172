//! What is counted of answers, and who calls most.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::StatusCode;
use prometheus::{HistogramVec, IntCounterVec};
use tokio::time::Instant;

use crate::{
    call::record::Record,
    metrics::{Busiest, Busy, Registry, by_label},
    queue::{ShedReason, WAIT},
};

/// Handles to the answers' metrics. Clones count together.
#[derive(Clone, Debug)]
pub struct AnswerMetrics {
    requests: IntCounterVec,
    wait: HistogramVec,
    sheds: IntCounterVec,
    busiest: Arc<Mutex<Ranks>>,
}

/// Who is busiest.
#[derive(Debug)]
struct Ranks {
    callers: Busiest,
    workspaces: Busiest,
}

/// Who calls most, the busiest first.
#[derive(Clone, Debug)]
pub struct Top {
    /// Callers.
    pub callers: Vec<Busy>,
    /// Workspaces.
    pub workspaces: Vec<Busy>,
}

/// What stands in the place of a status where there is no answer.
const CLOSED: &str = "closed";

// === impl AnswerMetrics ===

impl AnswerMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let callers = registry.counters(
            "slackwater_caller_requests_total",
            "Calls answered, by caller: the fifty busiest, and all others as other.",
            &["caller"],
        )?;
        let caller_sheds = registry.counters(
            "slackwater_caller_sheds_total",
            "Calls shed, by caller: the fifty busiest, and all others as other.",
            &["caller"],
        )?;
        let workspaces = registry.counters(
            "slackwater_workspace_requests_total",
            "Calls answered, by workspace: the fifty busiest, and all others as other.",
            &["workspace"],
        )?;
        let now = Instant::now();
        Ok(Self {
            requests: registry.counters(
                "slackwater_requests_total",
                "Calls answered, by the status that the caller got; closed for a connection that ended without.",
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
            busiest: Arc::new(Mutex::new(Ranks {
                callers: Busiest::new(now, callers, Some(caller_sheds)),
                workspaces: Busiest::new(now, workspaces, None),
            })),
        })
    }

    /// A call was answered, or its connection was closed; shed, if it was for that reason.
    pub fn answered(&self, record: &Record, status: Option<StatusCode>, shed: Option<ShedReason>) {
        if let Some(reason) = shed {
            self.shed(record.method(), reason.as_str());
        }
        let (tier, class) = (record.tier(), record.class());
        let code = status.as_ref().map_or(CLOSED, StatusCode::as_str);
        let labels = [record.method(), tier, class, code];
        self.requests.with_label_values(&labels).inc();
        if let Some(labels) = record.labels() {
            self.answered_to(labels.caller.shared(), labels.workspace.as_ref(), shed.is_some());
        }
        if record.attempts() > 0 {
            let wait = self.wait.with_label_values(&[tier, class]);
            wait.observe(record.wait().as_secs_f64());
        }
    }

    fn answered_to(&self, caller: &Arc<str>, workspace: Option<&Arc<str>>, shed: bool) {
        let now = Instant::now();
        let mut ranks = self.ranks();
        ranks.callers.count(now, caller, shed);
        if let Some(workspace) = workspace {
            ranks.workspaces.count(now, workspace, shed);
        }
    }

    /// A call was shed.
    pub(crate) fn shed(&self, method: &str, reason: &str) {
        self.sheds.with_label_values(&[method, reason]).inc();
    }

    /// The method's counters of shed calls are exported with 0 before they count.
    pub(crate) fn begin(&self, method: &str) {
        for reason in ShedReason::ALL {
            self.sheds.with_label_values(&[method, reason.as_str()]);
        }
    }

    /// Calls answered since the start, by the value of a label.
    pub(crate) fn requests_by(&self, label: &str) -> BTreeMap<String, u64> {
        by_label(&self.requests, label)
    }

    /// Calls shed since the start, by the value of a label.
    pub(crate) fn sheds_by(&self, label: &str) -> BTreeMap<String, u64> {
        by_label(&self.sheds, label)
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
        self.busiest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
