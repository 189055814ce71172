//! A connection that is looked at before a request is written to it.
//!
//! A server may close a connection that it has just answered on. Whoever does not know that yet writes a
//! request to nobody, and cannot tell whether it was done: hyper reads an idle connection as soon as the
//! runtime hears that there is something to read, which under load is some milliseconds late. So the kernel
//! is asked directly, by one call for each request on a connection that has had one before: if its other
//! end has closed, or has said what nobody asked, nothing is written. Such a request certainly was not
//! sent, whatever it does.
//!
//! What is on its way at that moment nobody sees, so this closes most of the gap and not all of it.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use rustix::net::{RecvFlags, recv};
use tokio::net::TcpStream;
use tower::Service;

use crate::step::BoxError;

/// Makes connections over TCP that can be looked at.
#[derive(Clone, Debug)]
pub struct Looking<C>(C);

/// A connection over TCP that can be looked at.
#[derive(Debug)]
pub struct LookedAt {
    io: TokioIo<TcpStream>,
    first: Look,
}

/// Has a connection looked at before the next byte is written to it. There are layers between it and
/// whoever knows that a request begins.
#[derive(Clone, Debug, Default)]
pub(super) struct Look(Arc<AtomicBool>);

// === impl Looking ===

impl<C> Looking<C> {
    pub(super) fn new(inner: C) -> Self {
        Self(inner)
    }
}

impl<C> Service<Uri> for Looking<C>
where
    C: Service<Uri, Response = TokioIo<TcpStream>>,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = LookedAt;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<LookedAt, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connecting = self.0.call(url);
        Box::pin(async move {
            let io = connecting.await.map_err(Into::into)?;
            Ok(LookedAt { io, first: Look::default() })
        })
    }
}

// === impl LookedAt ===

impl LookedAt {
    /// An error if there is anything to read, the end included.
    fn look(&self) -> io::Result<()> {
        if !self.first.0.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match recv(self.io.inner(), &mut [0; 1], flags) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

impl Connection for LookedAt {
    fn connected(&self) -> Connected {
        self.io.connected().extra(self.first.clone())
    }
}

impl Read for LookedAt {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for LookedAt {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.look()?;
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
        self.look()?;
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}

// === impl Look ===

impl Look {
    /// The next byte is the first of a request.
    pub(super) fn first(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;

    /// Two ends of a connection; the first one's has not been read.
    async fn pair() -> (LookedAt, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (client, server) = tokio::join!(connecting, listener.accept());
        let client = LookedAt { io: TokioIo::new(client.unwrap()), first: Look::default() };
        (client, server.unwrap().0)
    }

    /// Whether a byte can be written, as the first one of a request or not.
    async fn writes(client: &mut LookedAt, first: bool) -> bool {
        if first {
            client.first.first();
        }
        poll_fn(|cx| Pin::new(&mut *client).poll_write(cx, b"x")).await.is_ok()
    }

    /// Red when nobody looks; when whoever is silent is taken for gone; when all writes are looked at.
    #[tokio::test]
    async fn nothing_is_written_to_who_has_ended_or_spoken() {
        let (mut client, server) = pair().await;
        assert!(writes(&mut client, true).await, "nothing is there to read");
        drop(server);
        let (mut client, mut server) = pair().await;
        server.write_all(b"HTTP/1.1 408 Request Timeout\r\n").await.unwrap();
        wait_for(&client).await;
        assert!(writes(&mut client, false).await, "it is no request's first byte");
        assert!(!writes(&mut client, true).await, "it has said something");
        let (mut client, server) = pair().await;
        drop(server);
        wait_for(&client).await;
        assert!(!writes(&mut client, true).await, "it is gone");
        assert!(writes(&mut client, false).await, "once");
    }

    /// Until the kernel has what the other end did.
    async fn wait_for(client: &LookedAt) {
        client.io.inner().readable().await.unwrap();
    }
}
