//! A connection is secured, and its client proves who it is.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Request;
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tower::Service;
use webpki::EndEntityCert;

/// Who is at the other end of a connection: the names in the certificate that it has proved to be
/// its own. With each request of the connection, where it has one.
#[derive(Clone, Debug)]
pub struct Peer {
    /// DNS names, then URIs; at least one.
    pub names: Arc<[Box<str>]>,
}

/// Tells with each request who is at the other end.
#[derive(Clone, Debug)]
pub(super) struct Named<S> {
    inner: S,
    peer: Option<Peer>,
}

/// How long a client may take for it.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Secures a connection.
pub(super) async fn secure<I>(
    io: I,
    server: Arc<ServerConfig>,
) -> io::Result<(TlsStream<I>, Option<Peer>)>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let shaking = TlsAcceptor::from(server).accept(io);
    let io = tokio::time::timeout(HANDSHAKE, shaking).await??;
    let peer = peer(io.get_ref().1);
    Ok((io, peer))
}

/// A certificate that names nobody proves nothing.
fn peer(connection: &ServerConnection) -> Option<Peer> {
    let certificate = EndEntityCert::try_from(connection.peer_certificates()?.first()?).ok()?;
    let names = certificate.valid_dns_names().chain(certificate.valid_uri_names());
    let names: Arc<[Box<str>]> = names.map(Box::from).collect();
    (!names.is_empty()).then_some(Peer { names })
}

// === impl Named ===

impl<S> Named<S> {
    pub(super) fn new(inner: S, peer: Option<Peer>) -> Self {
        Self { inner, peer }
    }
}

impl<S, B> Service<Request<B>> for Named<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if let Some(peer) = &self.peer {
            request.extensions_mut().insert(peer.clone());
        }
        self.inner.call(request)
    }
}
