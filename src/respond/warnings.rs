//! Warns of refused calls that somebody can do something about: at most once a minute for each
//! caller and method, or for each kind of mistake in a URL, in bounded memory.

use std::{
    collections::HashMap,
    hash::Hash,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use foldhash::fast::RandomState;
use tokio::time::Instant;

use super::{
    cure::{BASE_URL, cure},
    shown_path::shown,
};
use crate::{
    call::record::Record,
    queue::{ShedReason, whole_seconds},
};

/// Warns of refused calls. Clones keep one count.
#[derive(Clone, Debug, Default)]
pub struct Warnings {
    sheds: Arc<Mutex<Limiter<Pair>>>,
    /// Of calls that go nowhere, by the error that they get.
    lost: Arc<Mutex<Limiter<&'static str>>>,
}

/// A caller, and the method that it calls; none where calls are only forwarded.
type Pair = (Arc<str>, Option<Arc<str>>);

/// Says when it is time for the next warning of a kind.
#[derive(Debug, Default)]
struct Limiter<K> {
    kinds: HashMap<K, Untold, RandomState>,
    /// When this minute began, and how many warnings it has had.
    minute: Option<(Instant, usize)>,
}

/// What has been refused of a kind and not been told.
#[derive(Debug, Default)]
struct Untold {
    refused: u64,
    /// When the last warning was.
    told: Option<Instant>,
}

/// So many kinds are remembered.
const KINDS: usize = 1024;
/// So many warnings are given in a minute, of all kinds together: callers choose their names, and
/// must not fill the log with them.
const WARNINGS: usize = 60;

const MINUTE: Duration = Duration::from_secs(60);

// === impl Warnings ===

impl Warnings {
    /// A call was shed that could have gone after that time, if that is known.
    pub(super) fn shed(&self, record: &Record, reason: ShedReason, could_go_in: Option<Duration>) {
        // What the operator has asked for, and what Slack says, is told elsewhere.
        let (Some(cure), Some(labels)) = (cure(reason, record), record.labels()) else { return };
        let method = labels.method.as_ref().map(|method| Arc::clone(&method.name));
        let pair = (Arc::clone(labels.caller.shared()), method);
        let Some(refused) = count(&self.sheds, pair) else { return };
        tracing::warn!(
            caller = &*labels.caller,
            method = record.method(),
            reason = reason.as_str(),
            would_wait_seconds = could_go_in.map(|more| whole_seconds(record.wait() + more)),
            client_waits_seconds = record.client_waits().map(|waits| waits.as_secs_f64()),
            refused,
            cure,
            request_id = record.ids().request(),
            trace_id = record.ids().trace(),
            "calls are refused instead of held"
        );
    }

    /// A call goes nowhere, for this error.
    pub(super) fn lost(&self, record: &Record, error: &'static str, path: &str) {
        let Some(refused) = count(&self.lost, error) else { return };
        tracing::warn!(
            error,
            path = shown(path),
            refused,
            cure = BASE_URL,
            request_id = record.ids().request(),
            trace_id = record.ids().trace(),
            "calls go nowhere: their URL is wrong"
        );
    }
}

fn count<K: Clone + Eq + Hash>(limiter: &Mutex<Limiter<K>>, kind: K) -> Option<u64> {
    limiter.lock().unwrap_or_else(PoisonError::into_inner).count(Instant::now(), kind)
}

// === impl Limiter ===

impl<K: Clone + Eq + Hash> Limiter<K> {
    /// Counts a refusal. How many there are to warn of, if it is time for that.
    fn count(&mut self, now: Instant, kind: K) -> Option<u64> {
        if self.kinds.len() >= KINDS && !self.kinds.contains_key(&kind) {
            self.forget_oldest();
        }
        let this_minute = |at: Instant| now.saturating_duration_since(at) < MINUTE;
        let (began, told) = self.minute.filter(|(at, _)| this_minute(*at)).unwrap_or((now, 0));
        let untold = self.kinds.entry(kind).or_default();
        untold.refused += 1;
        if told >= WARNINGS || untold.told.is_some_and(this_minute) {
            return None;
        }
        self.minute = Some((began, told + 1));
        untold.told = Some(now);
        Some(mem::take(&mut untold.refused))
    }

    /// Forgets the kind whose last warning is longest ago.
    fn forget_oldest(&mut self) {
        let oldest = self.kinds.iter().min_by_key(|(_, untold)| untold.told);
        if let Some(kind) = oldest.map(|(kind, _)| kind.clone()) {
            self.kinds.remove(&kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Red when each refusal is told, when those between two warnings are lost, and when one kind
    /// silences another.
    #[test]
    fn a_kind_is_told_of_once_a_minute_with_all_that_was_refused() {
        let (start, mut limiter) = (Instant::now(), Limiter::default());
        assert_eq!(limiter.count(start, "a"), Some(1));
        for n in 0..59 {
            assert_eq!(limiter.count(start + n * SECOND, "a"), None, "{n}");
        }
        assert_eq!(limiter.count(start + SECOND, "b"), Some(1));
        assert_eq!(limiter.count(start + MINUTE, "a"), Some(60));
        assert_eq!(limiter.count(start + MINUTE, "b"), None);
        assert_eq!(limiter.count(start + 3 * MINUTE, "b"), Some(2));
    }

    /// Red when every name has a place, when the newest loses its own, and when names that nobody
    /// has seen before fill the log.
    #[test]
    fn names_without_end_take_bounded_memory_and_few_lines() {
        let (start, mut limiter) = (Instant::now(), Limiter::default());
        let mut told = 0;
        for n in 0..10_000 {
            told += usize::from(limiter.count(start, n).is_some());
            assert!(limiter.kinds.len() <= KINDS);
        }
        assert_eq!(told, WARNINGS);
        assert_eq!(limiter.count(start + MINUTE, 9_999), Some(2), "it is still remembered");
        assert_eq!(limiter.count(start + MINUTE, 10_000), Some(1));
    }

    /// Red when another than the oldest is forgotten: it would be told of twice in a minute.
    #[test]
    fn the_oldest_is_forgotten() {
        let (start, mut limiter) = (Instant::now(), Limiter::default());
        let at = |n: u32| start + n * 2 * SECOND;
        let kinds = u32::try_from(KINDS).unwrap();
        for n in 0..=kinds {
            assert_eq!(limiter.count(at(n), n), Some(1));
        }
        assert!(!limiter.kinds.contains_key(&0));
        assert_eq!(limiter.count(at(kinds), kinds - 1), None);
    }
}
