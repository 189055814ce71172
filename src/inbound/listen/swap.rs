//! A service that can be replaced by another while it serves: calls that have come in go on with
//! the one that they met.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tower::Service;

/// Hands each request to the service of now. Clones change together.
///
/// A mutex, not an atomic pointer: it is locked for one clone, by the one thread that serves, and
/// by a reload.
#[derive(Debug)]
pub struct Swap<S> {
    current: Arc<Mutex<S>>,
}

// === impl Swap ===

impl<S> Swap<S> {
    /// That one at first.
    pub fn new(service: S) -> Self {
        Self { current: Arc::new(Mutex::new(service)) }
    }

    /// From now on that one.
    pub fn replace(&self, service: S) {
        let before = std::mem::replace(&mut *self.lock(), service);
        // What it holds is dropped without the lock.
        drop(before);
    }

    fn lock(&self) -> MutexGuard<'_, S> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Clone for Swap<S> {
    fn clone(&self) -> Self {
        Self { current: Arc::clone(&self.current) }
    }
}

impl<S, R> Service<R> for Swap<S>
where
    S: Service<R> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        // The stack is always ready: its queue is where calls wait.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> S::Future {
        let mut service = self.lock().clone();
        service.call(request)
    }
}
