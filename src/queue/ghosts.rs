//! What would have become of calls that are only watched.
//!
//! They go at once. Beside that, each is told to a second scheduler as it would have been told to
//! the first, in which it waits for the turn that it would have had: its ghost. So classes, turns,
//! bounds and places count as they would have, and the first scheduler's windows hold what was really
//! sent. A ghost is granted when the call would have gone, and its slot ages from its answer, or from
//! then if that is over. There are no more ghosts than calls may be held.

use std::{collections::HashMap, sync::Arc, time::Duration};

use limits::Scope;
use scheduler::{Call, Enqueued, Event, Instant, Outcome, Permit, Policy, Scheduler, Ticket};
use slack::Catalogue;

use super::{QueueMetrics, split::Replica};
use crate::call::record::Record;

/// The ghosts.
#[derive(Debug)]
pub(super) struct Ghosts {
    scheduler: Scheduler,
    /// Those that wait, by the number of their ticket.
    waiting: HashMap<u64, Ghost>,
    exchanges: HashMap<GhostId, Exchange>,
    next: u64,
    events: Vec<Event>,
}

/// Which ghost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct GhostId(u64);

#[derive(Debug)]
struct Ghost {
    id: GhostId,
    since: Instant,
    record: Arc<Record>,
}

/// How far a call is, for its ghost.
#[derive(Debug)]
enum Exchange {
    /// The ghost waits; the call may have ended.
    Waits(Ticket, Option<Outcome>),
    /// The ghost goes, and the call is on its way.
    Goes(Permit),
}

// === impl Ghosts ===

impl Ghosts {
    pub(super) fn new(policy: Policy, most_buckets: usize, replica: Option<Replica>) -> Self {
        let mut scheduler = Scheduler::new(policy);
        scheduler.bound_buckets(most_buckets);
        let mut new = Self {
            scheduler,
            waiting: HashMap::new(),
            exchanges: HashMap::new(),
            next: 0,
            events: Vec::new(),
        };
        if let Some(replica) = replica {
            new.split(replica);
        }
        new
    }

    /// They are those of one of several replicas.
    pub(super) fn split(&mut self, Replica { split, at, wall }: Replica) {
        self.scheduler.split(at, split, wall);
    }

    /// A call goes; its ghost comes to the queue. None if it would have been shed.
    pub(super) fn enter(
        &mut self,
        now: Instant,
        call: &Call,
        record: &Arc<Record>,
        metrics: &QueueMetrics,
    ) -> Option<GhostId> {
        let enqueued = self.scheduler.enqueue(now, call);
        self.next += 1;
        let id = GhostId(self.next);
        let exchange = match enqueued {
            Enqueued::Granted(permit) => {
                metrics.would_wait(record, Duration::ZERO);
                Exchange::Goes(permit)
            }
            Enqueued::Held(ticket) => {
                let record = Arc::clone(record);
                self.waiting.insert(ticket.number(), Ghost { id, since: now, record });
                Exchange::Waits(ticket, None)
            }
            Enqueued::Refused(refusal) => {
                metrics.would_shed(record, refusal.reason.as_str());
                return None;
            }
        };
        self.exchanges.insert(id, exchange);
        Some(id)
    }

    /// The call of a ghost has ended.
    pub(super) fn ended(&mut self, now: Instant, id: GhostId, outcome: Outcome) {
        match self.exchanges.remove(&id) {
            Some(Exchange::Goes(permit)) => self.scheduler.settle(now, permit, outcome),
            // It never left, so nobody would have waited for it.
            Some(Exchange::Waits(ticket, _)) if outcome == Outcome::Unsent => {
                self.scheduler.cancel(now, ticket);
                self.waiting.remove(&ticket.number());
            }
            Some(Exchange::Waits(ticket, _)) => {
                self.exchanges.insert(id, Exchange::Waits(ticket, Some(outcome)));
            }
            None => {}
        }
    }

    /// Counts those whose time would have come, and says when the next one's would.
    pub(super) fn tell(&mut self, now: Instant, metrics: &QueueMetrics) -> Option<Instant> {
        loop {
            let mut events = std::mem::take(&mut self.events);
            let next = self.scheduler.poll(now, &mut events);
            let mut returned = false;
            for event in events.drain(..) {
                match event {
                    Event::Granted { ticket, permit } => {
                        returned |= self.granted(now, ticket, permit, metrics);
                    }
                    Event::Expired { ticket, refusal } => {
                        if let Some(ghost) = self.waiting.remove(&ticket.number()) {
                            metrics.would_shed(&ghost.record, refusal.reason.as_str());
                            self.exchanges.remove(&ghost.id);
                        }
                    }
                }
            }
            self.events = events;
            if !returned {
                return next;
            }
        }
    }

    /// What counted for one identity counts for another.
    pub(super) fn rename(&mut self, now: Instant, of: Scope, from: &str, to: &str) {
        self.scheduler.rename(now, of, from, to);
    }

    /// The operator decides otherwise.
    pub(super) fn relimit(&mut self, now: Instant, policy: Policy, catalogue: &Catalogue) {
        self.scheduler.relimit(now, policy, catalogue.limits());
    }

    /// A ghost goes. Whether its slot is settled at once.
    fn granted(
        &mut self,
        now: Instant,
        ticket: Ticket,
        permit: Permit,
        metrics: &QueueMetrics,
    ) -> bool {
        let Some(Ghost { id, since, record }) = self.waiting.remove(&ticket.number()) else {
            self.scheduler.settle(now, permit, Outcome::Unsent);
            return true;
        };
        metrics.would_wait(&record, now.since(since));
        match self.exchanges.remove(&id) {
            Some(Exchange::Waits(_, None)) => {
                self.exchanges.insert(id, Exchange::Goes(permit));
                false
            }
            Some(Exchange::Waits(_, Some(outcome))) => {
                self.scheduler.settle(now, permit, outcome);
                true
            }
            Some(Exchange::Goes(_)) | None => {
                self.scheduler.settle(now, permit, Outcome::Unsent);
                true
            }
        }
    }
}
