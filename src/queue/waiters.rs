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

use super::{
    Verdict,
    servers::{ServerId, Servers},
};
use crate::{call::Call, dead::Credential};

/// All who wait.
#[derive(Debug)]
pub(super) struct Waiters {
    /// Where they will go.
    pub(super) servers: Servers,
    /// By the number of their ticket.
    all: HashMap<u64, Waiter>,
    queues: Slab<CallQueue>,
    ids: HashMap<QueueKey, usize>,
    /// The numbers of those that have one credential.
    of_credential: HashMap<Arc<Credential>, BTreeSet<u64>>,
}

/// Whom to tell.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) ticket: Ticket,
    pub(super) verdict: oneshot::Sender<Verdict>,
    pub(super) since: Instant,
    /// When it is refused, if it has not gone.
    pub(super) until: Instant,
    pub(super) server: ServerId,
    /// Whether it stands before the server's gates.
    gated: bool,
    queue: usize,
    credential: Option<Arc<Credential>>,
}

/// Where a call stands that begins to wait.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) server: ServerId,
    /// Whether it stands before the server's gates.
    pub(super) gated: bool,
    pub(super) credential: Option<Credential>,
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
    /// Nobody waits to go to these servers.
    pub(super) fn new(servers: Servers) -> Self {
        let (all, queues, ids, of_credential) = Default::default();
        Self { servers, all, queues, ids, of_credential }
    }

    /// A call begins to wait.
    pub(super) fn add(
        &mut self,
        ticket: Ticket,
        call: &Call,
        Standing { server, gated, credential }: Standing,
        verdict: oneshot::Sender<Verdict>,
    ) {
        self.servers.join(server, gated);
        let method = call.method.as_ref();
        let key = QueueKey {
            method: method.map_or_else(|| "-".into(), |method| Arc::clone(&method.name)),
            class: call.class,
            caller: call.caller.clone(),
        };
        let queue = self.queue(key, call.method.clone());
        let since = call.arrived;
        self.queues[queue].calls.insert((since, ticket.number()));
        let until = call.deadline;
        let credential = credential.map(|credential| self.has(credential, ticket));
        let waiter = Waiter { ticket, verdict, since, until, server, gated, queue, credential };
        self.all.insert(ticket.number(), waiter);
    }

    /// The queue of that key, whose calls are of that method.
    fn queue(&mut self, key: QueueKey, method: Option<Arc<Method>>) -> usize {
        self.ids.get(&key).copied().unwrap_or_else(|| {
            let calls = BTreeSet::new();
            let id = self.queues.insert(CallQueue { key: key.clone(), method, calls });
            self.ids.insert(key, id);
            id
        })
    }

    /// The call with that ticket is of that class from now on, and waits until then.
    pub(super) fn raise(&mut self, ticket: Ticket, class: Class, until: Instant) {
        let Some(waiter) = self.all.get_mut(&ticket.number()) else { return };
        waiter.until = until;
        let (before, since) = (waiter.queue, waiter.since);
        let CallQueue { key, method, .. } = &self.queues[before];
        if key.class == class {
            return;
        }
        let (key, method) = (QueueKey { class, ..key.clone() }, method.clone());
        let queue = self.queue(key, method);
        self.queues[queue].calls.insert((since, ticket.number()));
        if let Some(waiter) = self.all.get_mut(&ticket.number()) {
            waiter.queue = queue;
        }
        self.leave_queue(before, since, ticket);
    }

    fn leave_queue(&mut self, id: usize, since: Instant, ticket: Ticket) {
        let queue = &mut self.queues[id];
        queue.calls.remove(&(since, ticket.number()));
        if queue.calls.is_empty() {
            let queue = self.queues.remove(id);
            self.ids.remove(&queue.key);
        }
    }

    /// A call with that credential waits. All such calls share one copy of it.
    fn has(&mut self, credential: Credential, ticket: Ticket) -> Arc<Credential> {
        let known =
            self.of_credential.get_key_value(&credential).map(|(known, _)| Arc::clone(known));
        let credential = known.unwrap_or_else(|| Arc::new(credential));
        let calls = self.of_credential.entry(Arc::clone(&credential)).or_default();
        calls.insert(ticket.number());
        credential
    }

    /// The calls with that credential, the oldest first, and their methods.
    pub(super) fn with(&self, credential: &Credential) -> Vec<(Arc<str>, Ticket)> {
        let numbers = self.of_credential.get(credential).into_iter().flatten();
        let waiters = numbers.filter_map(|number| self.all.get(number));
        let with_method = waiters.filter_map(|waiter| {
            let queue = self.queues.get(waiter.queue)?;
            Some((Arc::clone(&queue.key.method), waiter.ticket))
        });
        with_method.collect()
    }

    /// The call with that ticket no longer waits.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waiter> {
        let waiter = self.all.remove(&ticket.number())?;
        self.servers.leave(waiter.server, waiter.gated);
        self.leave_queue(waiter.queue, waiter.since, ticket);
        if let Some(credential) = &waiter.credential
            && let Some(calls) = self.of_credential.get_mut(credential)
        {
            calls.remove(&ticket.number());
            if calls.is_empty() {
                self.of_credential.remove(credential);
            }
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
        let all = std::mem::take(&mut self.all);
        self.queues.clear();
        self.ids.clear();
        for waiter in all.values() {
            self.servers.leave(waiter.server, waiter.gated);
        }
        all.into_values()
    }

    /// Those who wait to go to these servers, and do not stand before the gates, do from now on.
    pub(super) fn gate(&mut self, of: impl Fn(ServerId) -> bool) -> Vec<(Ticket, ServerId)> {
        if !self.servers.has_ungated() {
            return Vec::new();
        }
        let ungated = self.all.values_mut().filter(|waiter| !waiter.gated && of(waiter.server));
        let mut gated = Vec::new();
        for waiter in ungated {
            waiter.gated = true;
            self.servers.gate(waiter.server);
            gated.push((waiter.ticket, waiter.server));
        }
        gated
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
