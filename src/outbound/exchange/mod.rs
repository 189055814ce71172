//! What came back: settles the permit, freezes the bucket when Slack refused the call, and tells
//! whether the call may be sent again.
//!
//! From here on the exchange does not depend on its caller any more: see [`detached`].

mod detached;
mod learn;
mod look;
mod metrics;
mod tell;

use std::{
    marker::PhantomData,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use config::Config;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header, response::Parts, uri::Scheme};
use hyper::body::Incoming;
use slack::{
    Kind,
    reply::{self, Verdict},
};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tower::Layer;

use self::{detached::Detached, look::Looked};
pub use self::{learn::Learner, metrics::ExchangeMetrics};
use crate::{
    call::{
        Call,
        body::Outgoing,
        headers,
        refusing::Refusing,
        response::{ResponseBody, SlackRefused},
        trace::Met,
    },
    outbound::upstream::{OwnConnection, UpstreamError},
    queue::{Admitted, Permit, whole_seconds},
    step::Step,
};

/// What became of an attempt.
#[derive(Debug)]
pub enum Exchanged {
    /// An answer for the caller.
    Answered(Box<Response<ResponseBody>>),
    /// Slack refused the call for a limit. Its permit may be used to queue again.
    Refused(Box<RefusedCall>),
    /// The attempt failed, and sending the call again does no harm. Its permit may be used for that.
    Failed(Box<FailedCall>),
}

/// A call that Slack refused for a limit.
#[derive(Debug)]
pub struct RefusedCall {
    /// The call.
    pub call: Box<Call>,
    /// Its permit; the bucket is frozen.
    pub permit: Permit,
    /// Slack's answer, for when the call is not sent again.
    pub answer: Response<ResponseBody>,
}

/// A call whose attempt failed.
#[derive(Debug)]
pub struct FailedCall {
    /// The call.
    pub call: Box<Call>,
    /// Its permit.
    pub permit: Permit,
    /// What its caller gets if it is not sent again.
    pub failure: AttemptFailure,
}

/// How an attempt failed.
#[derive(Debug)]
pub enum AttemptFailure {
    /// Nothing came back.
    Error(UpstreamError),
    /// An error of the server's own came back, which says nothing of the call.
    Answer(Box<Response<ResponseBody>>),
}

/// How long the server is left alone after an error of its own.
pub const BREATH: Duration = Duration::from_millis(500);

/// Judges what comes back.
#[derive(Clone, Debug)]
pub struct ExchangeLayer<E> {
    config: Arc<Config>,
    learner: Learner,
    metrics: ExchangeMetrics,
    exchanges: TaskTracker,
    error: PhantomData<fn() -> E>,
}

/// Judges what comes back.
///
/// Once the call is handed over, dropping the future does not end the exchange: it goes on
/// by itself until the answer's headers are here, so that the permit is settled in time.
#[derive(Debug)]
pub struct Exchange<S, E> {
    /// Shared with the exchanges, which may outlive all else.
    inner: Arc<Exchanges<S>>,
    exchanges: TaskTracker,
    error: PhantomData<fn() -> E>,
}

/// What an exchange needs.
#[derive(Debug)]
struct Exchanges<S> {
    inner: S,
    config: Arc<Config>,
    learner: Learner,
    metrics: ExchangeMetrics,
}

// === impl ExchangeLayer ===

impl<E> ExchangeLayer<E> {
    /// Exchanges that outlive their callers are tracked by `exchanges`.
    pub fn new(
        config: &Arc<Config>,
        learner: Learner,
        metrics: &ExchangeMetrics,
        exchanges: &TaskTracker,
    ) -> Self {
        let (config, metrics) = (Arc::clone(config), metrics.clone());
        Self { config, learner, metrics, exchanges: exchanges.clone(), error: PhantomData }
    }
}

impl<S, E> Layer<S> for ExchangeLayer<E> {
    type Service = Exchange<S, E>;

