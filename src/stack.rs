//! The way of a call, outermost first.

use std::{convert::Infallible, hash::RandomState, net::SocketAddr, sync::Arc};

use config::Config;
use http::{Request, Response, header};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::Connect;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceBuilder};
use tower_http::{
    catch_panic::CatchPanicLayer, sensitive_headers::SetSensitiveRequestHeadersLayer,
};

use crate::{
    admission::{Admission, AdmitLayer},
    call::{
        classify::ClassifyLayer,
        gate::{self, GateLayer},
        route::RouteLayer,
    },
    identity::Identities,
    metrics::Metrics,
    outcome::{Learner, OutcomeLayer},
    request_id::RequestIdLayer,
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
    /// Whose tokens are whose.
    pub identities: Identities,
    /// What is counted.
    pub metrics: Metrics,
    /// Exchanges that outlive their callers.
    pub exchanges: TaskTracker,
    /// Tells callers and returning calls apart, also after a reload. Keyed, so that nobody can
    /// choose a name whose hash is another's.
    pub hasher: RandomState,
}

/// Everything between a connection's request and the upstream's answer.
pub fn stack<C>(
    shared: &Shared,
    listen: SocketAddr,
    connector: C,
) -> impl Service<
    Request<Incoming>,
    Response = Response<
        impl http_body::Body<Data = bytes::Bytes, Error: Into<BoxError>> + Send + 'static + use<C>,
    >,
    Error = Infallible,
    Future: Send,
>
+ Clone
+ Send
+ 'static
+ use<C>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let Shared { config, admission, identities, metrics, exchanges, .. } = shared;
    let learner = Learner::new(identities, admission);
    ServiceBuilder::new()
        // First of all, so that whatever prints a request prints no token.
        .layer(SetSensitiveRequestHeadersLayer::new([
            header::AUTHORIZATION,
            header::COOKIE,
            gate::KEY,
        ]))
        // Before anything that can fail: every answer has the id.
        .layer(RequestIdLayer::default())
        // Around all that is ours: a bug costs one call.
        .layer(CatchPanicLayer::custom(respond::panicked))
        // Around all that can fail: it answers, counts and logs whatever happened. What follows
        // are steps, shared by all calls.
        .layer(RespondLayer::new(metrics))
        // Before all else that looks at a call: a stranger learns nothing.
        .layer(GateLayer::new(&config.allow))
        // Before the body is read: what goes nowhere costs nothing.
        .layer(RouteLayer::new(&config.upstreams))
        .layer(ClassifyLayer::new(shared, listen))
        // Around the queue, because a refused call waits again.
        .layer(RetryLayer::new(config.on_429.max_attempts))
        .layer(AdmitLayer::new(admission.clone()))
        // Next to the upstream: the moment of the answer decides when a slot ages.
        .layer(OutcomeLayer::new(config, learner, metrics, exchanges))
        .service(Upstream::new(connector, config))
}

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
