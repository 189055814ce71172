//! Sends a call again that Slack refused for a limit, and nothing else.
//!
//! The refused call goes back to the queue with its permit, where it waits before all of its
//! line that came later. The caller sees a refusal only when the attempts are spent, when the
//! body has streamed through and is gone, or when the pause is longer than its client waits.

use std::num::NonZeroU32;

use http::Response;
use tower::Layer;

use crate::{
    call::response::{ResponseBody, SlackRefused},
    outbound::exchange::{Exchanged, RefusedCall},
    queue::{Attempt, QueueRequest},
    step::Step,
};

/// Sends refused calls again.
#[derive(Clone, Debug)]
pub struct RetryLayer {
    max_attempts: NonZeroU32,
}

/// Sends refused calls again.
#[derive(Debug)]
pub struct Retry<S> {
    inner: S,
    shared: RetryLayer,
}

// === impl RetryLayer ===

impl RetryLayer {
    /// A call is sent `max_attempts` times at most, the first time included.
    pub fn new(max_attempts: NonZeroU32) -> Self {
        Self { max_attempts }
    }

    /// The call to send again, or the answer that its caller gets.
    fn again(&self, refused: RefusedCall) -> Result<QueueRequest, SlackRefused> {
        let RefusedCall { call, permit, answer } = refused;
        if call.record.attempts() >= self.max_attempts.get() || !call.body.can_be_sent() {
            return Err(SlackRefused(Box::new(answer)));
        }
        let refusal = Some(Box::new(answer));
        Ok(QueueRequest { call, attempt: Attempt::Again(permit), refusal })
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry { inner, shared: self.clone() }
    }
}

// === impl Retry ===

impl<S> Step<QueueRequest> for Retry<S>
where
    S: Step<QueueRequest, Response = Exchanged>,
    S::Error: From<SlackRefused>,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;

    async fn call(&self, mut request: QueueRequest) -> Result<Response<ResponseBody>, S::Error> {
        loop {
            match self.inner.call(request).await? {
                Exchanged::Answered(response) => return Ok(*response),
                Exchanged::Refused(refused) => request = self.shared.again(*refused)?,
            }
        }
    }
}
