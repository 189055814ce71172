//! Sends a call again where that does no harm, while its client waits.
//!
//! 1. *Slack refused it for a limit.* It goes back to the queue with its permit, where it waits before
//!    all of its line that came later. The caller sees a refusal only when the attempts are spent, when
//!    the body has streamed through and is gone, or when the pause is longer than its client waits.
//! 2. *It certainly was not sent*: there was no connection, or the upstream did not take it. Its slots
//!    are given back, and it is tried again after pauses that double, for [`PATIENCE`] at most; as long
//!    as the host is down, it waits for the one that tries for all ([`Reach`]). Whoever calls Slack
//!    itself would hear of it at once, so it is not for longer.
//! 3. *It only reads, and its connection broke, or the server answered with an error of its own.* It is
//!    sent once more, after a permit of its own: the first attempt may have been counted.
//!
//! Whatever else may have been done is never sent again.

mod metrics;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use config::Config;
use http::Response;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use tower::Layer;

pub use self::metrics::{RetryMetrics, RetryReason};
use crate::{
    call::{
        record::Record,
        response::{ResponseBody, SlackRefused},
        trace::{Met, WaitedFor},
    },
    outbound::{
        exchange::{AttemptFailure, BREATH, Exchanged, FailedCall, RefusedCall},
        upstream::{
            UpstreamError,
            reach::{Connects, Reach, pause},
        },
    },
    queue::{Attempt, QueueRequest},
    step::Step,
};

/// Sends calls again.
#[derive(Clone, Debug)]
pub struct RetryLayer<C> {
    max_attempts: NonZeroU32,
    reach: Reach<C>,
    /// How many more calls may wait for a host that is down.
    places: Arc<Semaphore>,
    metrics: RetryMetrics,
}

/// Sends calls again.
#[derive(Debug)]
pub struct Retry<S, C> {
    inner: S,
    shared: RetryLayer<C>,
}

/// What was tried of one call.
#[derive(Debug, Default)]
struct Tries {
    /// How often it was not sent after all, and since when it is tried.
    unsent: u32,
    since: Option<Instant>,
    /// What its caller gets if it is not sent again.
    otherwise: Option<Otherwise>,
}

/// What became of a call that may have been counted and was to be sent again.
#[derive(Debug)]
struct Otherwise {
    failure: AttemptFailure,
    record: Arc<Record>,
    /// How often it had been sent.
    attempts: u32,
}

/// How long a call is tried that is not sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often one is tried that has a connection and is not taken. It is not the connection that is
/// missing, so nobody waits for it in common.
const NOT_TAKEN: u32 = 4;

// === impl RetryLayer ===

impl<C: Connects> RetryLayer<C> {
    /// A refused call is sent so often as configured, the first time included. As many calls as may
    /// be held may wait for a host that cannot be reached, which `reach` knows.
    pub fn new(config: &Config, reach: &Reach<C>, metrics: &RetryMetrics) -> Self {
        let places = Arc::new(Semaphore::new(config.queue.max_total.min(Semaphore::MAX_PERMITS)));
        let max_attempts = config.on_429.max_attempts;
        Self { max_attempts, reach: reach.clone(), places, metrics: metrics.clone() }
    }

    /// The refused call to send again, or the answer that its caller gets.
    fn after_refusal(&self, refused: RefusedCall) -> Result<QueueRequest, SlackRefused> {
        let RefusedCall { call, permit, answer } = refused;
        if call.record.attempts() >= self.max_attempts.get() || !call.body.can_be_sent() {
            return Err(SlackRefused(Box::new(answer)));
        }
        let refusal = Some(Box::new(ResponseBody::kept(answer)));
        Ok(QueueRequest { call, attempt: Attempt::Again(permit), refusal })
    }

