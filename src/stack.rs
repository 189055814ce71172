//! The way of a call, outermost first.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use http::{HeaderName, Request, Response, header};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::Connect;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceBuilder};
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer},
    sensitive_headers::SetSensitiveRequestHeadersLayer,
};

use crate::{
    admission::{Admission, AdmitLayer},
    call::{classify::ClassifyLayer, route::RouteLayer},
    config::Config,
    metrics::Metrics,
    outcome::OutcomeLayer,
    respond::{self, RespondLayer},
    retry::RetryLayer,
    upstream::Upstream,
};

/// What the layers of the stack share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// What the operator decided.
    pub config: Arc<Config>,
    /// Where calls wait.
    pub admission: Admission,
    /// What is counted.
    pub metrics: Metrics,
    /// Exchanges that outlive their callers.
    pub exchanges: TaskTracker,
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Everything between a connection's request and the upstream's answer.
pub fn stack<C>(
    shared: &Shared,
    listen: SocketAddr,
    connector: C,
) -> impl Service<
    Request<Incoming>,
    Response = Response<
        impl http_body::Body<Data = bytes::Bytes, Error: Into<BoxError>> + Send + 'static,
    >,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let Shared { config, admission, metrics, exchanges } = shared;
    ServiceBuilder::new()
        // First of all, so that whatever prints a request prints no token.
        .layer(SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION, header::COOKIE]))
        // Before anything that can fail: every answer has the id.
        .layer(SetRequestIdLayer::new(REQUEST_ID, MadeHere::default()))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        // Around all that is ours: a bug costs one call.
        .layer(CatchPanicLayer::custom(respond::panicked))
        // Around all that can fail: it answers, counts and logs whatever happened. What follows
        // are steps, shared by all calls.
        .layer(RespondLayer::new(metrics))
        // Before the body is read: what goes nowhere costs nothing.
        .layer(RouteLayer::new(&config.upstreams))
        .layer(ClassifyLayer::new(config, listen))
        // Around the queue, because a refused call waits again.
        .layer(RetryLayer::new(config.on_429.max_attempts, metrics))
        .layer(AdmitLayer::new(admission.clone()))
        // Next to the upstream: the moment of the answer decides when a slot ages.
        .layer(OutcomeLayer::new(config, metrics, exchanges))
        .service(Upstream::new(connector, config.timeouts.headers))
}

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Numbers requests that come without an id, from a start that differs per process.
#[derive(Clone, Debug)]
struct MadeHere {
    next: Arc<std::sync::atomic::AtomicU64>,
}

// === impl MadeHere ===

impl Default for MadeHere {
    fn default() -> Self {
        use std::hash::{BuildHasher, RandomState};
        let start = RandomState::new().hash_one(std::process::id());
        Self { next: Arc::new(start.into()) }
    }
}

impl MakeRequestId for MadeHere {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        let number = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let id = http::HeaderValue::try_from(format!("{number:016x}")).ok()?;
        Some(RequestId::new(id))
    }
}
