//! The way through an HTTP proxy: a tunnel (CONNECT) for https, whole URLs for http.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use config::Proxies;
use http::{Request, StatusCode, Uri, header, uri::Scheme};
use http_body_util::Empty;
use hyper::{
    client::conn::http1,
    rt::{Read, ReadBufCursor, Write},
};
use hyper_util::client::{
    legacy::connect::{Connected, Connection},
    proxy::matcher::Intercept,
};
use tower::Service;

use crate::step::BoxError;

/// Connects to a URL's host, or to the proxy through which it is reached.
#[derive(Clone, Debug)]
pub struct Proxied<C> {
    inner: C,
    proxies: Proxies,
}

/// A connection to a host, or through a proxy.
#[derive(Debug)]
pub struct Hop<T> {
    io: T,
    /// Whether who listens is a proxy, which has to be told the whole URL.
    to_proxy: bool,
}

/// A proxy is in the way. Nothing was sent to the upstream.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// There is no connection to it.
    #[error("the proxy {proxy} cannot be reached")]
    Unreachable {
        /// Its address.
        proxy: String,
        /// Why.
        source: BoxError,
    },
    /// It wants to know who asks.
    #[error(
        "the proxy {proxy} asks for a user and a password (407): put the right ones into its URL"
    )]
    Credentials {
        /// Its address.
        proxy: String,
    },
    /// It makes no tunnel.
    #[error("the proxy {proxy} refused a tunnel to {to} with status {}", status.as_u16())]
    Refused {
        /// Its address.
        proxy: String,
        /// Where to.
        to: String,
        /// What it answered.
        status: StatusCode,
    },
    /// What it says is no HTTP, or it hung up.
    #[error("the proxy {proxy} made no tunnel to {to}")]
    Broken {
        /// Its address.
        proxy: String,
        /// Where to.
        to: String,
        /// Why.
        source: BoxError,
    },
}

/// The most bytes of headers in a proxy's answer.
const ANSWER: usize = 64 << 10;

// === impl Proxied ===

impl<C> Proxied<C> {
    /// Goes through these proxies.
    pub fn new(inner: C, proxies: Proxies) -> Self {
        Self { inner, proxies }
    }
}

impl<C> Service<Uri> for Proxied<C>
where
    C: Service<Uri>,
    C::Response: Read + Write + Connection + Unpin + Send + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = Hop<C::Response>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Hop<C::Response>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let Some(proxy) = self.proxies.of(&url) else {
            let connecting = self.inner.call(url);
            return Box::pin(async move {
                let io = connecting.await.map_err(Into::into)?;
                Ok(Hop { io, to_proxy: false })
            });
        };
        let connecting = self.inner.call(proxy.uri().clone());
        Box::pin(async move {
            let io = connecting.await.map_err(|source| ProxyError::Unreachable {
                proxy: Proxies::name(&proxy),
                source: source.into(),
            })?;
            if url.scheme() == Some(&Scheme::HTTP) {
                return Ok(Hop { io, to_proxy: true });
            }
            let io = tunnel(io, &url, &proxy).await?;
            Ok(Hop { io, to_proxy: false })
        })
    }
}

/// Has the proxy connect to the URL's host. From then on its bytes are that host's.
async fn tunnel<T>(io: T, url: &Uri, proxy: &Intercept) -> Result<T, ProxyError>
where
    T: Read + Write + Unpin + Send + 'static,
{
    let name = || Proxies::name(proxy);
    let to = format!("{}:{}", url.host().unwrap_or_default(), url.port_u16().unwrap_or(443));
    let broken = |source: BoxError| ProxyError::Broken { proxy: name(), to: to.clone(), source };
    let asking = || {
        let mut asking = Request::connect(to.as_str()).header(header::HOST, to.as_str());
        if let Some(credentials) = proxy.basic_auth() {
            asking = asking.header(header::PROXY_AUTHORIZATION, credentials);
        }
        asking.body(Empty::<Bytes>::new())
    };
    let asking = asking().map_err(|error| broken(error.into()))?;
    let mut http = http1::Builder::new();
    let shaken = http.max_buf_size(ANSWER).handshake(io).await;
    let (mut asks, connection) = shaken.map_err(|error| broken(error.into()))?;
    let answered = async {
        let answer = asks.send_request(asking).await.map_err(|error| broken(error.into()))?;
        match answer.status() {
            status if status.is_success() => {
                hyper::upgrade::on(answer).await.map_err(|error| broken(error.into()))
            }
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Err(ProxyError::Credentials { proxy: name() })
            }
            status => Err(ProxyError::Refused { proxy: name(), to: to.clone(), status }),
        }
    };
    let carried = async { connection.with_upgrades().await.map_err(|error| broken(error.into())) };
    let (upgraded, ()) = tokio::try_join!(answered, carried)?;
    let parts = upgraded.downcast::<T>().map_err(|_| broken("not its connection".into()))?;
    if !parts.read_buf.is_empty() {
        // In TLS the client speaks first.
        return Err(broken("it said more than it was asked".into()));
    }
    Ok(parts.io)
}

// === impl Hop ===

impl<T: Connection> Connection for Hop<T> {
    fn connected(&self) -> Connected {
        self.io.connected().proxy(self.to_proxy)
    }
}

impl<T: Read + Unpin> Read for Hop<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: Write + Unpin> Write for Hop<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}
