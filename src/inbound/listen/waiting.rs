//! A bound on how long something may be pending.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that exists only while there is something to wait for.
#[derive(Debug, Default)]
pub(super) struct Waiting(Option<Pin<Box<Sleep>>>);

// === impl Waiting ===

impl Waiting {
    /// What was polled, or an error when it has been pending for `limit`.
    pub(super) fn bound<T>(
        &mut self,
        cx: &mut Context<'_>,
        limit: Duration,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.0 = None;
            return polled;
        }
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}
