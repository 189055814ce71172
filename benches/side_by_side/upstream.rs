//! The upstream: answers `{"ok":true}` at once, or after the delay that a header asks for.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The header that says how many milliseconds to wait before the answer, if it is there.
pub(crate) const DELAY_HEADER: &str = "x-delay";

/// Serves until the process ends.
pub(crate) fn run(listen: SocketAddr) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let service = service_fn(answer);
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            #[expect(clippy::disallowed_methods, reason = "the process owns it")]
            tokio::spawn(connection);
        }
    })
}

async fn answer(request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    body.collect().await?;
    if let Some(millis) = parts.headers.get(DELAY_HEADER) {
        tokio::time::sleep(Duration::from_millis(millis.to_str()?.parse()?)).await;
    }
    let mut response = Response::new(Full::new(Bytes::from_static(b"{\"ok\":true}")));
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}
