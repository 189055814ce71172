//! Lets a call pass when it has its permit.

use tower::Layer;

use super::{Admission, Permit};
use crate::{call::Call, respond::Failure, scheduler::BucketKey, step::Step};

/// A call that asks to go.
#[derive(Debug)]
pub struct Asking {
    /// The call.
    pub call: Box<Call>,
    /// What it asks with.
    pub attempt: Attempt,
}

/// What a call asks to go with.
#[derive(Debug)]
pub enum Attempt {
    /// It has not been sent yet, and counts against these.
    First(Vec<BucketKey>),
    /// Slack refused it; this is the permit of that attempt.
    Again(Permit),
}

/// A call and its right to go.
#[derive(Debug)]
pub struct Admitted {
    /// The call.
    pub call: Box<Call>,
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
/// Each call waits for buckets of its own. Dropping the future leaves the queue.
#[derive(Debug)]
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

impl<S> Step<Asking> for Admit<S>
where
    S: Step<Admitted, Error = Failure>,
{
    type Response = S::Response;
    type Error = Failure;

    async fn call(&self, Asking { call, attempt }: Asking) -> Result<S::Response, Failure> {
        let permit = self.admission.acquire(&call, attempt).await?;
        self.inner.call(Admitted { call, permit }).await
    }
}
