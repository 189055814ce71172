//! What stands behind the proxy: a Slack that limits, or one that does what a test says.

use std::{
    convert::Infallible,
    future::Future,
    io,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use fake_slack::{FakeSlack, Options, Rules};
use http::{HeaderMap, Method, Request, Response, Version};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use slack::{AppKind, Catalogue};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    time::Instant,
};
use tokio_util::task::TaskTracker;

use super::wire::{Wire, pipe};

/// An answer's body.
pub(crate) type Stream = UnsyncBoxBody<Bytes, Infallible>;

/// An upstream whose answers the test makes. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Scripted {
    shared: Arc<Shared>,
}

/// A request that came through whole.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    /// From 1.
    pub(crate) number: usize,
    pub(crate) verb: Method,
    pub(crate) version: Version,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What it does with a request: answers, or breaks the connection.
type Reply = Result<Response<Stream>, io::Error>;
type Handler = dyn Fn(Seen) -> std::pin::Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync;

struct Shared {
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    handler: Box<Handler>,
    tasks: TaskTracker,
}

/// Read once: it takes longer than most tests.
static CATALOGUE: LazyLock<Catalogue> =
    LazyLock::new(|| Catalogue::built_in(AppKind::Internal).unwrap());

/// What Slack documents, and for the rest what the test says.
pub(crate) fn slack(change: impl FnOnce(&mut Options)) -> FakeSlack {
    let mut options = Options::new(Rules::new(|name| Arc::clone(CATALOGUE.entry(name))));
    change(&mut options);
    FakeSlack::new(options)
}

/// A Slack that answers at once.
pub(crate) fn fake() -> FakeSlack {
    slack(|_| {})
}

/// An answer of that status, as JSON.
pub(crate) fn json(status: u16, body: &str) -> Reply {
    let mut response = text(status, Bytes::copy_from_slice(body.as_bytes()))?;
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    Ok(response)
}

/// An answer of that status.
#[expect(clippy::unnecessary_wraps, reason = "it is what a handler returns")]
pub(crate) fn text(status: u16, body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status.try_into().unwrap();
    Ok(response)
}

// === impl Scripted ===

impl Scripted {
    /// Does with every request what the handler says. An error breaks the connection.
    pub(crate) fn new<F>(handler: impl Fn(Seen) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let handler: Box<Handler> = Box::new(move |seen| Box::pin(handler(seen)));
        let (seen, connections, tasks) = Default::default();
        Self { shared: Arc::new(Shared { seen, connections, handler, tasks }) }
    }

    /// The requests that came through, in their order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    fn connect(&self) -> DuplexStream {
        self.shared.connections.fetch_add(1, Ordering::Relaxed);
        let (client, server) = pipe();
        self.spawn(self.clone().serve(server, false));
        client
    }

    /// Does what a connection needs besides.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shared.tasks.spawn(task);
    }

    /// Serves a connection. One that a test breaks is no failure.
    pub(crate) async fn serve<I>(self, io: I, h2: bool)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shared = self.shared;
        let serve = service_fn(move |request| Arc::clone(&shared).answer(request));
        if h2 {
            let mut http = http2::Builder::new(TokioExecutor::new());
            let _ = http.timer(TokioTimer::new()).serve_connection(TokioIo::new(io), serve).await;
        } else {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(None);
            let _ = http.serve_connection(TokioIo::new(io), serve).await;
        }
    }
}

impl From<&Scripted> for Wire {
    fn from(upstream: &Scripted) -> Self {
        let upstream = upstream.clone();
        Self::new(move |_| Ok(upstream.connect()))
    }
}

impl From<&FakeSlack> for Wire {
    fn from(fake: &FakeSlack) -> Self {
        let fake = fake.clone();
        Self::new(move |_| Ok(fake.connect()))
    }
}

// === impl Shared ===

impl Shared {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Reply {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let seen = {
            let mut all = self.seen.lock().unwrap();
            let seen = Seen {
                at: Instant::now(),
                number: all.len() + 1,
                verb: parts.method,
                version: parts.version,
                path: parts.uri.to_string(),
                headers: parts.headers,
                body,
            };
            all.push(seen.clone());
            seen
        };
        (self.handler)(seen).await
    }
}
