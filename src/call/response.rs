//! An answer's body on its way to the caller.

use std::{
    fmt,
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{
    Response,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING},
};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use super::in_flight::InFlight;

pin_project! {
    /// The body of an answer: the upstream's, passed through as it comes, or our own.
    pub struct ResponseBody {
        #[pin]
        from: From,
        // That its call is in flight, until its end.
        in_flight: Option<InFlight>,
    }
}

pin_project! {
    #[project = FromProjected]
    enum From {
        Upstream {
            first: Option<Bytes>,
            then: Option<Next>,
            broken: Option<hyper::Error>,
            #[pin]
            body: Incoming,
            #[pin]
            idle: Option<Sleep>,
            limit: Duration,
            // The rest of it is known to be nothing.
            whole: bool,
        },
        Ours { bytes: Option<Bytes> },
        // What was read of one, and the rest of it.
        Resumed { first: Option<Bytes>, broken: Option<Broken>, rest: Pin<Box<ResponseBody>> },
    }
}

/// The error that ended a body, and whether what came before it has had time to go out.
type Broken = (AnswerError, bool);

/// The beginning of an upstream's body that was read before its end.
#[derive(Debug, Default)]
pub struct Begun {
    first: Bytes,
    /// All of it, where it came in more than one piece.
    more: BytesMut,
    /// What followed it, where that was no data.
    pub then: Option<Next>,
    /// Since when its reader has waited for more.
    pub idle_since: Option<Instant>,
    /// It is all of it.
    pub whole: bool,
}

/// What comes next of a body.
type Next = Result<Frame<Bytes>, hyper::Error>;

/// Slack refused the call for a limit, and it is not sent again: its caller gets Slack's own answer.
#[derive(Debug, thiserror::Error)]
#[error("refused by Slack")]
pub struct SlackRefused(pub Box<Response<ResponseBody>>);

/// There is no answer, and the client is to see what it would see if the upstream's connection had
/// been its own: that it ends without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstream's connection broke, and so does the client's")]
pub struct HungUp;

/// An answer's body that ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The upstream's connection broke.
    #[error("the upstream's answer broke off")]
    Broken(#[from] hyper::Error),
    /// Nothing came for too long.
    #[error("no byte of the upstream's answer came for {0:?}")]
    Idle(Duration),
}

// === impl ResponseBody ===

impl ResponseBody {
    /// The upstream's body. It is given up when nothing comes for `limit`.
    pub fn upstream(body: Incoming, limit: Duration) -> Self {
        let (first, then, broken, idle) = (None, None, None, None);
        From::Upstream { first, then, broken, body, idle, limit, whole: false }.into()
    }

    /// The upstream's body of which the beginning has been read. It goes on as if it had not.
    pub fn begun(mut begun: Begun, body: Incoming, limit: Duration) -> Self {
        let first = Some(begun.data()).filter(|first| !first.is_empty());
        let idle = begun.idle_since.map(|since| tokio::time::sleep_until(since + limit));
        let Begun { then, whole, .. } = begun;
        From::Upstream { first, then, broken: None, body, idle, limit, whole }.into()
    }

    /// A body of which that has been read, and perhaps the error that ended it. It goes on as if it had not.
    pub fn resumed(rest: Pin<Box<Self>>, read: Bytes, error: Option<AnswerError>) -> Self {
        let first = Some(read).filter(|read| !read.is_empty());
        From::Resumed { first, broken: error.map(|error| (error, false)), rest }.into()
    }

    /// A body of ours.
    pub fn ours(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        From::Ours { bytes: (!bytes.is_empty()).then_some(bytes) }.into()
    }

    /// An answer that is kept while its call waits for its next attempt. A body that is not all here would
    /// keep its connection, and its call in flight, for as long: its caller gets an empty one.
    pub fn kept(answer: Response<Self>) -> Response<Self> {
        if answer.body().is_here() {
            return answer;
        }
        let (mut parts, _) = answer.into_parts();
        for header in [CONTENT_LENGTH, CONTENT_TYPE, CONTENT_ENCODING, TRANSFER_ENCODING] {
            parts.headers.remove(header);
        }
        Response::from_parts(parts, Self::ours(Bytes::new()))
    }

