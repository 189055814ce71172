//! A connection arrives: accepts it, [secures](tls) it, serves HTTP/1.1 or HTTP/2 on it, and lets it go when the
//! program ends.

pub mod files;
mod idle_timeout;
pub mod interim;
mod read_ahead;
mod swap;
mod tls;
mod waiting;

use std::{future::Future, io, sync::Arc, time::Duration};

use bytes::Bytes;
use config::ListenTls;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

pub(crate) use self::idle_timeout::IdleTimeout;
use self::{
    interim::{Attached, InterimIo},
    tls::Named,
};
pub use self::{swap::Swap, tls::Peer};
use crate::{call::response::HungUp, step::BoxError};

/// Where connections come from: a socket, or in tests a pipe.
pub trait Accept {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

/// What answers the requests of connections. An error ends a connection without an answer; in HTTP/2
/// a stream.
pub trait HttpService:
    Service<
        Request<Incoming>,
        Response = Response<<Self as HttpService>::Body>,
        Error = HungUp,
        Future: Send,
    > + Clone
    + Send
    + 'static
{
    /// The body of an answer.
    type Body: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;
}

/// How long a client may take to send a request's headers, and how long it may leave a
/// connection unused. Longer than bots keep theirs, so that they rarely meet a closing one.
const HEADERS: Duration = Duration::from_secs(120);
/// How long a client may leave the beginning of a connection, or an answer, where it is.
const STUCK: Duration = Duration::from_secs(120);
/// How long an HTTP/2 client may say nothing before it is asked whether it lives, and how long it
/// has to say so. This also ends headers that never end.
const SILENCE: Duration = Duration::from_secs(60);
const PONG: Duration = Duration::from_secs(20);
/// The most bytes of headers.
const HEADER_BYTES: usize = 64 << 10;
/// The most headers.
const HEADER_COUNT: usize = 100;
/// The most calls at once on one HTTP/2 connection.
const STREAMS: u32 = 1000;
/// How long to wait when no connection can be accepted: out of files, most likely.
const BREATH: Duration = Duration::from_millis(100);
/// How often that is told, and that all places are taken: such things come in floods.
const TOLD: Duration = Duration::from_secs(10);
const TAKEN_TOLD: Duration = Duration::from_secs(60);
/// What helps when all places are taken.
const MORE_PLACES: &str = "end clients that connect and send nothing, or raise the limit on open files and \
                           queue.max_total";

/// When something was told last.
#[derive(Debug)]
pub(crate) struct Told {
    every: Duration,
    last: Option<Instant>,
}

/// Serves at most `most` connections at once, until `end`; then lets them finish the calls
/// that they are at. Further connections wait in the listener's backlog. Connections are
/// secured as `tls` says when they arrive, and tracked by `connections`.
pub async fn serve<A, S>(
    mut accept: A,
    service: S,
    tls: watch::Receiver<Option<ListenTls>>,
    most: usize,
    end: CancellationToken,
    connections: TaskTracker,
) where
    A: Accept,
    S: HttpService,
{
    let server = Arc::new(server());
    let places = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
    let (mut failed, mut taken) = (Told::every(TOLD), Told::every(TAKEN_TOLD));
    loop {
        if places.available_permits() == 0 && taken.is_due() {
            tracing::warn!(
                connections = most,
                cure = MORE_PLACES,
                "as many connections are open as may be: further ones wait"
            );
        }
        let accepted = tokio::select! {
            accepted = next(&mut accept, &places) => accepted,
            () = end.cancelled() => return,
        };
        match accepted {
            Ok((io, place)) => {
                let tls = tls.borrow().clone();
                let server = Arc::clone(&server);
                connections.spawn(arrived(server, (io, place), tls, service.clone(), end.clone()));
            }
            Err(error) => {
                if failed.is_due() {
                    tracing::warn!(%error, "connections cannot be accepted");
                }
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// The next connection, as soon as there is a place for it.
async fn next<A: Accept>(
    accept: &mut A,
    places: &Arc<Semaphore>,
) -> io::Result<(A::Io, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    Ok((accept.accept().await?, place))
}

fn server() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        // Whoever ends its own side may still read: see `read_ahead`.
        .half_close(true)
        .header_read_timeout(HEADERS)
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADER_COUNT);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(SILENCE)
        .keep_alive_timeout(PONG)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(HEADER_BYTES).unwrap_or(u32::MAX));
    server
}

/// Secures a connection, if that is to be, and serves it. It has its place as long.
///
/// Most connections are here for long and do nothing. So what they need at first only is boxed and gone when
/// they are served, and nothing is held twice: an async block keeps room for what is moved out of it.
async fn arrived<I, S>(
    server: Arc<auto::Builder<TokioExecutor>>,
    (io, _place): (I, OwnedSemaphorePermit),
    tls: Option<ListenTls>,
    service: S,
    end: CancellationToken,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: HttpService,
{
    let Some(ListenTls { server: who, .. }) = tls else {
        return connection(&server, io, service, end).await;
    };
    let securing = Box::pin(tls::secure(io, who));
    let serving = match end.run_until_cancelled(securing).await {
        None => return,
        Some(Ok((io, peer))) => connection(&server, io, Named::new(service, peer), end),
        // Whoever knocks at the wrong door sees it at its own end.
        Some(Err(error)) => return tracing::debug!(%error, "a connection could not be secured"),
    };
    serving.await;
}

fn connection<I, S>(
    server: &auto::Builder<TokioExecutor>,
    io: I,
    service: S,
    end: CancellationToken,
) -> impl Future<Output = ()> + Send + use<I, S>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: HttpService,
{
    // Next to hyper: what it writes is what ends a request's interim responses.
    let (io, interims) = InterimIo::new(IdleTimeout::new(io, STUCK));
    let service = TowerToHyperService::new(Attached::new(service, interims.clone()));
    let mut serving = Box::pin(server.serve_connection(TokioIo::new(io), service).into_owned());
    async move {
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            () = end.cancelled() => {
                interims.stop();
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        // A connection that breaks is the client's affair.
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke");
        }
    }
}

// === impl Told ===

impl Told {
    pub(crate) fn every(every: Duration) -> Self {
        Self { every, last: None }
    }

    /// Whether it is to be told now; then it is.
    pub(crate) fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.last.is_none_or(|last| now.duration_since(last) >= self.every);
        if is_due {
            self.last = Some(now);
        }
        is_due
    }
}

// === impl HttpService ===

impl<S, B> HttpService for S
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = HungUp, Future: Send>,
    S: Clone + Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Body = B;
}

// === impl Accept for TcpListener ===

impl Accept for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
