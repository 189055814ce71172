//! What Slack's answers say about limits.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};

/// The longest pause that an answer is believed to ask for. Slack asks for seconds; a day
/// would be somebody's mistake, and it would be ours to obey it.
const LONGEST: Duration = Duration::from_secs(3600);

/// Whether Slack refused the call for a limit, and for how long it asks to pause; `default`
/// where it refuses without saying so. The pause is at least a second.
///
/// <https://docs.slack.dev/apis/web-api/rate-limits>: status 429 with a `Retry-After` in
/// seconds.
pub fn limited(status: StatusCode, headers: &HeaderMap, default: Duration) -> Option<Duration> {
    (status == StatusCode::TOO_MANY_REQUESTS).then(|| retry_after(headers).unwrap_or(default))
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
    fn only_a_429_is_a_refusal() {
        let default = Duration::from_secs(30);
        let headers = HeaderMap::new();
        let limited = |status| limited(status, &headers, default);
        assert_eq!(limited(StatusCode::TOO_MANY_REQUESTS), Some(default));
        assert_eq!(limited(StatusCode::OK), None);
        assert_eq!(limited(StatusCode::SERVICE_UNAVAILABLE), None);
    }
}
