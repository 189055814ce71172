//! What is told of a call however it ends: in its answer's headers, the metrics and the log.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use config::CallerName;
use limits::{BucketKey, Class};
use slack::{Method, RefusedAs, Retries, Tier};

use super::{
    ids::Ids,
    refusing::Refusing,
    trace::{Met, Trace},
};

/// What is told of one call. Written on its way in, read when its answer goes out.
#[derive(Debug, Default)]
pub struct Record {
    ids: Ids,
    /// What it meets, if it is traced.
    trace: Option<Box<Trace>>,
    labels: OnceLock<Labels>,
    waited: AtomicU64,
    client_waits: OnceLock<Duration>,
    attempts: AtomicU32,
    /// How many newer edits were sent instead, at least.
    superseded: AtomicU64,
    /// Of its last answer.
    headroom: Mutex<Option<Headroom>>,
}

/// What the tightest bucket of a call has left, the call itself counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headroom {
    /// Which.
    pub bucket: BucketKey,
    /// Calls that it has room for.
    pub left: u32,
    /// The time until it has room for one more.
    pub more_in: Duration,
}

/// What a call is counted under.
#[derive(Clone, Debug)]
pub struct Labels {
    /// The rules of its method; absent where calls are only forwarded.
    pub method: Option<Arc<Method>>,
    /// How urgent it is.
    pub class: Class,
    /// Who sent it.
    pub caller: CallerName,
    /// The workspace that it counts for; absent where no token tells.
    pub workspace: Option<Arc<str>>,
    /// How its client is told that it is refused.
    pub refusing: Refusing,
    /// How long it may be held once more, where its client comes back by itself.
    pub again: Duration,
    /// What its client retries.
    pub retries: Retries,
}

// === impl Record ===

impl Record {
    /// That of a call that is known by these.
    pub fn of(ids: Ids) -> Self {
        Self { ids, ..Self::default() }
    }

    /// The same of one that is traced, if it is.
    #[must_use]
    pub fn traced(self, trace: Option<Box<Trace>>) -> Self {
        Self { trace, ..self }
    }

    /// What it has met, if it is traced.
    pub fn trace(&self) -> Option<&Trace> {
        self.trace.as_deref()
    }

    /// It met something, which is kept if it is traced.
    pub fn met(&self, met: impl FnOnce() -> Met) {
        if let Some(trace) = &self.trace {
            trace.add(met());
        }
    }

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

    /// It asks to go, and its client waits so long in all.
    pub fn held_at_most(&self, time: Duration) {
        // All attempts of a call have one deadline.
        let _ = self.client_waits.set(time);
    }

    /// So many newer edits have taken its place.
    pub fn superseded(&self, by: u64) {
        self.superseded.store(by, Ordering::Relaxed);
    }

    /// How many newer edits have taken its place.
    pub fn superseded_by(&self) -> u64 {
        self.superseded.load(Ordering::Relaxed)
    }

    /// It was sent, for the nth time, which is returned.
    pub fn sent(&self) -> u32 {
        self.attempts.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// It turned out that it was not sent after all.
    pub fn not_sent(&self) {
        self.attempts.fetch_sub(1, Ordering::Relaxed);
    }

    /// An attempt was answered, and its limits have this headroom; nothing if it is under none.
    pub fn keep_headroom(&self, headroom: Option<Headroom>) {
        *self.headroom.lock().unwrap_or_else(PoisonError::into_inner) = headroom;
    }

    /// The headroom of its limits, for the first who asks.
    pub fn take_headroom(&self) -> Option<Headroom> {
        self.headroom.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// How long it has waited in all.
    pub fn wait(&self) -> Duration {
        Duration::from_nanos(self.waited.load(Ordering::Relaxed))
    }

    /// How long its client waits; absent if it never came to the queue.
    pub fn client_waits(&self) -> Option<Duration> {
        self.client_waits.get().copied()
    }

    /// How often it was sent.
    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// What it is counted under, if it came to be classified.
    pub fn labels(&self) -> Option<&Labels> {
        self.labels.get()
    }

    /// What it is known by elsewhere.
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// How its client is told that it is refused.
    pub fn refusing(&self) -> Refusing {
        self.labels().map_or(Refusing::As(RefusedAs::default()), |labels| labels.refusing)
    }

    /// How long it may be held once more, where its client comes back by itself.
    pub fn again(&self) -> Duration {
        self.labels().map(|labels| labels.again).unwrap_or_default()
    }

    /// Whether its client sends a call again by itself whose connection broke.
    pub fn retries_broken_connections(&self) -> bool {
        self.labels().is_some_and(|labels| labels.retries == Retries::BrokenConnections)
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
