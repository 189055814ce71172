//! Reads ahead while an answer is awaited, one byte at most: to notice that the client has ended its side
//! of the connection.
//!
//! hyper could notice it, too, but then ends the connection without the answer. With `half_close` it
//! reads nothing until the answer is written, so whoever reads here does not come between.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::sync::CancellationToken;

/// What was read ahead of a connection.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    byte: Option<u8>,
    ended: CancellationToken,
}

// === impl ReadAhead ===

impl ReadAhead {
    /// Cancelled when the client has ended its side.
    pub(super) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// Notices the end, if it is the next that comes; of what comes instead, one byte is kept. An error is
    /// that of a client that is gone for certain.
    pub(super) fn look<I>(&mut self, io: &mut I, cx: &mut Context<'_>) -> io::Result<()>
    where
        I: AsyncRead + Unpin,
    {
        if self.byte.is_some() || self.ended.is_cancelled() {
            return Ok(());
        }
        let mut byte = [0];
        let mut buf = ReadBuf::new(&mut byte);
        match Pin::new(io).poll_read(cx, &mut buf) {
            Poll::Pending => return Ok(()),
            Poll::Ready(read) => read?,
        }
        match buf.filled().first() {
            Some(byte) => self.byte = Some(*byte),
            None => self.ended.cancel(),
        }
        // Whoever waits for bytes, or for the end, has been polled before.
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Reads what was read ahead, and what follows it.
    pub(super) fn poll_read<I>(
        &mut self,
        io: &mut I,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>>
    where
        I: AsyncRead + Unpin,
    {
        if self.ended.is_cancelled() {
            return Poll::Ready(Ok(()));
        }
        let Some(byte) = self.byte.filter(|_| buf.remaining() > 0) else {
            return Pin::new(io).poll_read(cx, buf);
        };
        self.byte = None;
        buf.put_slice(&[byte]);
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        // Mostly the rest is here, too.
        match Pin::new(io).poll_read(cx, buf) {
            Poll::Ready(read) => Poll::Ready(read),
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }
}
