//! A call that waits, seen from both sides: who is to be told, and who may leave.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{sync::oneshot, time::Instant};

use super::{Shared, Shed, Verdict};
use crate::{
    call::Call,
    scheduler::{Class, Outcome, Ticket},
    slack::Method,
};

/// Whom to tell, and what status shows of it.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) ticket: Ticket,
    pub(super) verdict: oneshot::Sender<Verdict>,
    pub(super) method: Option<Arc<Method>>,
    pub(super) class: Class,
    pub(super) caller: Arc<str>,
    pub(super) since: Instant,
}

/// Waits for the verdict. Dropped before, it leaves the queue and costs no slot.
#[derive(Debug)]
pub(super) struct Waiting<'s> {
    shared: &'s Shared,
    ticket: Ticket,
    told: oneshot::Receiver<Verdict>,
    heard: bool,
}

// === impl Waiter ===

impl Waiter {
    pub(super) fn new(ticket: Ticket, call: &Call, verdict: oneshot::Sender<Verdict>) -> Self {
        Self {
            ticket,
            verdict,
            method: call.method.clone(),
            class: call.class,
            caller: Arc::clone(&call.caller),
            since: call.arrived,
        }
    }
}

// === impl Waiting ===

impl<'s> Waiting<'s> {
    pub(super) fn new(
        shared: &'s Shared,
        ticket: Ticket,
        told: oneshot::Receiver<Verdict>,
    ) -> Self {
        Self { shared, ticket, told, heard: false }
    }
}

impl Future for Waiting<'_> {
    type Output = Verdict;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict> {
        let verdict = ready!(Pin::new(&mut self.told).poll(cx));
        self.heard = true;
        // A verdict always comes before its sender goes.
        Poll::Ready(verdict.unwrap_or_else(|_| Err(Shed::draining())))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.heard {
            return;
        }
        let mut state = self.shared.lock();
        let now = self.shared.now();
        if state.waiting.remove(&self.ticket.number()).is_some() {
            state.scheduler.cancel(now, self.ticket);
        } else if let Ok(Ok(permit)) = self.told.try_recv() {
            state.scheduler.settle(now, permit, Outcome::Unsent);
        }
        state.pump(self.shared, now);
    }
}
