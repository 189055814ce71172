//! What writes that pass say of reads: from when on an answer is not the newest any more, and what is
//! remembered no longer.

use std::{
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use config::ReadCache;
use foldhash::quality::RandomState;
use slack::{Drops, Method, OrderingArgument};
use tokio::time::Instant;

use super::memory::{Memory, Old};
use crate::{
    call::{Call, body::WHOLE, coding, record::Record},
    inbound::arguments,
};

/// When writes in each workspace ended last. Of many workspaces some share a place, and then their times.
#[derive(Debug)]
pub(super) struct Writes {
    origin: Instant,
    ended: Box<[AtomicU64]>,
    /// Of those whose workspace was not asked for.
    somewhere: AtomicU64,
    hasher: RandomState,
}

/// A write that passes. When it is dropped without having ended, its client has left, and it may still be under
/// way.
#[derive(Debug)]
pub(super) struct Passing<'b> {
    place: usize,
    old: Vec<Old>,
    of: (&'b Writes, &'b Memory),
    record: Arc<Record>,
    /// How long it may still be under way when its client leaves.
    lasts: Duration,
    has_ended: bool,
}

const PLACES: u64 = 256;

// === impl Writes ===

impl Writes {
    pub(super) fn new() -> Self {
        let ended = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        let (origin, hasher) = (Instant::now(), RandomState::default());
        Self { origin, ended, somewhere: AtomicU64::new(0), hasher }
    }

    /// A write was answered, or failed, in a workspace that nobody has asked for.
    pub(super) fn ended_somewhere(&self) {
        self.somewhere.fetch_max(self.nanos(Instant::now()), Relaxed);
    }

    fn end(&self, place: usize, at: Instant) {
        self.ended[place].fetch_max(self.nanos(at), Relaxed);
    }

    /// Whether a write in the call's workspace has ended since then, so that a read that was sent then may
    /// not know of it.
    pub(super) fn has_ended_since(&self, sent: Instant, call: &Call) -> bool {
        let ended = self.ended[self.place(&call.record)].load(Relaxed);
        self.nanos(sent) <= ended.max(self.somewhere.load(Relaxed))
    }

    fn place(&self, record: &Record) -> usize {
        let workspace = record.labels().and_then(|labels| labels.workspace.as_deref());
        usize::try_from(self.hasher.hash_one(workspace) % PLACES).unwrap_or_default()
    }

    /// Never zero, which stands for no write at all.
    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.origin).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX).saturating_add(1)
    }
}

/// Which remembered answers calls of that method make old, of those that are remembered.
pub(super) fn drops<'m>(
    method: &'m Method,
    cache: Option<&'m ReadCache>,
) -> impl Iterator<Item = &'m Drops> {
    let is_remembered =
        move |read| cache.is_some_and(|cache: &ReadCache| cache.methods.contains(read));
    let drops = method.saves.drops.iter().filter(move |_| cache.is_some());
    drops.filter(move |it| it.reads.is_empty() || it.reads.iter().any(is_remembered))
}

// === impl Passing ===

impl<'b> Passing<'b> {
    /// A write is about to be sent.
    pub(super) async fn begin(
        call: &Call,
        cache: Option<&ReadCache>,
        of: (&'b Writes, &'b Memory),
        lasts: Duration,
    ) -> Self {
        let (writes, memory) = of;
        let mut old = Vec::new();
        let drops: Vec<_> = call.method.iter().flat_map(|method| drops(method, cache)).collect();
        if !drops.is_empty() {
            let names = drops.iter().filter_map(|drops| drops.write_by.as_ref());
            let names: Vec<_> = names.flat_map(OrderingArgument::names).collect();
            let headers = &call.head.headers;
            let body = coding::unpacked(headers, call.body.known(), WHOLE).unwrap_or_default();
            let found = arguments::find(&names, call.head.url.query(), headers, &body).await;
            for drops in drops {
                let value = drops
                    .write_by
                    .iter()
                    .flat_map(OrderingArgument::names)
                    .find_map(|it| found.get(it));
                let argument = drops.read_by.as_deref().zip(value);
                let argument = argument.map(|(name, value)| memory.argument(name, value));
                old.push(Old { reads: drops.reads.clone(), argument });
            }
        }
        let place = writes.place(&call.record);
        let record = Arc::clone(&call.record);
        let passing = Self { place, old, of, record, lasts, has_ended: false };
        passing.makes_old(Instant::now());
        passing
    }

    /// It has been answered, or has failed.
    pub(super) fn ended(mut self) {
        self.has_ended = true;
    }

    /// What is remembered is not what is true any more, nor what is asked for until then.
    fn makes_old(&self, until: Instant) {
        let (_, memory) = self.of;
        if !self.old.is_empty() {
            memory.drop_old(&self.old, until);
        }
    }
}

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        // What was not sent has changed nothing.
        if self.record.attempts() == 0 {
            return;
        }
        let (writes, _) = self.of;
        let now = Instant::now();
        let until = if self.has_ended { now } else { now + self.lasts };
        writes.end(self.place, until);
        self.makes_old(until);
    }
}
