//! Slack's answers in every form: what is a refusal is found, and nothing happens to the rest.

use std::{io::Write, time::Duration};

use bytes::Bytes;
use flate2::{Compression, write};
use futures_util::{StreamExt, stream};
use http::{Method, Response, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Answer, Proxy, Scripted, Stream, all, assert_near, json, ms, secs, text};

const REFUSAL: &str = r#"{"ok":false,"error":"ratelimited"}"#;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Plain,
    Gzip,
    Zlib,
    Deflate,
}

/// Numbers that a seed repeats.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) as usize % most
    }
}

impl Packing {
    const ALL: [Self; 4] = [Self::Plain, Self::Gzip, Self::Zlib, Self::Deflate];

    fn pack(self, text: &[u8]) -> Bytes {
        let level = Compression::best();
        let packed = match self {
            Self::Plain => Ok(text.to_vec()),
            Self::Gzip => {
                let mut to = write::GzEncoder::new(Vec::new(), level);
                to.write_all(text).and_then(|()| to.finish())
            }
            Self::Zlib => {
                let mut to = write::ZlibEncoder::new(Vec::new(), level);
                to.write_all(text).and_then(|()| to.finish())
            }
            Self::Deflate => {
                let mut to = write::DeflateEncoder::new(Vec::new(), level);
                to.write_all(text).and_then(|()| to.finish())
            }
        };
        packed.unwrap().into()
    }

    fn name(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Gzip => Some("gzip"),
            Self::Zlib | Self::Deflate => Some("deflate"),
        }
    }
}

