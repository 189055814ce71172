//! Pipes in memory as hyper's clients connect them.

use std::{
    future::{Ready, ready},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use tokio::io::DuplexStream;

type Dial = dyn Fn(&Uri) -> io::Result<DuplexStream> + Send + Sync;

/// Makes a connection to whatever a test has at the other end.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Dial>);

/// A connection.
pub(crate) struct Pipe(TokioIo<DuplexStream>);

/// A pipe's two ends.
pub(crate) fn pipe() -> (DuplexStream, DuplexStream) {
    tokio::io::duplex(64 << 10)
}

// === impl Wire ===

impl Wire {
    /// Connections come from here; it is told for which URL.
    pub(crate) fn new(
        dial: impl Fn(&Uri) -> io::Result<DuplexStream> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(dial))
    }

    /// A connection for that URL.
    pub(crate) fn dial(&self, url: &Uri) -> io::Result<DuplexStream> {
        (self.0)(url)
    }
}

impl tower::Service<Uri> for Wire {
    type Response = Pipe;
    type Error = io::Error;
    type Future = Ready<io::Result<Pipe>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        ready(self.dial(&url).map(|pipe| Pipe(TokioIo::new(pipe))))
    }
}

// === impl Pipe ===

impl Connection for Pipe {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl Write for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
