//! A future that is finished even if nobody waits for it any more.
//!
//! Slack counts a call that was sent whether or not its caller stays to hear the answer, and
//! when its slot is free again is known only from the answer. So an exchange whose caller
//! goes is carried on by a task of its own. One whose caller stays costs no task.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// A future that, when dropped, goes on as a task.
pub(super) struct Detached<'t, F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    future: Option<Pin<Box<F>>>,
    tasks: &'t TaskTracker,
}

// === impl Detached ===

impl<'t, F> Detached<'t, F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    pub(super) fn new(future: Pin<Box<F>>, tasks: &'t TaskTracker) -> Self {
        Self { future: Some(future), tasks }
    }
}

impl<F> Future for Detached<'_, F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(future) = &mut self.future else { return Poll::Pending };
        let output = std::task::ready!(future.as_mut().poll(cx));
        self.future = None;
        Poll::Ready(output)
    }
}

impl<F> Drop for Detached<'_, F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn drop(&mut self) {
        // After a panic there is nothing to carry on; without a runtime nobody to do it.
        if let Some(future) = self.future.take()
            && !std::thread::panicking()
            && let Ok(runtime) = Handle::try_current()
        {
            self.tasks.spawn_on(async move { drop(future.await) }, &runtime);
        }
    }
}
