//! One setting of hyper or tokio at a time, on the bare proxy with a single thread.

use std::{future::Future, net::SocketAddr, pin::Pin, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use clap::ValueEnum;
use http::{Request, Response, Uri, header::CONNECTION, uri::Authority};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connect, HttpConnector},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{net::TcpListener, runtime::Builder};
use tokio_util::task::TaskTracker;

use crate::link::{Inline, Links, Spawned};

/// What differs from the bare proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Knob {
    /// Nothing: the noise of the comparison itself.
    Nothing,
    /// hyper-util's server that tells HTTP/1 from h2 by the first bytes.
    Auto,
    /// Answers to pipelined requests are written together.
    PipelineFlush,
    /// A client may close its sending side.
    HalfClose,
    /// Head and body are copied into one buffer, on the server's side.
    NoServerWritev,
    /// The same on the client's side.
    NoClientWritev,
    /// Header names are written in title case.
    TitleCase,
    /// No Date is added.
    NoDate,
    /// Nagle's algorithm stays on.
    Delay,
    /// The server has a timer, and with it hyper's 30 s for reading a head.
    HeaderTimeout,
    /// The server has a timer but no time for reading a head.
    TimerOnly,
    /// The pool closes idle connections by a timer.
    PoolTimer,
    /// The connector of hyper-rustls, for a plain upstream.
    HttpsConnector,
    /// The request's body is read whole before it is sent.
    Collected,
    /// The service's future and the answer's body are boxed, as in a tower stack.
    Boxed,
    /// The exchange runs in a task of its own.
    Detached,
    /// Connections are tasks of a `TaskTracker`.
    Tracked,
    /// I/O is polled after 31 tasks instead of 61.
    EventInterval31,
    /// I/O is polled after 8 tasks.
    EventInterval8,
    /// The shared queue is looked at after 8 tasks instead of 31.
    GlobalQueue8,
    /// A pool of our own, its connections in tasks.
    OwnPool,
    /// A pool of our own, its connections polled by the task that uses them.
    OwnPoolInline,
}

/// The legacy client with whatever connector.
struct Legacy<C, B> {
    client: Client<C, B>,
    upstream: Authority,
}

// === impl Knob ===

impl Knob {
    /// Serves until the process ends.
    pub(crate) fn run(self, listen: SocketAddr, upstream: SocketAddr) -> anyhow::Result<()> {
        let mut runtime = Builder::new_current_thread();
        match self {
            Self::EventInterval31 => runtime.event_interval(31),
            Self::EventInterval8 => runtime.event_interval(8),
            Self::GlobalQueue8 => runtime.global_queue_interval(8),
            _ => &mut runtime,
        };
        runtime.enable_all().build()?.block_on(self.serve(listen, upstream))
    }

