//! The headers that report a call's headroom in its limits: ours, and those of
//! draft-ietf-httpapi-ratelimit-headers-11.
//!
//! Every call pays for them, so they are written by hand, into one piece of memory.

use bytes::{BufMut, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use limits::{BucketKey, Rule};

use crate::queue::whole_seconds;

const BUCKET: HeaderName = HeaderName::from_static("slackwater-bucket");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The largest number that such a header may have (RFC 9651, 3.3.1).
const MOST: u64 = 999_999_999_999_999;

/// Names the bucket that binds a call, and tells how many more calls it has room for, and in
/// how many seconds for one more. Whatever the upstream says of its limits is replaced: the
/// caller's limits are ours.
pub(super) fn tell(headers: &mut HeaderMap, bucket: &BucketKey, left: u32, more_in: u64) {
    let (name, values) = (&*bucket.limit.name, bucket.values.as_str());
    let mut text = BytesMut::with_capacity(3 * name.len() + values.len() + 64);
    printable(&mut text, name);
    text.put_u8(b':');
    printable(&mut text, values);
    insert(headers, BUCKET, &mut text);
    // What has no period has no window to tell of.
    let Rule::Rate(rate) = bucket.limit.rule else { return };
    quoted(&mut text, name);
    number(&mut text, b"q", rate.limit.get().into());
    number(&mut text, b"w", whole_seconds(rate.per).max(1));
    insert(headers, POLICY, &mut text);
    quoted(&mut text, name);
    number(&mut text, b"r", left.into());
    number(&mut text, b"t", more_in);
    insert(headers, LIMIT, &mut text);
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: &mut BytesMut) {
    if let Ok(value) = HeaderValue::from_maybe_shared(text.split().freeze()) {
        headers.insert(name, value);
    }
}

/// A header's value has no characters but printable ASCII.
fn printable(text: &mut BytesMut, value: &str) {
    replaced(text, value, |c| c.is_ascii_graphic() || c == ' ');
}

/// A string of a structured field. A limit's name has nothing to escape.
fn quoted(text: &mut BytesMut, name: &str) {
    text.put_u8(b'"');
    replaced(text, name, |c| (c.is_ascii_graphic() || c == ' ') && !matches!(c, '"' | '\\'));
    text.put_u8(b'"');
}

/// A value, with a question mark for each character that does not fit. Only ASCII ever does.
fn replaced(text: &mut BytesMut, value: &str, fits: impl Fn(char) -> bool) {
    // Nearly all of them fit whole, and then they need not be copied one by one.
    if value.bytes().all(|byte| fits(char::from(byte))) {
        text.put_slice(value.as_bytes());
    } else {
        let byte = |c: char| u8::try_from(c).ok().filter(|_| fits(c)).unwrap_or(b'?');
        text.extend(value.chars().map(byte));
    }
}

/// A parameter with a whole number.
fn number(text: &mut BytesMut, name: &[u8], number: u64) {
    text.put_u8(b';');
    text.put_slice(name);
    text.put_u8(b'=');
    text.put_slice(itoa::Buffer::new().format(number.min(MOST)).as_bytes());
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, sync::Arc, time::Duration};

    use limits::{AgeFrom, Limit, Rate, Scope};

    use super::*;

    fn told(name: &str, rule: Rule, values: &str, left: u32, more_in: u64) -> Vec<String> {
        let age_from = AgeFrom::Answer;
        let limit = Limit { name: name.into(), rule, scope: Scope::default(), age_from };
        let bucket = BucketKey { limit: Arc::new(limit), values: values.into() };
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit", HeaderValue::from_static("theirs"));
        tell(&mut headers, &bucket, left, more_in);
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap());
        [BUCKET, POLICY, LIMIT].into_iter().filter_map(text).map(str::to_owned).collect()
    }

    fn rate(limit: u32, millis: u64) -> Rule {
        let (limit, per) = (NonZeroU32::new(limit).unwrap(), Duration::from_millis(millis));
        Rule::Rate(Rate { limit, per, burst: None, tolerates: None })
    }

    #[test]
    fn a_rate_is_told_in_the_drafts_form() {
        assert_eq!(
            told("tier2", rate(20, 60_000), "A1/T1/x", 5, 30),
            ["tier2:A1/T1/x", r#""tier2";q=20;w=60"#, r#""tier2";r=5;t=30"#]
        );
    }

    /// Red when a period is cut to whole seconds.
    #[test]
    fn who_keeps_to_the_window_is_never_early() {
        let told = told("a", rate(3, 1_500), "v", 0, u64::MAX);
        assert_eq!(told[1..], [r#""a";q=3;w=2"#, r#""a";r=0;t=999999999999999"#]);
    }

    #[test]
    fn what_a_header_cannot_have_is_replaced() {
        let told = told("a\"b", rate(1, 1), "C\u{e9}\n", 10, 1);
        assert_eq!(told, ["a\"b:C??", r#""a?b";q=1;w=1"#, r#""a?b";r=10;t=1"#]);
    }

    #[test]
    fn a_limit_without_a_period_has_its_name_only() {
        let told = told("open", Rule::Open, "A1", 0, 7);
        assert_eq!(told, ["open:A1", "theirs"]);
    }
}
