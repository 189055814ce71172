//! Every way in which an answer tells of a limit, and bodies that only look like one.

use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::*;

const DEFAULT: Duration = Duration::from_secs(30);

/// Wed, 21 Oct 2026 07:28:00 GMT.
const NOW: UnixTime = Duration::from_secs(1_792_567_680);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn said(status: u16, retry_after: Option<&str>, text: &str) -> Verdict {
    let mut headers = HeaderMap::new();
    if let Some(value) = retry_after {
        headers.insert(header::RETRY_AFTER, value.parse().unwrap());
    }
    verdict(status.try_into().unwrap(), &headers, Some(text.as_bytes()), DEFAULT, NOW)
}

#[test]
fn a_pause_is_whole_seconds_and_at_least_one() {
    let asked = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, value.parse().unwrap());
        retry_after(&headers, NOW).map(|pause| pause.as_secs())
    };
    for (value, seconds) in [
        ("30", 30),
        (" 1 ", 1),
        ("0", 1),
        ("007", 7),
        ("1.5", 2),
        ("2.0", 2),
        ("0.001", 1),
        ("3.", 3),
        ("86400", 86_400),
        ("99999999999999999999999", u64::MAX),
    ] {
        assert_eq!(asked(value), Some(seconds), "{value}");
    }
    for unreadable in [
        "",
        "soon",
        "-1",
        "+1",
        ".5",
        "1.5.5",
        "1e3",
        "1 2",
        "Wed, 32 Oct 2026 07:28:00 GMT",
        "Wed, 21 Oct 2026 07:28:00 CET",
        "2026-10-21T07:28:00Z",
    ] {
        assert_eq!(asked(unreadable), None, "{unreadable}");
    }
}

/// Turned red by: the clock of this machine where the answer has a `Date`; a date that is over as none;
/// the first of several.
#[test]
fn a_date_is_as_far_away_as_the_answers_own_clock_says() {
    let asked = |values: &[&str], date: Option<&str>| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::RETRY_AFTER, value.parse().unwrap());
        }
        if let Some(date) = date {
            headers.insert(header::DATE, date.parse().unwrap());
        }
        retry_after(&headers, NOW).map(|pause| pause.as_secs())
    };
    let at = "Wed, 21 Oct 2026 07:28:45 GMT";
    // Without a `Date`, or with one that is none, this machine's clock counts.
    assert_eq!(asked(&[at], None), Some(45));
    assert_eq!(asked(&[at], Some("yesterday")), Some(45));
    // A server whose clock is an hour behind, or ahead.
    assert_eq!(asked(&[at], Some("Wed, 21 Oct 2026 06:28:00 GMT")), Some(3_645));
    assert_eq!(asked(&[at], Some("Wed, 21 Oct 2026 07:28:44 GMT")), Some(1));
    // What is over, or is now, asks for a second.
    for date in [at, "Wed, 21 Oct 2026 08:28:00 GMT"] {
        assert_eq!(asked(&[at], Some(date)), Some(1), "{date}");
    }
    assert_eq!(asked(&["Thu, 01 Jan 1970 00:00:00 GMT"], None), Some(1));
    // The other forms that HTTP has, and a day that is far.
    assert_eq!(asked(&["Wednesday, 21-Oct-26 07:28:45 GMT"], None), Some(45));
    assert_eq!(asked(&["Wed Oct 21 07:28:45 2026"], None), Some(45));
    assert_eq!(asked(&["Thu, 22 Oct 2026 07:28:00 GMT"], None), Some(86_400));
    assert!(asked(&["Fri, 31 Dec 9999 23:59:59 GMT"], None).unwrap() > 200_000_000_000);
    // A date that means nothing to the seconds beside it.
    assert_eq!(asked(&["7"], Some(at)), Some(7));
    for values in [&["5", at] as &[&str], &[at, "5"], &["soon", at, "5", "-1"]] {
        assert_eq!(asked(values, None), Some(45), "{values:?}");
    }
}

