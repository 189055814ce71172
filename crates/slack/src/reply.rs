//! What Slack's answers say about limits.

use std::{
    borrow::Cow,
    time::{Duration, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, de::IgnoredAny};

/// What Slack says of a call that it refuses for a limit; every SDK understands it.
pub const RATE_LIMITED: &str = r#"{"ok":false,"error":"ratelimited"}"#;

/// The same with a message where Slack has its own, so that an SDK shows it with its error.
///
/// `response_metadata.messages` in
/// <https://docs.slack.dev/tools/node-slack-sdk/reference/web-api/interfaces/WebAPICallResult>.
pub fn rate_limited_because(message: &str) -> String {
    let message = serde_json::Value::from(message);
    format!(
        r#"{{"ok":false,"error":"ratelimited","response_metadata":{{"messages":[{message}]}}}}"#
    )
}

/// The same in the words of hooks.slack.com, which names the pause in the body, too. No page of
/// Slack's has them; they are as seen in <https://github.com/yassineaboukir/sublert/issues/46>.
pub fn hook_rate_limited(seconds: u64) -> String {
    format!(r#"{{"retry_after":{seconds},"ok":false,"error":"rate_limited"}}"#)
}

/// The longest that a bucket is frozen at the word of an answer. Slack's page on limits has a `Retry-After`
/// of 30 s, and the longest period of its limits is half an hour (`response_url`): twice that is
/// believed. When it is over one call asks Slack again, which is what it costs if Slack meant more. What
/// asks for more is as likely a mistake, or a server in between.
pub const LONGEST_FREEZE: Duration = Duration::from_secs(3600);

/// The pause after a refusal of status 200 that asks for none: such a refusal is of a limit
/// that is soon over, as calls at the same time are.
const SHORT: Duration = Duration::from_secs(1);

/// The errors that tell of a limit, with status 200 too.
///
/// The error lists of the method reference, <https://docs.slack.dev/reference/methods>: the
/// first at every method, the second at `chat.postMessage`, the third at
/// `conversations.inviteShared`, the fourth at `bookmarks.add`. `message_limit_exceeded` is a
/// plan's quota, which no pause brings back.
const LIMITED: [&str; 4] = ["ratelimited", "rate_limited", "ratelimit", "too_many_requests"];

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

/// A moment, as the time since the beginning of 1970.
pub type UnixTime = Duration;

/// What every answer of Slack's says of itself, and nothing else of it.
#[derive(Deserialize)]
struct Said<'a> {
    ok: bool,
    #[serde(borrow)]
    error: Cow<'a, str>,
}

/// A pause that is asked for in the body.
#[derive(Deserialize)]
struct Pause {
    retry_after: f64,
}

/// What an answer says about limits, that came `now`. `text` is its whole body, where that was looked
/// into. A 429 that asks for no readable pause is taken to ask for `default`. A pause is at least a
/// second, and as long as the answer says.
///
/// <https://docs.slack.dev/apis/web-api/rate-limits>: status 429 with a `Retry-After` in
/// seconds. A 503 with a `Retry-After` is any HTTP server's way to ask for a pause (RFC 9110,
/// 15.6.4).
pub fn verdict(
    status: StatusCode,
    headers: &HeaderMap,
    text: Option<&[u8]>,
    default: Duration,
    now: UnixTime,
) -> Verdict {
    let asked = || retry_after(headers, now).or_else(|| pause(text?));
    match status {
        StatusCode::TOO_MANY_REQUESTS => Verdict::Refused(asked().unwrap_or(default)),
        StatusCode::SERVICE_UNAVAILABLE => {
            retry_after(headers, now).map_or(Verdict::Passed, Verdict::Unavailable)
        }
        _ if status.is_success() && text.is_some_and(tells_of_a_limit) => {
            Verdict::Refused(asked().unwrap_or(SHORT))
        }
        _ => Verdict::Passed,
    }
}

// === impl Verdict ===

impl Verdict {
    /// How long a bucket is frozen for it: as long as the answer asks, up to an hour. Nothing for an
    /// answer that asks for nothing.
    pub fn freeze(self) -> Duration {
        match self {
            Self::Passed => Duration::ZERO,
            Self::Refused(pause) | Self::Unavailable(pause) => pause.min(LONGEST_FREEZE),
        }
    }
}

/// Whether a body is JSON of the kind that Slack's errors are.
pub fn is_object(text: &[u8]) -> bool {
    members::<IgnoredAny>(text).is_some()
}

/// Makes headers those of an answer whose body is [`RATE_LIMITED`] or its like.
pub fn reword(headers: &mut HeaderMap) {
    headers.remove(header::CONTENT_ENCODING);
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
}

/// The pause that a `Retry-After` header asks for, if it can be read: seconds, of which parts are rounded
/// up, or a date (RFC 9110, 10.2.3). Of several the longest counts, in lines of their own or in one line
/// that a server in between has made of them (RFC 9110, 5.3). A date that is over asks for a second, as
/// 0 does.
///
/// A date is as far away as the answer's own `Date` says, since both are of one clock; without that, as
/// far as it is from `now`.
pub fn retry_after(headers: &HeaderMap, now: UnixTime) -> Option<Duration> {
    let values = headers.get_all(header::RETRY_AFTER).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let said = || headers.get(header::DATE).and_then(|date| date.to_str().ok()).and_then(date);
    let pauses = texts.flat_map(listed).filter_map(|text| {
        seconds(text).or_else(|| Some(date(text)?.saturating_sub(said().unwrap_or(now))))
    });
    pauses.max().map(|pause| pause.max(SHORT))
}

/// The members of a list. Most dates have a comma of their own, after the day of the week.
fn listed(mut rest: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let mut commas = rest.match_indices(',').map(|(at, _)| at);
        let (first, second) = (commas.next(), commas.next());
        let until = |comma: Option<usize>| rest.get(..comma.unwrap_or(rest.len()));
        let is_date = first.is_some() && until(second).and_then(date).is_some();
        let end = if is_date { second } else { first };
        let member = until(end).filter(|_| !rest.is_empty())?;
        rest = end.and_then(|comma| rest.get(comma + 1..)).unwrap_or_default();
        Some(member.trim())
    })
}

