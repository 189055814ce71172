//! Lets a call pass when it has its permit.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::Instant;
use tower::{Layer, Service};

use super::{Admission, Permit};
use crate::{call::Call, respond::Failure};

/// A call and its right to go.
#[derive(Debug)]
pub struct Admitted {
    /// The call.
    pub call: Call,
    /// Its right to go.
    pub permit: Permit,
}

/// Holds calls until they may go, or sheds them.
#[derive(Clone, Debug)]
pub struct AdmitLayer {
    admission: Admission,
}

/// Holds calls until they may go, or sheds them.
///
/// Waiting happens in `call`, because each call waits for buckets of its own; the service
/// is always ready. Dropping the future leaves the queue.
#[derive(Clone, Debug)]
pub struct Admit<S> {
    inner: S,
    admission: Admission,
}

// === impl AdmitLayer ===

impl AdmitLayer {
    /// Calls wait in this queue.
    pub fn new(admission: Admission) -> Self {
        Self { admission }
    }
}

impl<S> Layer<S> for AdmitLayer {
    type Service = Admit<S>;

    fn layer(&self, inner: S) -> Admit<S> {
        Admit { inner, admission: self.admission.clone() }
    }
}

// === impl Admit ===

impl<S> Service<Call> for Admit<S>
where
    S: Service<Admitted, Error = Failure> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Failure>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut call: Call) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let admission = self.admission.clone();
        Box::pin(async move {
            let from = Instant::now();
            let permit = admission.acquire(&mut call).await;
            call.record.waited(Instant::now().duration_since(from));
            inner.call(Admitted { call, permit: permit? }).await
        })
    }
}
