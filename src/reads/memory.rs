//! Answers that are remembered for a short time: bounded in their number and their bytes, and never on disk.
//!
//! A write drops what it makes old when it passes, once before it is sent and once after its answer. A read that
//! was sent before that is not remembered when its answer comes later.

use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use config::ReadCache;
use dashmap::DashMap;
use foldhash::quality::RandomState;
use prometheus::IntGauge;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::key::ReadKey;
use crate::{
    inbound::arguments::AllArguments,
    joint::{Answer, SavedMetrics},
};

/// Answers that are remembered. The operators' thread reads it, too.
#[derive(Debug)]
pub(super) struct Memory {
    answers: DashMap<ReadKey, Remembered, RandomState>,
    order: Mutex<Order>,
    /// How many there are, so that a call that has nothing to do with them costs a look at a number.
    count: IntGauge,
    bytes: IntGauge,
    /// There is one, and there was none.
    begins: Notify,
    hasher: RandomState,
}

/// In which order they were sent, by their numbers.
#[derive(Debug, Default)]
struct Order {
    last: u64,
    /// When each is to be forgotten.
    all: BTreeMap<u64, (Instant, ReadKey)>,
    /// No answer to a read of a method is remembered that was sent before that, nor one of any method.
    not_before: HashMap<Arc<str>, Instant, RandomState>,
    none_before: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Remembered {
    answer: Arc<Answer>,
    number: u64,
    /// When its read was sent. It is no older than that.
    sent: Instant,
    method: Arc<str>,
    /// The hashes of its arguments' names and values: a write may change the same.
    arguments: Box<[(u64, u64)]>,
    bytes: usize,
}

/// What a write makes old: answers of these methods, all if none is named, and of these only those with that
/// argument or without any of its name.
#[derive(Clone, Debug)]
pub(super) struct Old {
    pub(super) reads: Box<[Arc<str>]>,
    pub(super) argument: Option<(u64, u64)>,
}

/// So many are remembered at most, whatever their size.
const MOST: usize = 16_384;
/// What one takes beside its answer, about.
const EACH: usize = 512;

// === impl Memory ===

impl Memory {
    /// Nothing is remembered. The metrics tell how much is.
    pub(super) fn new(metrics: &SavedMetrics) -> Self {
        Self {
            answers: DashMap::default(),
            order: Mutex::default(),
            count: metrics.remembered.clone(),
            bytes: metrics.remembered_bytes.clone(),
            begins: Notify::new(),
            hasher: RandomState::default(),
        }
    }