    async fn serve(self, listen: SocketAddr, upstream: SocketAddr) -> anyhow::Result<()> {
        let listener = TcpListener::bind(listen).await?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(self != Self::Delay);
        let mut client = Client::builder(TokioExecutor::new());
        client.http1_title_case_headers(self == Self::TitleCase);
        if self == Self::NoClientWritev {
            client.http1_writev(false);
        }
        if self == Self::PoolTimer {
            client.pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(60));
        }
        let upstream_name = upstream.to_string().parse()?;
        if self == Self::Collected {
            let legacy = Legacy { client: client.build(connector), upstream: upstream_name };
            return self
                .accept(listener, service_fn(move |call| legacy.clone().collected(call)))
                .await;
        }
        if self == Self::HttpsConnector {
            connector.enforce_http(false);
            let connector = HttpsConnectorBuilder::new()
                .with_webpki_roots()
                .https_or_http()
                .enable_all_versions()
                .wrap_connector(connector);
            let legacy = Legacy { client: client.build(connector), upstream: upstream_name };
            return self
                .accept(listener, service_fn(move |call| legacy.clone().forward(call)))
                .await;
        }
        match self {
            Self::OwnPool => {
                let links = Links::<Spawned>::new(upstream);
                self.accept(listener, service_fn(move |call| links.clone().forward(call))).await
            }
            Self::OwnPoolInline => {
                let links = Links::<Inline>::new(upstream);
                self.accept(listener, service_fn(move |call| links.clone().forward(call))).await
            }
            Self::Boxed => {
                let legacy = Legacy { client: client.build(connector), upstream: upstream_name };
                self.accept(listener, service_fn(move |call| legacy.clone().boxed(call))).await
            }
            Self::Detached => {
                let legacy = Legacy { client: client.build(connector), upstream: upstream_name };
                self.accept(listener, service_fn(move |call| legacy.clone().detached(call))).await
            }
            _ => {
                let legacy = Legacy { client: client.build(connector), upstream: upstream_name };
                self.accept(listener, service_fn(move |call| legacy.clone().forward(call))).await
            }
        }
    }

    async fn accept<S, B>(self, listener: TcpListener, service: S) -> anyhow::Result<()>
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = anyhow::Error>,
        S: Clone + Send + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes, Error = hyper::Error> + Send + 'static,
    {
        let tasks = TaskTracker::new();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(self != Self::Delay)?;
            let stream = TokioIo::new(stream);
            let service = service.clone();
            if self == Self::Auto {
                #[expect(clippy::disallowed_methods, reason = "the process owns it")]
                tokio::spawn(async move {
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(stream, service)
                        .await;
                });
                continue;
            }
            let connection = self.server().serve_connection(stream, service);
            if self == Self::Tracked {
                tasks.spawn(connection);
            } else {
                #[expect(clippy::disallowed_methods, reason = "the process owns it")]
                tokio::spawn(connection);
            }
        }
    }

    fn server(self) -> http1::Builder {
        let mut server = http1::Builder::new();
        match self {
            Self::PipelineFlush => server.pipeline_flush(true),
            Self::HalfClose => server.half_close(true),
            Self::NoServerWritev => server.writev(false),
            Self::TitleCase => server.title_case_headers(true),
            Self::NoDate => server.auto_date_header(false),
            Self::HeaderTimeout => server.timer(TokioTimer::new()),
            Self::TimerOnly => server.timer(TokioTimer::new()).header_read_timeout(None),
            _ => &mut server,
        };
        server
    }
}

// === impl Legacy ===

impl<C: Clone, B> Clone for Legacy<C, B> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), upstream: self.upstream.clone() }
    }
}

impl<C, B> Legacy<C, B> {
    fn point<T>(&self, request: &mut Request<T>) -> anyhow::Result<()> {
        let mut uri = Uri::builder().scheme("http").authority(self.upstream.clone());
        if let Some(path) = request.uri().path_and_query() {
            uri = uri.path_and_query(path.clone());
        }
        *request.uri_mut() = uri.build()?;
        request.headers_mut().remove(CONNECTION);
        Ok(())
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> Legacy<C, Incoming> {
    async fn forward(self, mut request: Request<Incoming>) -> anyhow::Result<Response<Incoming>> {
        self.point(&mut request)?;
        Ok(self.client.request(request).await?)
    }

    async fn detached(self, request: Request<Incoming>) -> anyhow::Result<Response<Incoming>> {
        #[expect(clippy::disallowed_methods, reason = "the process owns it")]
        tokio::spawn(self.forward(request)).await?
    }

    #[expect(clippy::type_complexity, reason = "the erased type is what is measured")]
    fn boxed(
        self,
        request: Request<Incoming>,
    ) -> Pin<
        Box<
            dyn Future<Output = anyhow::Result<Response<UnsyncBoxBody<Bytes, hyper::Error>>>>
                + Send,
        >,
    > {
        Box::pin(async move { Ok(self.forward(request).await?.map(UnsyncBoxBody::new)) })
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> Legacy<C, Full<Bytes>> {
    async fn collected(self, mut request: Request<Incoming>) -> anyhow::Result<Response<Incoming>> {
        self.point(&mut request)?;
        let (parts, body) = request.into_parts();
        let body = body.collect().await.context("the caller's body")?.to_bytes();
        Ok(self.client.request(Request::from_parts(parts, Full::new(body))).await?)
    }
}
