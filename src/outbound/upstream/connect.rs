//! Connections to upstreams: TCP, or TLS over it, straight or through a proxy, ready in time.

use std::{
    error::Error,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use config::{Config, Proxies, Tls};
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{HttpConnector, dns::GaiResolver};
use rustls::{CertificateError, ClientConfig, pki_types::CertificateDer};
use tower::Service;

use super::{
    looked_at::Looking,
    loops::{self, NotBack},
    proxied::Proxied,
};
use crate::step::BoxError;

/// What connects to upstreams in the program; tests bring their own transport.
pub type Connector = Over<Looking<HttpConnector>>;

/// TLS, where a URL asks for it, and proxies over a transport.
pub type Over<T> = InTime<HttpsConnector<Proxied<NotBack<T>>>>;

/// A connector whose connections are ready in time, proxy and TLS included, or not at all, and
/// lead to somebody else.
#[derive(Clone, Debug)]
pub struct InTime<C> {
    inner: C,
    proxies: Proxies,
    limit: Duration,
    /// What this proxy shows to its own clients.
    own: Option<CertificateDer<'static>>,
}

/// A certificate that is not believed, with what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("the upstream's certificate is not trusted; {advice}")]
pub(super) struct NotTrusted {
    advice: &'static str,
    source: BoxError,
}

/// The connector of the program, which listens at that address.
///
/// # Errors
/// If TLS cannot be set up, which a sound build never meets.
pub fn connector(config: &Config, listen: SocketAddr) -> Result<Connector, rustls::Error> {
    over(tcp(GaiResolver::new(), config.timeouts.connect), config, listen)
}

/// A connector over a transport, for a proxy that listens at that address.
///
/// # Errors
/// If TLS cannot be set up, which a sound build never meets.
pub fn over<T>(
    transport: T,
    config: &Config,
    listen: SocketAddr,
) -> Result<Over<T>, rustls::Error> {
    let proxies = &config.proxies;
    let builder = HttpsConnectorBuilder::new().with_tls_config(client(&config.tls)?);
    let builder = builder.https_or_http().enable_http1();
    let transport = Proxied::new(NotBack::new(transport, listen), proxies.clone());
    let inner = if config.tls.http2 {
        builder.enable_http2().wrap_connector(transport)
    } else {
        builder.wrap_connector(transport)
    };
    let own = config.listen_tls.as_ref().map(|tls| tls.certificate.clone());
    Ok(InTime { inner, proxies: proxies.clone(), limit: config.timeouts.connect, own })
}

/// TCP to the addresses that a resolver finds for a name, anew for each connection. Each of them
/// has its part of `limit`, so that a dead one does not stand in the way of the next.
pub fn tcp<R>(resolver: R, limit: Duration) -> Looking<HttpConnector<R>> {
    let mut tcp = HttpConnector::new_with_resolver(resolver);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(limit));
    tcp.set_keepalive(Some(Duration::from_secs(30)));
    Looking::new(tcp)
}

fn client(tls: &Tls) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(Arc::clone(&tls.trusted))
        .with_no_client_auth();
    Ok(client)
}

/// Adds what to do, where a certificate is not believed. It may be this proxy's own, if it has one.
fn explained(error: BoxError, has_own: bool) -> BoxError {
    let mut next: Option<&(dyn Error + 'static)> = Some(&*error);
    while let Some(at) = next {
        if let Some(rustls::Error::InvalidCertificate(wrong)) = at.downcast_ref() {
            let advice = match wrong {
                CertificateError::UnknownIssuer if has_own => {
                    "if a hosts entry or DNS record leads slackwater to its own listener, see \
                     docs/hosts-entry.md; if the network puts its own in the place of Slack's, name \
                     its CA in tls.ca"
                }
                CertificateError::UnknownIssuer => {
                    "if the network puts its own in the place of Slack's, name its CA in tls.ca"
                }
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => {
                    "look at its dates and at this machine's clock"
                }
                _ => "look whether the upstream's url is right",
            };
            return NotTrusted { advice, source: error }.into();
        }
        // An I/O error that wraps another names that one's source as its own.
        let wrapped = at.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|it| it as &(dyn Error + 'static)).or_else(|| at.source());
    }
    error
}

// === impl InTime ===

impl<C, T> Service<Uri> for InTime<C>
where
    C: Service<Uri, Response = MaybeHttpsStream<T>>,
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
        let (proxy, host, own) = (self.proxies.of(&url), loops::host(&url), self.own.clone());
        let connecting = self.inner.call(url);
        let limit = self.limit;
        Box::pin(async move {
            let connected = tokio::time::timeout(limit, connecting).await;
            let stream = connected
                .map_err(|_| {
                    let through = proxy.as_ref().map(Proxies::name);
                    let through =
                        through.map_or_else(String::new, |it| format!(" through the proxy {it}"));
                    let text = format!("no connection within {limit:?}{through}");
                    io::Error::new(io::ErrorKind::TimedOut, text)
                })?
                .map_err(|error| explained(error.into(), own.is_some()))?;
            Ok(loops::refuse_own(stream, own.as_ref(), host)?)
        })
    }
}
