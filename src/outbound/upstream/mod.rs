//! The exchange with the upstream: a pooled client over TCP or TLS, HTTP/1.1 or HTTP/2.

pub mod connect;
pub mod looked_at;
pub mod loops;
mod metered;
mod pool;
pub mod proxied;
pub mod reach;

use std::{error::Error, sync::PoisonError, time::Duration};

use config::{Config, Proxies};
use http::{Request, Response, header};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until, timeout};

use self::{
    pool::{Failure, Pool, Used},
    reach::{Connects, Reach},
};
use crate::{
    call::body::{BodyError, Outgoing, Phase, Progress},
    step::{BoxError, Step},
};

/// Sends requests to upstreams.
#[derive(Debug)]
pub struct Upstream<C> {
    pool: Pool<C>,
    proxies: Proxies,
    headers: Duration,
    idle: Duration,
}

/// A request that is to have a connection of its own, in its extensions: one that others have used has
/// failed it. Where a connection is of several requests, it is one of theirs.
#[derive(Clone, Copy, Debug)]
pub struct OwnConnection;

/// An exchange that brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// Nothing was sent: there was no connection to send it on.
    #[error("no connection to the upstream")]
    Connect(#[source] BoxError),
    /// Nothing was sent: what is at the upstream's address is this proxy.
    #[error("the upstream is slackwater itself")]
    Loop(#[source] BoxError),
    /// Nothing was sent: the connection broke before that.
    #[error("the connection to the upstream broke before the call was sent")]
    NotBegun(#[source] hyper::Error),
    /// The upstream said that it would not look at it.
    #[error("the upstream did not take the call")]
    NotTaken(#[source] hyper::Error),
    /// The connection broke before an answer began.
    #[error("the connection to the upstream broke before it answered")]
    Broken(#[source] hyper::Error),
    /// An answer began and cannot be read: it broke off in its headers, or is no HTTP.
    #[error("the upstream's answer broke off, or is no HTTP")]
    Garbled(#[source] hyper::Error),
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
        let (proxies, timeouts) = (config.proxies.clone(), &config.timeouts);
        let (headers, idle) = (timeouts.headers, timeouts.body_idle);
        Self { pool: Pool::new(connector), proxies, headers, idle }
    }

    async fn send(
        &self,
        request: Request<Outgoing>,
        used: Option<&Used>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let own = request.extensions().get::<OwnConnection>().is_some();
        let failure = match self.pool.send(request, own, used).await {
            Ok(response) => return Ok(response),
            Err(failure) => failure,
        };
        Err(match failure {
            Failure::Connect(error) if loops::is_loop(&*error) => UpstreamError::Loop(error),
            Failure::Connect(error) => UpstreamError::Connect(error),
            Failure::NotBegun(error) => UpstreamError::NotBegun(error),
            Failure::Begun(error, meter) => match meter {
                Some(meter) if meter.has_taken_nothing() => UpstreamError::NotBegun(error),
                // In HTTP/2 the bytes of a connection are those of all its requests.
                None if was_not_taken(&error) => UpstreamError::NotTaken(error),
                Some(meter) if meter.has_brought() => UpstreamError::Garbled(error),
                _ if error.is_parse() => UpstreamError::Garbled(error),
                _ => UpstreamError::Broken(error),
            },
        })
    }

    /// Sends a request whose body may take its time.
    async fn send_slowly(
        &self,
        request: Request<Outgoing>,
        progress: &Progress,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let used = Used::default();
        tokio::select! {
            biased;
            // What the client did shows as a broken connection.
            answer = self.send(request, Some(&used)) => {
                answer.map_err(|error| progress.error().map_or(error, UpstreamError::Request))
            }
            late = self.overdue(progress, &used) => Err(late),
        }
    }

    /// Ends when neither a byte of the body nor an answer has come for too long.
    async fn overdue(&self, progress: &Progress, used: &Used) -> UpstreamError {
        let Self { headers, idle, .. } = *self;
        let begun = Instant::now();
        loop {
            let now = Instant::now();
            let meter = used.lock().unwrap_or_else(PoisonError::into_inner).clone();
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
        let answer = timeout(self.headers, self.send(request, None)).await;
        answer.unwrap_or(Err(UpstreamError::Timeout(self.headers)))
    }
}

/// Whether a server of HTTP/2 said that it did nothing with a request: it refused the stream, or
/// was about to close the connection and named a stream before this one as the last it had seen.
fn was_not_taken(error: &hyper::Error) -> bool {
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
            Self::Connect(error) => !reach::is_lasting(&**error),
            Self::NotBegun(_) | Self::NotTaken(_) | Self::Broken(_) | Self::Garbled(_) => true,
            Self::Loop(_) | Self::Timeout(_) | Self::Stalled(_) | Self::Request(_) => false,
        }
    }
}
