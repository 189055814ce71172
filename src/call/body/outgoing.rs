//! A body on its way to the upstream: in small pieces, so that what the upstream has taken of it is
//! known; bounded in the time that its client may take for the rest.

use std::{
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Duration, Instant, Sleep, sleep_until};

use super::{BodyError, Owner, Reservation, pace::Pace};

/// A body on its way to the upstream.
pub struct Outgoing {
    first: Bytes,
    rest: Rest,
    /// How it goes on, where it is large enough to take its time.
    progress: Option<Arc<Progress>>,
}

/// What follows the bytes that are here.
enum Rest {
    Nothing,
    /// A stream, which stays with its call until the first piece of it is asked for.
    Kept {
        stream: Stream,
        hint: SizeHint,
        idle: Duration,
    },
    Streams(Streaming),
}

/// A stream on its way.
struct Streaming {
    incoming: Incoming,
    pace: Pace,
    /// Since when its client is waited for, and until when.
    waits: Option<(Instant, Pin<Box<Sleep>>)>,
}

/// A body of which only the beginning is here. It can be sent as long as nothing of it has been.
#[derive(Clone)]
pub struct Stream(Arc<Shared>);

/// What the call and its attempts have of a stream.
struct Shared {
    /// Until it is sent.
    begun: Mutex<Option<Begun>>,
    /// The beginning stays in memory as long as the call does.
    held: Mutex<Reservation>,
}

/// What a stream consists of.
struct Begun {
    first: Bytes,
    rest: Incoming,
}

/// How a body goes on that takes its time.
#[derive(Debug)]
pub struct Progress {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    error: Option<BodyError>,
}

/// What a body waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// For a connection. Nothing of it has been asked for.
    Connection,
    /// For its client.
    Client,
    /// For the upstream, which has taken a piece at that time.
    Upstream(Instant),
    /// For nothing. Its last piece was taken at that time.
    Nothing(Instant),
}

/// How much is handed over at once.
const PIECE: usize = 16 << 10;

/// A body up to this size goes at once.
const SMALL: usize = 64 << 10;

/// A body that broke off at its client's end. Why is in its [`Progress`].
#[derive(Debug, thiserror::Error)]
#[error("the client did not send all of the body")]
pub struct ClientBroke;

// === impl Outgoing ===

/// Bodies may have a token, so nothing of them is printed.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").finish_non_exhaustive()
    }
}

impl Outgoing {
    /// A body of which all is here.
    pub(super) fn whole(bytes: Bytes) -> Self {
        let progress = (bytes.len() > SMALL).then(Arc::default);
        Self { first: bytes, rest: Rest::Nothing, progress }
    }

    /// A body whose rest may take `idle` for each piece.
    pub(super) fn stream(stream: &Stream, idle: Duration) -> Self {
        let Some(hint) = stream.hint() else { return Self::whole(Bytes::new()) };
        let rest = Rest::Kept { stream: stream.clone(), hint, idle };
        Self { first: Bytes::new(), rest, progress: Some(Arc::default()) }
    }

    /// How it goes on, if it may take its time.
    pub fn progress(&self) -> Option<Arc<Progress>> {
        self.progress.clone()
    }

    fn is(&self, phase: Phase) {
        if let Some(progress) = &self.progress {
            progress.lock().phase = phase;
        }
    }

    /// The next piece, as it is handed over.
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Rest::Kept { stream, idle, .. } = &self.rest {
            let (idle, begun) = (*idle, stream.begun().take());
            self.rest = match begun {
                Some(Begun { first, rest }) => {
                    self.first = first;
                    Rest::Streams(Streaming { incoming: rest, pace: Pace::new(idle), waits: None })
                }
                None => Rest::Nothing,
            };
        }
        if !self.first.is_empty() {
            let piece = self.first.split_to(self.first.len().min(PIECE));
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match &mut self.rest {
            Rest::Streams(streaming) => streaming.poll_frame(cx),
            Rest::Nothing | Rest::Kept { .. } => Poll::Ready(None),
        }
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = ClientBroke;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientBroke>>> {
        let Poll::Ready(piece) = self.poll_piece(cx) else {
            self.is(Phase::Client);
            return Poll::Pending;
        };
        let is_last = piece.is_none() || self.is_end_stream();
        let now = if self.progress.is_some() { Some(Instant::now()) } else { None };
        if let Some(now) = now {
            self.is(if is_last { Phase::Nothing(now) } else { Phase::Upstream(now) });
        }
        Poll::Ready(piece.map(|piece| {
            piece.map_err(|error| {
                if let Some(progress) = &self.progress {
                    progress.lock().error = Some(error);
                }
                ClientBroke
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty()
            && match &self.rest {
                Rest::Nothing => true,
                Rest::Kept { .. } => false,
                Rest::Streams(streaming) => streaming.incoming.is_end_stream(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Rest::Nothing => SizeHint::with_exact(self.first.len() as u64),
            Rest::Kept { hint, .. } => *hint,
            Rest::Streams(streaming) => after(&self.first, &streaming.incoming),
        }
    }
}

// === impl Streaming ===

impl Streaming {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        let Poll::Ready(frame) = polled else {
            let (_, sleep) = self.waits.get_or_insert_with(|| {
                let since = Instant::now();
                (since, Box::pin(sleep_until(self.pace.until(since))))
            });
            ready!(sleep.as_mut().poll(cx));
            return Poll::Ready(Some(Err(self.pace.error())));
        };
        if let Some(Ok(data)) = frame.as_ref().map(|frame| frame.as_ref().map(Frame::data_ref)) {
            let since = self.waits.take().map_or_else(Instant::now, |(since, _)| since);
            self.pace.came(data.map_or(0, Bytes::len), since);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::of)))
    }
}

// === impl Stream ===

impl Stream {
    pub(super) fn new(first: Bytes, rest: Incoming, held: Reservation) -> Self {
        let begun = Mutex::new(Some(Begun { first, rest }));
        Self(Arc::new(Shared { begun, held: Mutex::new(held) }))
    }

    /// It is known whose it is.
    pub(super) fn belongs_to(&self, owner: Owner) {
        self.held().belongs_to(owner);
    }

    /// Whether there is memory for a call to wait with it.
    pub(super) fn may_wait(&self) -> bool {
        self.held().may_wait()
    }

    /// Whether nothing of it has been sent.
    pub(super) fn is_whole(&self) -> bool {
        self.begun().is_some()
    }

    fn hint(&self) -> Option<SizeHint> {
        self.begun().as_ref().map(|begun| after(&begun.first, &begun.rest))
    }

    fn begun(&self) -> MutexGuard<'_, Option<Begun>> {
        self.0.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, Reservation> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of the size of both.
fn after(first: &Bytes, rest: &Incoming) -> SizeHint {
    let (first, rest) = (first.len() as u64, rest.size_hint());
    let mut hint = SizeHint::new();
    if let Some(upper) = rest.upper() {
        hint.set_upper(first + upper);
    }
    hint.set_lower(first + rest.lower());
    hint
}

// === impl Progress ===

impl Progress {
    /// What the body waits for.
    pub fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// Why its client did not send all of it, if so. Told once.
    pub fn error(&self) -> Option<BodyError> {
        mem::take(&mut self.lock().error)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self { state: Mutex::new(State { phase: Phase::Connection, error: None }) }
    }
}
