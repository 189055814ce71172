//! What is told of a call however it ends: in its answer's headers, the metrics and the log.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    scheduler::Class,
    slack::{Method, Tier},
};

/// What is told of one call. Written on its way in, read when its answer goes out.
#[derive(Debug, Default)]
pub struct Record {
    labels: OnceLock<Labels>,
    waited: AtomicU64,
    attempts: AtomicU32,
}

/// What a call is counted under.
#[derive(Clone, Debug)]
pub struct Labels {
    /// The rules of its method; absent where calls are only forwarded.
    pub method: Option<Arc<Method>>,
    /// How urgent it is.
    pub class: Class,
    /// Who sent it.
    pub caller: Arc<str>,
}

// === impl Record ===

impl Record {
    /// The call was classified.
    pub fn classified(&self, labels: Labels) {
        // A call is classified once.
        let _ = self.labels.set(labels);
    }

    /// It waited in the queue.
    pub fn waited(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.waited.fetch_add(nanos, Ordering::Relaxed);
    }

    /// It was sent, for the nth time, which is returned.
    pub fn sent(&self) -> u32 {
        self.attempts.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How long it has waited in all.
    pub fn wait(&self) -> Duration {
        Duration::from_nanos(self.waited.load(Ordering::Relaxed))
    }

    /// How often it was sent.
    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// What it is counted under, if it came to be classified.
    pub fn labels(&self) -> Option<&Labels> {
        self.labels.get()
    }

    /// The method's name in metrics: bounded, whatever callers send.
    pub fn method(&self) -> &str {
        let method = self.labels().and_then(|labels| labels.method.as_ref());
        method.map_or("-", |method| &method.name)
    }

    /// The tier's name in metrics.
    pub fn tier(&self) -> &'static str {
        let method = self.labels().and_then(|labels| labels.method.as_ref());
        method.map_or(Tier::None, |method| method.tier).as_str()
    }

    /// The class in metrics.
    pub fn class(&self) -> &'static str {
        self.labels().map(|labels| labels.class).unwrap_or_default().as_str()
    }
}
