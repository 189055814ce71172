//! A connection that remembers when it last took bytes of a request, and whether an answer has begun
//! since; and that is looked at before it takes another one.

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

use super::looked_at::Look;

/// A connection that remembers what it last did.
#[derive(Debug)]
pub struct Metered<T> {
    io: T,
    meter: Meter,
    look: Option<Look>,
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
    /// When it took bytes, in nanoseconds since it was made, and one more; zero if it never has.
    took: AtomicU64,
    /// How often it could be read from since. The end of what comes is one of them.
    reads: AtomicU32,
    /// Whether it broke instead of ending.
    failed: AtomicBool,
    /// Whether it takes no further request.
    retired: AtomicBool,
}

/// Whether these may be the first bytes of a request of HTTP/1.1: a verb, and where it goes.
fn begins_a_request(bytes: &[u8]) -> bool {
    let verb = bytes.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    matches!(bytes.get(verb..), Some([b' ', b'/' | b'h', ..])) && verb > 0
}

// === impl Metered ===

impl<T: Connection> Metered<T> {
    /// A connection that has just been made.
    pub(super) fn new(io: T) -> Self {
        let connected = io.connected();
        // Of several requests on one connection, each begins while others are answered.
        let look = if connected.is_negotiated_h2() { None } else { Look::of(&connected) };
        Self { io, meter: Meter { since: Instant::now(), last: Arc::default() }, look }
    }
}

impl<T> Metered<T> {
    /// These bytes are about to be written. An error if they are those of a request that it is not to have.
    fn writes(&self, bytes: &[u8]) -> io::Result<()> {
        let Last { took, reads, retired, .. } = &*self.meter.last;
        let has_answered = took.load(Ordering::Relaxed) > 0 && reads.load(Ordering::Relaxed) > 0;
        // Else it is the rest of one that is answered before all of it is written.
        if !has_answered || !begins_a_request(bytes) {
            return Ok(());
        }
        if retired.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if let Some(look) = &self.look {
            look.first();
        }
        Ok(())
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
        self.writes(buf)?;
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
        self.writes(bufs.iter().find(|buf| !buf.is_empty()).map_or(&[], |buf| &**buf))?;
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

    /// Whether it certainly took nothing of a request that began at that time.
    pub(super) fn took_nothing_since(&self, begun: Instant) -> bool {
        self.last.took.load(Ordering::Relaxed) == 0 || self.last() < begun
    }

    /// Nothing more is to be written to it.
    pub(super) fn retire(&self) {
        self.last.retired.store(true, Ordering::Relaxed);
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

    /// Red when a request may follow on a connection that is to have no further one; when its own rest may
    /// not; when it is said that a request was begun that was not, or the other way round.
    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_retired_takes_no_further_request() {
        let (near, mut far) = duplex(4096);
        let mut io = Metered::new(Pipe(TokioIo::new(near)));
        let meter = io.meter.clone();
        let first = Instant::now();
        assert!(meter.took_nothing_since(first));
        write(&mut io, b"POST /api/x HTTP/1.1\r\n").await.unwrap();
        assert!(!meter.took_nothing_since(first), "in the same instant");
        far.write_all(b"HTTP/1.1 200 OK").await.unwrap();
        far.read_exact(&mut [0; 22]).await.unwrap();
        let mut said = [0; 15];
        let mut io = TokioIo::new(io);
        io.read_exact(&mut said).await.unwrap();
        let mut io = io.into_inner();
        meter.retire();
        write(&mut io, b"the rest of its body").await.unwrap();
        far.write_all(b"x").await.unwrap();
        let mut io = TokioIo::new(io);
        io.read_exact(&mut [0]).await.unwrap();
        let mut io = io.into_inner();
        sleep(Duration::from_millis(1)).await;
        let second = Instant::now();
        assert!(write(&mut io, b"GET /api/y HTTP/1.1\r\n").await.is_err());
        assert!(meter.took_nothing_since(second));
        assert!(!meter.took_nothing_since(first));
    }

    #[test]
    fn a_request_is_known_by_its_verb_and_its_target() {
        for (bytes, begins) in [
            (&b"POST /api/x HTTP/1.1"[..], true),
            (b"GET http://proxied.test/ HTTP/1.1", true),
            (b"POST", false),
            (b"", false),
            (b" /", false),
            (b"channel=C1&text=POST /", false),
        ] {
            assert_eq!(begins_a_request(bytes), begins, "{bytes:?}");
        }
    }
}
