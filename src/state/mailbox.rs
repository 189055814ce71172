//! What waits to be written: the handle that gives it, and who tells the thread that it is time.
//!
//! Calls that may go at about the same time share one write. The calls' thread serves what has come in one
//! go, so the [clerk](Store::attend), a task of it, wakes the writer only when all of that has been served; and
//! it is the clerk alone whom the writer wakes, for all who wait. So a write costs two wakes between threads,
//! however many calls share it. What nobody waits for goes with the next write, or after a moment by itself.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use scheduler::Note;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::StoreMetrics;
use crate::{identity::Learnt, pauses::Paused};

/// Where what happens is given to be written. Clones give to the same.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) shared: Arc<Mailbox>,
}

/// What the calls' thread and the writer share.
#[derive(Debug)]
pub(super) struct Mailbox {
    pending: Mutex<Pending>,
    /// It is time to write.
    due: Condvar,
    /// There is something for the clerk: to have written, or to tell.
    clerk: Notify,
    /// Who is to be told that it is written.
    written: Mutex<Vec<oneshot::Sender<()>>>,
    pub(super) metrics: StoreMetrics,
}

/// What is to be written next.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) notes: Vec<Note>,
    pub(super) learnt: Vec<Learnt>,
    /// All that is paused, if that has changed.
    pub(super) paused: Option<Vec<Paused>>,
    /// By which names the store of shared limits knows this process.
    pub(super) names: Vec<String>,
    /// Who waits until all of it is written.
    pub(super) told: Vec<oneshot::Sender<()>>,
    /// There was more than could be kept.
    pub(super) gap: bool,
    /// No more comes.
    pub(super) closed: bool,
    /// It is time.
    is_due: bool,
}

/// So much waits to be written at most, should the disk hang.
const MOST: usize = 1 << 16;
/// How long what nobody waits for may wait for company.
const LINGER: Duration = Duration::from_millis(10);
/// How long a call waits for the disk. After that it goes all the same.
const PATIENCE: Duration = Duration::from_secs(1);

// === impl Store ===

impl Store {
    pub(super) fn new(metrics: StoreMetrics) -> Self {
        let shared = Mailbox {
            pending: Mutex::default(),
            due: Condvar::new(),
            clerk: Notify::new(),
            written: Mutex::default(),
            metrics,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Has what comes written, and tells those who wait for it, until told to end. Without it nobody is told.
    pub async fn attend(&self, end: CancellationToken) {
        let shared = &*self.shared;
        let attending = async {
            let mut lingers: Option<Instant> = None;
            loop {
                match lingers {
                    None => shared.clerk.notified().await,
                    Some(until) => tokio::select! {
                        () = shared.clerk.notified() => {}
                        () = sleep_until(until) => {}
                    },
                }
                shared.tell();
                let mut pending = shared.lock();
                let now = Instant::now();
                if pending.told.is_empty() && !pending.notes.is_empty() && !pending.is_due {
                    let until = *lingers.get_or_insert(now + LINGER);
                    if now < until {
                        continue;
                    }
                }
                lingers = None;
                if !pending.is_empty() && !pending.is_due {
                    pending.is_due = true;
                    shared.due.notify_one();
                }
            }
        };
        end.run_until_cancelled(attending).await;
    }

    /// Takes what the scheduler noted.
    pub fn note(&self, notes: &mut Vec<Note>) {
        if notes.is_empty() {
            return;
        }
        let mut pending = self.shared.lock();
        let is_first = pending.is_empty();
        if pending.notes.len() + notes.len() > MOST {
            pending.gap = true;
            pending.notes.clear();
            notes.clear();
        }
        pending.notes.append(notes);
        drop(pending);
        if is_first {
            self.shared.clerk.notify_one();
        }
    }

    /// Takes what was learnt of tokens.
    pub fn learnt(&self, learnt: Vec<Learnt>) {
        let mut pending = self.shared.lock();
        if pending.learnt.len() < MOST {
            pending.learnt.extend(learnt);
        }
    }

    /// Takes what the operator has paused: all of it.
    pub fn paused(&self, all: Vec<Paused>) {
        self.shared.hurry(|pending| pending.paused = Some(all));
    }

    /// Takes a name by which the store of shared limits knows this process from now on.
    pub fn named(&self, name: String) {
        self.shared.hurry(|pending| pending.names.push(name));
    }

    /// Waits until all that was taken so far is in the file. Should the disk hang, it ends
    /// after a second: a limit may be overrun if the process is killed then, but calls go on.
    pub async fn written(&self) {
        let (tell, told) = oneshot::channel();
        let is_first = {
            let mut pending = self.shared.lock();
            if pending.closed {
                return;
            }
            pending.told.push(tell);
            pending.told.len() == 1
        };
        if is_first {
            self.shared.clerk.notify_one();
        }
        if timeout(PATIENCE, told).await.is_err() {
            self.shared.metrics.store_failed();
            tracing::error!(
                "the state file is not written: calls go on, and a kill may overrun limits"
            );
        }
    }

    /// Nothing comes after what was taken so far.
    pub fn close(&self) {
        self.shared.hurry(|pending| pending.closed = true);
    }
}

// === impl Mailbox ===

impl Mailbox {
    /// Guards a few lines at a time.
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be written at once.
    fn hurry(&self, take: impl FnOnce(&mut Pending)) {
        let mut pending = self.lock();
        take(&mut pending);
        pending.is_due = true;
        self.due.notify_one();
    }

    /// Waits until it is time to write, for `look` at most.
    pub(super) fn next(&self, look: Duration) -> Pending {
        let waits = |pending: &mut Pending| !pending.is_due;
        let pending = self.due.wait_timeout_while(self.lock(), look, waits);
        let (mut pending, _) = pending.unwrap_or_else(PoisonError::into_inner);
        pending.take()
    }

    /// All that there is to write.
    pub(super) fn take(&self) -> Pending {
        self.lock().take()
    }

    /// No more comes.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// It is written for these.
    pub(super) fn is_written(&self, told: Vec<oneshot::Sender<()>>) {
        if told.is_empty() {
            return;
        }
        self.written.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
        self.clerk.notify_one();
    }

    /// Tells those for whom it is written.
    pub(super) fn tell(&self) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        for tell in written.drain(..) {
            // Whoever has gone need not know.
            let _ = tell.send(());
        }
    }
}

// === impl Pending ===

impl Pending {
    fn take(&mut self) -> Self {
        std::mem::replace(self, Self { closed: self.closed, ..Self::default() })
    }

