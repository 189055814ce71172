//! A connection that remembers when it last took bytes of a request, and whether an answer has begun
//! since.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::time::Instant;

/// A connection that remembers what it last did.
#[derive(Debug)]
pub struct Metered<T> {
    io: T,
    meter: Meter,
}

/// When a connection last took bytes, and whether it brought any after that.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    since: Instant,
    last: Arc<Last>,
}

/// What a connection did last.
#[derive(Debug, Default)]
struct Last {
    /// When it took bytes, in milliseconds since it was made.
    took: AtomicU64,
    /// How often it could be read from since. The end of what comes is one of them.
    reads: AtomicU32,
    /// Whether it broke instead of ending.
    failed: AtomicBool,
}

// === impl Metered ===

impl<T> Metered<T> {
    /// A connection that has just been made.
    pub(super) fn new(io: T) -> Self {
        Self { io, meter: Meter { since: Instant::now(), last: Arc::default() } }
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(1..))) {
            let now = Instant::now().duration_since(self.meter.since);
            let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
            self.meter.last.took.store(millis, Ordering::Relaxed);
            self.meter.last.reads.store(0, Ordering::Relaxed);
        }
        written
    }
}

impl<T: Connection> Connection for Metered<T> {
    fn connected(&self) -> Connected {
        let connected = self.io.connected();
        // Of several requests on one connection, each would seem to go on with the others.
        if connected.is_negotiated_h2() { connected } else { connected.extra(self.meter.clone()) }
    }
}

impl<T: Read + Unpin> Read for Metered<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        let last = &self.meter.last;
        match &read {
            Poll::Ready(Ok(())) => {
                last.reads.fetch_add(1, Ordering::Relaxed);
            }
            Poll::Ready(Err(_)) => last.failed.store(true, Ordering::Relaxed),
            Poll::Pending => {}
        }
        read
    }
}

impl<T: Write + Unpin> Write for Metered<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.wrote(written)
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
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.wrote(written)
    }
}

// === impl Meter ===

impl Meter {
    /// When it last took bytes, or was made.
    pub(super) fn last(&self) -> Instant {
        self.since + Duration::from_millis(self.last.took.load(Ordering::Relaxed))
    }

    /// Of a connection that is over: whether it brought bytes after it last took some. hyper does not
    /// let a connection see how many it reads.
    pub(super) fn has_brought(&self) -> bool {
        let Last { reads, failed, .. } = &*self.last;
        reads.load(Ordering::Relaxed) > u32::from(!failed.load(Ordering::Relaxed))
    }
}
