//! The body of a call: kept whole up to a size, so that it can be read and sent again;
//! beyond that it streams through, once.

mod memory;
mod outgoing;
mod pace;

use std::{error::Error, fmt, io, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

pub use self::{
    memory::{Memory, Owner, Reservation},
    outgoing::{Outgoing, Phase, Progress},
};
use self::{outgoing::Stream, pace::Pace};

/// The largest body that is kept whole.
pub const WHOLE: usize = 1 << 20;

/// A call's body. It may have a token, so only its size is printed.
pub enum Body {
    /// All of it is here; it can be sent any number of times.
    Whole(Bytes, Reservation),
    /// Only its beginning is here. It can be sent as long as nothing of it has been, and each piece of
    /// its rest may take so long.
    Streamed(Bytes, Stream, Duration),
}

/// A body that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The bound on the bytes of all calls or on their number is reached, or what of it is for their caller.
    #[error("the calls that are here take all the memory that they may")]
    Memory,
    /// The client broke off, or its body is malformed.
    #[error("the request's body could not be read")]
    Read(#[source] hyper::Error),
    /// The client sent nothing for too long.
    #[error("no byte of the request's body came for {0:?}")]
    Idle(Duration),
    /// The client did not go on with it when the program was about to end.
    #[error("the rest of the request's body did not come before slackwater stopped")]
    Stopped(#[source] hyper::Error),
    /// The client sends, but hardly.
    #[error("less than 64 KiB of the request's body came in {0:?}, and not its end")]
    Slow(Duration),
}

/// The rest of a request did not come before the program ended. In the error of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("slackwater is stopping, and no byte of the request came for some seconds")]
pub struct Stopped;

// === impl Body ===

impl Body {
    /// A body of ours.
    ///
    /// # Errors
    /// If it does not fit into `memory`.
    pub fn of(bytes: Bytes, memory: &Memory) -> Result<Self, BodyError> {
        let mut reservation = memory.nothing();
        reservation.grow(bytes.len(), || None)?;
        Ok(Self::Whole(bytes, reservation))
    }

    /// Reads a body whole, or its first part if it is larger than [`WHOLE`]. The headers before it take
    /// so many bytes.
    ///
    /// # Errors
    /// If it cannot be read, stalls for `idle`, hardly comes, or does not fit into `memory`. Its `owner`
    /// is asked for when memory is scarce.
    pub async fn read(
        mut incoming: Incoming,
        memory: &Memory,
        (head, owner): (usize, impl Fn() -> Owner),
        idle: Duration,
    ) -> Result<Self, BodyError> {
        // Before it waits for the client, who may never send the rest.
        let mut reservation = memory.begin(head, &owner)?;
        let mut first: Option<Bytes> = None;
        let mut more = BytesMut::new();
        let mut pace = Pace::new(idle);
        while !incoming.is_end_stream() {
            let since = Instant::now();
            let frame = match timeout_at(pace.until(since), incoming.frame()).await {
                Err(_) => return Err(pace.error()),
                Ok(None) => break,
                Ok(Some(frame)) => frame.map_err(BodyError::of)?,
            };
            let data = frame.into_data().unwrap_or_default();
            pace.came(data.len(), since);
            reservation.grow(data.len(), || Some(owner()))?;
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
            let read = reservation.body();
            if read > WHOLE || read.saturating_add(declared) > WHOLE {
                let read = first.unwrap_or_else(|| more.freeze());
                let stream = Stream::new(read.clone(), incoming, reservation);
                return Ok(Self::Streamed(read, stream, idle));
            }
        }
        Ok(Self::Whole(first.unwrap_or_else(|| more.freeze()), reservation))
    }

    /// The same body once more; none if it streams, or there is no memory for it. It is in the account of
    /// the same owner.
    pub fn copy(&self) -> Option<Self> {
        match self {
            Self::Whole(bytes, reservation) => {
                Some(Self::Whole(bytes.clone(), reservation.again().ok()?))
            }
            Self::Streamed(..) => None,
        }
    }

    /// An account for the answer to its call, with nothing in it; none if it streams.
    pub fn beside(&self) -> Option<Reservation> {
        match self {
            Self::Whole(_, reservation) => Some(reservation.beside()),
            Self::Streamed(..) => None,
        }
    }

    /// It is known whose it is.
    pub fn belongs_to(&mut self, owner: Owner) {
        match self {
            Self::Whole(_, reservation) => reservation.belongs_to(owner),
            Self::Streamed(_, stream, _) => stream.belongs_to(owner),
        }
    }

    /// Whether there is memory for a call to wait with it.
    pub fn may_wait(&self) -> bool {
        match self {
            Self::Whole(_, reservation) => reservation.may_wait(),
            Self::Streamed(_, stream, _) => stream.may_wait(),
        }
    }

    /// What is known of it before it is sent: all, or its beginning.
    pub fn known(&self) -> &[u8] {
        match self {
            Self::Whole(bytes, _) | Self::Streamed(bytes, ..) => bytes,
        }
    }

    /// Whether it can be sent, or sent once more.
    pub fn can_be_sent(&self) -> bool {
        match self {
            Self::Whole(..) => true,
            Self::Streamed(_, stream, _) => stream.is_whole(),
        }
    }

    /// A body to send. One that streams is spent by it as soon as its first piece is asked for.
    pub fn send(&mut self) -> Outgoing {
        match self {
            Self::Whole(bytes, _) => Outgoing::whole(bytes.clone()),
            Self::Streamed(first, stream, idle) => {
                // The stream has it, and gives its memory back.
                *first = Bytes::new();
                Outgoing::stream(stream, *idle)
            }
        }
    }
}

// === impl BodyError ===

impl BodyError {
    /// Why a body could not be read.
    fn of(error: hyper::Error) -> Self {
        let mut next: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(at) = next {
            // An I/O error that wraps another names that one's source as its own.
            let wrapped = at.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            if wrapped.is_some_and(<dyn Error + Send + Sync>::is::<Stopped>) {
                return Self::Stopped(error);
            }
            next = at.source();
        }
        Self::Read(error)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Whole(..) => "Whole",
            Self::Streamed(..) => "Streamed",
        };
        f.debug_struct(what).field("known", &self.known().len()).finish_non_exhaustive()
    }
}
