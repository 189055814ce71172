//! The exchange with the upstream: a pooled client over TCP or TLS, HTTP/1.1 or HTTP/2.

pub mod connect;
pub mod loops;
pub mod proxied;

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use config::{Config, Proxies};
use http::{Request, Response, header};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::Connect},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::{Instant, timeout};

use crate::{call::body::Outgoing, step::Step};

/// How long an unused connection is kept. Shorter than servers and load balancers keep
/// theirs, so that a request rarely meets a closing one.
const IDLE: Duration = Duration::from_secs(50);
/// How long a connection takes new requests. One that is never idle would otherwise stay with
/// the address that its name once had.
const AGE: Duration = Duration::from_secs(300);
/// How long an HTTP/2 connection with requests on it may say nothing before it is asked whether
/// it lives, and how long it has to say so: when it dies, all calls on it are lost.
const SILENCE: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(5);

/// Sends requests to upstreams.
#[derive(Debug)]
pub struct Upstream<C> {
    connector: C,
    proxies: Proxies,
    headers: Duration,
    /// Whether a request may be one of several on its connection.
    http2: bool,
    pool: Mutex<Pool<C>>,
}

/// Connections that are used again, and since when there are such.
#[derive(Debug)]
struct Pool<C> {
    client: Arc<Client<C, Outgoing>>,
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
    /// The answer's headers did not come in time.
    #[error("the upstream did not answer within {0:?}")]
    Timeout(Duration),
    /// The connection broke before the answer's headers came.
    #[error("the connection to the upstream broke before it answered")]
    Broken(#[source] hyper_util::client::legacy::Error),
    /// The upstream said that it would not look at it, twice.
    #[error("the upstream did not take the call")]
    NotTaken(#[source] hyper_util::client::legacy::Error),
}

// === impl Upstream ===

impl<C> Upstream<C>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    /// Connects with `connector` and waits for an answer's headers as long as is configured.
    pub fn new(connector: C, config: &Config) -> Self {
        let pool = Mutex::new(Pool::new(connector.clone(), Instant::now()));
        let (proxies, headers) = (config.proxies.clone(), config.timeouts.headers);
        Self { connector, proxies, headers, http2: config.tls.http2, pool }
    }

    /// The client of now. What is under way on the connections of the one before goes on.
    fn client(&self) -> Arc<Client<C, Outgoing>> {
        let now = Instant::now();
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(pool.since) >= AGE {
            *pool = Pool::new(self.connector.clone(), now);
        }
        Arc::clone(&pool.client)
    }

    /// Sends a request, and once more if the server says that it did not take it: then it is as
    /// if nothing had been sent (RFC 9113, 8.7).
    async fn send_twice(
        &self,
        request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let again = copy(&request);
        match (self.send(request).await, again) {
            (Err(UpstreamError::NotTaken(_)), Some(request)) => self.send(request).await,
            (answer, _) => answer,
        }
    }

    async fn send(&self, request: Request<Outgoing>) -> Result<Response<Incoming>, UpstreamError> {
        let client = self.client();
        let error = match client.request(request).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        Err(match () {
            () if loops::is_loop(&error) => UpstreamError::Loop(error),
            () if error.is_connect() => UpstreamError::Connect(error),
            () if self.http2 && was_not_taken(&error) => UpstreamError::NotTaken(error),
            () => UpstreamError::Broken(error),
        })
    }
}

impl<C> Step<Request<Outgoing>> for Upstream<C>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    type Response = Response<Incoming>;
    type Error = UpstreamError;

    async fn call(
        &self,
        mut request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        if let Some(credentials) = self.proxies.credentials(request.uri()) {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, credentials);
        }
        let answer = if self.http2 {
            // Boxed, so that a call by HTTP/1.1 does not carry it about.
            timeout(self.headers, Box::pin(self.send_twice(request))).await
        } else {
            timeout(self.headers, self.send(request)).await
        };
        answer.unwrap_or(Err(UpstreamError::Timeout(self.headers)))
    }
}

/// The same request once more, unless its body streams.
fn copy(request: &Request<Outgoing>) -> Option<Request<Outgoing>> {
    let mut copy = Request::new(request.body().copy()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
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

impl<C> Pool<C>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    fn new(connector: C, since: Instant) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .http2_keep_alive_interval(SILENCE)
            .http2_keep_alive_timeout(PONG)
            .build(connector);
        Self { client: Arc::new(client), since }
    }
}

// === impl UpstreamError ===

impl UpstreamError {
    /// Whether it is certain that the upstream did nothing with the request.
    pub fn nothing_sent(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Loop(_) | Self::NotTaken(_))
    }
}
