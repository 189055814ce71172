//! The fake behind HTTP: routes, the passing of time, the ledger as JSON.

use std::{
    collections::VecDeque,
    convert::Infallible,
    error::Error,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::Serialize;

use super::{
    Body, Entry, FakeSlack, Flight, Ledger, Reply, Totals, Violation, arguments::Arguments,
    hosts::Asked,
};

/// The largest body it reads, in bytes.
const LARGEST_BODY: usize = 16 << 20;

/// Lands a flight however the task that carries the answer ends.
struct Landing<'a> {
    fake: &'a FakeSlack,
    flight: Option<Flight>,
}

/// What `GET /ledger` answers.
#[derive(Serialize)]
struct Report {
    /// Milliseconds since 1970.
    started: u128,
    minute_ms: u128,
    window: &'static str,
    penalty: &'static str,
    totals: Totals,
    violations: VecDeque<Violation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<VecDeque<Entry>>,
}

// === impl FakeSlack ===

impl FakeSlack {
    /// Answers a request.
    ///
    /// Once the body has been read, dropping the future changes nothing: the call is on its
    /// way, so it is counted when it arrives, as Slack counts the call of a client that has
    /// hung up.
    pub async fn respond<B>(self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let reply = match Asked::of(&parts.method, path) {
            Some(mut asked) => {
                let Ok(body) = Limited::new(body, LARGEST_BODY).collect().await else {
                    return Reply::new(StatusCode::PAYLOAD_TOO_LARGE).into_response();
                };
                let body = body.to_bytes();
                asked.arguments = Arguments::read(&parts.uri, &parts.headers, body).await;
                self.call(asked).await
            }
            None => self.operate(&parts.method, path, parts.uri.query().unwrap_or_default()),
        };
        reply.into_response()
    }

    /// A call travels, is counted and answered.
    async fn call(&self, asked: Asked) -> Reply {
        let (before, after) = {
            let mut state = self.state();
            self.shared.options.latency.draw(&mut state.random)
        };
        let fake = self.clone();
        let travel = async move {
            // A sleep of no time would still wait for the timer's next tick.
            if !before.is_zero() {
                tokio::time::sleep(before).await;
            }
            let (reply, flight) = {
                let mut state = fake.state();
                let now = fake.now();
                state.answer(now, fake.shared.started_unix + now, &asked)
            };
            let _landing = Landing { fake: &fake, flight };
            let rest = after + reply.delay;
            if !rest.is_zero() {
                tokio::time::sleep(rest).await;
            }
            reply
        };
        match self.shared.tasks.spawn(travel).await {
            Ok(reply) => reply,
            Err(error) => {
                tracing::error!(%error, "a call was lost");
                Reply::new(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// What is not Slack's: the ledger.
    fn operate(&self, verb: &Method, path: &str, query: &str) -> Reply {
        match (path, verb.as_str()) {
            ("/ledger", "GET") => {
                self.ledger_json(!query.split('&').any(|argument| argument == "calls=false"))
            }
            ("/ledger", "DELETE") => {
                self.reset_ledger();
                Reply::ok()
            }
            ("/reset", "POST") => {
                self.reset();
                Reply::ok()
            }
            ("/ledger" | "/reset", _) => {
                Reply::failed(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed")
            }
            _ => Reply::failed(StatusCode::NOT_FOUND, "not_found"),
        }
    }

    fn ledger_json(&self, calls: bool) -> Reply {
        let options = self.options();
        let Ledger { totals, violations, calls: all, .. } = self.ledger();
        let report = Report {
            started: self.shared.started_unix.as_millis(),
            minute_ms: options.minute.as_millis(),
            window: options.shape.as_str(),
            penalty: options.penalty.as_str(),
            totals,
            violations,
            calls: calls.then_some(all),
        };
        Reply::json(StatusCode::OK, &report)
    }
}

impl<B> hyper::service::Service<Request<B>> for FakeSlack
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let fake = self.clone();
        Box::pin(async move { Ok(fake.respond(request).await) })
    }
}

impl<B> tower::Service<Request<B>> for FakeSlack
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        hyper::service::Service::call(self, request)
    }
}

// === impl Landing ===

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        if let Some(flight) = self.flight.take() {
            self.fake.land(flight);
        }
    }
}
