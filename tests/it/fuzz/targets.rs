//! What has to hold, whatever bytes come.

use std::{collections::BTreeMap, fs, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use slack::reply::{self, Verdict};
use slackwater::{
    call::coding,
    inbound::{arguments, lane::Lane},
    state::{self, ClockReading},
};

use crate::harness::{Proxy, Scripted};

const NAMES: [&str; 3] = ["channel", "token", "team_id"];

/// The first line of an input, and the rest.
fn line(input: &[u8]) -> (&[u8], &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    (&input[..end], input.get(end + 1..).unwrap_or_default())
}

fn find(
    names: &[&str],
    query: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> BTreeMap<String, String> {
    let found = arguments::find(names, query, headers, body);
    // All of the body is here.
    let found = found.now_or_never().unwrap();
    let value = |name: &&str| Some((String::from(*name), found.get(name)?.to_owned()));
    names.iter().filter_map(value).collect()
}

/// A content type, a query, and a body. What is asked for besides makes no difference, the query is stronger, and
/// JSON and forms mean what another reader says.
pub(super) fn arguments(input: &[u8]) {
    let ((kind, rest), mut headers) = (line(input), HeaderMap::new());
    let (query, body) = line(rest);
    let Ok(kind) = HeaderValue::from_bytes(kind) else { return };
    let Ok(query) = std::str::from_utf8(query) else { return };
    headers.insert(header::CONTENT_TYPE, kind.clone());
    let all = find(&NAMES, Some(query), &headers, body);
    for name in NAMES {
        let alone = find(&[name], Some(query), &headers, body);
        assert_eq!(alone.get(name), all.get(name), "{name}");
    }
    let in_query = find(&NAMES, Some(query), &headers, b"");
    assert!(
        in_query.iter().all(|(name, value)| all.get(name) == Some(value)),
        "{in_query:?} {all:?}"
    );
    let in_body = find(&NAMES, None, &headers, body);
    assert!(in_body.values().all(|value| !value.is_empty()));
    let kind = kind.to_str().unwrap_or_default().to_ascii_lowercase();
    let said = if kind.starts_with("application/json") {
        let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) else { return };
        let value = |name: &&str| match json.get(name)? {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        NAMES
            .iter()
            .filter_map(|name| Some((String::from(*name), value(name)?)))
            .collect::<Vec<_>>()
    } else if kind.starts_with("multipart/form-data") {
        return;
    } else {
        let pairs: Vec<_> = form_urlencoded::parse(body).into_owned().collect();
        let first = |name: &&str| {
            pairs.iter().find(|(has, value)| has == name && !value.is_empty()).cloned()
        };
        NAMES.iter().filter_map(first).collect()
    };
    let said: BTreeMap<_, _> = said.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    assert_eq!(in_body, said);
}

/// A boundary, and the value of a field of a multipart form: it is read as it was written, wherever it
/// stands among others.
pub(super) fn multipart(input: &[u8]) {
    let (boundary, value) = line(input);
    let is_one = |text: &&str| {
        (1..=70).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    // What is no boundary is part of the bytes that nobody has made a form of.
    let Some(boundary) = std::str::from_utf8(boundary).ok().filter(is_one) else {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("multipart/form-data; boundary=b"),
        );
        find(&NAMES, None, &headers, input);
        return;
    };
    let delimiter = format!("--{boundary}");
    let holds =
        |bytes: &[u8]| bytes.windows(delimiter.len()).any(|part| part == delimiter.as_bytes());
    if holds(value) || value.len() > 4096 {
        return;
    }
    let mut body = Vec::new();
    let mut field = |disposition: &str, value: &[u8]| {
        body.extend_from_slice(
            format!("{delimiter}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n")
                .as_bytes(),
        );
        body.extend_from_slice(value);
        body.extend_from_slice(b"\r\n");
    };
    field("name=\"file\"; filename=\"a;\\\"b.txt\"", value);
    field("name=\"channel\"", value);
    field("name=\"token\"", b"xoxb-1");
    body.extend_from_slice(format!("{delimiter}--\r\n").as_bytes());
    let mut headers = HeaderMap::new();
    let kind = format!("multipart/form-data; boundary={boundary}");
    headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
    let found = find(&NAMES, None, &headers, &body);
    let value = String::from_utf8_lossy(value);
    let expected = Some(&*value).filter(|value| !value.is_empty());
    assert_eq!(found.get("channel").map(String::as_str), expected);
    assert_eq!(found.get("token").map(String::as_str), Some("xoxb-1"));
}

/// A path: it has a lane that says what it may, and nothing of the path is lost; what is refused is told without
/// what may be a token.
pub(super) fn lane(input: &[u8]) {
    const SECRET: &str = "xoxb-123456789012-secret";
    let Ok(path) = std::str::from_utf8(input) else { return };
    let path = format!("/{}", path.trim_start_matches('/'));
    let headers: HeaderMap = match path.split_once('?') {
        Some((_, value)) => {
            ["slackwater-caller", "slackwater-class", "slackwater-max-wait", "slackwater-shed"]
                .into_iter()
                .filter_map(|name| {
                    Some((name.parse().unwrap(), HeaderValue::from_str(value).ok()?))
                })
                .collect()
        }
        None => HeaderMap::new(),
    };
    for path in [path.clone(), path.replace("xoxb-1", SECRET)] {
        let split = Lane::split(&path);
        if let Ok((lane, rest)) = &split {
            assert!(
                rest.starts_with('/') && (path.ends_with(rest) || *rest == "/"),
                "{path} {rest}"
            );
            if let Some(caller) = &lane.caller {
                assert!((1..=64).contains(&caller.chars().count()), "{caller}");
                assert!(!caller.contains("secret") || !caller.contains("xoxb"), "{caller}");
            }
            assert!(lane.caller.is_some() || *rest == path);
        }
        let said = split.and_then(|(lane, _)| lane.with_headers(&headers));
        if let Err(error) = said {
            let error = error.to_string();
            assert!(error.len() < 600, "{error}");
            assert!(!error.contains(SECRET), "{error}");
        }
    }
}

/// Lines of `Retry-After`: whatever their order, and in one line too, the longest counts; nothing asks for less
/// than a second, and nothing freezes for more than an hour.
pub(super) fn retry_after(input: &[u8]) {
    let now = Duration::from_secs(1_800_000_000);
    let lines = input.split(|byte| *byte == b'\n');
    let values: Vec<_> =
        lines.take(8).filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let asked = |values: &mut dyn Iterator<Item = &HeaderValue>| {
        let pairs = values.map(|value| (header::RETRY_AFTER, value.clone()));
        reply::retry_after(&pairs.collect::<HeaderMap>(), now)
    };
    let all = asked(&mut values.iter());
    assert!(all.is_none_or(|pause| pause >= Duration::from_secs(1)), "{all:?}");
    assert_eq!(asked(&mut values.iter().rev()), all);
    let each = values.iter().map(|value| asked(&mut std::iter::once(value)));
    assert_eq!(each.flatten().max(), all);
    let sound: Vec<_> =
        values.iter().filter(|value| asked(&mut std::iter::once(*value)).is_some()).collect();
    let joined = sound.iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(", ");
    let joined = HeaderValue::from_str(&joined).unwrap();
    assert_eq!(asked(&mut std::iter::once(&joined)), all, "{joined:?}");
    let headers: HeaderMap = values.into_iter().map(|value| (header::RETRY_AFTER, value)).collect();
    for status in [200, 429, 500, 503] {
        let status = StatusCode::from_u16(status).unwrap();
        let verdict = reply::verdict(status, &headers, Some(input), Duration::from_secs(30), now);
        assert!(verdict.freeze() <= reply::LONGEST_FREEZE);
        let refused = matches!(verdict, Verdict::Refused(_));
        assert!(refused || status != StatusCode::TOO_MANY_REQUESTS);
    }
}

/// How an answer is packed, then its body, in pieces: the client gets every byte of it, unless it is a refusal.
pub(super) fn answer(input: &[u8]) {
    let (head, body) = line(input);
    let (packed, pieces) = (head.first().copied(), head.get(1).copied().unwrap_or(b'1'));
    let status = [200, 201, 404, 429][usize::from(head.get(2).copied().unwrap_or_default() % 4)];
    let coding = match packed {
        Some(b'g') => "gzip",
        Some(b'd') => "deflate",
        Some(b'x') => "unknown",
        _ => "identity",
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    // A bomb is left alone.
    let text = coding::unpacked(&headers, body, 4096);
    assert!(coding == "identity" || text.as_ref().is_none_or(|text| text.len() <= 4096));
    let size = (body.len() / usize::from(pieces % 7 + 1)).max(1);
    let frames: Vec<_> = body.chunks(size).map(Bytes::copy_from_slice).collect();
    let upstream = Scripted::new(move |_| {
        let (frames, headers) = (frames.clone(), headers.clone());
        async move {
            let frames = stream::iter(frames.into_iter().map(|data| Ok(Frame::data(data))));
            let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            *response.headers_mut() = headers;
            Ok(response)
        }
    });
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    let answer = runtime.block_on(async {
        let proxy = Proxy::start(&upstream);
        // It writes, so it is sent once, and nobody waits for a second time.
        proxy.bot().post("C1", "x").lane("fuzz;max-wait=0s").send().await
    });
    let is_refused = answer.header("slackwater-reason") == "upstream";
    assert_eq!(
        is_refused,
        status == 429 || (status < 300 && tells_of_a_limit(coding, body)),
        "{answer:?}"
    );
    if !is_refused {
        assert_eq!((answer.status, answer.header("content-encoding")), (status, coding));
    }
    if !is_refused || status != 429 {
        assert!(&*answer.body == body, "{answer:?}");
    }
}

/// Whether a second reader, of all of it, says that a body refuses its call.
fn tells_of_a_limit(coding: &str, body: &[u8]) -> bool {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_str(coding).unwrap());
    let text = coding::unpacked(&headers, body, 4096);
    let text = text.filter(|_| body.len() <= 4096);
    let verdict = |text: &[u8]| {
        reply::verdict(StatusCode::OK, &headers, Some(text), Duration::ZERO, Duration::ZERO)
    };
    text.is_some_and(|text| matches!(verdict(&text), Verdict::Refused(_)))
}

/// A configuration: it is taken, or every mistake has its place in it.
pub(super) fn configuration(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let checked =
        || config::check(text, "fuzz.yaml", |name| (name == "SET").then(|| "1".to_owned()));
    let Err(problems) = checked() else { return };
    assert!(problems.count() > 0);
    for problem in problems.iter() {
        assert!(!problem.text.is_empty());
        if let Some(place) = &problem.place {
            let lines = text.split('\n').count();
            assert!(
                (1..=lines + 1).contains(&place.line) && place.column >= 1,
                "{place:?} of {lines}"
            );
        }
    }
    let again = checked().err().map(|problems| problems.to_string());
    assert_eq!(again.as_deref(), Some(&*problems.to_string()));
}

/// The lines of a state file, without their checksums; those after a `!` as they are. It is taken over or refused, and
/// what was taken over is the same the next time.
pub(super) fn state_file(input: &[u8]) {
    let now = ClockReading { boot: "this".into(), steady: 90_000_000, wall: 1_800_000_090_000_000 };
    let mut text = Vec::new();
    for line in input.split(|byte| *byte == b'\n') {
        match line.strip_prefix(b"!") {
            Some(line) => text.extend_from_slice(line),
            None if line.is_empty() => continue,
            None => {
                text.extend_from_slice(format!("{:08x} ", crc32fast::hash(line)).as_bytes());
                text.extend_from_slice(line);
            }
        }
        text.push(b'\n');
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    fs::write(&path, text).unwrap();
    let start = scheduler::Instant::from_nanos(1 << 62);
    let open = || {
        let opened = state::open(&path, start, &now).ok()?;
        let buckets = opened
            .buckets()
            .map(|kept| (format!("{}/{}", kept.limit, kept.values), format!("{:?}", kept.memory)));
        let buckets: BTreeMap<_, _> = buckets.collect();
        Some((buckets, opened.learnt().count(), opened.paused().len(), opened.cautious_since()))
    };
    let Some(first) = open() else { return };
    assert_eq!(open(), Some(first), "as it was written anew");
}
