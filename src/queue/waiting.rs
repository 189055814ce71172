//! A call that is not shed: it goes, or it waits, and may leave.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use scheduler::{Outcome, Ticket};
use tokio::{sync::oneshot, time::Instant};

use super::{Inner, Permit, Shed, Turned, Verdict};
use crate::call::{
    Call,
    trace::{Met, WaitedFor},
};

/// A call that is not shed, so far.
#[derive(Debug)]
#[must_use = "dropped, it leaves the queue"]
pub enum QueueDecision<'a> {
    /// It goes now.
    Granted(Permit),
    /// It waits.
    Held(Waiting<'a>),
}

/// Waits for the verdict. Dropped before, it leaves the queue and costs no slot.
#[derive(Debug)]
pub struct Waiting<'s> {
    shared: &'s Arc<Inner>,
    ticket: Ticket,
    told: oneshot::Receiver<Verdict>,
    heard: bool,
}

// === impl QueueDecision ===

impl QueueDecision<'_> {
    /// Waits for the right to send the call, as long as its client does. Dropping the future leaves the
    /// queue and costs no slot.
    ///
    /// # Errors
    /// If the call is shed or answered after all, or its client may have left.
    pub async fn permit(self, call: &Call) -> Result<Permit, Turned> {
        let permit = match self {
            Self::Granted(permit) => permit,
            Self::Held(waiting) => {
                let (shared, from) = (waiting.shared, Instant::now());
                let ticket = waiting.ticket;
                let bucket = call.record.trace().and_then(|_| shared.waits_for(ticket));
                let verdict = call.client_end.unless(waiting).await?;
                let to = Instant::now();
                call.record.waited(to.duration_since(from));
                let what = WaitedFor::Queue;
                call.record.met(|| Met::Wait { from, to, what, bucket });
                Permit::new(verdict?, shared)
            }
        };
        permit.is_kept().await;
        Ok(permit)
    }
}

// === impl Waiting ===

impl<'s> Waiting<'s> {
    pub(super) fn new(
        shared: &'s Arc<Inner>,
        ticket: Ticket,
        told: oneshot::Receiver<Verdict>,
    ) -> Self {
        Self { shared, ticket, told, heard: false }
    }

    /// By what the scheduler knows the call.
    pub(super) fn ticket(&self) -> Ticket {
        self.ticket
    }
}

impl Future for Waiting<'_> {
    type Output = Verdict;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict> {
        let verdict = ready!(Pin::new(&mut self.told).poll(cx));
        self.heard = true;
        // A verdict always comes before its sender goes.
        Poll::Ready(verdict.unwrap_or_else(|_| Err(Shed::draining().into())))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.heard {
            return;
        }
        let mut state = self.shared.lock();
        let now = self.shared.now();
        if state.waiting.remove(self.ticket).is_some() {
            state.scheduler.cancel(now, self.ticket);
        } else if let Ok(Ok(granted)) = self.told.try_recv() {
            state.scheduler.settle(now, granted.permit, Outcome::Unsent);
        }
        state.pump(self.shared, now);
    }
}
