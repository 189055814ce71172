//! The exchange with the upstream: a pooled client over TCP or TLS, HTTP/1.1 and HTTP/2.

pub mod body;
pub mod connect;
pub mod headers;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::Connect},
    rt::{TokioExecutor, TokioTimer},
};
use tower::Service;

use crate::call::body::Outgoing;

/// How long an unused connection is kept. Shorter than servers and load balancers keep
/// theirs, so that a request rarely meets a closing one.
const IDLE: Duration = Duration::from_secs(50);

/// Sends requests to upstreams.
#[derive(Clone, Debug)]
pub struct Upstream<C> {
    /// Shared, because a stack of services is cloned for every call.
    client: Arc<Client<C, Outgoing>>,
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
        Self { client: Arc::new(client), headers }
    }
}

impl<C> Service<Request<Outgoing>> for Upstream<C>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    type Response = Response<Incoming>;
    type Error = UpstreamError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, UpstreamError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Outgoing>) -> Self::Future {
        let exchange = self.client.request(request);
        let limit = self.headers;
        Box::pin(async move {
            match tokio::time::timeout(limit, exchange).await {
                Ok(Ok(response)) => Ok(response),
                Ok(Err(error)) if error.is_connect() => Err(UpstreamError::Connect(error)),
                Ok(Err(error)) => Err(UpstreamError::Broken(error)),
                Err(_) => Err(UpstreamError::Timeout(limit)),
            }
        })
    }
}

// === impl UpstreamError ===

impl UpstreamError {
    /// Whether it is certain that nothing of the request was sent.
    pub fn nothing_sent(&self) -> bool {
        matches!(self, Self::Connect(_))
    }
}
