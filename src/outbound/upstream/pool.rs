//! The connections to upstreams. One that has had an answer is used again; of several that are free, the
//! newest, so that the others may end.
//!
//! Each ages by itself: one that is never idle would otherwise stay with the address that its name once had.
//! Whoever finds none free connects. If another one comes free before that is done, that one is used, and the
//! connection that was begun waits for the next request.

use std::{
    iter, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use http::{
    Extensions, HeaderValue, Request, Response, Uri, header,
    uri::{Authority, Scheme},
};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
    rt::{Read, Write},
};
use hyper_util::{
    client::legacy::connect::Connection as _,
    rt::{TokioExecutor, TokioTimer},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::task::TaskTracker;

use super::{
    looked_at::Look,
    metered::Meter,
    reach::{self, Connects, Reach},
};
use crate::{call::body::Outgoing, step::BoxError};

/// The connections to upstreams.
#[derive(Debug)]
pub(super) struct Pool<C>(Arc<Shared<C>>);

/// A request that brought no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no connection.
    Connect(BoxError),
    /// The connection ended before anything was written.
    NotBegun(hyper::Error),
    /// The connection ended before an answer had begun, or in its headers. The meter is that of a connection
    /// that had no other request meanwhile.
    Begun(hyper::Error, Option<Meter>),
}

/// Where the meter of the connection is put that a request is on.
pub(super) type Used = Mutex<Option<Meter>>;

#[derive(Debug)]
struct Shared<C> {
    connector: Reach<C>,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    free: Mutex<Free>,
    /// What drives connections. They end when nobody can send on them any more: with the pool and the exchanges
    /// that are under way.
    tasks: TaskTracker,
}

/// What no request is on.
#[derive(Debug, Default)]
struct Free {
    /// As many as there are upstreams. None is ever removed, so its index is its name.
    hosts: Vec<Host>,
    /// Whether somebody ends what is idle for too long.
    is_swept: bool,
}

#[derive(Debug)]
struct Host {
    scheme: Option<Scheme>,
    authority: Option<Authority>,
    /// What a request says of it.
    name: HeaderValue,
    /// Since when each is free. That of the first is the earliest.
    idle: Vec<(Instant, Connection)>,
    /// One that any number of requests may be on, and when the last of them began.
    shared: Option<(Instant, Connection)>,
    /// Tells who connects that one is free.
    freed: Arc<Notify>,
}

#[derive(Debug)]
struct Connection {
    sends: Sends,
    host: usize,
    made: Instant,
    /// Whether it has been free, and may have ended meanwhile.
    was_free: bool,
    /// Whether who listens is a proxy, which has to be told the whole URL.
    to_proxy: bool,
    name: HeaderValue,
    /// Absent where several requests are on it.
    meter: Option<Meter>,
    look: Option<Look>,
}

#[derive(Debug)]
enum Sends {
    /// One request after the other.
    Http1(http1::SendRequest<Outgoing>),
    Http2(http2::SendRequest<Outgoing>),
}

/// How long an unused connection is kept. Shorter than servers and load balancers keep
/// theirs, so that a request rarely meets a closing one.
const IDLE: Duration = Duration::from_secs(50);
/// How long a connection takes new requests.
const AGE: Duration = Duration::from_secs(300);
/// The most headers of an answer, and the most bytes of them. hyper looks at the bytes between two reads, so
/// some more may pass.
const ANSWER_HEADERS: usize = 256;
const ANSWER_HEADER_BYTES: usize = 256 << 10;
/// How long an HTTP/2 connection with requests on it may say nothing before it is asked whether
/// it lives, and how long it has to say so: when it dies, all calls on it are lost.
const SILENCE: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(5);

// === impl Pool ===

impl<C: Connects> Pool<C> {
    pub(super) fn new(connector: Reach<C>) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .max_headers(ANSWER_HEADERS)
            .max_buf_size(ANSWER_HEADER_BYTES)
            // A gateway makes spaces of them (RFC 9112, 5.2).
            .allow_obsolete_multiline_headers_in_responses(true);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2.timer(TokioTimer::new()).keep_alive_interval(SILENCE).keep_alive_timeout(PONG);
        let (free, tasks) = (Mutex::default(), TaskTracker::new());
        Self(Arc::new(Shared { connector, http1, http2, free, tasks }))
    }

    /// Sends a request. If it is to have its `own` connection, no other was on that before, unless any number
    /// may be on it at a time.
    pub(super) async fn send(
        &self,
        mut request: Request<Outgoing>,
        own: bool,
        used: Option<&Used>,
    ) -> Result<Response<Incoming>, Failure> {
        let url = mem::take(request.uri_mut());
        loop {
            let mut connection = match self.0.take(&url, own) {
                Some(connection) => connection,
                // Boxed, so that a request that needs none does not carry it about.
                None => Box::pin(self.connect(&url, own)).await?,
            };
            connection.begin(&mut request, &url, used);
            let mut error = match connection.sends.send(request).await {
                Ok(response) => {
                    if !is_doubtful(&response) {
                        self.0.release(connection);
                    }
                    return Ok(response);
                }
                Err(error) => error,
            };
            match error.take_message() {
                // It was closed while it was free.
                Some(not_sent) if connection.was_free && !own => request = not_sent,
                Some(_) => return Err(Failure::NotBegun(error.into_error())),
                None => return Err(Failure::Begun(error.into_error(), connection.meter)),
            }
        }
    }

    /// A new connection, or one that comes free before there is one.
    async fn connect(&self, url: &Uri, own: bool) -> Result<Connection, Failure> {
        let mut connecting = Box::pin(Arc::clone(&self.0).connect(url.clone()));
        if own {
            return connecting.await;
        }
        let freed = Arc::clone(&self.0.free().host(url).1.freed);
        loop {
            tokio::select! {
                biased;
                made = &mut connecting => return made,
                () = freed.notified() => {}
            }
            if let Some(connection) = self.0.take(url, own) {
                let shared = Arc::clone(&self.0);
                // The attempt ends in time, and so does this.
                self.0.tasks.spawn(async move {
                    if let Ok(made) = connecting.await {
                        shared.release(made);
                    }
                });
                return Ok(connection);
            }
        }
    }
}