/// Turned red by: a list that is taken for one text; a date that is cut at its own comma; the first of
/// several.
#[test]
fn several_pauses_in_one_line_are_several_pauses() {
    let asked = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, value.parse().unwrap());
        retry_after(&headers, NOW).map(|pause| pause.as_secs())
    };
    let (rfc850, asctime) = ("Wednesday, 21-Oct-26 07:28:45 GMT", "Wed Oct 21 07:28:45 2026");
    let at = "Wed, 21 Oct 2026 07:28:45 GMT";
    for (value, seconds) in [
        ("1, 3", 3),
        ("3,1", 3),
        (" ,2 ,, 7,", 7),
        ("soon, 5", 5),
        ("5, soon", 5),
        ("-1, 4, x, 1e9", 4),
        ("1.5, 1", 2),
    ] {
        assert_eq!(asked(value), Some(seconds), "{value}");
    }
    for date in [at, rfc850, asctime] {
        for value in [format!("{date}, 5"), format!("5, {date}"), format!("5,{date},,x, {date}")] {
            assert_eq!(asked(&value), Some(45), "{value}");
        }
        assert_eq!(asked(&format!("{date}, 50")), Some(50));
    }
    for unreadable in [",", " , ,", "soon, later", "Wed, 32 Oct 2026 07:28:00 GMT, x", "Wed, Thu"] {
        assert_eq!(asked(unreadable), None, "{unreadable}");
    }
}

/// Turned red by: a freeze as long as anybody says.
#[test]
fn a_freeze_is_as_long_as_the_pause_and_an_hour_at_most() {
    for (seconds, freeze) in [(1, 1), (3_600, 3_600), (3_601, 3_600), (u64::MAX, 3_600)] {
        assert_eq!(Verdict::Refused(secs(seconds)).freeze(), secs(freeze));
        assert_eq!(Verdict::Unavailable(secs(seconds)).freeze(), secs(freeze));
    }
    assert_eq!(Verdict::Passed.freeze(), Duration::ZERO);
}