    /// Whether the upstream has nothing more to send.
    fn is_here(&self) -> bool {
        match &self.from {
            // A body of chunks does not know that it has ended.
            From::Upstream { body, whole, .. } => *whole || body.is_end_stream(),
            From::Ours { .. } => true,
            From::Resumed { rest, .. } => rest.is_here(),
        }
    }

    /// Its call is in flight until it has ended.
    pub fn until_its_end(&mut self, in_flight: Option<InFlight>) {
        self.in_flight = in_flight;
    }
}

impl std::convert::From<From> for ResponseBody {
    fn from(from: From) -> Self {
        Self { from, in_flight: None }
    }
}

// === impl Begun ===

impl Begun {
    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.first.len() + self.more.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next bytes.
    pub fn push(&mut self, data: Bytes) {
        // Most small bodies come in one piece, which needs no copy.
        if self.is_empty() {
            self.first = data;
        } else {
            self.more.extend_from_slice(&std::mem::take(&mut self.first));
            self.more.extend_from_slice(&data);
        }
    }

    /// All bytes so far. More may follow.
    pub fn data(&mut self) -> Bytes {
        if self.first.is_empty() {
            self.first = self.more.split().freeze();
        }
        self.first.clone()
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        match self.project().from.project() {
            FromProjected::Ours { bytes } => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            FromProjected::Resumed { first, broken, rest } => match (first.take(), &mut *broken) {
                (Some(first), _) => Poll::Ready(Some(Ok(Frame::data(first)))),
                (None, Some((_, false))) => {
                    // As below.
                    *broken = broken.take().map(|(error, _)| (error, true));
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                (None, Some(_)) => Poll::Ready(broken.take().map(|(error, _)| Err(error))),
                (None, None) => rest.as_mut().poll_frame(cx),
            },
            FromProjected::Upstream { first, then, broken, body, mut idle, limit, .. } => {
                if let Some(error) = broken.take() {
                    return Poll::Ready(Some(Err(AnswerError::Broken(error))));
                }
                let begun =
                    first.take().map(|first| Ok(Frame::data(first))).or_else(|| then.take());
                let read = if let Some(begun) = begun {
                    Poll::Ready(Some(begun))
                } else {
                    let read = body.poll_frame(cx);
                    if read.is_ready() {
                        idle.set(None);
                    }
                    read
                };
                if let Poll::Ready(Some(Err(error))) = read {
                    // The server drops what it has not written when a body fails. The client is to have
                    // what came, or it would take the call for one that nobody answered, and send it
                    // again.
                    *broken = Some(error);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                if let Poll::Ready(frame) = read {
                    return Poll::Ready(frame.map(|frame| frame.map_err(AnswerError::Broken)));
                }
                // The timer exists only while the upstream keeps us waiting.
                if idle.is_none() {
                    idle.set(Some(tokio::time::sleep_until(Instant::now() + *limit)));
                }
                match idle.as_pin_mut().map(|idle| idle.poll(cx)) {
                    Some(Poll::Ready(())) => Poll::Ready(Some(Err(AnswerError::Idle(*limit)))),
                    _ => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.from {
            From::Upstream { first, then, broken, body, .. } => {
                first.is_none() && then.is_none() && broken.is_none() && body.is_end_stream()
            }
            From::Ours { bytes } => bytes.is_none(),
            From::Resumed { first, broken, rest } => {
                first.is_none() && broken.is_none() && rest.is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.from {
            From::Upstream { first, body, .. } => {
                // Also where all is here: a length that was not told is not told now.
                let (first, rest) = (first.as_ref().map_or(0, Bytes::len) as u64, body.size_hint());
                let mut hint = SizeHint::new();
                if let Some(upper) = rest.upper() {
                    hint.set_upper(first + upper);
                }
                hint.set_lower(first + rest.lower());
                hint
            }
            From::Resumed { first, broken: None, rest } => {
                let (first, rest) = (first.as_ref().map_or(0, Bytes::len) as u64, rest.size_hint());
                let mut hint = SizeHint::new();
                if let Some(upper) = rest.upper() {
                    hint.set_upper(first + upper);
                }
                hint.set_lower(first + rest.lower());
                hint
            }
            // It never comes to its end.
            From::Resumed { .. } => SizeHint::new(),
            From::Ours { bytes } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
