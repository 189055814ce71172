//! The exchange with the upstream: a pooled client over TCP or TLS, HTTP/1.1 and HTTP/2.

pub mod body;
pub mod connect;
pub mod headers;

use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::Connect},
    rt::{TokioExecutor, TokioTimer},
};

use crate::{call::body::Outgoing, step::Step};

/// How long an unused connection is kept. Shorter than servers and load balancers keep
/// theirs, so that a request rarely meets a closing one.
const IDLE: Duration = Duration::from_secs(50);

/// Sends requests to upstreams.
#[derive(Debug)]
pub struct Upstream<C> {
    client: Client<C, Outgoing>,
    headers: Duration,
}

/// An exchange that brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// Nothing was sent: there was no connection to send it on.
    #[error("no connection to the upstream")]
    Connect(#[source] hyper_util::client::legacy::Error),
    /// The answer's headers did not come in time.
    #[error("the upstream did not answer within {0:?}")]
    Timeout(Duration),
    /// The connection broke before the answer's headers came.
    #[error("the connection to the upstream broke before it answered")]
    Broken(#[source] hyper_util::client::legacy::Error),
}

// === impl Upstream ===

impl<C> Upstream<C>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    /// Connects with `connector` and waits for an answer's headers for `headers`.
    pub fn new(connector: C, headers: Duration) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Self { client, headers }
    }
}

impl<C> Step<Request<Outgoing>> for Upstream<C>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    type Response = Response<Incoming>;
    type Error = UpstreamError;

    async fn call(&self, request: Request<Outgoing>) -> Result<Response<Incoming>, UpstreamError> {
        match tokio::time::timeout(self.headers, self.client.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() => Err(UpstreamError::Connect(error)),
            Ok(Err(error)) => Err(UpstreamError::Broken(error)),
            Err(_) => Err(UpstreamError::Timeout(self.headers)),
        }
    }
}

// === impl UpstreamError ===

impl UpstreamError {
    /// Whether it is certain that nothing of the request was sent.
    pub fn nothing_sent(&self) -> bool {
        matches!(self, Self::Connect(_))
    }
}
