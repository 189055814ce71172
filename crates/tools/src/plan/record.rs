//! What comes of a simulated job: when its calls were done, and what they waited for.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// When each of the job's calls had its answer, in order.
    pub(super) finishes: Vec<Duration>,
    /// When each call of the others had its own.
    pub(super) others: Vec<Duration>,
    /// How long the job waited for what.
    pub(super) waits: BTreeMap<Wait, Duration>,
    /// How long of that for slots that are kept for more urgent calls.
    pub(super) for_people: BTreeMap<Wait, Duration>,
    /// How many of the job's calls the fullest bucket of each limit with a rate has had.
    pub(super) busiest: BTreeMap<Arc<str>, u64>,
    /// All of the time that was simulated.
    pub(super) took: Duration,
}

/// What a job waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wait {
    /// A limit, by its name.
    Limit(Arc<str>),
    /// Its own cap.
    Cap,
    /// Answers.
    Answers,
}
