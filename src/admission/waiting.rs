//! A call that waits, and may leave.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::sync::oneshot;

use super::{Shared, Shed, Verdict};
use crate::scheduler::{Outcome, Ticket};

/// Waits for the verdict. Dropped before, it leaves the queue and costs no slot.
#[derive(Debug)]
pub struct Waiting<'s> {
    pub(super) shared: &'s Arc<Shared>,
    ticket: Ticket,
    told: oneshot::Receiver<Verdict>,
    heard: bool,
}

// === impl Waiting ===

impl<'s> Waiting<'s> {
    pub(super) fn new(
        shared: &'s Arc<Shared>,
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
        if state.waiting.remove(self.ticket).is_some() {
            state.scheduler.cancel(now, self.ticket);
        } else if let Ok(Ok(permit)) = self.told.try_recv() {
            state.scheduler.settle(now, permit, Outcome::Unsent);
        }
        state.pump(self.shared, now);
    }
}
