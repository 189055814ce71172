//! Sends a call again that Slack refused for a limit, and nothing else.
//!
//! The refused call goes back to the queue with its permit, where it waits before all of its
//! line that came later. The caller sees a refusal only when the attempts are spent, when the
//! body has streamed through and is gone, or when it would wait longer than its client does.

use std::{
    num::NonZeroU32,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use tower::{Layer, Service, ServiceExt};

use crate::{
    call::Call,
    metrics::Metrics,
    outcome::{Outcome, Refused},
    respond::Failure,
    upstream::body::Answer,
};

/// Sends refused calls again.
#[derive(Clone, Debug)]
pub struct RetryLayer {
    max_attempts: NonZeroU32,
    metrics: Metrics,
}

/// Sends refused calls again.
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: S,
    shared: RetryLayer,
}

// === impl RetryLayer ===

impl RetryLayer {
    /// A call is sent `max_attempts` times at most, the first time included.
    pub fn new(max_attempts: NonZeroU32, metrics: &Metrics) -> Self {
        Self { max_attempts, metrics: metrics.clone() }
    }

    /// The call to send again, or the answer that its caller gets.
    fn again(&self, refused: Refused) -> Result<Call, Failure> {
        let Refused { mut call, permit, answer } = refused;
        if call.record.attempts() >= self.max_attempts.get() || !call.body.can_be_sent() {
            return Err(Failure::Refused(Box::new(answer)));
        }
        self.metrics.replayed(call.record.method());
        call.refused = Some(permit);
        Ok(call)
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry { inner, shared: self.clone() }
    }
}

// === impl Retry ===

impl<S> Service<Call> for Retry<S>
where
    S: Service<Call, Response = Outcome, Error = Failure> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Answer>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Failure>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut call: Call) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let shared = self.shared.clone();
        Box::pin(async move {
            loop {
                match inner.ready().await?.call(call).await? {
                    Outcome::Answered(response) => return Ok(*response),
                    Outcome::Refused(refused) => call = shared.again(*refused)?,
                }
            }
        })
    }
}
