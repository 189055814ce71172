//! The question whether a slackwater listens here. A command asks it before it sends a token; it is no
//! call, so it goes nowhere, counts nowhere, and nobody is warned of it.

use std::{
    future::{Ready, ready},
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use tower::{Layer, Service};

use crate::call::response::ResponseBody;

/// Answers probes itself, and passes on all else.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProbeLayer;

/// Answers probes itself, and passes on all else.
#[derive(Clone, Debug)]
pub struct Probe<S> {
    inner: S,
}

/// What a probe says it is by. A path alone could be one of an upstream's.
const PROBE: HeaderName = HeaderName::from_static("slackwater-probe");
/// What every answer of a slackwater has.
const OURS: [HeaderName; 2] =
    [HeaderName::from_static("slackwater-wait-ms"), HeaderName::from_static("slackwater-attempts")];

fn is_probe<B>(request: &Request<B>) -> bool {
    // Hardly any call has that path, so hardly any has its headers looked through.
    request.uri().path() == "/"
        && matches!(*request.method(), Method::GET | Method::HEAD)
        && request.headers().contains_key(PROBE)
}

fn answer() -> Response<ResponseBody> {
    let mut answer = Response::new(ResponseBody::ours(""));
    *answer.status_mut() = StatusCode::NO_CONTENT;
    for name in OURS {
        answer.headers_mut().insert(name, HeaderValue::from_static("0"));
    }
    answer
}

// === impl ProbeLayer ===

impl<S> Layer<S> for ProbeLayer {
    type Service = Probe<S>;

    fn layer(&self, inner: S) -> Probe<S> {
        Probe { inner }
    }
}

// === impl Probe ===

impl<S, B> Service<Request<B>> for Probe<S>
where
    S: Service<Request<B>, Response = Response<ResponseBody>>,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Response<ResponseBody>, S::Error>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if is_probe(&request) {
            return Either::Left(ready(Ok(answer())));
        }
        Either::Right(self.inner.call(request))
    }
}