    fn layer(&self, inner: S) -> Exchange<S, E> {
        let Self { config, learner, metrics, exchanges, .. } = self;
        let (config, learner, metrics) = (Arc::clone(config), learner.clone(), metrics.clone());
        let inner = Arc::new(Exchanges { inner, config, learner, metrics });
        Exchange { inner, exchanges: exchanges.clone(), error: PhantomData }
    }
}

// === impl Exchange ===

impl<S, E> Step<Admitted> for Exchange<S, E>
where
    E: From<UpstreamError> + From<SlackRefused> + Send + 'static,
    S: Step<Request<Outgoing>, Response = Response<Incoming>, Error = UpstreamError> + 'static,
{
    type Response = Exchanged;
    type Error = E;

    async fn call(&self, admitted: Admitted) -> Result<Exchanged, E> {
        let exchange = Arc::clone(&self.inner).exchange(admitted);
        Detached::new(Box::pin(exchange), &self.exchanges).await
    }
}

// === impl Exchanges ===

impl<S> Exchanges<S>
where
    S: Step<Request<Outgoing>, Response = Response<Incoming>, Error = UpstreamError>,
{
    async fn exchange<E>(
        self: Arc<Self>,
        Admitted { mut call, mut permit }: Admitted,
    ) -> Result<Exchanged, E>
    where
        E: From<UpstreamError> + From<SlackRefused>,
    {
        let method = call.method.as_ref();
        let reads = method.is_some_and(|method| method.may_be_repeated(&call.head.verb));
        let mut request = Request::new(call.body.send());
        *request.method_mut() = call.head.verb.clone();
        *request.uri_mut() = call.head.url.clone();
        *request.headers_mut() = call.head.headers.clone();
        if call.own_connection {
            request.extensions_mut().insert(OwnConnection);
        }
        call.record.sent();
        permit.sent();
        let on_its_way = permit.in_flight();
        let sent = Instant::now();
        let in_flight = self.metrics.in_flight(&call.upstream.prefix);
        let response = self.inner.call(request).await;
        drop(in_flight);
        let took = Instant::now().duration_since(sent);
        let url = &call.head.url;
        call.record.met(|| Met::Attempt {
            from: sent,
            to: sent + took,
            server: server(url),
            outcome: response.as_ref().map(Response::status).map_err(UpstreamError::kind),
        });
        let code = response.as_ref().map_or("error", |response| code(response.status()));
        self.metrics.exchanged(&call.upstream.prefix, code, took);
        let response = match response {
            Ok(response) => response,
            Err(error) => {
                let once_more = if error.nothing_sent() {
                    permit.was_not_sent();
                    call.record.not_sent();
                    true
                } else {
                    // The permit's drop counts it as lost. A read is sent again once.
                    reads && !call.repeated
                };
                let again = once_more && error.may_pass() && call.body.can_be_sent();
                if !again || permit.is_watched() {
                    return Err(error.into());
                }
                let failure = AttemptFailure::Error(error);
                return Ok(Exchanged::Failed(Box::new(FailedCall { call, permit, failure })));
            }
        };
        let (mut parts, body) = response.into_parts();
        headers::forward_response(&mut parts.headers);
        let Looked { mut body, whole } = self.look(&call, &permit, parts.status, body).await;
        // The connection of an answer that is not here is not free.
        if whole.is_none() {
            body.until_its_end(on_its_way);
        }
        // What Slack said to this call is known here and nowhere else, if it is no more than a
        // look takes in.
        let text = whole.as_deref().and_then(|whole| look::text(&parts.headers, whole));
        let default = self.config.on_429.default_retry_after;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let verdict = reply::verdict(parts.status, &parts.headers, text.as_deref(), default, now);
        let (pause, is_limit, again) = match verdict {
            Verdict::Passed if reads && is_worth_another(&call, &permit, parts.status) => {
                permit.was_answered();
                let failure = AttemptFailure::Answer(Box::new(Response::from_parts(parts, body)));
                return Ok(Exchanged::Failed(Box::new(FailedCall { call, permit, failure })));
            }
            Verdict::Passed => {
                call.record.keep_headroom(permit.answered());
                self.learner.judge(&call, &parts, text.as_deref());
                if let Some(text) = text {
                    self.learner.hear(&call, &text);
                }
                return Ok(answered(parts, body));
            }
            // What may have been done is done again only if that does no harm.
            Verdict::Unavailable(pause) => (pause, false, reads),
            Verdict::Refused(pause) => (pause, true, true),
        };
        let refused = permit.refused(verdict.freeze());
        tell::refused(&call, &refused, pause);
        if is_limit {
            self.metrics.refused(call.record.method(), refused.surprise);
        }
        call.record.keep_headroom(refused.headroom);
        if permit.is_watched() || !again {
            return Ok(answered(parts, body));
        }
        let understood = text.is_some_and(|text| reply::is_object(&text));
        let answer = refusal(parts, body, understood, pause, call.record.refusing());
        if refused.closed.is_empty() {
            // With no bucket closed, nothing would keep the call from going again at once.
            Err(SlackRefused(Box::new(answer)).into())
        } else {
            Ok(Exchanged::Refused(Box::new(RefusedCall { call, permit, answer })))
        }
    }

    /// Looks into an answer that may be a refusal, or that is read to its end because the call may
    /// be sent again, and its connection used again. Others go on untouched.
    async fn look(
        &self,
        call: &Call,
        permit: &Permit,
        status: StatusCode,
        body: Incoming,
    ) -> Looked {
        let idle = self.config.timeouts.body_idle;
        let may_refuse = match status {
            StatusCode::TOO_MANY_REQUESTS => true,
            status if status.is_server_error() => true,
            // These may say that the webhook is dead.
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => {
                call.upstream.kind == Kind::Webhook
            }
            status => status.is_success() && call.method.is_some(),
        };
        if !may_refuse || !look::may_be_small(&body) {
            return Looked { body: ResponseBody::upstream(body, idle), whole: None };
        }
        let mut look = pin!(look::look(body, idle));
        // As a rule a small body is here with its headers.
        if let Some(looked) = look.as_mut().now_or_never() {
            return looked;
        }
        permit.answer_begins();
        look.await
    }
}