/// An answer with a length and a transfer coding has two ends, of which the coding's counts. What follows
/// it may be the rest of it to whoever made it so, so its connection has no further request (RFC 9112, 6.3).
fn is_doubtful(response: &Response<Incoming>) -> bool {
    let headers = response.headers();
    headers.contains_key(header::TRANSFER_ENCODING) && headers.contains_key(header::CONTENT_LENGTH)
}

// === impl Shared ===

impl<C: Connects> Shared<C> {
    async fn connect(self: Arc<Self>, url: Uri) -> Result<Connection, Failure> {
        let io = reach::connect(self.connector.clone(), &url).await.map_err(Failure::Connect)?;
        let connected = io.connected();
        let mut known = Extensions::new();
        connected.get_extras(&mut known);
        let sends = if connected.is_negotiated_h2() {
            let (mut sends, driven) = self.http2.handshake(io).await.map_err(Failure::NotBegun)?;
            self.tasks.spawn(driven);
            sends.ready().await.map_err(Failure::NotBegun)?;
            Sends::Http2(sends)
        } else {
            let (mut sends, driven) = self.http1.handshake(io).await.map_err(Failure::NotBegun)?;
            drive(&mut sends, driven, &self.tasks).await.map_err(Failure::NotBegun)?;
            Sends::Http1(sends)
        };
        let mut free = self.free();
        let (index, host) = free.host(&url);
        let connection = Connection {
            sends,
            host: index,
            made: Instant::now(),
            was_free: false,
            to_proxy: connected.is_proxied(),
            name: host.name.clone(),
            meter: known.remove(),
            look: known.remove(),
        };
        let connection = host.meet(connection);
        self.is_to_be_swept(&mut free);
        Ok(connection)
    }
}

impl<C: Send + Sync + 'static> Shared<C> {
    /// One that takes a request now, if there is one.
    fn take(&self, url: &Uri, own: bool) -> Option<Connection> {
        let now = Instant::now();
        self.free().host(url).1.take(now, own)
    }

    /// No request is on it, but for what is left of an answer.
    fn release(self: &Arc<Self>, mut connection: Connection) {
        if connection.sends.is_shared() {
            return;
        }
        if connection.sends.is_ready() {
            return self.put(connection);
        }
        let shared = Arc::clone(self);
        // An answer's end has its own time-out. If it is not awaited, the connection ends.
        self.tasks.spawn(async move {
            if connection.sends.ready().await.is_ok() {
                shared.put(connection);
            }
        });
    }

    fn put(self: &Arc<Self>, mut connection: Connection) {
        connection.was_free = true;
        let mut free = self.free();
        let now = Instant::now();
        let Some(host) = free.hosts.get_mut(connection.host) else { return };
        host.idle.push((now, connection));
        host.freed.notify_one();
        self.is_to_be_swept(&mut free);
    }

    fn is_to_be_swept(self: &Arc<Self>, free: &mut Free) {
        if !mem::replace(&mut free.is_swept, true) {
            self.tasks.spawn(sweep(Arc::downgrade(self)));
        }
    }
}

impl<C> Shared<C> {
    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drives a connection until it takes a request. From then on a task of its own does.
async fn drive<T: Read + Write + Unpin + Send + 'static>(
    sends: &mut http1::SendRequest<Outgoing>,
    driven: http1::Connection<T, Outgoing>,
    tasks: &TaskTracker,
) -> hyper::Result<()> {
    let mut driven = Box::pin(driven);
    let ended = tokio::select! {
        biased;
        ended = &mut driven => ended,
        ready = sends.ready() => {
            tasks.spawn(driven);
            return ready;
        }
    };
    // It says why, or nothing.
    drop(driven);
    ended?;
    sends.ready().await
}

/// Ends what is idle for too long, until nothing is idle.
async fn sweep<C>(shared: Weak<Shared<C>>) {
    loop {
        let Some(next) = shared.upgrade().and_then(|shared| shared.free().sweep()) else { return };
        sleep_until(next).await;
    }
}

