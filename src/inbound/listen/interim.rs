//! Tells a client whose call waits that it has been heard: `HTTP/1.1 100 Continue`, again and
//! again, until its answer begins. A client that gives up when it reads nothing for a while then
//! reads something. RFC 9110, 15.2: a client takes any number of interim responses before the
//! final one, even ones that it did not ask for. Not all do; whom to tell is for the caller to
//! decide.
//!
//! hyper's server has no way to write them, so [`InterimIo`] writes them below it, on the
//! connection, when a request's [`Interim`] asks for that. This is safe by what hyper 1 does
//! (read in 1.12.0, `src/proto/h1`; the first three are what safety stands on):
//!
//! 1. *It flushes the connection only when it has nothing left to write.* `Buffered::poll_flush`
//!    comes to the I/O's `poll_flush` only with an empty write buffer; with anything in it, of
//!    this answer or the one before, it calls `poll_write` first. So `poll_flush` here is the one
//!    place that begins an interim response, and it never stands inside another response.
//! 2. *An answer's first bytes are its head's, and they come in one piece.* Whatever `poll_write`
//!    is offered ends the turn of the request, for good, even if nothing of it can be written yet.
//!    The only exception is hyper's own `100 Continue` for an `Expect: 100-continue`, which it
//!    queues when the body is first polled: byte for byte the same as [`CONTINUE`], and what is
//!    left of it is all that is offered. hyper turns a service's own 1xx into an error.
//! 3. *It serves one request of a connection at a time.* `Server::poll_ready` holds back the next
//!    head while a service's future is there, and `State::idle` waits for the end of both request
//!    and answer, so [`Interims::attach`] opens one turn at a time and ends the one before. If an
//!    answer was complete before its request was, its last bytes can come after the next request's
//!    turn has begun. They end that turn: it gets no interim responses, which does no harm.
//! 4. *It flushes whenever it is polled*, after it has polled the service's future: `poll_loop`.
//!    That is when a turn that has just been asked for sets its timer, and the timer wakes the
//!    connection's task. Reads would not do: with `half_close` hyper does not read while an answer is
//!    pending (`mid_message_detect_eof`), so [`ReadAhead`] does, in the same place.
//!    With `pipeline_flush` it does not flush either while there are bytes of a further request, so
//!    that then nothing is told.
//! 5. *It drops the service's future when the client is gone*: on an error from a flush, which the end
//!    of a connection that broke brings about, and an interim response to nobody. A client that only ends
//!    its own side may still read: its call is told by a [`ClientEnd`].
//!
//! What an interim response could not write stays its first debt: whatever comes next, an answer,
//! a flush or the shutdown, is pending until it is paid. Nor does another one begin before the last
//! is flushed. So a client that does not read makes the connection hold at most one.
//!
//! Here also ends a connection whose service wants it to end without an answer. hyper would drop it at
//! once when a service's future fails, with what is still to be written of the answer before. So to
//! hyper the future goes on, and it is the next `poll_flush` that fails: then (1) nothing is left to
//! write, and (4) it comes at once. An interim response is written to its end before.
//!
//! HTTP/1.0 knows no interim responses, and in HTTP/2 they would be frames; requests of either get
//! no [`Interim`]. A connection that nobody asks on pays one load and one branch for each write and
//! flush; a timer exists only while someone waits.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Version};
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};
use tower::Service;

use super::{read_ahead::ReadAhead, waiting::Waiting};
use crate::call::{body::Stopped, client_end::ClientEnd};

/// The interim response. It asks for nothing that the client has not done: its request is here.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The most of them for one request. Python's `http.client` gives up at the hundredth since 2026
/// (cpython gh-150743), Ruby's `net/http` after it.
pub const MOST: u32 = 90;

/// A connection, directly below hyper, that tells its client to wait.
#[derive(Debug)]
pub(super) struct InterimIo<I> {
    io: I,
    turn: Arc<Turn>,
    ahead: ReadAhead,
    /// For the rest of a request, once the program ends.
    rest_of_request: Waiting,
    timer: Option<Timer>,
    /// What is still to be written of an interim response.
    rest: &'static [u8],
}

/// Gives the requests of one connection their [`Interim`]s and [`ClientEnd`]s.
#[derive(Clone, Debug)]
pub(super) struct Interims {
    turn: Arc<Turn>,
    client_end: ClientEnd,
}