#[test]
fn a_429_always_asks_for_a_pause() {
    assert_eq!(said(429, Some("7"), ""), Verdict::Refused(secs(7)));
    assert_eq!(said(429, None, ""), Verdict::Refused(DEFAULT));
    assert_eq!(said(429, None, "<html>slow down</html>"), Verdict::Refused(DEFAULT));
    assert_eq!(said(429, None, r#"{"ok":false,"error":"ratelimited"}"#), Verdict::Refused(DEFAULT));
    // Webhooks say it in the body as well; the header counts more.
    let body = r#"{"retry_after":3,"ok":false,"error":"rate_limited"}"#;
    assert_eq!(said(429, None, body), Verdict::Refused(secs(3)));
    assert_eq!(said(429, Some("never"), body), Verdict::Refused(secs(3)));
    assert_eq!(said(429, Some("7"), body), Verdict::Refused(secs(7)));
    assert_eq!(
        verdict(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), None, DEFAULT, NOW),
        Verdict::Refused(DEFAULT)
    );
}

#[test]
fn a_body_asks_for_whole_seconds_too() {
    for (text, seconds) in
        [("0", 1), ("0.2", 1), ("1.5", 2), ("60", 60), ("86400", 86_400), ("1e300", u64::MAX)]
    {
        let body = format!(r#"{{"retry_after":{text}}}"#);
        assert_eq!(said(429, None, &body), Verdict::Refused(secs(seconds)), "{text}");
    }
    for unreadable in ["-1", "null", r#""5""#, "[1]", "{}", "true"] {
        let body = format!(r#"{{"retry_after":{unreadable}}}"#);
        assert_eq!(said(429, None, &body), Verdict::Refused(DEFAULT), "{unreadable}");
    }
}

#[test]
fn a_503_asks_for_a_pause_if_its_header_says_so() {
    let body = r#"{"ok":false,"error":"ratelimited","retry_after":3}"#;
    assert_eq!(said(503, None, body), Verdict::Passed);
    assert_eq!(said(503, Some("soon"), body), Verdict::Passed);
    assert_eq!(said(503, Some("7"), ""), Verdict::Unavailable(secs(7)));
}

#[test]
fn status_200_refuses_by_its_error() {
    for error in ["ratelimited", "rate_limited", "ratelimit", "too_many_requests"] {
        let body = format!(r#"{{"ok":false,"error":"{error}"}}"#);
        assert_eq!(said(200, None, &body), Verdict::Refused(secs(1)), "{error}");
        assert_eq!(said(202, None, &body), Verdict::Refused(secs(1)), "{error}");
        assert_eq!(said(200, Some("7"), &body), Verdict::Refused(secs(7)), "{error}");
        assert_eq!(said(400, None, &body), Verdict::Passed, "{error}");
        assert_eq!(said(302, None, &body), Verdict::Passed, "{error}");
    }
    for refuses in [
        " {\n \"ok\" : false ,\t\"error\":\"ratelimited\"} \r\n",
        r#"{"error":"ratelimited","more":{"ok":true,"error":"no"},"ok":false}"#,
        r#"{"ok":false,"error":"\u0072atelimited"}"#,
        r#"{"\u006fk":false,"error":"ratelimited","provided":"\"}"}"#,
    ] {
        assert_eq!(said(200, None, refuses), Verdict::Refused(secs(1)), "{refuses}");
    }
    let body = r#"{"ok":false,"error":"ratelimited","retry_after":4}"#;
    assert_eq!(said(200, None, body), Verdict::Refused(secs(4)));
}

/// Turned red by: looking for the error's text instead of for the member.
#[test]
fn only_the_answers_own_error_refuses() {
    for passes in [
        "",
        "ok",
        "ratelimited",
        "null",
        "[]",
        "{}",
        r#"{"ok":true}"#,
        r#"{"ok":true,"error":"ratelimited"}"#,
        r#"{"ok":false}"#,
        r#"{"ok":false,"error":null}"#,
        r#"{"ok":false,"error":["ratelimited"]}"#,
        r#"{"ok":false,"error":"ratelimited_"}"#,
        r#"{"ok":false,"error":"message_limit_exceeded"}"#,
        r#"{"ok":false,"error":"fatal_error","detail":{"ok":false,"error":"ratelimited"}}"#,
        r#"{"ok":false,"text":"\"error\":\"ratelimited\"","error":"x"}"#,
        r#"{"ok":"false","error":"ratelimited"}"#,
        r#"{"ok":0,"error":"ratelimited"}"#,
        r#"{"error":"ratelimited"}"#,
        r#"[{"ok":false,"error":"ratelimited"}]"#,
        r#"{"ok":false,"error":"ratelimited""#,
        r#"{"ok":false,"error":"ratelimited"}}"#,
        "{\"ok\":false,\"error\":\"ratelimited\", \"x\": \"\u{1}\"}",
    ] {
        assert_eq!(said(200, None, passes), Verdict::Passed, "{passes}");
    }
    assert_eq!(verdict(StatusCode::OK, &HeaderMap::new(), None, DEFAULT, NOW), Verdict::Passed);
}

#[test]
fn an_object_is_told_from_what_is_none() {
    for object in ["{}", r#" {"a":[1,{"b":null}]} "#, r#"{"a":1,"a":2}"#] {
        assert!(is_object(object.as_bytes()), "{object}");
    }
    for other in ["", "ok", "[]", "1", "{", r#"{"a":}"#, "{} {}", "<html>", "\"{}\""] {
        assert!(!is_object(other.as_bytes()), "{other}");
    }
}

/// JSON in which the words that decide are frequent, at every depth.
fn value() -> impl Strategy<Value = Value> {
    let word =
        prop::sample::select(vec!["ok", "error", "retry_after", "ratelimited", "ratelimit", "x"]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-10.0..10.0).prop_map(Value::from),
        word.clone().prop_map(Value::from),
        "[ -~\n\u{e9}\u{1f600}]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((word.clone().prop_map(str::to_owned), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    /// A second reader that reads all of it comes to the same.
    #[test]
    fn a_reader_of_the_whole_tree_agrees(body in value(), pretty: bool) {
        let text = if pretty { format!("{body:#}") } else { body.to_string() };
        let limited = body["ok"] == json!(false)
            && body["error"].as_str().is_some_and(|error| LIMITED.contains(&error));
        prop_assert_eq!(tells_of_a_limit(text.as_bytes()), limited, "{}", text);
        prop_assert_eq!(is_object(text.as_bytes()), body.is_object(), "{}", text);
        let asked = body["retry_after"].as_f64().filter(|asked| *asked >= 0.0);
        let asked = asked.map(|asked| asked.ceil().max(1.0));
        prop_assert_eq!(pause(text.as_bytes()).map(|pause| pause.as_secs_f64()), asked, "{}", text);
    }

    /// Whatever comes is read without a panic, and what is no JSON refuses nothing.
    #[test]
    fn bytes_that_are_no_json_refuse_nothing(
        mut bytes in vec(any::<u8>(), 0..64),
        refusal: bool,
        at: prop::sample::Index,
        more: u8,
    ) {
        if refusal {
            bytes = br#"{"ok":false,"error":"ratelimited","retry_after":1}"#.to_vec();
            bytes[at.index(50)] = more;
        }
        let tree = serde_json::from_slice::<Value>(&bytes);
        if tree.is_err() {
            prop_assert!(!tells_of_a_limit(&bytes));
            prop_assert!(!is_object(&bytes));
            prop_assert_eq!(pause(&bytes), None);
        }
    }
}
