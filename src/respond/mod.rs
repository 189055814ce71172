//! The only place that turns failures into HTTP.
//!
//! Every failure names what happened and what to do, in JSON of the shape that Slack's own
//! errors have, so that every SDK shows it. Every answer tells how long the call waited and
//! how often it was sent.

mod again;
mod cure;
mod ending;
mod error;
mod form;
mod headroom;
mod metrics;
mod shown_path;
mod warnings;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use config::Config;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use slack::{RefusedAs, reply};
use tower::{Layer, Service};

use self::{
    again::NewerFailed,
    cure::message,
    ending::Ending,
    error::{Asker, error_response, json_response, say_in_status},
    form::{Told, is_back_at_once},
};
pub use self::{
    metrics::{AnswerMetrics, Top},
    warnings::Warnings,
};
use crate::{
    call::{
        body::BodyError,
        client_end::ClientEnded,
        ids::Ids,
        record::{Headroom, Record},
        response::{HungUp, ResponseBody, SlackRefused},
    },
    causes::with_causes,
    clicks::Clicks,
    dead::FailedFast,
    inbound::{
        NoMethod,
        access::NotAllowed,
        route::{Arriving, RouteError},
    },
    outbound::upstream::UpstreamError,
    queue::{Shed, ShedReason, whole_seconds},
    step::Step,
    traces::Tracer,
};

