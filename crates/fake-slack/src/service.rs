//! The fake behind HTTP: routes, the passing of time, the ledger as JSON.

use std::{
    collections::VecDeque,
    error::Error,
    future::Future,
    io,
    num::NonZeroU32,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header::ACCEPT_ENCODING};
use http_body_util::{BodyExt, Limited};
use serde::Serialize;

use super::{
    Body, Entry, FakeSlack, Fault, Flight, Ledger, OptionError, Reply, Totals, Violation,
    arguments::Arguments,
    faults::Delivery,
    hosts::{Asked, url_name},
    identity::fingerprint,
};

/// The largest body it reads, in bytes.
const LARGEST_BODY: usize = 16 << 20;

/// So many tokens and webhooks may be dead.
const DEAD: usize = 1_000;

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
    ///
    /// # Errors
    /// If the connection is to break instead.
    pub async fn respond<B>(self, request: Request<B>) -> io::Result<Response<Body>>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let reply = match Asked::of(&parts.method, path) {
            Some(mut asked) => {
                asked.fault = self.state().fault(self.now(), &asked.name);
                if asked.fault == Some(Fault::ResetEarly) {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                if asked.fault == Some(Fault::Gzip) && !takes_gzip(&parts.headers) {
                    asked.fault = None;
                }
                let Ok(body) = Limited::new(body, LARGEST_BODY).collect().await else {
                    return Ok(Reply::new(StatusCode::PAYLOAD_TOO_LARGE).into_response());
                };
                let body = body.to_bytes();
                asked.arguments = Arguments::read(&parts.uri, &parts.headers, body).await;
                self.call(asked).await
            }
            None => self.operate(&parts.method, path, parts.uri.query().unwrap_or_default()),
        };
        match reply.delivery {
            Delivery::Broken => Err(io::ErrorKind::ConnectionReset.into()),
            // Until the client gives up.
            Delivery::Never => std::future::pending().await,
            Delivery::Whole | Delivery::Pieces(..) => Ok(reply.into_response()),
        }
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

    /// What is not Slack's: the ledger, faults to come, and what is dead.
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
            ("/faults", "POST") => match self.order(query) {
                Ok(()) => Reply::ok(),
                Err(error) => Reply::failed(StatusCode::BAD_REQUEST, &error),
            },
            ("/faults", "DELETE") => {
                self.state().faults.clear();
                Reply::ok()
            }
            ("/dead", "POST") => match self.bury(query) {
                Ok(()) => Reply::ok(),
                Err(error) => Reply::failed(StatusCode::BAD_REQUEST, error),
            },
            ("/dead", "DELETE") => {
                self.state().dead.clear();
                Reply::ok()
            }
            ("/ledger" | "/reset" | "/faults" | "/dead", _) => {
                Reply::failed(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed")
            }
            _ => Reply::failed(StatusCode::NOT_FOUND, "not_found"),
        }
    }

    /// `method=…&fault=…&calls=…`: the next so many calls of the method; one if that is not said.
    fn order(&self, query: &str) -> Result<(), String> {
        let (mut method, mut fault, mut calls) = (None, None, NonZeroU32::MIN);
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "method" => method = Some(value.into_owned()),
                "fault" => fault = Some(value.parse().map_err(|e: OptionError| e.to_string())?),
                "calls" => calls = value.parse().map_err(|_| "calls is a number from 1")?,
                _ => return Err("say method, fault and calls".to_owned()),
            }
        }
        let (Some(method), Some(fault)) = (method, fault) else {
            return Err("say method and fault".to_owned());
        };
        let noted = self.fault(&method, fault, calls);
        noted.then_some(()).ok_or_else(|| "too many faults wait for their calls".to_owned())
    }

    /// `token=…&error=…` or `path=…&error=…`: calls with that token, or to that webhook, fail.
    fn bury(&self, query: &str) -> Result<(), &'static str> {
        let (mut secret, mut error) = (None, None);
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "token" => secret = Some(fingerprint(&value)),
                "path" => secret = Some(url_name(&value)),
                "error" => error = Some(value.into_owned()),
                _ => return Err("say token or path, and error"),
            }
        }
        let (Some(secret), Some(error)) = (secret, error) else {
            return Err("say token or path, and error");
        };
        let dead = &mut self.state().dead;
        if dead.len() >= DEAD {
            return Err("too many are dead");
        }
        dead.insert(secret, error);
        Ok(())
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
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let fake = self.clone();
        Box::pin(fake.respond(request))
    }
}

impl<B> tower::Service<Request<B>> for FakeSlack
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        hyper::service::Service::call(self, request)
    }
}

/// Whether the client takes packed answers.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT_ENCODING).iter();
    accepted.filter_map(|value| value.to_str().ok()).any(|value| value.contains("gzip"))
}

// === impl Landing ===

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        if let Some(flight) = self.flight.take() {
            self.fake.land(flight);
        }
    }
}
