//! Those who wait, by their ticket and by the queue that operators see them in.
//!
//! Queues are kept up to date as calls come and go, so that a look at them costs what the
//! queues are, not the calls in them: whoever looks has the lock that every call needs.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use config::CallerName;
use limits::Class;
use scheduler::Ticket;
use slab::Slab;
use slack::Method;
use tokio::{sync::oneshot, time::Instant};

use super::Verdict;
use crate::call::Call;

/// All who wait.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// By the number of their ticket.
    all: HashMap<u64, Waiter>,
    queues: Slab<CallQueue>,
    ids: HashMap<QueueKey, usize>,
}

/// Whom to tell.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) ticket: Ticket,
    pub(super) verdict: oneshot::Sender<Verdict>,
    pub(super) since: Instant,
    /// When it is refused, if it has not gone.
    pub(super) until: Instant,
    queue: usize,
}

/// The held calls of one method, class and caller.
#[derive(Debug)]
pub(super) struct CallQueue {
    pub(super) key: QueueKey,
    /// Absent where calls are only forwarded.
    pub(super) method: Option<Arc<Method>>,
    /// Since when each waits, the oldest first, with the number of its ticket.
    calls: BTreeSet<(Instant, u64)>,
}

/// Which queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct QueueKey {
    /// The method's name; `-` where there is none.
    pub(super) method: Arc<str>,
    pub(super) class: Class,
    pub(super) caller: CallerName,
}

// === impl Waiters ===

impl Waiters {
    /// A call begins to wait.
    pub(super) fn add(&mut self, ticket: Ticket, call: &Call, verdict: oneshot::Sender<Verdict>) {
        let method = call.method.as_ref();
        let key = QueueKey {
            method: method.map_or_else(|| "-".into(), |method| Arc::clone(&method.name)),
            class: call.class,
            caller: call.caller.clone(),
        };
        let queue = self.ids.get(&key).copied().unwrap_or_else(|| {
            let (method, calls) = (call.method.clone(), BTreeSet::new());
            let id = self.queues.insert(CallQueue { key: key.clone(), method, calls });
            self.ids.insert(key, id);
            id
        });
        let since = call.arrived;
        self.queues[queue].calls.insert((since, ticket.number()));
        let until = call.deadline;
        self.all.insert(ticket.number(), Waiter { ticket, verdict, since, until, queue });
    }

    /// The call with that ticket no longer waits.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waiter> {
        let waiter = self.all.remove(&ticket.number())?;
        let queue = &mut self.queues[waiter.queue];
        queue.calls.remove(&(waiter.since, ticket.number()));
        if queue.calls.is_empty() {
            let queue = self.queues.remove(waiter.queue);
            self.ids.remove(&queue.key);
        }
        Some(waiter)
    }

    /// All who wait in these queues.
    pub(super) fn in_queues(
        &self,
        which: impl Fn(&CallQueue) -> bool,
    ) -> impl Iterator<Item = (&CallQueue, Ticket)> {
        let queues = self.queues.iter().map(|(_, queue)| queue);
        queues.filter(move |queue| which(queue)).flat_map(|queue| {
            let ticket = |(_, number): &(Instant, u64)| Some(self.all.get(number)?.ticket);
            queue.calls.iter().filter_map(ticket).map(move |ticket| (queue, ticket))
        })
    }

    /// Nobody waits any more.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Waiter> + use<> {
        std::mem::take(self).all.into_values()
    }

    /// Every queue in which somebody waits, and who waits longest.
    pub(super) fn queues(&self) -> impl Iterator<Item = (&CallQueue, &Waiter)> {
        self.queues.iter().filter_map(|(_, queue)| {
            let (_, number) = queue.calls.first()?;
            Some((queue, self.all.get(number)?))
        })
    }
}

// === impl CallQueue ===

impl CallQueue {
    /// How many calls wait in it.
    pub(super) fn depth(&self) -> usize {
        self.calls.len()
    }
}
