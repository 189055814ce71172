//! An answer's body on its way to the caller.

use std::{
    fmt,
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

pin_project! {
    /// The body of an answer: the upstream's, passed through as it comes, or our own.
    pub struct Answer {
        #[pin]
        from: From,
    }
}

pin_project! {
    #[project = FromProjected]
    enum From {
        Upstream {
            #[pin]
            body: Incoming,
            #[pin]
            idle: Option<Sleep>,
            limit: Duration,
        },
        Ours { bytes: Option<Bytes> },
    }
}

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

// === impl Answer ===

impl Answer {
    /// The upstream's body. It is given up when nothing comes for `limit`.
    pub fn upstream(body: Incoming, limit: Duration) -> Self {
        Self { from: From::Upstream { body, idle: None, limit } }
    }

    /// A body of ours.
    pub fn ours(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { from: From::Ours { bytes: (!bytes.is_empty()).then_some(bytes) } }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        match self.project().from.project() {
            FromProjected::Ours { bytes } => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            FromProjected::Upstream { body, mut idle, limit } => match body.poll_frame(cx) {
                Poll::Ready(frame) => {
                    idle.set(None);
                    Poll::Ready(frame.map(|frame| frame.map_err(AnswerError::Broken)))
                }
                Poll::Pending => {
                    // The timer exists only while the upstream keeps us waiting.
                    if idle.is_none() {
                        idle.set(Some(tokio::time::sleep_until(Instant::now() + *limit)));
                    }
                    match idle.as_pin_mut().map(|idle| idle.poll(cx)) {
                        Some(Poll::Ready(())) => Poll::Ready(Some(Err(AnswerError::Idle(*limit)))),
                        _ => Poll::Pending,
                    }
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.from {
            From::Upstream { body, .. } => body.is_end_stream(),
            From::Ours { bytes } => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.from {
            From::Upstream { body, .. } => body.size_hint(),
            From::Ours { bytes } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}
