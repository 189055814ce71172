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
    /// When it took bytes, in nanoseconds since it was made, and one more; zero if it has taken none of
    /// this request.
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
            let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
            self.meter.last.took.store(nanos.saturating_add(1), Ordering::Relaxed);
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
        self.since + Duration::from_nanos(self.last.took.load(Ordering::Relaxed).saturating_sub(1))
    }

    /// What is written from now on is another request.
    pub(super) fn begin(&self) {
        let Last { took, reads, failed } = &*self.last;
        took.store(0, Ordering::Relaxed);
        reads.store(0, Ordering::Relaxed);
        failed.store(false, Ordering::Relaxed);
    }

    /// Whether it certainly took nothing of its request.
    pub(super) fn has_taken_nothing(&self) -> bool {
        self.last.took.load(Ordering::Relaxed) == 0
    }

    /// Of a connection that is over: whether it brought bytes after it last took some. hyper does not
    /// let a connection see how many it reads.
    pub(super) fn has_brought(&self) -> bool {
        let Last { reads, failed, .. } = &*self.last;
        reads.load(Ordering::Relaxed) > u32::from(!failed.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use hyper_util::rt::TokioIo;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::{Duration, sleep},
    };

    use super::*;

    struct Pipe(TokioIo<DuplexStream>);

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

    async fn write(io: &mut Metered<Pipe>, bytes: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| Pin::new(&mut *io).poll_write(cx, bytes)).await
    }

    /// Red when what a connection did for one request counts for the next.
    #[tokio::test(start_paused = true)]
    async fn each_request_begins_with_nothing() {
        let (near, mut far) = duplex(4096);
        let mut io = Metered::new(Pipe(TokioIo::new(near)));
        let meter = io.meter.clone();
        assert!(meter.has_taken_nothing() && !meter.has_brought());
        write(&mut io, b"POST /api/x HTTP/1.1\r\n").await.unwrap();
        assert!(!meter.has_taken_nothing(), "in the same instant");
        far.write_all(b"HTTP/1.1 200 OK").await.unwrap();
        let mut io = TokioIo::new(io);
        io.read_exact(&mut [0; 5]).await.unwrap();
        io.read_exact(&mut [0; 10]).await.unwrap();
        let mut io = io.into_inner();
        assert!(meter.has_brought());
        sleep(Duration::from_millis(1)).await;
        meter.begin();
        assert!(meter.has_taken_nothing() && !meter.has_brought());
        write(&mut io, b"GET /api/y HTTP/1.1\r\n").await.unwrap();
        assert!(!meter.has_taken_nothing() && !meter.has_brought());
        assert_eq!(meter.last(), Instant::now());
    }
}
