//! What an answer means for a call: done, failed, or to be sent again.

use std::{borrow::Cow, time::Duration};

use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::slack::reply;

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done.
    Done,
    /// There was nothing left to do, says this error.
    Already(String),
    /// It was not done, and is sent again after that.
    Again(Duration),
    /// The proxy does not reach Slack. It was not done.
    Unreachable(String),
    /// Nobody knows whether it was done.
    Unsure(String),
    /// The token does not do, for any call.
    Token(String),
    /// It failed.
    Failed(String),
}

/// What an answer says of itself.
#[derive(Default, Deserialize)]
struct Said<'a> {
    ok: bool,
    #[serde(borrow, default)]
    error: Cow<'a, str>,
}

/// Errors that say that what was asked for is so already, from the error lists of
/// <https://docs.slack.dev/reference/methods>. `conversations.close`, `.join` and `.leave` say so
/// with `ok: true`. Not `channel_not_found` and its like: a wrong token has these, too.
const ALREADY: [(&str, &str); 7] = [
    ("conversations.archive", "already_archived"),
    ("conversations.kick", "not_in_channel"),
    ("conversations.unarchive", "not_archived"),
    ("pins.add", "already_pinned"),
    ("pins.remove", "no_pin"),
    ("reactions.add", "already_reacted"),
    ("reactions.remove", "no_reaction"),
];

/// Methods that come to the same if they are called twice, beside those and those that read.
const REPEATABLE: [&str; 4] =
    ["conversations.close", "conversations.join", "conversations.leave", "conversations.mark"];

/// Errors that are the token's and not the call's:
/// <https://docs.slack.dev/reference/methods/auth.test>, and `missing_scope` as at every method.
const TOKEN: [&str; 7] = [
    "account_inactive",
    "invalid_auth",
    "missing_scope",
    "not_authed",
    "org_login_required",
    "token_expired",
    "token_revoked",
];

/// The pause after a 429 that asks for none.
const PAUSE: Duration = Duration::from_secs(30);
/// The longest error that is kept.
const LONGEST: usize = 64;

/// Whether the method may be called twice without harm.
pub(super) fn is_repeatable(method: &str) -> bool {
    REPEATABLE.contains(&method) || ALREADY.iter().any(|(name, _)| *name == method)
}

/// What an answer of the proxy's means. `done_on` are errors that count as done for any method.
pub(super) fn verdict(
    method: &str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    done_on: &[String],
) -> Verdict {
    if let reply::Verdict::Refused(pause) = reply::verdict(status, headers, Some(body), PAUSE) {
        return Verdict::Again(pause);
    }
    let said: Option<Said<'_>> = serde_json::from_slice(body).ok();
    let error = match said {
        Some(said) if said.ok && status.is_success() => return Verdict::Done,
        Some(said) if !said.error.is_empty() => name(&said.error),
        _ => format!("http_{}", status.as_u16()),
    };
    match status {
        StatusCode::BAD_GATEWAY if error == "upstream_unreachable" => Verdict::Unreachable(error),
        _ if status.is_server_error() => Verdict::Unsure(error),
        _ if TOKEN.contains(&&*error) => Verdict::Token(error),
        _ if ALREADY.contains(&(method, &*error)) || done_on.contains(&error) => {
            Verdict::Already(error)
        }
        _ => Verdict::Failed(error),
    }
}

/// An error's name, as far as it is one.
fn name(error: &str) -> String {
    let fits = |it: &char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.' | ':');
    error.chars().filter(fits).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;

    fn of(method: &str, status: u16, body: &str) -> Verdict {
        let status = StatusCode::from_u16(status).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("7"));
        verdict(method, status, &headers, body.as_bytes(), &["channel_not_found".to_owned()])
    }

    #[test]
    fn every_answer_means_something() {
        let seven = Verdict::Again(Duration::from_secs(7));
        let text = str::to_owned;
        for (method, status, body, expected) in [
            ("a.b", 200, r#"{"ok":true,"x":1}"#, Verdict::Done),
            ("a.b", 429, r#"{"ok":false,"error":"ratelimited"}"#, seven.clone()),
            ("a.b", 429, "", seven.clone()),
            ("a.b", 200, r#"{"ok":false,"error":"ratelimited"}"#, seven),
            ("a.b", 200, r#"{"ok":false,"error":"no_such"}"#, Verdict::Failed(text("no_such"))),
            ("a.b", 200, r#"{"ok":false,"error":"no_pin"}"#, Verdict::Failed(text("no_pin"))),
            (
                "pins.remove",
                200,
                r#"{"ok":false,"error":"no_pin"}"#,
                Verdict::Already(text("no_pin")),
            ),
            (
                "a.b",
                200,
                r#"{"ok":false,"error":"channel_not_found"}"#,
                Verdict::Already(text("channel_not_found")),
            ),
            (
                "a.b",
                200,
                r#"{"ok":false,"error":"invalid_auth"}"#,
                Verdict::Token(text("invalid_auth")),
            ),
            ("a.b", 200, "<html>", Verdict::Failed(text("http_200"))),
            ("a.b", 404, r#"{"ok":true}"#, Verdict::Failed(text("http_404"))),
            ("a.b", 500, "", Verdict::Unsure(text("http_500"))),
            (
                "a.b",
                504,
                r#"{"ok":false,"error":"upstream_timeout"}"#,
                Verdict::Unsure(text("upstream_timeout")),
            ),
            (
                "a.b",
                502,
                r#"{"ok":false,"error":"upstream_unreachable"}"#,
                Verdict::Unreachable(text("upstream_unreachable")),
            ),
        ] {
            assert_eq!(of(method, status, body), expected, "{method} {status} {body}");
        }
    }

    #[test]
    fn what_is_done_already_may_be_called_twice() {
        assert!(is_repeatable("conversations.close") && is_repeatable("reactions.add"));
        assert!(!is_repeatable("chat.postMessage"));
    }
}
