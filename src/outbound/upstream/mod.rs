//! The exchange with the upstream: a pooled client over TCP or TLS, HTTP/1.1 or HTTP/2.

pub mod connect;
pub mod looked_at;
pub mod loops;
mod metered;
pub mod proxied;
pub mod reach;

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use config::{Config, Proxies};
use http::{Extensions, Request, Response, header};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{
        Client,
        connect::{CaptureConnection, Connected, capture_connection},
    },
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::{Instant, sleep_until, timeout};

use self::{
    metered::Meter,
    reach::{Connects, Reach},
};
use crate::{
    call::body::{BodyError, Outgoing, Phase, Progress},
    step::Step,
};

/// How long an unused connection is kept. Shorter than servers and load balancers keep
/// theirs, so that a request rarely meets a closing one.
const IDLE: Duration = Duration::from_secs(50);
/// How long a connection takes new requests. One that is never idle would otherwise stay with
/// the address that its name once had.
const AGE: Duration = Duration::from_secs(300);
/// The most headers of an answer, and the most bytes of them. hyper looks at the bytes between two reads, so
/// some more may pass.
const ANSWER_HEADERS: usize = 256;
const ANSWER_HEADER_BYTES: usize = 256 << 10;
/// How long an HTTP/2 connection with requests on it may say nothing before it is asked whether
/// it lives, and how long it has to say so: when it dies, all calls on it are lost.
const SILENCE: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(5);

/// Sends requests to upstreams.
#[derive(Debug)]
pub struct Upstream<C> {
    connector: Reach<C>,
    proxies: Proxies,
    headers: Duration,
    idle: Duration,
    /// Whether a request may be one of several on its connection.
    http2: bool,
    pool: Mutex<Pool<C>>,
    /// Has a connection for each request.
    unpooled: Client<Reach<C>, Outgoing>,
}

/// A request that is to have a connection of its own, in its extensions: one that others have used has
/// failed it. Where a connection is of several requests, it is one of theirs.
#[derive(Clone, Copy, Debug)]
pub struct OwnConnection;

/// Connections that are used again, and since when there are such.
#[derive(Debug)]
struct Pool<C> {
    client: Arc<Client<Reach<C>, Outgoing>>,
    since: Instant,
}