/// Why a call has no answer of the upstream's.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Its caller may not call.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// It goes nowhere.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// It names no method.
    #[error(transparent)]
    Method(#[from] NoMethod),
    /// Its body could not be read.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It is not held.
    #[error("shed: {}", .0.reason.as_str())]
    Shed(Shed),
    /// It is not held, because its client may have left.
    #[error(transparent)]
    ClientEnded(#[from] ClientEnded),
    /// Slack refused it, and it is not sent again.
    #[error(transparent)]
    Refused(#[from] SlackRefused),
    /// Slack has called its token or its webhook good for nothing before.
    #[error(transparent)]
    Dead(#[from] FailedFast),
    /// The upstream gave no answer.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// What became of a newer edit that was to be sent instead.
    #[error(transparent)]
    Newer(NewerFailed),
}

/// Answers every call.
#[derive(Clone, Debug)]
pub struct RespondLayer {
    config: Arc<Config>,
    metrics: AnswerMetrics,
    clicks: Clicks,
    warnings: Warnings,
    tracer: Tracer,
}

/// Answers every call.
///
/// Clones share all steps below. Each call is one future, for all of them.
#[derive(Debug)]
pub struct Respond<S> {
    shared: Arc<Inner<S>>,
}

#[derive(Debug)]
struct Inner<S> {
    below: S,
    config: Arc<Config>,
    metrics: AnswerMetrics,
    clicks: Clicks,
    warnings: Warnings,
    tracer: Tracer,
}

const REASON: HeaderName = HeaderName::from_static("slackwater-reason");
const WAIT: HeaderName = HeaderName::from_static("slackwater-wait-ms");
const ATTEMPTS: HeaderName = HeaderName::from_static("slackwater-attempts");
const SUPERSEDED: HeaderName = HeaderName::from_static("slackwater-superseded");

const UNKNOWN_PATH: &str = "unknown_path";
const WRONG_BASE_URL: &str = "wrong_base_url";
const UNKNOWN_METHOD: &str = "unknown_method";

// === impl Failure ===

impl From<Shed> for Failure {
    fn from(shed: Shed) -> Self {
        Self::Shed(shed)
    }
}

impl Failure {
    /// The reason in metrics, if the call was shed.
    fn shed_reason(&self) -> Option<ShedReason> {
        match self {
            Self::Shed(shed) => Some(shed.reason),
            Self::Body(BodyError::Memory) => Some(ShedReason::Memory),
            Self::Body(BodyError::Stopped(_))
            | Self::Upstream(UpstreamError::Request(BodyError::Stopped(_))) => {
                Some(ShedReason::Draining)
            }
            Self::Refused(_) => Some(ShedReason::Upstream),
            _ => None,
        }
    }

    /// Why the call was answered without being sent, in a span.
    fn why(&self) -> Option<&'static str> {
        match self {
            Self::Dead(answer) => Some(answer.0.reason.as_str()),
            _ => self.shed_reason().map(ShedReason::as_str).or_else(|| self.lost()),
        }
    }

    /// Whether the caller's client is to see its own connection end, as Slack's did: it is known to
    /// send the call again then, and to take an answer of ours for the last word.
    fn hangs_up(&self, record: &Record) -> bool {
        matches!(self, Self::Upstream(UpstreamError::Broken(_)))
            && record.retries_broken_connections()
    }

    /// The error, if the call goes nowhere because its URL is wrong.
    fn lost(&self) -> Option<&'static str> {
        match self {
            Self::Route(RouteError::UnknownPath { .. }) => Some(UNKNOWN_PATH),
            Self::Route(RouteError::NoPrefix { .. }) => Some(WRONG_BASE_URL),
            Self::Method(_) => Some(UNKNOWN_METHOD),
            _ => None,
        }
    }

    /// In how long the call could have gone, if that is known.
    fn could_go_in(&self) -> Option<Duration> {
        match self {
            Self::Shed(shed) => Some(shed.retry_after),
            _ => None,
        }
    }

    /// Whether the call is shed, and its client back at once to be held again: nothing is lost.
    fn is_back_at_once(&self, record: &Record) -> bool {
        matches!(self, Self::Shed(shed) if is_back_at_once(shed, record))
    }

    fn into_response(self, record: &Record, clicks: &Clicks) -> Response<ResponseBody> {
        let text = with_causes(&self);
        match self {
            Self::NotAllowed(_) => {
                error_response(StatusCode::FORBIDDEN, "caller_not_allowed", &text)
            }
            Self::Route(error) => match error {
                RouteError::UnknownPath { .. } => {
                    error_response(StatusCode::NOT_FOUND, UNKNOWN_PATH, &text)
                }
                RouteError::NoPrefix { prefix, .. } => {
                    let mut response = error_response(StatusCode::NOT_FOUND, WRONG_BASE_URL, &text);
                    let cure = format!("the base URL must end with {prefix}");
                    say_in_status(&mut response, &cure);
                    response
                }
                RouteError::Lane(_) => {
                    error_response(StatusCode::BAD_REQUEST, "invalid_lane", &text)
                }
                RouteError::ForwardProxy
                | RouteError::UnsafePath
                | RouteError::Host
                | RouteError::InvalidUrl => {
                    error_response(StatusCode::BAD_REQUEST, "invalid_request", &text)
                }
            },
            Self::Method(_) => error_response(StatusCode::NOT_FOUND, UNKNOWN_METHOD, &text),
            Self::Body(error @ (BodyError::Memory | BodyError::Stopped(_))) => {
                let reason = match error {
                    BodyError::Memory => ShedReason::Memory,
                    _ => ShedReason::Draining,
                };
                let shed = Shed { reason, bucket: None, retry_after: Duration::from_secs(1) };
                shed_response(&shed, record, clicks)
            }
            Self::Body(BodyError::Read(_)) => {
                error_response(StatusCode::BAD_REQUEST, "invalid_body", &text)
            }
            Self::Body(BodyError::Idle(_) | BodyError::Slow(_)) => {
                error_response(StatusCode::REQUEST_TIMEOUT, "request_timeout", &text)
            }
            Self::Shed(shed) => shed_response(&shed, record, clicks),
            Self::ClientEnded(_) => error_response(StatusCode::BAD_REQUEST, "client_closed", &text),
            Self::Refused(SlackRefused(answer)) => refused_response(*answer, record, clicks),
            Self::Dead(answer) => answer.response(),
            Self::Upstream(UpstreamError::Request(error)) => {
                Self::Body(error).into_response(record, clicks)
            }
            Self::Upstream(error) => {
                let (status, error) = upstream_failed(&error);
                error_response(status, error, &text)
            }
            Self::Newer(NewerFailed { status, error, .. }) => error_response(status, error, &text),
        }
    }
}

/// The status and the error of a call that the upstream did not answer.
fn upstream_failed(error: &UpstreamError) -> (StatusCode, &'static str) {
    match error {
        UpstreamError::Connect(_) => (StatusCode::BAD_GATEWAY, "upstream_unreachable"),
        UpstreamError::Loop(_) => (StatusCode::BAD_GATEWAY, "upstream_loop"),
        UpstreamError::NotBegun(_)
        | UpstreamError::NotTaken(_)
        | UpstreamError::Broken(_)
        | UpstreamError::Garbled(_)
        | UpstreamError::Request(_) => (StatusCode::BAD_GATEWAY, "upstream_broken"),
        UpstreamError::Timeout(_) | UpstreamError::Stalled(_) => {
            (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout")
        }
    }
}

/// What a shed call gets: what Slack would have said, in the way that its client takes best, and why.
fn shed_response(shed: &Shed, record: &Record, clicks: &Clicks) -> Response<ResponseBody> {
    let Told { form, seconds } = Told::of(shed, record, clicks);
    let body = form.body(seconds, Some(&message(shed, record)));
    let mut response = json_response(form.status(), body);
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    headers.insert(REASON, HeaderValue::from_static(shed.reason.as_str()));
    if let Some(bucket) = &shed.bucket {
        headroom::tell(headers, bucket, 0, seconds);
    }
    response
}

/// What a call gets that Slack refused: Slack's own answer. A client that a 429 stops as a
/// whole stops at one of Slack's just the same.
fn refused_response(
    mut answer: Response<ResponseBody>,
    record: &Record,
    clicks: &Clicks,
) -> Response<ResponseBody> {
    // In whole seconds by now, so that it does not matter what time it is.
    let pause = reply::retry_after(answer.headers(), Duration::ZERO).unwrap_or_default();
    let form = record.refusing().form(Some(pause), |client| clicks.lately(client));
    if answer.status() == StatusCode::TOO_MANY_REQUESTS && form == RefusedAs::OkFalse {
        reply::reword(answer.headers_mut());
        *answer.status_mut() = StatusCode::OK;
        *answer.body_mut() = ResponseBody::ours(reply::RATE_LIMITED);
    }
    let reason = HeaderValue::from_static(ShedReason::Upstream.as_str());
    answer.headers_mut().insert(REASON, reason);
    answer
}

/// What a bug of ours costs: this one call.
pub fn panicked(_: Box<dyn std::any::Any + Send>) -> Response<ResponseBody> {
    let text = "a bug in slackwater ended this call; whether it was sent is not known";
    error_response(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", text)
}

// === impl RespondLayer ===

impl RespondLayer {
    /// Counts in these metrics, refuses by these clicks, and warns of what is refused.
    pub fn new(
        config: &Arc<Config>,
        metrics: &AnswerMetrics,
        clicks: &Clicks,
        warnings: &Warnings,
        tracer: &Tracer,
    ) -> Self {
        Self {
            config: Arc::clone(config),
            metrics: metrics.clone(),
            clicks: clicks.clone(),
            warnings: warnings.clone(),
            tracer: tracer.clone(),
        }
    }
}

impl<S> Layer<S> for RespondLayer {
    type Service = Respond<S>;

    fn layer(&self, inner: S) -> Respond<S> {
        let Self { config, metrics, clicks, warnings, tracer } = self.clone();
        let shared = Inner { below: inner, config, metrics, clicks, warnings, tracer };
        Respond { shared: Arc::new(shared) }
    }
}

// === impl Respond ===

impl<S> Clone for Respond<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<S> Service<Request<Incoming>> for Respond<S>
where
    S: Step<Arriving<Incoming>, Response = Response<ResponseBody>, Error = Failure> + 'static,
{
    type Response = Response<ResponseBody>;
    type Error = HungUp;
    type Future = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, HungUp>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), HungUp>> {
        // The steps below are always ready: whatever waits, waits in its call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let Inner { below, config, metrics, clicks, warnings, tracer } = &*shared;
            // Shares the memory of the request's.
            let uri = request.uri().clone();
            let ids = Ids::of(request.headers());
            let trace = tracer.begin(&ids);
            let record = Arc::new(Record::of(ids).traced(trace));
            let mut ending = Ending::of(tracer, &record, &request);
            let asker = Asker::of(request.headers());
            let answered =
                below.call(Arriving { request, proved: None, record: Arc::clone(&record) }).await;
            // What is shed tells of its own bucket; what broke is not known to have been counted.
            let counted = matches!(&answered, Ok(_) | Err(Failure::Refused(_)));
            let headroom = record.take_headroom().filter(|_| counted);
            // Nearly all of them have left, and are nobody's answers.
            let has_left = matches!(&answered, Err(Failure::ClientEnded(_)));
            let mut reason = None;
            let response = answered.or_else(|failure| {
                reason = failure.shed_reason();
                if let Some(ending) = &mut ending {
                    ending.why = failure.why();
                }
                if let Some(reason) = reason.filter(|_| !failure.is_back_at_once(&record)) {
                    warnings.shed(&record, reason, failure.could_go_in());
                }
                if let Some(error) = failure.lost() {
                    warnings.lost(&record, error, uri.path());
                }
                if let Failure::Upstream(error) = &failure {
                    tracing::info!(
                        method = record.method(),
                        caller = record.labels().map(|labels| &*labels.caller),
                        error = with_causes(error),
                        request_id = record.ids().request(),
                        trace_id = record.ids().trace(),
                        "no answer from the upstream"
                    );
                }
                if failure.hangs_up(&record) {
                    return Err(HungUp);
                }
                let is_slacks = matches!(failure, Failure::Refused(_) | Failure::Dead(_));
                let mut response = failure.into_response(&record, clicks);
                if !is_slacks {
                    asker.fit(&mut response, config);
                }
                Ok(response)
            });
            let response = response.map(|mut response| {
                if let Some(Headroom { bucket, left, more_in }) = headroom {
                    headroom::tell(response.headers_mut(), &bucket, left, whole_seconds(more_in));
                }
                tell(response.headers_mut(), &record);
                response
            });
            let status = response.as_ref().ok().map(Response::status);
            if !has_left {
                metrics.answered(&record, status, reason);
                if let Some(ending) = &mut ending {
                    ending.status = status;
                }
            }
            // Its span ends here, or when its client is gone.
            drop(ending);
            tracing::debug!(
                method = record.method(),
                class = record.class(),
                caller = record.labels().map(|labels| &*labels.caller),
                workspace = record.labels().and_then(|labels| labels.workspace.as_deref()),
                status = status.map(|status| status.as_u16()),
                shed = reason.map(ShedReason::as_str),
                wait_ms = wait_ms(&record),
                attempts = record.attempts(),
                request_id = record.ids().request(),
                trace_id = record.ids().trace(),
                "call answered"
            );
            response
        })
    }
}

fn tell(headers: &mut HeaderMap, record: &Record) {
    headers.insert(WAIT, number(wait_ms(record)));
    headers.insert(ATTEMPTS, number(record.attempts().into()));
    let by = record.superseded_by();
    if by > 0 {
        headers.insert(SUPERSEDED, number(by));
    }
}

fn wait_ms(record: &Record) -> u64 {
    u64::try_from(record.wait().as_millis()).unwrap_or(u64::MAX)
}

/// Most calls wait for nothing and are sent once, which takes no memory to say.
fn number(number: u64) -> HeaderValue {
    match number {
        0 => HeaderValue::from_static("0"),
        1 => HeaderValue::from_static("1"),
        number => number.into(),
    }
}
