//! How many calls are in flight, to each server and in all: from their grant to the end of their answer.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use tokio::sync::Notify;

/// Calls in flight to one server.
#[derive(Debug)]
pub struct Count {
    own: Tally,
    all: Arc<Total>,
}

/// Calls in flight to all servers.
#[derive(Debug)]
pub struct Total {
    tally: Tally,
    freed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Tally {
    calls: AtomicUsize,
    /// Whether others wait until there are fewer.
    is_full: AtomicBool,
}

/// A call in flight. It ends when this is dropped; those who wait for that are told.
#[derive(Debug)]
pub struct InFlight(Arc<Count>);

// === impl Total ===

impl Total {
    /// None so far. Whoever lets waiting calls go is told by `freed` when one has ended.
    pub fn new(freed: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self { tally: Tally::default(), freed })
    }

    /// Calls in flight.
    pub fn calls(&self) -> usize {
        self.tally.calls.load(SeqCst)
    }

    /// Whether calls wait until there are fewer.
    pub fn set_full(&self, is_full: bool) {
        self.tally.is_full.store(is_full, SeqCst);
    }
}

// === impl Count ===

impl Count {
    /// One server's of all.
    pub fn new(all: &Arc<Total>) -> Arc<Self> {
        Arc::new(Self { own: Tally::default(), all: Arc::clone(all) })
    }

    /// Calls in flight.
    pub fn calls(&self) -> usize {
        self.own.calls.load(SeqCst)
    }

    /// Whether calls wait until there are fewer.
    pub fn set_full(&self, is_full: bool) {
        self.own.is_full.store(is_full, SeqCst);
    }
}

// === impl InFlight ===

impl InFlight {
    /// A call begins.
    pub fn begin(count: &Arc<Count>) -> Self {
        for tally in [&count.own, &count.all.tally] {
            tally.calls.fetch_add(1, SeqCst);
        }
        Self(Arc::clone(count))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let Count { own, all } = &*self.0;
        let mut is_awaited = false;
        for tally in [own, &all.tally] {
            tally.calls.fetch_sub(1, SeqCst);
            is_awaited |= tally.is_full.load(SeqCst);
        }
        if is_awaited {
            all.freed.notify_one();
        }
    }
}