// === impl Free ===

impl Free {
    /// A URL's host, and its index.
    fn host(&mut self, url: &Uri) -> (usize, &mut Host) {
        let is_of = |host: &Host| {
            url.scheme() == host.scheme.as_ref()
                && url.authority().map(Authority::as_str)
                    == host.authority.as_ref().map(Authority::as_str)
        };
        let index = self.hosts.iter().position(is_of).unwrap_or_else(|| {
            self.hosts.push(Host::of(url));
            self.hosts.len() - 1
        });
        (index, &mut self.hosts[index])
    }

    /// Ends what is idle for too long. When the next one will be; if there is none, nobody sweeps.
    fn sweep(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let next = self.hosts.iter_mut().filter_map(|host| host.sweep(now)).min();
        self.is_swept = next.is_some();
        next
    }
}

// === impl Host ===

impl Host {
    fn of(url: &Uri) -> Self {
        let host = url.host().unwrap_or_default();
        let default = if url.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 };
        let name = match url.port_u16().filter(|port| *port != default) {
            Some(port) => HeaderValue::try_from(format!("{host}:{port}")),
            None => HeaderValue::from_str(host),
        };
        Self {
            scheme: url.scheme().cloned(),
            authority: url.authority().cloned(),
            // Whatever a URL takes for a host, a header does, too.
            name: name.unwrap_or_else(|_| HeaderValue::from_static("")),
            idle: Vec::new(),
            shared: None,
            freed: Arc::default(),
        }
    }

    /// One that takes a request now. Of several that are free, the newest.
    fn take(&mut self, now: Instant, own: bool) -> Option<Connection> {
        self.shared = self.shared.take().filter(|free| is_usable(free, now));
        if let Some((used, shared)) = &mut self.shared {
            *used = now;
            return shared.shared();
        }
        let free = iter::from_fn(|| if own { None } else { self.idle.pop() })
            .find(|free| is_usable(free, now));
        free.map(|(_, connection)| connection)
    }

    /// A connection that has just been made, or, if requests may share that, one that was made before.
    fn meet(&mut self, connection: Connection) -> Connection {
        let Some(shared) = connection.shared() else { return connection };
        if let Some(earlier) = self.take(connection.made, true) {
            return earlier;
        }
        self.shared = Some((connection.made, shared));
        self.freed.notify_waiters();
        connection
    }

    /// Ends what is idle for too long. When the next one will be.
    fn sweep(&mut self, now: Instant) -> Option<Instant> {
        self.shared = self.shared.take().filter(|free| is_usable(free, now));
        self.idle.retain(|free| is_usable(free, now));
        self.idle.shrink_to(2 * self.idle.len());
        let free = self.idle.first().into_iter().chain(&self.shared);
        free.map(|(since, _)| *since + IDLE).min()
    }
}

/// Whether what is free since then takes a request now.
fn is_usable((since, connection): &(Instant, Connection), now: Instant) -> bool {
    now < *since + IDLE && now < connection.made + AGE && connection.sends.is_ready()
}

// === impl Connection ===

impl Connection {
    /// The same one, for another request at the same time.
    fn shared(&self) -> Option<Self> {
        let Sends::Http2(sends) = &self.sends else { return None };
        let Self { host, made, to_proxy, .. } = *self;
        Some(Self {
            sends: Sends::Http2(sends.clone()),
            host,
            made,
            was_free: true,
            to_proxy,
            name: self.name.clone(),
            meter: self.meter.clone(),
            look: None,
        })
    }

    /// The next that is written to it is this request.
    fn begin(&self, request: &mut Request<Outgoing>, url: &Uri, used: Option<&Used>) {
        if self.sends.is_shared() {
            request.uri_mut().clone_from(url);
            return;
        }
        *request.uri_mut() = match url.path_and_query() {
            Some(path) if !self.to_proxy => path.clone().into(),
            _ => url.clone(),
        };
        request.headers_mut().entry(header::HOST).or_insert_with(|| self.name.clone());
        if let Some(meter) = &self.meter {
            meter.begin();
        }
        if let Some(look) = self.look.as_ref().filter(|_| self.was_free) {
            look.first();
        }
        if let Some(used) = used {
            used.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&self.meter);
        }
    }
}

// === impl Sends ===

impl Sends {
    /// Whether several requests may be on it.
    const fn is_shared(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    fn is_ready(&self) -> bool {
        match self {
            Self::Http1(sends) => sends.is_ready(),
            Self::Http2(sends) => sends.is_ready(),
        }
    }

    async fn ready(&mut self) -> hyper::Result<()> {
        match self {
            Self::Http1(sends) => sends.ready().await,
            Self::Http2(sends) => sends.ready().await,
        }
    }

    async fn send(
        &mut self,
        request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Outgoing>>> {
        match self {
            Self::Http1(sends) => sends.try_send_request(request).await,
            Self::Http2(sends) => sends.try_send_request(request).await,
        }
    }
}
