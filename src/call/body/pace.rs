//! How slowly a client may send a body: bytes that come are waited for, a trickle is not.
//!
//! Each piece has to come within `idle`, and every [`LEAST`] bytes within [`WINDOW`] times that. Only
//! the time counts in which the client is waited for, so an upstream that reads slowly costs the
//! client nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::BodyError;

/// So many bytes have to come, or the rest of the body, …
pub(super) const LEAST: usize = 64 << 10;

/// … in this many times what one piece may take.
const WINDOW: u32 = 5;

/// The pace of one body.
#[derive(Debug)]
pub(super) struct Pace {
    idle: Duration,
    /// Bytes since the window began, and the time that is left of it.
    came: usize,
    left: Duration,
}

// === impl Pace ===

impl Pace {
    /// No piece takes longer than `idle`.
    pub(super) fn new(idle: Duration) -> Self {
        Self { idle, came: 0, left: idle.saturating_mul(WINDOW) }
    }

    /// Until when a client is waited for that has been since then.
    pub(super) fn until(&self, since: Instant) -> Instant {
        since + self.idle.min(self.left)
    }

    /// So many bytes came, after its client had been waited for since then.
    pub(super) fn came(&mut self, bytes: usize, since: Instant) {
        self.left = self.left.saturating_sub(Instant::now().saturating_duration_since(since));
        self.came += bytes;
        if self.came >= LEAST {
            *self = Self::new(self.idle);
        }
    }

    /// Why the client is not waited for any longer.
    pub(super) fn error(&self) -> BodyError {
        if self.left < self.idle {
            BodyError::Slow(self.idle.saturating_mul(WINDOW))
        } else {
            BodyError::Idle(self.idle)
        }
    }
}