/// Seconds in digits, with a part or without.
fn seconds(text: &str) -> Option<Duration> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) {
        return None;
    }
    let more = u64::from(part.bytes().any(|digit| digit != b'0'));
    // Digits that are no number are too many.
    let seconds = whole.parse::<u64>().unwrap_or(u64::MAX).saturating_add(more);
    Some(Duration::from_secs(seconds))
}

/// A date in one of the three forms that HTTP has.
fn date(text: &str) -> Option<UnixTime> {
    httpdate::parse_http_date(text.trim()).ok()?.duration_since(UNIX_EPOCH).ok()
}

/// The pause that a body asks for.
fn pause(text: &[u8]) -> Option<Duration> {
    let Pause { retry_after } = members(text)?;
    let asks = retry_after >= 0.0;
    asks.then(|| {
        Duration::try_from_secs_f64(retry_after.ceil().max(1.0))
            .unwrap_or(Duration::from_secs(u64::MAX))
    })
}

/// The error that the body of an answer tells; nothing if it is no error of Slack's.
pub(super) fn error(text: &[u8]) -> Option<Cow<'_, str>> {
    // So nearly all answers begin.
    if text.starts_with(br#"{"ok":true"#) {
        return None;
    }
    members::<Said<'_>>(text).filter(|said| !said.ok).map(|said| said.error)
}

/// Whether the body of an answer is a refusal for a limit.
fn tells_of_a_limit(text: &[u8]) -> bool {
    error(text).is_some_and(|error| LIMITED.contains(&&*error))
}

/// What of a JSON object is asked for. The rest is passed over, without a tree of it.
fn members<'t, T: Deserialize<'t>>(text: &'t [u8]) -> Option<T> {
    // A list of their values in the order of the fields would do, too.
    let is_object = text.trim_ascii_start().starts_with(b"{");
    // What is passed over may be in no encoding.
    let text = str::from_utf8(text).ok().filter(|_| is_object)?;
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests;