/// Gives each request its [`Interim`] and its [`ClientEnd`], and passes it on.
#[derive(Clone, Debug)]
pub(super) struct Attached<S> {
    inner: S,
    interims: Interims,
}

pin_project! {
    /// An answer, or the end of its connection. Where several requests share one, hyper resets the
    /// stream of a request that fails; that is for it to do.
    #[derive(Debug)]
    pub(super) struct Answering<F> {
        #[pin]
        answer: F,
        connection: Option<Interims>,
        has_failed: bool,
    }
}

/// One request's say over its interim responses. In its extensions, if it can have any.
#[derive(Clone, Debug)]
pub struct Interim {
    turn: Arc<Turn>,
    number: u64,
}

/// Runs while the request waits whose turn it is.
#[derive(Debug)]
struct Timer {
    asked: Asked,
    sleep: Pin<Box<Sleep>>,
    /// How many interim responses there may still be.
    left: u32,
}

/// Which request's turn it is, by number, and what it asks for, in one word, so that whoever asks
/// too late cannot ask for the wrong one. The upper half is the number. The lower is [`OVER`] from
/// the first byte of the answer on, [`SILENT`] until something is asked for, and then an interval
/// in milliseconds.
#[derive(Debug, Default)]
struct Turn {
    asked: AtomicU64,
    /// The connection ends without an answer to its last request. Never undone.
    leaves: AtomicBool,
    /// The program ends.
    stops: AtomicBool,
    /// The connection is of several requests at once.
    is_shared: AtomicBool,
}

/// How long a client may leave the rest of its request where it is, once the program ends.
const STANDSTILL: Duration = Duration::from_secs(5);

const OVER: u64 = 0;
const SILENT: u64 = 1;
const LOWER: u64 = u32::MAX as u64;

/// A [`Turn`] in which something is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked(u64);

// === impl InterimIo ===

impl<I> InterimIo<I> {
    /// A connection, and what gives its requests a say.
    pub(super) fn new(io: I) -> (Self, Interims) {
        let (turn, ahead) = (Arc::<Turn>::default(), ReadAhead::default());
        let client_end = ClientEnd::new(ahead.ended());
        let interims = Interims { turn: Arc::clone(&turn), client_end };
        let io =
            Self { io, turn, ahead, rest_of_request: Waiting::default(), timer: None, rest: &[] };
        (io, interims)
    }