/// An answer whose body comes in these pieces, each so much later. Without a length it is
/// chunked.
pub(crate) fn pieces(
    status: u16,
    pieces: Vec<(Duration, Bytes)>,
    length: bool,
) -> Response<Stream> {
    let all: usize = pieces.iter().map(|(_, piece)| piece.len()).sum();
    let frames = stream::iter(pieces).then(|(wait, piece)| async move {
        tokio::time::sleep(wait).await;
        Ok(Frame::data(piece))
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    *response.status_mut() = status.try_into().unwrap();
    if length {
        response.headers_mut().insert(header::CONTENT_LENGTH, all.into());
    }
    response
}

fn packed(status: u16, packing: Packing, body: &[u8], length: bool) -> Response<Stream> {
    let body = packing.pack(body);
    let half = body.len() / 2;
    let (one, two) = (body.slice(..half), body.slice(half..));
    let mut response = pieces(status, vec![(ms(0), one), (ms(3), two)], length);
    response.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    if let Some(name) = packing.name() {
        response.headers_mut().insert(header::CONTENT_ENCODING, name.parse().unwrap());
    }
    response
}

/// Refuses the first call like this, and does all others.
fn refuses_first(first: impl Fn() -> Response<Stream> + Send + Sync + 'static) -> Scripted {
    let first = std::sync::Arc::new(first);
    Scripted::new(move |seen| {
        let first = std::sync::Arc::clone(&first);
        async move { if seen.number > 1 { json(200, r#"{"ok":true}"#) } else { Ok(first()) } }
    })
}

/// Turned red by: a coding, a framing or a word that is not looked for.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_status_200_is_waited_out_however_it_comes() {
    for packing in Packing::ALL {
        for length in [false, true] {
            for (error, seconds) in [
                ("ratelimited", 0_u64),
                ("rate_limited", 4),
                ("ratelimit", 0),
                ("too_many_requests", 2),
            ] {
                let upstream = refuses_first(move || {
                    let body = format!(r#"{{"ok":false,"error":"{error}"}}"#);
                    let mut answer = packed(200, packing, body.as_bytes(), length);
                    if seconds > 0 {
                        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
                    }
                    answer
                });
                let proxy = Proxy::start(&upstream);
                let answer = proxy.bot().call("bookmarks.add").patient().send().await;
                let case = format!("{packing:?} {length} {error}: {answer:?}");
                assert!(answer.is_ok(), "{case}");
                assert_eq!(answer.header("slackwater-attempts"), "2", "{case}");
                assert_near(answer.took, ms(3) + secs(seconds.max(1)));
                assert_eq!(upstream.connections(), 1, "the connection is used again: {case}");
            }
        }
    }
}

/// What no look takes in is no refusal: what is larger than 4 KiB, packed or not, however it is
/// framed, and what a bomb unpacks to. What is just small enough is.
///
/// Turned red by: a bound that is one off, or that holds for what is packed only.
#[tokio::test(start_paused = true)]
async fn a_large_answer_is_not_looked_into() {
    let padded = |length: usize| {
        let text =
            format!(r#"{{"ok":false,"error":"ratelimited","x":"{}"}}"#, "a".repeat(length - 41));
        assert_eq!(text.len(), length);
        text
    };
    for packing in Packing::ALL {
        for length in [false, true] {
            for (size, refuses) in [(4096, true), (4097, false), (1 << 20, false)] {
                let body = padded(size);
                let upstream = refuses_first({
                    let body = body.clone();
                    move || packed(200, packing, body.as_bytes(), length)
                });
                let proxy = Proxy::start(&upstream);
                let answer = proxy.bot().call("bookmarks.add").patient().send().await;
                let case = format!("{packing:?} {length} {size}");
                assert_eq!(
                    answer.header("slackwater-attempts"),
                    if refuses { "2" } else { "1" },
                    "{case}"
                );
                if !refuses {
                    assert!(answer.body == packing.pack(body.as_bytes()), "{case}");
                    assert_eq!(answer.header("retry-after"), "", "{case}");
                    assert_near(answer.took, ms(3));
                }
            }
        }
    }
}

/// Whatever comes, in whatever pieces: what is no refusal has the same status, headers and
/// bytes behind the proxy as before it.
///
/// Turned red by: a piece that is lost or comes twice; a length that is added.
#[tokio::test(start_paused = true)]
async fn nothing_happens_to_an_answer_that_is_no_refusal() {
    let mut chance = Chance(7);
    for case in 0..400 {
        let size = [0, 1, 40, 300, 4_090, 4_100, 9_000][chance.below(7)];
        let mut body: Vec<u8> = match chance.below(4) {
            0 => (0..size).map(|_| chance.below(256).to_le_bytes()[0]).collect(),
            1 => b"{\"ok\":false,\"error\":\"x\",\"y\":\"".to_vec(),
            2 => Packing::Gzip.pack(&vec![b'a'; size]).to_vec(),
            _ => br#"{"ok":false,"error":"fatal","in":{"error":"ratelimited"}}"#.to_vec(),
        };
        if chance.below(3) == 0 {
            body.truncate(chance.below(body.len() + 1));
        }
        let body = Bytes::from(body);
        let mut cut = Vec::new();
        let mut rest = body.clone();
        while !rest.is_empty() {
            let piece = rest.split_to(1 + chance.below(rest.len()));
            cut.push((ms([0, 0, 1, 1_500][chance.below(4)]), piece));
        }
        let coding = ["", "gzip", "deflate", "br", "identity"][chance.below(5)];
        let status = [200, 201, 202, 400, 404, 500, 503][chance.below(7)];
        let length = chance.below(2) == 0;
        let upstream = Scripted::new(move |_| {
            let mut answer = pieces(status, cut.clone(), length);
            if !coding.is_empty() {
                answer.headers_mut().insert(header::CONTENT_ENCODING, coding.parse().unwrap());
            }
            answer.headers_mut().insert("x-said", "yes".parse().unwrap());
            std::future::ready(Ok(answer))
        });
        let proxy = Proxy::start(&upstream);
        let bot = if chance.below(4) == 0 { proxy.bot_h2() } else { proxy.bot() };
        let answer = bot.call("users.info").send().await;
        let case = format!("{case}: {status} {coding} {length} {} bytes", body.len());
        assert_eq!(answer.status, status, "{case}");
        assert!(answer.body == body, "{case}");
        assert_eq!(answer.header("content-encoding"), coding, "{case}");
        assert_eq!(answer.header("x-said"), "yes", "{case}");
        assert_eq!(answer.header("retry-after"), "", "{case}");
        let told = if length { body.len().to_string() } else { String::new() };
        assert_eq!(answer.header("content-length"), told, "{case}");
    }
}

/// A body that stalls is handed on as it comes, a second after it began, and is not a refusal
/// however it ends: who reads it has had its beginning.
///
/// Turned red by: waiting for the end of a small body however long it takes.
#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_handed_on_as_it_comes() {
    for length in [false, true] {
        let upstream = refuses_first(move || {
            let (one, two) = (Bytes::from(&REFUSAL[..10]), Bytes::from(&REFUSAL[10..]));
            pieces(200, vec![(ms(0), one), (secs(10), two)], length)
        });
        let proxy = Proxy::start(&upstream);
        let mut caller = proxy.connect();
        let ask = "POST /api/auth.test HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        caller.write_all(ask.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        while !String::from_utf8_lossy(&said).contains(&REFUSAL[..10]) {
            assert!(caller.read_buf(&mut said).await.unwrap() > 0);
        }
        assert_near(proxy.now(), secs(1));
        caller.read_to_end(&mut said).await.unwrap();
        assert_near(proxy.now(), secs(10));
        let said = String::from_utf8(said).unwrap();
        assert!(said.starts_with("HTTP/1.1 200 ") && said.contains(&REFUSAL[10..]), "{said}");
        assert_eq!(upstream.seen().len(), 1);
    }
}

/// A slot ages from the answer's headers, however long its body takes.
///
/// Turned red by: a slot that ages from the end of the body.
#[tokio::test(start_paused = true)]
async fn a_slot_ages_from_the_headers_of_its_answer() {
    for (wait, refused) in [(ms(0), false), (ms(600), false), (ms(600), true), (secs(5), false)] {
        let upstream = Scripted::new(move |seen| async move {
            let text = if refused && seen.number == 1 { REFUSAL } else { r#"{"ok":true}"# };
            Ok(pieces(200, vec![(wait, Bytes::from(text))], false))
        });
        let proxy = Proxy::start(&upstream);
        let bot = proxy.bot();
        let ask = || bot.call("admin.apps.uninstall").patient();
        assert!(all([ask(), ask()]).await.iter().all(Answer::is_ok));
        let seen = upstream.seen();
        let grain = ms(20);
        for two in seen.windows(2) {
            assert_near(two[1].at - two[0].at, secs(60) + grain);
        }
        assert_eq!(seen.len(), if refused { 3 } else { 2 });
    }
}

/// A refusal of status 200 that is not sent again is handed on as Slack said it, with the time
/// when to come back, packed as its headers say.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_status_200_is_handed_on_as_it_came() {
    for packing in Packing::ALL {
        for length in [false, true] {
            let upstream = refuses_first(move || packed(200, packing, REFUSAL.as_bytes(), length));
            let proxy = Proxy::configured("on_429: { max_attempts: 1 }", &upstream);
            let answer = proxy.bot().call("auth.test").patient().send().await;
            assert_eq!(answer.status, 200);
            assert!(answer.body == packing.pack(REFUSAL.as_bytes()), "{answer:?}");
            assert_eq!(answer.header("content-encoding"), packing.name().unwrap_or_default());
            assert_eq!(answer.header("retry-after"), "1");
            assert_eq!(answer.header("slackwater-reason"), "upstream");
            assert_eq!(answer.header("slackwater-attempts"), "1");
        }
    }
}

/// What a 429 says of its pause, and what the caller reads in its place.
///
/// Turned red by: a date that is read as none, or by the clock of this machine; a pause that is told
/// shorter than Slack says; a freeze without an end.
#[tokio::test(start_paused = true)]
async fn a_429_that_is_handed_on_has_a_pause_that_every_sdk_reads() {
    let date = "Wed, 21 Oct 2026 07:28:00 GMT";
    for (said, body, told) in [
        (Some("7"), REFUSAL, 7),
        (None, REFUSAL, 30),
        (None, r#"{"ok":false,"error":"rate_limited","retry_after":3}"#, 3),
        (Some("1.5"), REFUSAL, 2),
        (Some("0"), REFUSAL, 1),
        (Some("-5"), REFUSAL, 30),
        (Some("soon"), REFUSAL, 30),
        (Some("Wed, 21 Oct 2026 07:28:45 GMT"), REFUSAL, 45),
        (Some("Wed, 21 Oct 2026 07:27:59 GMT"), REFUSAL, 1),
        (Some("Thu, 22 Oct 2026 07:28:00 GMT"), REFUSAL, 86_400),
        (Some("3600"), REFUSAL, 3_600),
        (Some("86400"), REFUSAL, 86_400),
        (Some("99999999999999999999"), REFUSAL, u64::MAX),
    ] {
        let upstream = refuses_first(move || {
            let mut answer = json(429, body).unwrap();
            answer.headers_mut().insert(header::DATE, date.parse().unwrap());
            if let Some(said) = said {
                answer.headers_mut().insert(header::RETRY_AFTER, said.parse().unwrap());
            }
            answer
        });
        let proxy = Proxy::configured("on_429: { max_attempts: 1 }", &upstream);
        let bot = proxy.bot();
        let answer = bot.call("auth.test").patient().send().await;
        let retry_after: u64 = answer.header("retry-after").parse().unwrap();
        assert_eq!((answer.status, retry_after), (429, told), "{said:?}");
        assert_eq!(answer.body, body);
        assert_eq!(answer.header("slackwater-reason"), "upstream");
        // And it is true: the bucket is closed for as long, and for an hour at most.
        let next = bot.call("auth.test").patient().send().await;
        assert!(next.is_ok());
        assert_near(next.took, secs(told.min(3_600)));
    }
    let file = "on_429: { max_attempts: 1, default_retry_after: 500ms }";
    let proxy = Proxy::configured(file, &refuses_first(|| text(429, "").unwrap()));
    assert_eq!(proxy.bot().call("auth.test").send().await.shed().0, 1, "no pause of no seconds");
}

/// What no SDK can read in a 429 is replaced; what is packed stays as packed as it says.
#[tokio::test(start_paused = true)]
async fn a_429_that_is_handed_on_has_a_body_that_every_sdk_reads() {
    for (packing, body, stays) in [
        (Packing::Plain, REFUSAL, true),
        (Packing::Gzip, REFUSAL, true),
        (Packing::Deflate, REFUSAL, true),
        (Packing::Plain, "", false),
        (Packing::Gzip, "", false),
        (Packing::Plain, "<html>Slow down</html>", false),
        (Packing::Gzip, "<html>Slow down</html>", false),
        (Packing::Plain, &"x".repeat(5_000), false),
    ] {
        for length in [false, true] {
            let body = body.to_owned();
            let sent = packing.pack(body.as_bytes());
            let upstream = refuses_first(move || packed(429, packing, body.as_bytes(), length));
            let proxy = Proxy::configured("on_429: { max_attempts: 1 }", &upstream);
            let answer = proxy.bot().call("auth.test").patient().send().await;
            assert_eq!((answer.status, answer.header("retry-after")), (429, "30"));
            if stays {
                assert!(answer.body == sent, "{answer:?}");
                assert_eq!(answer.header("content-encoding"), packing.name().unwrap_or_default());
            } else {
                assert_eq!(answer.header("content-encoding"), "");
                assert_eq!(answer.shed(), (30, "upstream", answer.header("slackwater-bucket")));
            }
        }
    }
}

/// Answers that can have no body.
#[tokio::test(start_paused = true)]
async fn an_answer_without_a_body_passes() {
    let upstream = Scripted::new(|seen| async move {
        let mut answer = text(if seen.verb == Method::HEAD { 200 } else { 204 }, "")?;
        if seen.verb == Method::HEAD {
            answer.headers_mut().insert(header::CONTENT_LENGTH, 34.into());
        }
        Ok(answer)
    });
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    for verb in [Method::HEAD, Method::POST, Method::HEAD] {
        let answer = bot.at(verb.clone(), "/api/auth.test").send().await;
        let expected = if verb == Method::HEAD { (200, "34") } else { (204, "") };
        assert_eq!((answer.status, answer.header("content-length")), expected);
        assert!(answer.body.is_empty());
        assert_near(answer.took, ms(0));
    }
    assert_eq!(upstream.connections(), 1);
}

/// A 429 to a HEAD has no body, and the connection is used again all the same.
#[tokio::test(start_paused = true)]
async fn a_refused_head_is_sent_again() {
    let upstream = refuses_first(|| text(429, "").unwrap());
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    let answer = bot.at(Method::HEAD, "/api/auth.test").patient().send().await;
    assert_eq!((answer.status, answer.header("slackwater-attempts")), (200, "2"));
    assert_eq!(upstream.connections(), 1);
}

/// What is only forwarded is not looked into.
#[tokio::test(start_paused = true)]
async fn what_is_only_forwarded_is_nobodys_refusal() {
    let upstream = refuses_first(|| json(200, REFUSAL).unwrap());
    let file = "upstreams: [{ prefix: /files/, url: 'http://files.test/', kind: plain }]";
    let proxy = Proxy::configured(file, &upstream);
    let answer = proxy.bot().at(Method::POST, "/files/x").send().await;
    assert_eq!((answer.status, &*answer.body), (200, REFUSAL.as_bytes()));
    assert_eq!((answer.header("retry-after"), answer.header("slackwater-attempts")), ("", "1"));
}

/// Many at once, refused in status 200: each is answered, and none is lost.
#[tokio::test(start_paused = true)]
async fn a_flood_that_is_refused_in_status_200_is_done_in_the_end() {
    let upstream = Scripted::new(|seen| async move {
        tokio::time::sleep(ms(20)).await;
        match seen.number % 3 {
            0 => Ok(packed(200, Packing::Gzip, REFUSAL.as_bytes(), false)),
            _ => json(200, r#"{"ok":true}"#),
        }
    });
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    let answers = all((0..60).map(|_| bot.call("users.info").patient())).await;
    assert!(answers.iter().all(Answer::is_ok), "{answers:?}");
    let done = upstream.seen().iter().filter(|seen| seen.number % 3 != 0).count();
    assert_eq!(done, 60, "each was done once");
}
