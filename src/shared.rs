//! What outlives a reload: the queue, the account of what calls hold, the identities, the counters, the clicks,
//! the warnings given, and the exchanges under way. Each stack of layers is built on it.

use std::{hash::RandomState, sync::Arc};

use config::Config;
use tokio_util::task::TaskTracker;

use crate::{
    call::body::Memory,
    clicks::Clicks,
    edits::EditBook,
    identity::Identities,
    joint::SavedMetrics,
    metrics::Registry,
    outbound::{exchange::ExchangeMetrics, retry::RetryMetrics},
    queue::{Admission, QueueMetrics},
    reads::ReadBook,
    respond::{AnswerMetrics, Failure, Warnings},
    state::{StoreMetrics, wall_clock},
    store::SharedMetrics,
    telemetry::LogMetrics,
    traces::{TraceMetrics, Tracer},
};

/// What all stacks of layers share, and the configuration of the newest.
#[derive(Clone, Debug)]
pub struct Shared {
    /// What the operator decided.
    pub config: Arc<Config>,
    /// Where calls wait.
    pub admission: Admission,
    /// What all calls hold, also those of stacks before.
    pub memory: Memory,
    /// Whose tokens are whose.
    pub identities: Identities,
    /// What is counted.
    pub counters: Counters,
    /// Which clients have clicks.
    pub clicks: Clicks,
    /// Traces calls, where that is wanted.
    pub tracer: Tracer,
    /// What has been warned of.
    pub warnings: Warnings,
    /// Reads that may be joined, and answers that are remembered.
    pub reads: ReadBook<Failure>,
    /// Edits that may be replaced.
    pub edits: EditBook<Failure>,
    /// Exchanges that outlive their callers.
    pub exchanges: TaskTracker,
    /// Tells callers and returning calls apart, also after a reload. Keyed, so that nobody can
    /// choose a name whose hash is another's.
    pub hasher: RandomState,
}

/// What the layers count, and where all metrics are registered. Clones count together.
#[derive(Clone, Debug)]
pub struct Counters {
    pub(crate) registry: Registry,
    /// Of the state file.
    pub store: StoreMetrics,
    /// Of the store that replicas share.
    pub shared: SharedMetrics,
    /// Of the queue.
    pub queue: QueueMetrics,
    /// Of exchanges with upstreams.
    pub exchange: ExchangeMetrics,
    /// Of calls that are sent again.
    pub retries: RetryMetrics,
    /// Of calls that need not be sent.
    pub saved: SavedMetrics,
    /// Of answers.
    pub answers: AnswerMetrics,
    /// Of the log.
    pub logs: LogMetrics,
    /// Of traces.
    pub traces: TraceMetrics,
}

// === impl Shared ===

impl Shared {
    /// What a new process begins with.
    ///
    /// # Errors
    /// As [`Counters::new`].
    pub fn new(config: Arc<Config>) -> prometheus::Result<Self> {
        let counters = Counters::new()?;
        let queue = counters.queue.clone();
        let admission =
            Admission::new(&config.queue, config.background_share, config.adaptive, queue);
        admission.configure_mode(config.mode);
        admission.configure_fail_fast(config.fail_fast);
        if let Some(split) = config.shared.as_ref().and_then(config::Shared::split) {
            admission.split(split, wall_clock());
        }
        Ok(Self {
            admission,
            memory: Memory::new(config.queue.max_bytes, config.queue.at_once()),
            identities: Identities::new(&config.identity),
            reads: ReadBook::new(&counters.saved),
            edits: EditBook::default(),
            exchanges: TaskTracker::new(),
            counters,
            clicks: Clicks::default(),
            tracer: Tracer::default(),
            warnings: Warnings::default(),
            config,
            hasher: RandomState::new(),
        })
    }
}

// === impl Counters ===

impl Counters {
    /// Registers what the layers count.
    ///
    /// # Errors
    /// If two metrics have one name, which a sound build never meets.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::default();
        Ok(Self {
            store: StoreMetrics::register(&registry)?,
            shared: SharedMetrics::register(&registry)?,
            queue: QueueMetrics::register(&registry)?,
            exchange: ExchangeMetrics::register(&registry)?,
            retries: RetryMetrics::register(&registry)?,
            saved: SavedMetrics::register(&registry)?,
            answers: AnswerMetrics::register(&registry)?,
            logs: LogMetrics::register(&registry)?,
            traces: TraceMetrics::register(&registry)?,
            registry,
        })
    }
}