    /// The call to send again when it is time, or what its caller gets.
    async fn after_failure(
        &self,
        failed: FailedCall,
        tries: &mut Tries,
    ) -> Result<QueueRequest, AttemptFailure> {
        let FailedCall { mut call, permit, failure } = failed;
        let waits_from = Instant::now();
        if let AttemptFailure::Error(error) = &failure {
            // Where one connection was closed unseen, the next one in the pool may be, too.
            call.own_connection |= error.is_of_its_connection();
        }
        let reason = match failure {
            AttemptFailure::Error(error) if error.nothing_sent() => {
                // What comes of the call is open, and nobody waits for a slot of it.
                permit.end_attempt();
                let is_out_of_reach = matches!(error, UpstreamError::Connect(_));
                tries.unsent += 1;
                let end = *tries.since.get_or_insert(waits_from) + PATIENCE;
                let end = end.min(call.waited_for_until());
                let pause = match tries.unsent {
                    1 => Duration::ZERO,
                    more => pause(more - 1),
                };
                let is_over =
                    waits_from + pause >= end || (!is_out_of_reach && tries.unsent >= NOT_TAKEN);
                let Some(_place) = self.places.try_acquire().ok().filter(|_| !is_over) else {
                    return Err(AttemptFailure::Error(error));
                };
                let reached = async {
                    sleep(pause).await;
                    self.reach.wait(&call.head.url, end).await
                };
                let is_up = tokio::select! {
                    is_up = reached => is_up,
                    () = call.client_end.comes() => false,
                };
                let to = Instant::now();
                call.record.waited(to.duration_since(waits_from));
                let what = WaitedFor::Host;
                call.record.met(|| Met::Wait { from: waits_from, to, what, bucket: None });
                if !is_up {
                    return Err(AttemptFailure::Error(error));
                }
                if is_out_of_reach { RetryReason::Unreachable } else { RetryReason::NotTaken }
            }
            failure => {
                call.repeated = true;
                let (pause, reason) = match &failure {
                    AttemptFailure::Error(_) => (Duration::ZERO, RetryReason::Broken),
                    AttemptFailure::Answer(_) => (BREATH, RetryReason::ServerError),
                };
                let (record, attempts) = (Arc::clone(&call.record), call.record.attempts());
                let failure = match failure {
                    AttemptFailure::Answer(answer) => {
                        AttemptFailure::Answer(Box::new(ResponseBody::kept(*answer)))
                    }
                    error @ AttemptFailure::Error(_) => error,
                };
                tries.otherwise = Some(Otherwise { failure, record, attempts });
                tokio::select! {
                    () = sleep(pause) => {}
                    // It is not sent again.
                    () = call.client_end.comes() => {}
                }
                let to = Instant::now();
                call.record.waited(to.duration_since(waits_from));
                if !pause.is_zero() {
                    let what = WaitedFor::Breath;
                    call.record.met(|| Met::Wait { from: waits_from, to, what, bucket: None });
                }
                reason
            }
        };
        self.metrics.retried(call.record.method(), reason);
        tracing::debug!(
            method = call.record.method(),
            caller = &*call.caller,
            reason = reason.as_str(),
            request_id = call.record.ids().request(),
            trace_id = call.record.ids().trace(),
            "a call is sent again"
        );
        Ok(QueueRequest { call, attempt: Attempt::Again(permit), refusal: None })
    }
}

impl<S, C: Clone> Layer<S> for RetryLayer<C> {
    type Service = Retry<S, C>;

    fn layer(&self, inner: S) -> Retry<S, C> {
        Retry { inner, shared: self.clone() }
    }
}

// === impl Retry ===

impl<S, C> Step<QueueRequest> for Retry<S, C>
where
    S: Step<QueueRequest, Response = Exchanged>,
    S::Error: From<SlackRefused> + From<UpstreamError>,
    C: Connects,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;

    async fn call(&self, mut request: QueueRequest) -> Result<Response<ResponseBody>, S::Error> {
        // Boxed by those that need it, because hardly any call does.
        let mut tries: Option<Box<Tries>> = None;
        loop {
            let exchanged = match self.inner.call(request).await {
                Ok(exchanged) => exchanged,
                Err(error) => {
                    let otherwise = tries.and_then(|tries| tries.otherwise);
                    return match otherwise.filter(Otherwise::was_the_last) {
                        // It was not sent again, so what is known of it counts.
                        Some(otherwise) => answer(otherwise.failure),
                        None => Err(error),
                    };
                }
            };
            request = match exchanged {
                Exchanged::Answered(response) => return Ok(*response),
                Exchanged::Refused(refused) => self.shared.after_refusal(*refused)?,
                Exchanged::Failed(failed) => {
                    let tries = tries.get_or_insert_default();
                    match Box::pin(self.shared.after_failure(*failed, tries)).await {
                        Ok(request) => request,
                        Err(failure) => return answer(failure),
                    }
                }
            };
        }
    }
}

/// What the caller gets of a call whose attempt failed.
fn answer<E: From<UpstreamError>>(failure: AttemptFailure) -> Result<Response<ResponseBody>, E> {
    match failure {
        AttemptFailure::Answer(response) => Ok(*response),
        AttemptFailure::Error(error) => Err(error.into()),
    }
}

// === impl Otherwise ===

impl Otherwise {
    /// Whether the call has not been sent since.
    fn was_the_last(&self) -> bool {
        self.record.attempts() == self.attempts
    }
}
