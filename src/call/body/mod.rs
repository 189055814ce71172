//! The body of a call: kept whole up to a size, so that it can be read and sent again;
//! beyond that it streams through, once.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;

/// The largest body that is kept whole.
pub const WHOLE: usize = 1 << 20;

/// All that is kept may take this many times what one piece may.
const PIECES: u32 = 5;

/// A call's body. It may have a token, so only its size is printed.
pub enum Body {
    /// All of it is here; it can be sent any number of times.
    Whole(Bytes, Reservation),
    /// Only its beginning is here; it can be sent once.
    Streamed(Bytes, Incoming, Reservation),
    /// It streamed and is gone.
    Spent,
}

/// A body on its way to the upstream.
pub struct Outgoing {
    first: Option<Bytes>,
    rest: Option<Incoming>,
}

/// How many bytes of bodies may be held, over all calls.
#[derive(Clone, Debug)]
pub struct Memory {
    free: Arc<AtomicUsize>,
}

/// Bytes that a call holds; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    bytes: usize,
    of: Memory,
}

/// A body that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The bound on the bytes of all held bodies is reached.
    #[error("the bodies of the calls held take all the memory that they may")]
    Memory,
    /// The client broke off, or its body is malformed.
    #[error("the request's body could not be read")]
    Read(#[source] hyper::Error),
    /// The client sent nothing for too long.
    #[error("no byte of the request's body came for {0:?}")]
    Idle(Duration),
    /// The client sends, but hardly.
    #[error("the first MiB of the request's body, or all of it, did not come within {0:?}")]
    Slow(Duration),
}

// === impl Body ===

impl Body {
    /// A body of ours.
    ///
    /// # Errors
    /// If it does not fit into `memory`.
    pub fn of(bytes: Bytes, memory: &Memory) -> Result<Self, BodyError> {
        let mut reservation = memory.nothing();
        reservation.grow(bytes.len())?;
        Ok(Self::Whole(bytes, reservation))
    }

    /// Reads a body whole, or its first part if it is larger than [`WHOLE`].
    ///
    /// # Errors
    /// If it cannot be read, stalls for `idle` or for too long in all, or does not fit into
    /// `memory`.
    pub async fn read(
        mut incoming: Incoming,
        memory: &Memory,
        idle: Duration,
    ) -> Result<Self, BodyError> {
        let mut reservation = memory.nothing();
        let mut first: Option<Bytes> = None;
        let mut more = BytesMut::new();
        let mut end = None;
        while !incoming.is_end_stream() {
            let (now, whole) = (Instant::now(), idle.saturating_mul(PIECES));
            let end = *end.get_or_insert(now + whole);
            let frame = match tokio::time::timeout_at(end.min(now + idle), incoming.frame()).await {
                Err(_) if Instant::now() >= end => return Err(BodyError::Slow(whole)),
                Err(_) => return Err(BodyError::Idle(idle)),
                Ok(None) => break,
                Ok(Some(frame)) => frame.map_err(BodyError::Read)?,
            };
            let Ok(data) = frame.into_data() else { continue };
            reservation.grow(data.len())?;
            // Most bodies come in one piece, which needs no copy.
            match first.take() {
                None if more.is_empty() => first = Some(data),
                None => more.extend_from_slice(&data),
                Some(piece) => {
                    more.extend_from_slice(&piece);
                    more.extend_from_slice(&data);
                }
            }
            let declared = usize::try_from(incoming.size_hint().lower()).unwrap_or(usize::MAX);
            let read = reservation.bytes;
            if read > WHOLE || read.saturating_add(declared) > WHOLE {
                let read = first.unwrap_or_else(|| more.freeze());
                return Ok(Self::Streamed(read, incoming, reservation));
            }
        }
        Ok(Self::Whole(first.unwrap_or_else(|| more.freeze()), reservation))
    }

    /// What is known of it: all, or its beginning.
    pub fn known(&self) -> &[u8] {
        match self {
            Self::Whole(bytes, _) | Self::Streamed(bytes, ..) => bytes,
            Self::Spent => &[],
        }
    }

    /// Whether it can be sent once more.
    pub fn can_be_sent(&self) -> bool {
        !matches!(self, Self::Spent)
    }

    /// A body to send. One that streams is spent by it.
    pub fn send(&mut self) -> Outgoing {
        if let Self::Whole(bytes, _) = self {
            let first = (!bytes.is_empty()).then(|| bytes.clone());
            return Outgoing { first, rest: None };
        }
        match std::mem::replace(self, Self::Spent) {
            Self::Streamed(first, rest, _) => Outgoing { first: Some(first), rest: Some(rest) },
            Self::Whole(..) | Self::Spent => Outgoing { first: None, rest: None },
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Whole(..) => "Whole",
            Self::Streamed(..) => "Streamed",
            Self::Spent => "Spent",
        };
        f.debug_struct(what).field("known", &self.known().len()).finish_non_exhaustive()
    }
}

// === impl Outgoing ===

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").finish_non_exhaustive()
    }
}

impl Outgoing {
    /// The same body once more, unless it streams.
    pub fn copy(&self) -> Option<Self> {
        self.rest.is_none().then(|| Self { first: self.first.clone(), rest: None })
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, |first| first.len() as u64);
        let rest = self.rest.as_ref().map_or(SizeHint::with_exact(0), HttpBody::size_hint);
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(first + upper);
        }
        hint.set_lower(first + rest.lower());
        hint
    }
}

// === impl Memory ===

impl Memory {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        Self { free: Arc::new(AtomicUsize::new(bytes)) }
    }

    fn nothing(&self) -> Reservation {
        Reservation { bytes: 0, of: self.clone() }
    }
}

// === impl Reservation ===

impl Reservation {
    fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        let take = |free: usize| free.checked_sub(bytes);
        self.of
            .free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .map_err(|_| BodyError::Memory)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.of.free.fetch_add(self.bytes, Ordering::Relaxed);
    }
}