    /// Sees what hyper is about to write: an answer, or what is left of its own `100 Continue`.
    fn answers(&mut self, bytes: &[io::IoSlice<'_>]) {
        if !self.turn.is_over() && !bytes.iter().all(|bytes| CONTINUE.ends_with(bytes)) {
            self.turn.end();
            self.timer = None;
        }
    }

    /// Whether it is time for an interim response, if there may be one more.
    fn poll_due(&mut self, cx: &mut Context<'_>, asked: Asked) -> Poll<()> {
        let timer = match &mut self.timer {
            Some(timer) if timer.asked == asked => timer,
            // The answer took the last request's: this is another interval of the same.
            timer => {
                let left = timer.as_ref().map_or(MOST, |timer| timer.left);
                timer.insert(Timer { asked, sleep: Box::pin(sleep(asked.every())), left })
            }
        };
        if timer.left == 0 {
            return Poll::Pending;
        }
        ready!(timer.sleep.as_mut().poll(cx));
        timer.sleep.as_mut().reset(Instant::now() + asked.every());
        timer.left -= 1;
        Poll::Ready(())
    }
}

impl<I: AsyncWrite + Unpin> InterimIo<I> {
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, self.rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.rest = &self.rest[written..];
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for InterimIo<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { io, ahead, rest_of_request, turn, .. } = &mut *self;
        let read = ahead.poll_read(io, cx, buf);
        // hyper reads only what it needs of a request, and nothing while an answer is awaited.
        if turn.stops.load(Relaxed) && !turn.is_shared.load(Relaxed) {
            let read = rest_of_request.bound(cx, STANDSTILL, read);
            return read.map_err(|error| match error.kind() {
                io::ErrorKind::TimedOut => io::Error::new(error.kind(), Stopped),
                _ => error,
            });
        }
        read
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for InterimIo<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.answers(&[io::IoSlice::new(buf)]);
        ready!(self.poll_rest(cx))?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_rest(cx))?;
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            if self.turn.leaves.load(Relaxed) {
                // The client sees an orderly end. If it does not read, it is not waited for.
                let _ = Pin::new(&mut self.io).poll_shutdown(cx);
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            if !self.turn.is_over() {
                let Self { io, ahead, .. } = &mut *self;
                ahead.look(io, cx)?;
            }
            let Some(asked) = self.turn.asked() else { return Poll::Ready(Ok(())) };
            if self.poll_due(cx, asked).is_pending() {
                return Poll::Ready(Ok(()));
            }
            self.rest = CONTINUE;
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.turn.end();
        ready!(self.poll_rest(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.answers(bufs);
        ready!(self.poll_rest(cx))?;
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

// === impl Interims ===

impl Interims {
    /// The program ends, so the rest of a request has to come soon. To be called before the connection is
    /// polled next. In HTTP/2 it is read whatever it is of: there a body's own bound counts.
    pub(super) fn stop(&self) {
        self.turn.stops.store(true, Relaxed);
    }

    /// Gives a request that has just come its [`ClientEnd`], and its [`Interim`] if its client can
    /// bear any by the version that it speaks. To be called for each request, as hyper calls the
    /// service. In HTTP/2 one connection is of several requests, and has none of either.
    fn attach<B>(&self, request: &mut Request<B>) {
        if request.version() > Version::HTTP_11 {
            self.turn.is_shared.store(true, Relaxed);
            return;
        }
        let interim = Interim { turn: Arc::clone(&self.turn), number: self.turn.next() };
        if request.version() == Version::HTTP_11 {
            request.extensions_mut().insert(interim);
        }
        request.extensions_mut().insert(self.client_end.clone());
    }
}

// === impl Attached ===

impl<S> Attached<S> {
    pub(super) fn new(inner: S, interims: Interims) -> Self {
        Self { inner, interims }
    }
}

impl<S, B> Service<Request<B>> for Attached<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Answering<S::Future> {
        self.interims.attach(&mut request);
        let has_its_own = request.version() <= Version::HTTP_11;
        let connection = has_its_own.then(|| self.interims.clone());
        Answering { answer: self.inner.call(request), connection, has_failed: false }
    }
}

// === impl Answering ===

impl<F, R, E> Future for Answering<F>
where
    F: Future<Output = Result<R, E>>,
{
    type Output = Result<R, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<R, E>> {
        let this = self.project();
        if *this.has_failed {
            // An answer before it is still on its way.
            return Poll::Pending;
        }
        match (ready!(this.answer.poll(cx)), this.connection) {
            (Err(_), Some(Interims { turn, .. })) => {
                turn.leaves.store(true, Relaxed);
                *this.has_failed = true;
                Poll::Pending
            }
            (answered, _) => Poll::Ready(answered),
        }
    }
}

// === impl Interim ===

impl Interim {
    /// Has the client told to wait after `every`, and each `every` from then on, until its answer
    /// begins, though no more than [`MOST`] times. Once the answer has begun, this does nothing.
    ///
    /// To be called once the request's body has been read, as a client that still waits to be
    /// asked for it would take this for the asking; and in the service's own future, not in
    /// another task, as it is the end of that future's poll that sets the timer.
    pub fn start(&self, every: Duration) {
        let millis = u32::try_from(every.as_millis()).unwrap_or(u32::MAX);
        self.turn.ask(self.number, u64::from(millis).max(SILENT + 1));
    }
}

// === impl Turn ===

impl Turn {
    /// Ends the turn, and begins the next; tells its number.
    fn next(&self) -> u64 {
        let number = ((self.asked.load(Relaxed) >> 32) + 1) & LOWER;
        self.asked.store(number << 32 | SILENT, Relaxed);
        number
    }

    fn ask(&self, number: u64, millis: u64) {
        let asked = |turn| {
            let waits = turn >> 32 == number && turn & LOWER != OVER;
            waits.then_some(number << 32 | millis)
        };
        // Too late: the answer has begun.
        let _ = self.asked.fetch_update(Relaxed, Relaxed, asked);
    }

    fn asked(&self) -> Option<Asked> {
        let turn = self.asked.load(Relaxed);
        (turn & LOWER > SILENT).then_some(Asked(turn))
    }

    fn is_over(&self) -> bool {
        self.asked.load(Relaxed) & LOWER == OVER
    }

    fn end(&self) {
        self.asked.fetch_and(!LOWER, Relaxed);
    }
}

// === impl Asked ===

impl Asked {
    fn every(self) -> Duration {
        Duration::from_millis(self.0 & LOWER)
    }
}

#[cfg(test)]
mod tests;