/// Whether a read is sent again because of its answer: one that says nothing of the call, but of
/// the server or a gateway before it, and only while its client waits.
fn is_worth_another(call: &Call, permit: &Permit, status: StatusCode) -> bool {
    let is_error = matches!(
        status,
        StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    let is_first = !call.repeated && call.body.can_be_sent() && !permit.is_watched();
    is_error && is_first && Instant::now() + BREATH < call.waited_for_until()
}

fn answered(parts: Parts, body: ResponseBody) -> Exchanged {
    Exchanged::Answered(Box::new(Response::from_parts(parts, body)))
}

/// What the caller sees of a refusal: Slack's own words, with what is missing added. A 429
/// whose body no SDK understands, or which has none, gets one.
fn refusal(
    mut parts: Parts,
    body: ResponseBody,
    understood: bool,
    pause: Duration,
    refusing: Refusing,
) -> Response<ResponseBody> {
    let headers = &mut parts.headers;
    let seconds = whole_seconds(pause).max(1);
    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    if understood || parts.status != StatusCode::TOO_MANY_REQUESTS {
        return Response::from_parts(parts, body);
    }
    reply::reword(headers);
    Response::from_parts(parts, ResponseBody::ours(refusing.words().body(seconds, None)))
}

/// The host and the port of a URL.
fn server(url: &Uri) -> Option<(Box<str>, u16)> {
    let usual = if url.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 };
    Some((url.host()?.into(), url.port_u16().unwrap_or(usual)))
}

/// A status as metrics have it.
fn code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        429 => "429",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}