    /// How many answers are remembered.
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.count.get()).unwrap_or_default()
    }

    /// How much memory they take.
    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.bytes.get()).unwrap_or_default()
    }

    /// The answer to that read, and how old it is.
    pub(super) fn recall(
        &self,
        key: &ReadKey,
        now: Instant,
        rules: &ReadCache,
    ) -> Option<(Arc<Answer>, Duration)> {
        if self.len() == 0 {
            return None;
        }
        let remembered = self.answers.get(key)?;
        let age = now.saturating_duration_since(remembered.sent);
        (age < rules.max_age).then(|| (Arc::clone(&remembered.answer), age))
    }

    /// An answer of that method, to a read that was sent then, is remembered as long as these rules say. The
    /// oldest ones make room.
    pub(super) fn keep(
        &self,
        key: ReadKey,
        (answer, sent): (&Answer, Instant),
        (method, arguments): (&Arc<str>, &AllArguments),
        rules: &ReadCache,
    ) {
        let arguments: Box<[_]> = arguments
            .iter()
            .filter_map(|(name, value)| Some(self.argument(name, value?)))
            .collect();
        let bytes = EACH + answer.bytes() + size_of_val(&*arguments);
        let mut order = self.order();
        let is_newest = self.answers.get(&key).is_none_or(|before| before.sent < sent);
        if bytes > rules.bytes || !is_newest || order.is_old(method, sent) {
            return;
        }
        order.last += 1;
        let (number, method) = (order.last, Arc::clone(method));
        let answer = Arc::new(answer.to_keep());
        let remembered = Remembered { answer, number, sent, method, arguments, bytes };
        if let Some(before) = self.answers.insert(key, remembered) {
            self.gone(&mut order, &before);
        }
        order.all.insert(number, (sent + rules.max_age, key));
        self.bytes.add(gauged(bytes));
        self.count.inc();
        if self.len() == 1 {
            self.begins.notify_one();
        }
        while self.len() > MOST || self.bytes() > rules.bytes {
            let Some((_, (_, oldest))) = order.all.pop_first() else { break };
            self.forget(&mut order, &oldest);
        }
    }

    /// A write has made these old. No answer counts that was asked for before `until`.
    pub(super) fn drop_old(&self, old: &[Old], until: Instant) {
        let mut order = self.order();
        for old in old {
            order.makes_old(old, until);
        }
        let is_old = |answer: &Remembered| old.iter().any(|old| old.has(answer));
        let gone: Vec<_> =
            self.answers.iter().filter(|it| is_old(it)).map(|it| *it.key()).collect();
        for key in gone {
            self.forget(&mut order, &key);
        }
    }

    /// Nothing is remembered any more.
    pub(super) fn clear(&self) {
        let mut order = self.order();
        while let Some((_, (_, key))) = order.all.pop_first() {
            self.forget(&mut order, &key);
        }
    }

    /// Forgets what is too old, until told to end.
    pub(super) async fn keep_time(&self, end: CancellationToken) {
        let forget = async {
            loop {
                let begins = self.begins.notified();
                let next = self.order().all.first_key_value().map(|(_, (until, _))| *until);
                let Some(next) = next else {
                    begins.await;
                    continue;
                };
                tokio::time::sleep_until(next).await;
                let now = Instant::now();
                let mut order = self.order();
                while let Some(first) = order.all.first_entry().filter(|it| it.get().0 <= now) {
                    let (_, key) = first.remove();
                    self.forget(&mut order, &key);
                }
            }
        };
        end.run_until_cancelled(forget).await;
    }

    /// An argument, as it is compared.
    pub(super) fn argument(&self, name: &str, value: &str) -> (u64, u64) {
        (self.hasher.hash_one(name), self.hasher.hash_one(value))
    }

    fn forget(&self, order: &mut Order, key: &ReadKey) {
        if let Some((_, gone)) = self.answers.remove(key) {
            self.gone(order, &gone);
        }
        if self.len() == 0 && self.answers.capacity() > MOST / 16 {
            self.answers.shrink_to_fit();
        }
    }

    fn gone(&self, order: &mut Order, gone: &Remembered) {
        order.all.remove(&gone.number);
        self.bytes.sub(gauged(gone.bytes));
        self.count.dec();
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Order ===

impl Order {
    /// Whether a write may have changed what a read of that method was told that was sent then.
    fn is_old(&self, method: &Arc<str>, sent: Instant) -> bool {
        let not_before = self.not_before.get(method).copied();
        not_before.max(self.none_before).is_some_and(|at| sent <= at)
    }

    fn makes_old(&mut self, old: &Old, until: Instant) {
        if old.reads.is_empty() {
            self.none_before = self.none_before.max(Some(until));
        }
        for method in &old.reads {
            // As many as the catalogue has.
            let at = self.not_before.entry(Arc::clone(method)).or_insert(until);
            *at = until.max(*at);
        }
    }
}

fn gauged(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

// === impl Old ===

impl Old {
    fn has(&self, answer: &Remembered) -> bool {
        let is_same = |(name, value): (u64, u64)| {
            let own = answer.arguments.iter().find(|(own, _)| *own == name);
            own.is_none_or(|(_, own)| *own == value)
        };
        let is_read = self.reads.is_empty() || self.reads.contains(&answer.method);
        is_read && self.argument.is_none_or(is_same)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::{inbound::arguments, metrics::Registry};

    fn rules(bytes: usize) -> ReadCache {
        ReadCache { bytes, ..ReadCache::default() }
    }

    async fn keep(memory: &Memory, number: u64, sent: Instant, rules: &ReadCache) {
        let answer = Answer::of(r#"{"ok":true}"#);
        let arguments = arguments::all(None, &HeaderMap::new(), b"user=U1").await.unwrap();
        let method = Arc::from("users.info");
        memory.keep(ReadKey::numbered(number), (&answer, sent), (&method, &arguments), rules);
    }

    fn memory() -> Memory {
        Memory::new(&SavedMetrics::register(&Registry::default()).unwrap())
    }

    /// Red when as many are kept as there are, or when others go than the oldest.
    #[tokio::test]
    async fn no_more_are_kept_than_may_be() {
        let (memory, now) = (memory(), Instant::now());
        let most = MOST as u64;
        for number in 0..most + 10 {
            keep(&memory, number, now, &rules(usize::MAX)).await;
        }
        assert_eq!((memory.len(), memory.order().all.len()), (MOST, MOST));
        let has = |number| memory.recall(&ReadKey::numbered(number), now, &rules(0)).is_some();
        assert!(!has(9) && has(10) && has(most + 9));
        for number in 0..10 {
            keep(&memory, number, now, &rules(10 * EACH)).await;
        }
        assert!(memory.len() < 10 && memory.bytes() <= 10 * EACH, "{}", memory.bytes());
        memory.clear();
        assert_eq!((memory.len(), memory.bytes(), memory.order().all.len()), (0, 0, 0));
    }

    /// Red when what was asked for before a write is kept after it, whatever method it is of.
    #[tokio::test]
    async fn what_was_asked_for_before_a_write_is_not_kept() {
        let (memory, now) = (memory(), Instant::now());
        let second = Duration::from_secs(1);
        for (reads, kept) in [("users.list", 1), ("users.info", 0)] {
            let reads = [Arc::from(reads)].into();
            memory.drop_old(&[Old { reads, argument: None }], now);
            keep(&memory, 1, now, &rules(1 << 20)).await;
            assert_eq!(memory.len(), kept);
        }
        keep(&memory, 1, now + second, &rules(1 << 20)).await;
        assert_eq!(memory.len(), 1);
        memory.drop_old(&[Old { reads: Box::default(), argument: None }], now + second);
        keep(&memory, 2, now + second, &rules(1 << 20)).await;
        assert_eq!(memory.len(), 0);
    }
}
