//! A bare hyper reverse proxy: what forwarding costs when nothing else is done.

use std::net::SocketAddr;

use http::{Request, Response, Uri, header::CONNECTION, uri::Authority};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::net::TcpStream;

/// Forwards everything to one upstream, streaming both ways; each clone shares the pool.
#[derive(Clone)]
pub(crate) struct Bare {
    client: Client<HttpConnector, Incoming>,
    upstream: Authority,
}

// === impl Bare ===

impl Bare {
    pub(crate) fn new(upstream: SocketAddr) -> anyhow::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, upstream: upstream.to_string().parse()? })
    }

    /// Serves one connection in a task of the current runtime.
    pub(crate) fn serve(&self, stream: TcpStream) -> anyhow::Result<()> {
        stream.set_nodelay(true)?;
        let bare = self.clone();
        let service = service_fn(move |request| bare.clone().forward(request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        #[expect(clippy::disallowed_methods, reason = "the process owns it")]
        tokio::spawn(connection);
        Ok(())
    }

    async fn forward(self, mut request: Request<Incoming>) -> anyhow::Result<Response<Incoming>> {
        let mut uri = Uri::builder().scheme("http").authority(self.upstream);
        if let Some(path) = request.uri().path_and_query() {
            uri = uri.path_and_query(path.clone());
        }
        *request.uri_mut() = uri.build()?;
        request.headers_mut().remove(CONNECTION);
        Ok(self.client.request(request).await?)
    }
}