/// An exchange that brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// Nothing was sent: there was no connection to send it on.
    #[error("no connection to the upstream")]
    Connect(#[source] hyper_util::client::legacy::Error),
    /// Nothing was sent: what is at the upstream's address is this proxy.
    #[error("the upstream is slackwater itself")]
    Loop(#[source] hyper_util::client::legacy::Error),
    /// Nothing was sent: the connection broke before that.
    #[error("the connection to the upstream broke before the call was sent")]
    NotBegun(#[source] hyper_util::client::legacy::Error),
    /// The upstream said that it would not look at it.
    #[error("the upstream did not take the call")]
    NotTaken(#[source] hyper_util::client::legacy::Error),
    /// The connection broke before an answer began.
    #[error("the connection to the upstream broke before it answered")]
    Broken(#[source] hyper_util::client::legacy::Error),
    /// An answer began and cannot be read: it broke off in its headers, or is no HTTP.
    #[error("the upstream's answer broke off, or is no HTTP")]
    Garbled(#[source] hyper_util::client::legacy::Error),
    /// The answer's headers did not come in time.
    #[error("the upstream did not answer within {0:?}")]
    Timeout(Duration),
    /// The upstream did not read on.
    #[error("the upstream took no byte of the request's body for {0:?}")]
    Stalled(Duration),
    /// The client did not send all of it.
    #[error(transparent)]
    Request(BodyError),
}

// === impl UpstreamError ===

impl UpstreamError {
    /// What it is, in a span.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) => "unreachable",
            Self::Loop(_) => "loop",
            Self::NotBegun(_) | Self::NotTaken(_) => "not_taken",
            Self::Broken(_) | Self::Garbled(_) => "broken",
            Self::Timeout(_) | Self::Stalled(_) => "timeout",
            Self::Request(_) => "request",
        }
    }
}

// === impl Upstream ===

impl<C: Connects> Upstream<C> {
    /// Connects with `connector` and waits for an answer's headers as long as is configured.
    pub fn new(connector: Reach<C>, config: &Config) -> Self {
        let pool = Mutex::new(Pool::new(connector.clone(), Instant::now()));
        let (proxies, timeouts) = (config.proxies.clone(), &config.timeouts);
        let (headers, idle) = (timeouts.headers, timeouts.body_idle);
        let unpooled = builder().pool_max_idle_per_host(0).build(connector.clone());
        Self { connector, proxies, headers, idle, http2: config.tls.http2, pool, unpooled }
    }

    /// The client of now. What is under way on the connections of the one before goes on.
    fn client(&self) -> Arc<Client<Reach<C>, Outgoing>> {
        let now = Instant::now();
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(pool.since) >= AGE {
            *pool = Pool::new(self.connector.clone(), now);
        }
        Arc::clone(&pool.client)
    }

    async fn send(&self, request: Request<Outgoing>) -> Result<Response<Incoming>, UpstreamError> {
        let begun = Instant::now();
        let own = !self.http2 && request.extensions().get::<OwnConnection>().is_some();
        let answer = if own {
            self.unpooled.request(request).await
        } else {
            let client = self.client();
            client.request(request).await
        };
        let error = match answer {
            Ok(response) => {
                retire_if_doubtful(&response);
                return Ok(response);
            }
            Err(error) => error,
        };
        Err(match () {
            () if loops::is_loop(&error) => UpstreamError::Loop(error),
            () if error.is_connect() => UpstreamError::Connect(error),
            () if was_not_begun(&error, begun) => UpstreamError::NotBegun(error),
            () if self.http2 && was_not_taken(&error) => UpstreamError::NotTaken(error),
            () if has_answered(&error) => UpstreamError::Garbled(error),
            () => UpstreamError::Broken(error),
        })
    }

    /// Sends a request whose body may take its time.
    async fn send_slowly(
        &self,
        mut request: Request<Outgoing>,
        progress: &Progress,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let connection = capture_connection(&mut request);
        tokio::select! {
            biased;
            // What the client did shows as a broken connection.
            answer = self.send(request) => {
                answer.map_err(|error| progress.error().map_or(error, UpstreamError::Request))
            }
            late = self.overdue(progress, &connection) => Err(late),
        }
    }

    /// Ends when neither a byte of the body nor an answer has come for too long.
    async fn overdue(&self, progress: &Progress, connection: &CaptureConnection) -> UpstreamError {
        let Self { headers, idle, .. } = *self;
        let begun = Instant::now();
        loop {
            let now = Instant::now();
            let meter = connection.connection_metadata().as_ref().and_then(metered);
            let moved = |at: Instant| meter.as_ref().map_or(at, |meter| meter.last().max(at));
            let (end, error) = match progress.phase() {
                Phase::Connection => (begun + headers, UpstreamError::Timeout(headers)),
                // The body itself ends when its client has been silent for too long.
                Phase::Client => (now + idle, UpstreamError::Stalled(idle)),
                Phase::Upstream(at) => (moved(at) + idle, UpstreamError::Stalled(idle)),
                Phase::Nothing(at) => (moved(at) + headers, UpstreamError::Timeout(headers)),
            };
            if end <= now {
                return error;
            }
            // What the body waits for may be something else soon.
            sleep_until(end.min(now + idle.min(headers))).await;
        }
    }
}

impl<C: Connects> Step<Request<Outgoing>> for Upstream<C> {
    type Response = Response<Incoming>;
    type Error = UpstreamError;

    async fn call(
        &self,
        mut request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        if let Some(credentials) = self.proxies.credentials(request.uri()) {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, credentials);
        }
        if let Some(progress) = request.body().progress() {
            // Boxed, so that other calls do not carry it about.
            return Box::pin(self.send_slowly(request, &progress)).await;
        }
        let answer = timeout(self.headers, self.send(request)).await;
        answer.unwrap_or(Err(UpstreamError::Timeout(self.headers)))
    }
}

/// What a connection remembers of its request, if it is of no other's.
fn metered(connected: &Connected) -> Option<Meter> {
    let mut extras = Extensions::new();
    connected.get_extras(&mut extras);
    extras.remove()
}

/// An answer with a length and a transfer coding has two ends, of which the coding's counts. What follows
/// it may be the rest of it to whoever made it so, so its connection has no further request (RFC 9112, 6.3).
fn retire_if_doubtful(response: &Response<Incoming>) {
    let headers = response.headers();
    if headers.contains_key(header::TRANSFER_ENCODING)
        && headers.contains_key(header::CONTENT_LENGTH)
        && let Some(meter) = response.extensions().get::<Meter>()
    {
        meter.retire();
    }
}

/// Whether an answer had begun when the exchange failed, as far as one connection's bytes are one
/// request's: in HTTP/2 they are those of all.
fn has_answered(error: &hyper_util::client::legacy::Error) -> bool {
    let is_no_http =
        error.source().and_then(|source| source.downcast_ref()).is_some_and(hyper::Error::is_parse);
    is_no_http || error.connect_info().and_then(metered).is_some_and(|meter| meter.has_brought())
}

/// Whether nothing of a request was written that began at that time: hyper-util gives it back then, and
/// says no more than this; or its connection took nothing of it.
fn was_not_begun(error: &hyper_util::client::legacy::Error, begun: Instant) -> bool {
    error.to_string() == "client error (Canceled)"
        || error.connect_info().and_then(metered).is_some_and(|it| it.took_nothing_since(begun))
}

/// Whether a server of HTTP/2 said that it did nothing with a request: it refused the stream, or
/// was about to close the connection and named a stream before this one as the last it had seen.
fn was_not_taken(error: &hyper_util::client::legacy::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            return error.is_remote() && (refused || error.is_go_away());
        }
        source = error.source();
    }
    false
}

// === impl Pool ===

impl<C: Connects> Pool<C> {
    fn new(connector: Reach<C>, since: Instant) -> Self {
        Self { client: Arc::new(builder().build(connector)), since }
    }
}

fn builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http1_max_headers(ANSWER_HEADERS)
        .http1_max_buf_size(ANSWER_HEADER_BYTES)
        // A gateway makes spaces of them (RFC 9112, 5.2).
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http2_keep_alive_interval(SILENCE)
        .http2_keep_alive_timeout(PONG);
    builder
}

// === impl UpstreamError ===

impl UpstreamError {
    /// Whether it is certain that the upstream did nothing with the request.
    pub fn nothing_sent(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Loop(_) | Self::NotBegun(_) | Self::NotTaken(_))
    }

    /// Whether the connection failed that the request was on, or was to be on.
    pub fn is_of_its_connection(&self) -> bool {
        matches!(self, Self::NotBegun(_) | Self::Broken(_) | Self::Garbled(_))
    }

    /// Whether it may be over soon.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Connect(error) => !reach::is_lasting(error),
            Self::NotBegun(_) | Self::NotTaken(_) | Self::Broken(_) | Self::Garbled(_) => true,
            Self::Loop(_) | Self::Timeout(_) | Self::Stalled(_) | Self::Request(_) => false,
        }
    }
}
