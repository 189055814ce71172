//! The way of a call, outermost first.

use std::net::SocketAddr;

use http::{Request, Response, header};
use hyper::body::Incoming;
use tower::{Service, ServiceBuilder};
use tower_http::{
    catch_panic::CatchPanicLayer, sensitive_headers::SetSensitiveRequestHeadersLayer,
};

use crate::{
    call::response::HungUp,
    edits::EditsLayer,
    inbound::{
        access::{AccessLayer, KEY},
        classify::ClassifyLayer,
        probe::ProbeLayer,
        request_id::RequestIdLayer,
        route::RouteLayer,
    },
    outbound::{
        exchange::{ExchangeLayer, Learner},
        retry::RetryLayer,
        upstream::{
            Upstream,
            reach::{Connects, Reach},
        },
    },
    queue::AdmitLayer,
    reads::ReadsLayer,
    respond::{self, RespondLayer},
    shared::Shared,
    step::BoxError,
};

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
    Error = HungUp,
    Future: Send,
>
+ Clone
+ Send
+ 'static
+ use<C>
where
    C: Connects,
{
    let Shared { config, admission, identities, counters, exchanges, hasher, .. } = shared;
    let Shared { clicks, memory, warnings, tracer, reads, edits, .. } = shared;
    let learner = Learner::new(identities, admission);
    let reach = Reach::new(connector);
    ServiceBuilder::new()
        // First of all, so that whatever prints a request prints no token.
        .layer(SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION, header::COOKIE, KEY]))
        // Before anything that can fail: every answer has the id.
        .layer(RequestIdLayer::default())
        // Around all that is ours: a bug costs one call.
        .layer(CatchPanicLayer::custom(respond::panicked))
        // Before calls are counted: it is none.
        .layer(ProbeLayer)
        // Around all that can fail: it answers, counts and logs whatever happened. What follows
        // are steps, shared by all calls.
        .layer(RespondLayer::new(config, &counters.answers, clicks, warnings, tracer))
        // Before all else that looks at a call: a stranger learns nothing.
        .layer(AccessLayer::new(&config.allow))
        // Before the body is read: what goes nowhere costs nothing.
        .layer(RouteLayer::new(config))
        .layer(ClassifyLayer::new(config, identities, clicks, hasher, exchanges, memory, listen))
        // Before a call asks to go: whoever is answered by another's answer needs no slot, and a newer edit
        // takes the place that an older one has.
        .layer(ReadsLayer::new(config, reads, admission, &counters.saved))
        .layer(EditsLayer::new(edits, admission, &counters.saved))
        // Around the queue, because a call that is sent again waits again.
        .layer(RetryLayer::new(config, &reach, &counters.retries))
        .layer(AdmitLayer::new(admission.clone()))
        // Next to the upstream: the moment of the answer decides when a slot ages.
        .layer(ExchangeLayer::new(config, learner, &counters.exchange, exchanges))
        .service(Upstream::new(reach, config))
}
