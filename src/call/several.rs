//! What several clients have in common who are served by one call, which none of them owns: how urgent it is,
//! until when it may be held, and whether it is on its way.
//!
//! The queue and the call's way keep it up to date; whoever joins raises it, by
//! [`raise`](crate::queue::Admission::raise). As long as the call is held, what it sends may be replaced.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use limits::Class;
use scheduler::Ticket;
use tokio::{sync::Notify, time::Instant};

use super::{Head, body::Body, record::Record};

/// What several clients have in common who are served by one call.
#[derive(Debug)]
pub struct Several {
    terms: Mutex<Terms>,
    /// It is held again, or may be for longer.
    changes: Notify,
}

/// What a call sends.
#[derive(Debug)]
pub struct Content {
    /// What of it is not its body.
    pub head: Head,
    /// Its body.
    pub body: Body,
    /// What is told of the call whose content it is.
    pub record: Arc<Record>,
}

#[derive(Debug)]
struct Terms {
    class: Class,
    deadline: Instant,
    /// By what the queue knows it, while it is held there.
    ticket: Option<Ticket>,
    /// Since when it is on its way.
    under_way: Option<Instant>,
    /// What it sends instead when it goes.
    newer: Option<Content>,
}

// === impl Several ===

impl Several {
    /// A call so urgent, that may be held till then.
    pub fn new(class: Class, deadline: Instant) -> Self {
        let (ticket, under_way, newer) = (None, None, None);
        let terms = Terms { class, deadline, ticket, under_way, newer };
        Self { terms: Mutex::new(terms), changes: Notify::new() }
    }

    /// How urgent it is, and until when it may be held.
    pub fn terms(&self) -> (Class, Instant) {
        let terms = self.lock();
        (terms.class, terms.deadline)
    }

    /// Since when it is on its way; nothing while it is held.
    pub fn under_way(&self) -> Option<Instant> {
        self.lock().under_way
    }

    /// Whether it waits, and may be joined as if it had just come.
    pub fn is_held(&self) -> bool {
        self.under_way().is_none()
    }

    /// Waits until it is held. Dropping the future ends the wait.
    pub async fn held(&self) {
        loop {
            let changes = self.changes.notified();
            if self.is_held() {
                return;
            }
            changes.await;
        }
    }

    /// Waits until it is held, and may be for longer than till then. Dropping the future ends the wait.
    pub async fn held_beyond(&self, deadline: Instant) {
        loop {
            let changes = self.changes.notified();
            if self.is_held() && self.terms().1 > deadline {
                return;
            }
            changes.await;
        }
    }

    /// Lets it send something else when it goes, and tells what it would have sent instead of what was given
    /// to it last.
    ///
    /// # Errors
    /// If it is on its way. Then nothing changes, and the content comes back.
    #[expect(clippy::result_large_err, reason = "it is moved once, and made for each edit anyway")]
    pub fn replace(&self, newer: Content) -> Result<Option<Content>, Content> {
        let mut terms = self.lock();
        match terms.under_way {
            None => Ok(terms.newer.replace(newer)),
            Some(_) => Err(newer),
        }
    }

    /// By what the queue knows it, while it is held there.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        self.lock().ticket
    }

    /// Somebody joins it. Where the queue holds it, by that ticket, it is to be told of its new terms.
    pub(crate) fn raise(
        &self,
        class: Class,
        deadline: Instant,
    ) -> Option<(Ticket, Class, Instant)> {
        let mut terms = self.lock();
        let (class, deadline) = (terms.class.min(class), terms.deadline.max(deadline));
        (terms.class, terms.deadline) = (class, deadline);
        let ticket = terms.ticket;
        drop(terms);
        self.changes.notify_waiters();
        Some((ticket?, class, deadline))
    }

    /// It asks to go.
    pub(super) fn asks(&self) -> (Class, Instant) {
        let mut terms = self.lock();
        terms.under_way = None;
        let asks = (terms.class, terms.deadline);
        drop(terms);
        self.changes.notify_waiters();
        asks
    }

    /// The queue holds it. Tells how urgent it is by now, and until when it may be held: somebody may have
    /// joined it since it asked.
    pub(crate) fn stands(&self, ticket: Ticket) -> (Class, Instant) {
        let mut terms = self.lock();
        terms.ticket = Some(ticket);
        (terms.class, terms.deadline)
    }

    /// It goes. Tells what it sends, if that was replaced.
    pub(super) fn goes(&self) -> Option<Content> {
        let mut terms = self.lock();
        (terms.ticket, terms.under_way) = (None, Some(Instant::now()));
        terms.newer.take()
    }

    fn lock(&self) -> MutexGuard<'_, Terms> {
        self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
