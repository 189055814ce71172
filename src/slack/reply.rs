//! What Slack's answers say about limits.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};

/// The longest pause that an answer is believed to ask for. Slack asks for seconds; a day
/// would be somebody's mistake, and it would be ours to obey it.
const LONGEST: Duration = Duration::from_secs(3600);

/// What an answer says about limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Passed,
    /// Slack refused the call, did nothing, and asks for so long a pause.
    Refused(Duration),
    /// Slack asks for so long a pause, and may or may not have done what was asked.
    Unavailable(Duration),
}

/// What an answer says about limits. A refusal that asks for no readable pause is taken to ask
/// for `default`. A pause is at least a second.
///
/// <https://docs.slack.dev/apis/web-api/rate-limits>: status 429 with a `Retry-After` in
/// seconds. A 503 with a `Retry-After` is any HTTP server's way to ask for a pause (RFC 9110,
/// 15.6.4).
pub fn verdict(status: StatusCode, headers: &HeaderMap, default: Duration) -> Verdict {
    match (status, retry_after(headers)) {
        (StatusCode::TOO_MANY_REQUESTS, pause) => Verdict::Refused(pause.unwrap_or(default)),
        (StatusCode::SERVICE_UNAVAILABLE, Some(pause)) => Verdict::Unavailable(pause),
        _ => Verdict::Passed,
    }
}

/// The pause that a `Retry-After` header asks for, if it is there in whole seconds.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    let seconds = value.trim().parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds.max(1)).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, value.parse().unwrap());
        retry_after(&headers).map(|pause| pause.as_secs())
    }

    #[test]
    fn a_pause_is_whole_seconds_and_at_least_one() {
        assert_eq!(asked("30"), Some(30));
        assert_eq!(asked(" 1 "), Some(1));
        assert_eq!(asked("0"), Some(1));
        assert_eq!(asked("999999999"), Some(3600));
        for unreadable in ["", "soon", "-1", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT"] {
            assert_eq!(asked(unreadable), None, "{unreadable}");
        }
    }

    #[test]
    fn a_429_always_asks_for_a_pause_and_a_503_if_it_says_so() {
        let mut headers = HeaderMap::new();
        let default = Duration::from_secs(30);
        let said = |status, headers: &HeaderMap| verdict(status, headers, default);
        assert_eq!(said(StatusCode::OK, &headers), Verdict::Passed);
        assert_eq!(said(StatusCode::TOO_MANY_REQUESTS, &headers), Verdict::Refused(default));
        assert_eq!(said(StatusCode::SERVICE_UNAVAILABLE, &headers), Verdict::Passed);
        headers.insert(header::RETRY_AFTER, "7".parse().unwrap());
        let pause = Duration::from_secs(7);
        assert_eq!(said(StatusCode::OK, &headers), Verdict::Passed);
        assert_eq!(said(StatusCode::TOO_MANY_REQUESTS, &headers), Verdict::Refused(pause));
        assert_eq!(said(StatusCode::SERVICE_UNAVAILABLE, &headers), Verdict::Unavailable(pause));
    }
}
