//! An answer as data: what a script says, and what the fake itself says.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde::Serialize;

use super::{Body, LimitHit, faults::Delivery};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// How much longer than usual it takes.
    pub delay: Duration,
    pub(super) delivery: Delivery,
}

/// The members in the order in which Slack writes them.
#[derive(Serialize)]
struct ReplyBody<'a> {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

// === impl Reply ===

impl Reply {
    /// No headers, no body, at once.
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            delay: Duration::ZERO,
            delivery: Delivery::Whole,
        }
    }

    /// A JSON body.
    pub fn json(status: StatusCode, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => {
                let json = HeaderValue::from_static("application/json; charset=utf-8");
                Self { body: body.into(), ..Self::new(status) }.header(CONTENT_TYPE, json)
            }
            Err(error) => {
                tracing::error!(%error, "an answer cannot be written");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// A body of plain text.
    pub fn text(body: &'static str) -> Self {
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        let body = Bytes::from_static(body.as_bytes());
        Self { body, ..Self::new(StatusCode::OK) }.header(CONTENT_TYPE, plain)
    }

    /// `{"ok":true}`.
    pub fn ok() -> Self {
        Self::json(StatusCode::OK, &ReplyBody { ok: true, error: None })
    }

    /// `{"ok":false,"error":…}` with status 200, as Slack answers nearly every error.
    pub fn error(error: &str) -> Self {
        Self::failed(StatusCode::OK, error)
    }

    /// A 429 that says to come back in so many seconds.
    pub fn rate_limited(retry_after: u64) -> Self {
        Self::failed(StatusCode::TOO_MANY_REQUESTS, "ratelimited")
            .header(RETRY_AFTER, retry_after.into())
    }

    /// Whether its caller ever sees it.
    pub(super) fn is_delivered(&self) -> bool {
        !matches!(self.delivery, Delivery::Broken | Delivery::Never)
    }

    /// An error with a status of its own.
    pub(super) fn failed(status: StatusCode, error: &str) -> Self {
        Self::json(status, &ReplyBody { ok: false, error: Some(error) })
    }

    /// What a refused call is answered.
    pub(super) fn refused(refusal: &LimitHit) -> Self {
        match refusal.retry_after {
            Some(seconds) => Self::rate_limited(seconds.get()),
            None => Self::error("too_many_requests"),
        }
    }

    /// The same, with that header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The same, so much later.
    #[must_use]
    pub fn delayed(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// As HTTP. The delay is the sender's to wait, and what is not to be delivered is the
    /// sender's to keep.
    pub(super) fn into_response(self) -> Response<Body> {
        let body = match self.delivery {
            Delivery::Pieces(pieces, wait) => in_pieces(self.body, pieces, wait),
            Delivery::Whole | Delivery::Broken | Delivery::Never => {
                Full::new(self.body).boxed_unsync()
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// A body without a length, in so many pieces, each so much after the one before.
fn in_pieces(body: Bytes, pieces: usize, wait: Duration) -> Body {
    let size = body.len().div_ceil(pieces).max(1);
    let pieces = stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let piece = rest.split_to(size.min(rest.len()));
        Some((Ok(Frame::data(piece)), rest))
    });
    StreamBody::new(pieces).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_to_the_byte_as_slack_tells_it() {
        assert_eq!(Reply::rate_limited(7).body, r#"{"ok":false,"error":"ratelimited"}"#);
        assert_eq!(Reply::ok().body, r#"{"ok":true}"#);
        assert_eq!(Reply::error("x").status, StatusCode::OK);
    }
}
