//! What an answer means for a call: done, refused, or to be sent again.

use std::{borrow::Cow, time::Duration};

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use slack::reply;

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done.
    Done,
    /// It was not done, and is sent again after that.
    Again(Duration),
    /// The proxy does not reach Slack. It was not done.
    Unreachable,
    /// Nobody knows whether it was done.
    Unsure(String),
    /// The token does not do, for any call.
    Token(String),
    /// It was not done, with this error.
    Refused(String),
}

/// What an answer says of itself.
#[derive(Default, Deserialize)]
struct Said<'a> {
    ok: bool,
    #[serde(borrow, default)]
    error: Cow<'a, str>,
}

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

/// The proxy's errors after which nothing was sent.
const UNSENT: [&str; 2] = ["upstream_unreachable", "upstream_loop"];

/// The pause after a 429 that asks for none.
const PAUSE: Duration = Duration::from_secs(30);
/// The longest pause before the proxy is asked again: it may have been restarted, or have room before.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// The longest error that is kept.
const LONGEST: usize = 64;

/// What an answer of the proxy's means.
pub(super) fn verdict(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Verdict {
    // The proxy says seconds, which need no clock.
    let now = Duration::ZERO;
    if let reply::Verdict::Refused(pause) = reply::verdict(status, headers, Some(body), PAUSE, now)
    {
        return Verdict::Again(pause.min(LONGEST_PAUSE));
    }
    let said: Option<Said<'_>> = serde_json::from_slice(body).ok();
    let error = match said {
        Some(said) if said.ok && status.is_success() => return Verdict::Done,
        Some(said) if !said.error.is_empty() => name(&said.error),
        _ => format!("http_{}", status.as_u16()),
    };
    match status {
        StatusCode::BAD_GATEWAY if UNSENT.contains(&&*error) => Verdict::Unreachable,
        _ if status.is_server_error() => Verdict::Unsure(error),
        _ if TOKEN.contains(&&*error) => Verdict::Token(error),
        _ => Verdict::Refused(error),
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

    fn of(status: u16, body: &str) -> Verdict {
        let status = StatusCode::from_u16(status).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("7"));
        verdict(status, &headers, body.as_bytes())
    }

    #[test]
    fn every_answer_means_something() {
        let seven = Verdict::Again(Duration::from_secs(7));
        let refused = |error: &str| Verdict::Refused(error.to_owned());
        let unsure = |error: &str| Verdict::Unsure(error.to_owned());
        let token = |error: &str| Verdict::Token(error.to_owned());
        for (status, body, expected) in [
            (200, r#"{"ok":true,"x":1}"#, Verdict::Done),
            (429, r#"{"ok":false,"error":"ratelimited"}"#, seven.clone()),
            (429, "", seven.clone()),
            (200, r#"{"ok":false,"error":"ratelimited"}"#, seven),
            (200, r#"{"ok":false,"error":"no_such"}"#, refused("no_such")),
            (200, r#"{"ok":false,"error":"invalid_auth"}"#, token("invalid_auth")),
            (200, "<html>", refused("http_200")),
            (404, r#"{"ok":true}"#, refused("http_404")),
            (500, "", unsure("http_500")),
            (504, r#"{"ok":false,"error":"upstream_timeout"}"#, unsure("upstream_timeout")),
            (502, r#"{"ok":false,"error":"upstream_unreachable"}"#, Verdict::Unreachable),
            (502, r#"{"ok":false,"error":"upstream_loop"}"#, Verdict::Unreachable),
            (502, r#"{"ok":false,"error":"upstream_broken"}"#, unsure("upstream_broken")),
        ] {
            assert_eq!(of(status, body), expected, "{status} {body}");
        }
    }
}
