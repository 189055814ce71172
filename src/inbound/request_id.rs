//! The id of a request: the one that it came with, or one made here. It goes on with the
//! request and comes back with the answer, unless the answer has one already.
//!
//! tower-http's layers do the same by way of the request's extensions and a text formatter,
//! at several times the cost.

use std::{
    hash::{BuildHasher, RandomState},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use slack::push_hex;
use tower::{Layer, Service};

use crate::call::ids::REQUEST_ID;

/// Gives every request an id.
#[derive(Clone, Debug)]
pub struct RequestIdLayer {
    /// The number of the next request without an id.
    next: Arc<AtomicU64>,
}

/// Gives every request an id.
#[derive(Clone, Debug)]
pub struct RequestId<S> {
    inner: S,
    layer: RequestIdLayer,
}

pin_project! {
    /// An answer that gets the id of its request.
    #[derive(Debug)]
    pub struct Answering<F> {
        #[pin]
        answer: F,
        id: Option<HeaderValue>,
    }
}

// === impl RequestIdLayer ===

impl Default for RequestIdLayer {
    /// Ids count up from a start that differs per process.
    fn default() -> Self {
        let start = RandomState::new().hash_one(std::process::id());
        Self { next: Arc::new(start.into()) }
    }
}

impl RequestIdLayer {
    fn make(&self) -> Option<HeaderValue> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut id = String::with_capacity(16);
        push_hex(&mut id, &number.to_be_bytes());
        HeaderValue::try_from(id).ok()
    }
}

impl<S> Layer<S> for RequestIdLayer {
    type Service = RequestId<S>;

    fn layer(&self, inner: S) -> RequestId<S> {
        RequestId { inner, layer: self.clone() }
    }
}

// === impl RequestId ===

impl<S, B, C> Service<Request<B>> for RequestId<S>
where
    S: Service<Request<B>, Response = Response<C>>,
{
    type Response = Response<C>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let mut id = request.headers().get(REQUEST_ID).cloned();
        if id.is_none()
            && let Some(made) = self.layer.make()
        {
            request.headers_mut().insert(REQUEST_ID, made.clone());
            id = Some(made);
        }
        Answering { answer: self.inner.call(request), id }
    }
}

// === impl Answering ===

impl<F, C, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<C>, E>>,
{
    type Output = Result<Response<C>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answer = ready!(this.answer.poll(cx))?;
        if let Some(id) = this.id.take() {
            answer.headers_mut().entry(REQUEST_ID).or_insert(id);
        }
        Poll::Ready(Ok(answer))
    }
}
