//! A time-out for a connection whose client does not go on: which does not begin, or does not take what
//! it is sent. Between the two, the layers above have their own limits.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::waiting::Waiting;

/// A connection that is given up when its client does not go on.
#[derive(Debug)]
pub(crate) struct IdleTimeout<I> {
    io: I,
    limit: Duration,
    /// How many bytes of [`PREFACE`] have come; none once it is known what is spoken.
    begun: Option<usize>,
    reads: Waiting,
    writes: Waiting,
}

/// What a client of HTTP/2 begins with. As long as what comes could be this, hyper-util waits to
/// see which protocol it is, and the time-outs of neither count.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// === impl IdleTimeout ===

impl<I> IdleTimeout<I> {
    /// Waits for its client for `limit`.
    pub(crate) fn new(io: I, limit: Duration) -> Self {
        let (reads, writes) = (Waiting::default(), Waiting::default());
        Self { io, limit, begun: Some(0), reads, writes }
    }

    fn heard(&mut self, bytes: &[u8]) {
        let Some(begun) = self.begun else { return };
        let expected = &PREFACE[begun..];
        let like = bytes.iter().zip(expected).take_while(|(came, like)| came == like).count();
        // The end, too, tells what it is: nothing.
        let undecided = like > 0 && like == bytes.len() && like < expected.len();
        self.begun = undecided.then_some(begun + like);
    }

    fn wrote<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.writes.bound(cx, self.limit, written)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for IdleTimeout<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if self.begun.is_none() {
            return read;
        }
        if read.is_ready() {
            self.heard(&buf.filled()[before..]);
            if self.begun.is_none() {
                self.reads = Waiting::default();
            }
            return read;
        }
        let limit = self.limit;
        self.reads.bound(cx, limit, read)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for IdleTimeout<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.wrote(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
