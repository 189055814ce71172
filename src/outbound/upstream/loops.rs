//! Connections that lead back to this proxy are refused before a byte of a call is on them.
//!
//! Clients whose host cannot be changed are led here by a hosts entry or a DNS record for Slack's
//! names. If the proxy sees that entry too, its own calls come back to it. Two signs show that:
//! the other end is the address at which this proxy listens, which is known before TLS, on one
//! machine or in one pod; or the other end shows the certificate of this listener, also where
//! addresses are translated, as they are for a Service of Kubernetes. Neither costs a call
//! anything, nor tells Slack anything.

use std::{
    error::Error,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Extensions, Uri};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::{Connection, HttpInfo};
use rustls::pki_types::CertificateDer;
use tower::Service;

use crate::step::BoxError;

/// Makes connections, but none to the listener of this proxy.
#[derive(Clone, Debug)]
pub struct NotBack<C> {
    inner: C,
    listen: SocketAddr,
}

/// A connection that leads back to this proxy.
#[derive(Debug, thiserror::Error)]
pub enum LeadsBack {
    /// By its address.
    #[error("{host} is {address} here, where slackwater itself listens; {REMEDY}")]
    Address {
        /// The host of the URL.
        host: String,
        /// What it was resolved to.
        address: SocketAddr,
    },
    /// By its certificate.
    #[error("{host} shows the certificate of listen_tls, so it is slackwater itself; {REMEDY}")]
    Certificate {
        /// The host of the URL.
        host: String,
    },
}

const REMEDY: &str = "a hosts entry or DNS record that leads clients here must not apply to \
                      slackwater: docs/hosts-entry.md has the ways out";

// === impl NotBack ===

impl<C> NotBack<C> {
    /// Connects to all but this address, where the proxy listens.
    pub fn new(inner: C, listen: SocketAddr) -> Self {
        Self { inner, listen }
    }
}

impl<C> Service<Uri> for NotBack<C>
where
    C: Service<Uri>,
    C::Response: Connection,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let (host, listen) = (host(&url), self.listen);
        let connecting = self.inner.call(url);
        Box::pin(async move {
            let io = connecting.await.map_err(Into::into)?;
            let mut known = Extensions::new();
            io.connected().get_extras(&mut known);
            if let Some(ends) = known.get::<HttpInfo>()
                && is_listener(listen, ends.remote_addr(), ends.local_addr())
            {
                return Err(LeadsBack::Address { host, address: ends.remote_addr() }.into());
            }
            Ok(io)
        })
    }
}

/// Whether a connection from `local` to `remote` arrives at a listener at `listen`.
fn is_listener(listen: SocketAddr, remote: SocketAddr, local: SocketAddr) -> bool {
    let (to, from) = (remote.ip().to_canonical(), local.ip().to_canonical());
    // Whoever connects to an address of its own machine comes from that address, or from
    // another one of the loopback.
    let is_here = if listen.ip().is_unspecified() {
        to == from || to.is_loopback()
    } else {
        to == listen.ip().to_canonical()
    };
    is_here && remote.port() == listen.port()
}

/// The host of a URL, for messages.
pub(super) fn host(url: &Uri) -> String {
    url.host().unwrap_or_default().to_owned()
}

/// Refuses a connection whose other end shows this proxy's own certificate.
pub(super) fn refuse_own<T>(
    stream: MaybeHttpsStream<T>,
    own: Option<&CertificateDer<'static>>,
    host: String,
) -> Result<MaybeHttpsStream<T>, LeadsBack> {
    if let (MaybeHttpsStream::Https(tls), Some(own)) = (&stream, own) {
        let shown = tls.inner().get_ref().1.peer_certificates();
        if shown.and_then(<[_]>::first) == Some(own) {
            return Err(LeadsBack::Certificate { host });
        }
    }
    Ok(stream)
}

/// Whether an error came of a connection that leads back.
pub(super) fn is_loop(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<LeadsBack>() {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when a connection to the listener passes, and when one to another server does not.
    #[test]
    fn the_listener_is_known_by_both_ends_of_a_connection() {
        for (listen, remote, local, expected) in [
            ("127.0.0.1:443", "127.0.0.1:443", "127.0.0.1:50000", true),
            ("127.0.0.1:443", "127.0.0.1:8081", "127.0.0.1:50000", false),
            ("127.0.0.1:443", "127.0.0.2:443", "127.0.0.1:50000", false),
            ("0.0.0.0:443", "127.0.0.1:443", "127.0.0.1:50000", true),
            ("0.0.0.0:443", "127.0.0.9:443", "127.0.0.1:50000", true),
            ("0.0.0.0:443", "10.1.2.3:443", "10.1.2.3:50000", true),
            // Slack, and a neighbour that listens at the same port.
            ("0.0.0.0:443", "192.0.2.1:443", "10.1.2.3:50000", false),
            ("0.0.0.0:443", "10.1.2.4:443", "10.1.2.3:50000", false),
            ("[::]:443", "[::1]:443", "[::1]:50000", true),
            ("[::]:443", "[2001:db8::1]:443", "[2001:db8::1]:50000", true),
            ("[::]:443", "127.0.0.1:443", "127.0.0.1:50000", true),
            ("[::]:443", "[2001:db8::2]:443", "[2001:db8::1]:50000", false),
            ("[::ffff:127.0.0.1]:443", "127.0.0.1:443", "127.0.0.1:50000", true),
        ] {
            let [at, to, from] = [listen, remote, local].map(|it| it.parse().unwrap());
            assert_eq!(is_listener(at, to, from), expected, "{listen} {remote} {local}");
        }
    }
}
