//! How a call is told that it is refused for a limit, in the forms that Slack itself has.

use bytes::Bytes;
use http::StatusCode;

use crate::reply;

/// How a call is told that it is refused for a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefusedAs {
    /// With status 429, which every SDK understands.
    #[default]
    Status429,
    /// With status 200 and `ok: false`, as Slack tells of nearly every other error: for clients
    /// that a 429 to one call stops as a whole.
    OkFalse,
    /// With status 429 in the words of hooks.slack.com, whatever the client: with status 200 a
    /// message counts as sent.
    Hook,
}

// === impl RefusedAs ===

impl RefusedAs {
    /// The status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Status429 | Self::Hook => StatusCode::TOO_MANY_REQUESTS,
            Self::OkFalse => StatusCode::OK,
        }
    }

    /// The body, which is JSON, where to come back takes so many seconds.
    pub fn body(self, seconds: u64) -> Bytes {
        match self {
            Self::Status429 | Self::OkFalse => Bytes::from_static(reply::RATE_LIMITED.as_bytes()),
            Self::Hook => reply::hook_rate_limited(seconds).into(),
        }
    }
}
