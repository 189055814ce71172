//! What outlives a reload: the queue, the identities, the counters, and the exchanges under way. Each
//! stack of layers is built on it.

use std::{hash::RandomState, sync::Arc};

use config::Config;
use tokio_util::task::TaskTracker;

use crate::{identity::Identities, metrics::Metrics, queue::Admission};

/// What all stacks of layers share, and the configuration of the newest.
#[derive(Clone, Debug)]
pub struct Shared {
    /// What the operator decided.
    pub config: Arc<Config>,
    /// Where calls wait.
    pub admission: Admission,
    /// Whose tokens are whose.
    pub identities: Identities,
    /// What is counted.
    pub metrics: Metrics,
    /// Exchanges that outlive their callers.
    pub exchanges: TaskTracker,
    /// Tells callers and returning calls apart, also after a reload. Keyed, so that nobody can
    /// choose a name whose hash is another's.
    pub hasher: RandomState,
}

// === impl Shared ===

impl Shared {
    /// What a new process begins with.
    pub fn new(config: Arc<Config>, metrics: Metrics) -> Self {
        let admission = Admission::new(&config.queue, config.background_share, metrics.clone());
        admission.configure_mode(config.mode);
        Self {
            admission,
            identities: Identities::new(&config.identity),
            exchanges: TaskTracker::new(),
            metrics,
            config,
            hasher: RandomState::new(),
        }
    }
}
