//! How a call is told that it is refused for a limit, in the forms that Slack itself has.

use bytes::Bytes;
use http::StatusCode;

use crate::{reply, token::holds_token};

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

/// So many characters of a message are told.
const MESSAGE: usize = 500;

// === impl RefusedAs ===

impl RefusedAs {
    /// The status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Status429 | Self::Hook => StatusCode::TOO_MANY_REQUESTS,
            Self::OkFalse => StatusCode::OK,
        }
    }

    /// The body, which is JSON, where to come back takes so many seconds. The message says why, where
    /// there is a place for it; one that holds what looks like a token is left out.
    pub fn body(self, seconds: u64, message: Option<&str>) -> Bytes {
        let message = message.filter(|message| !holds_token(message));
        match (self, message) {
            (Self::Hook, _) => reply::hook_rate_limited(seconds).into(),
            (Self::Status429 | Self::OkFalse, None) => {
                Bytes::from_static(reply::RATE_LIMITED.as_bytes())
            }
            (Self::Status429 | Self::OkFalse, Some(message)) => {
                let end = message.char_indices().nth(MESSAGE).map_or(message.len(), |(at, _)| at);
                reply::rate_limited_because(&message[..end]).into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(refused_as: RefusedAs, message: Option<&str>) -> serde_json::Value {
        serde_json::from_slice(&refused_as.body(7, message)).unwrap()
    }

    /// Red when a message is no JSON, has no end, stands where no SDK looks for it, or has a token.
    #[test]
    fn a_message_stands_where_slack_has_its_own() {
        for refused_as in [RefusedAs::Status429, RefusedAs::OkFalse] {
            let long = "é".repeat(501);
            for (message, shown) in
                [("a \"b\" \\ \n\u{1}", "a \"b\" \\ \n\u{1}"), (&*long, &long[..1000])]
            {
                let json = told(refused_as, Some(message));
                assert_eq!((&json["ok"], &json["error"]), (&false.into(), &"ratelimited".into()));
                assert_eq!(json["response_metadata"]["messages"], serde_json::json!([shown]));
            }
            for none in [None, Some("for xoxb-1-2")] {
                let plain = serde_json::json!({ "ok": false, "error": "ratelimited" });
                assert_eq!(told(refused_as, none), plain);
            }
        }
        let hook = serde_json::json!({ "retry_after": 7, "ok": false, "error": "rate_limited" });
        assert_eq!(told(RefusedAs::Hook, Some("a")), hook);
    }
}