    /// Whether there is nothing that the clerk has to have written.
    fn is_empty(&self) -> bool {
        self.notes.is_empty() && self.told.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::{join, join_all};
    use scheduler::Instant as At;
    use tokio::time::{advance, sleep};

    use super::*;
    use crate::metrics::Registry;

    fn store() -> Store {
        Store::new(StoreMetrics::register(&Registry::default()).unwrap())
    }

    fn granted(call: u64) -> Vec<Note> {
        vec![Note::Granted { call, at: At::from_nanos(0), buckets: Vec::new() }]
    }

    /// How many notes a writer gets and writes, if it is woken now.
    fn taken(store: &Store) -> Option<usize> {
        let is_due = store.shared.lock().is_due;
        is_due.then(|| {
            let Pending { notes, told, .. } = store.shared.next(Duration::ZERO);
            store.shared.is_written(told);
            notes.len()
        })
    }

    /// Red when the writer is woken by the first of those who come together.
    #[tokio::test(start_paused = true)]
    async fn calls_that_come_together_share_a_write() {
        let store = store();
        let calls = join_all((0..100).map(|call| {
            let store = &store;
            async move {
                store.note(&mut granted(call));
                assert!(taken(store).is_none(), "before all have come");
                store.written().await;
            }
        }));
        let writer = async {
            loop {
                tokio::task::yield_now().await;
                if let Some(notes) = taken(&store) {
                    break assert_eq!(notes, 100);
                }
            }
        };
        tokio::select! {
            () = store.attend(CancellationToken::new()) => {}
            _ = join(calls, writer) => {}
        }
    }

    /// Red when each note wakes the writer, and when what nobody waits for is never written.
    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_waits_for_company() {
        let store = store();
        let acts = async {
            for call in 0..100 {
                store.note(&mut granted(call));
                tokio::task::yield_now().await;
                assert!(taken(&store).is_none());
            }
            advance(LINGER).await;
            sleep(Duration::from_millis(1)).await;
            assert_eq!(taken(&store), Some(100));
        };
        tokio::select! {
            () = store.attend(CancellationToken::new()) => {}
            () = acts => {}
        }
    }
}
