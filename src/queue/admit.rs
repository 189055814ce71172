//! Lets a call pass when it has its permit.

use std::time::Duration;

use http::{HeaderValue, Response, header};
use limits::BucketKey;
use slack::reply;
use tower::Layer;

use super::{Admission, Permit, QueueDecision, Shed, Turned};
use crate::{
    call::{
        Call,
        client_end::ClientEnded,
        response::{ResponseBody, SlackRefused},
    },
    dead::FailedFast,
    step::Step,
};

/// A call that asks to go.
#[derive(Debug)]
pub struct QueueRequest {
    /// The call.
    pub call: Box<Call>,
    /// What it asks with.
    pub attempt: Attempt,
    /// What Slack said of its last attempt, for the case that it is not sent again.
    pub refusal: Option<Box<Response<ResponseBody>>>,
}

/// What a call asks to go with.
#[derive(Debug)]
pub enum Attempt {
    /// It has not been sent yet, and counts against these.
    First(Vec<BucketKey>),
    /// It had an attempt, which Slack refused or which failed; this is the permit of that.
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
/// Each call waits for buckets of its own, as long as its client does. Dropping the future leaves the
/// queue.
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

impl<S> Step<QueueRequest> for Admit<S>
where
    S: Step<Admitted>,
    S::Error: From<Shed> + From<ClientEnded> + From<SlackRefused> + From<FailedFast>,
{
    type Response = S::Response;
    type Error = S::Error;

    async fn call(&self, request: QueueRequest) -> Result<S::Response, S::Error> {
        let QueueRequest { mut call, attempt, refusal } = request;
        call.asks();
        if matches!(attempt, Attempt::Again(_)) && call.client_end.has_come() {
            // Its client may have left. What is known of the call is said, if it has not.
            return Err(
                refusal.map_or_else(|| ClientEnded.into(), |said| SlackRefused(said).into())
            );
        }
        call.record.held_at_most(call.deadline.saturating_duration_since(call.arrived));
        let decision = match (self.admission.ask(&call, attempt), refusal) {
            (Ok(decision), refusal) => {
                if refusal.is_some() {
                    self.admission.shared.metrics.replayed(call.record.method());
                }
                decision
            }
            (Err(Turned::Shed(shed)), Some(refusal)) => {
                return Err(handed_on(*refusal, &shed).into());
            }
            (Err(turned), _) => return Err(error(turned)),
        };
        if let (Some(several), QueueDecision::Held(waiting)) = (&call.several, &decision) {
            let (class, deadline) = several.stands(waiting.ticket());
            if (class, deadline) != (call.class, call.deadline) {
                self.admission.raise(several, class, deadline);
            }
        }
        let permit = match decision.permit(&call).await {
            Ok(permit) => permit,
            Err(turned) => return Err(error(turned)),
        };
        call.goes();
        self.inner.call(Admitted { call, permit }).await
    }
}

fn error<E: From<Shed> + From<FailedFast> + From<ClientEnded>>(turned: Turned) -> E {
    match turned {
        Turned::Shed(shed) => shed.into(),
        Turned::Dead(answer) => answer.into(),
        Turned::ClientEnded(ended) => ended.into(),
    }
}

/// A call that Slack refused and that is not held till it could go again: its caller hears
/// from Slack, and is not told to come back before there is room for the call here.
fn handed_on(mut refusal: Response<ResponseBody>, shed: &Shed) -> SlackRefused {
    // It is in seconds by now, which need no clock.
    let said = reply::retry_after(refusal.headers(), Duration::ZERO).unwrap_or_default();
    let seconds = shed.retry_after_seconds().max(said.as_secs());
    refusal.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    SlackRefused(Box::new(refusal))
}
