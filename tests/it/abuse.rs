//! Clients that do what no client should, byte by byte: each costs its own connection, for a time
//! that is bounded, and nobody else notices.

use std::time::Duration;

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::Instant,
};

use crate::harness::{Log, Proxy, Scripted, assert_near, fake, json, ms, secs, settled, text};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty frame of settings.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn ok() -> Scripted {
    Scripted::new(|_| async { json(200, r#"{"ok":true}"#) })
}

/// A normal call beside all that.
async fn assert_others_go_on(proxy: &Proxy) {
    let answer = proxy.bot().call("api.test").send().await;
    assert!(answer.is_ok() && answer.took <= ms(12), "{answer:?}");
}

/// All that the connection says until its end, and when that came.
async fn until_end(mut client: DuplexStream, at_most: Duration) -> (Vec<u8>, Duration) {
    let begun = Instant::now();
    let mut said = Vec::new();
    // Reset or closed, it is the end.
    let ended = tokio::time::timeout(at_most, client.read_to_end(&mut said)).await;
    assert!(ended.is_ok(), "still open after {at_most:?}");
    (said, Instant::now().duration_since(begun))
}

/// Turned red by: no bound on the time before the protocol is known.
#[tokio::test(start_paused = true)]
async fn a_connection_that_never_begins_ends() {
    let upstream = ok();
    let proxy = Proxy::start(&upstream);
    for beginning in [
        &b""[..],
        b"P",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n",
        b"POST /api/auth.te",
        b"POST /api/auth.test HTTP/1.1\r\nhost: proxy\r\n",
    ] {
        let mut client = proxy.connect();
        client.write_all(beginning).await.unwrap();
        let (_, took) = until_end(client, secs(200)).await;
        assert!(took >= secs(119) && took <= secs(121), "{beginning:?}: {took:?}");
        assert_others_go_on(&proxy).await;
    }
    assert!(upstream.seen().iter().all(|seen| seen.path == "/api/api.test"));
}

/// A byte now and then does not keep a header or a body open for ever.
///
/// Turned red by: a body whose pieces are bounded and not the whole.
#[tokio::test(start_paused = true)]
async fn who_dribbles_is_given_up() {
    let upstream = ok();
    let proxy = Proxy::start(&upstream);
    for (request, given_up) in [
        (&b"POST /api/auth.test HTTP/1.1\r\nhost: proxy\r\nx: "[..], secs(120)),
        (b"POST /api/auth.test HTTP/1.1\r\nhost: proxy\r\ncontent-length: 999\r\n\r\n", secs(300)),
        (
            b"POST /api/auth.test HTTP/1.1\r\nhost: proxy\r\ntransfer-encoding: chunked\r\n\r\n3e7\r\n",
            secs(300),
        ),
    ] {
        let (mut reader, mut writer) = tokio::io::split(proxy.connect());
        writer.write_all(request).await.unwrap();
        let begun = Instant::now();
        let dribbles = async {
            while writer.write_all(b"x").await.is_ok() {
                tokio::time::sleep(secs(50)).await;
            }
        };
        let mut said = vec![0; 4096];
        let read = tokio::select! {
            () = dribbles => 0,
            read = reader.read(&mut said) => read.unwrap_or(0),
        };
        let took = Instant::now().duration_since(begun);
        assert!(took + secs(1) >= given_up && took <= given_up + secs(51), "{took:?}");
        if given_up == secs(300) {
            let said = String::from_utf8_lossy(&said[..read]).into_owned();
            assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("300s"), "{said}");
        }
        assert_others_go_on(&proxy).await;
    }
    assert!(upstream.seen().iter().all(|seen| seen.path == "/api/api.test"));
}

/// Turned red by: no bound on the time in which a client takes nothing.
#[tokio::test(start_paused = true)]
async fn who_never_reads_the_answer_is_given_up() {
    let upstream = Scripted::new(|seen| async move {
        if seen.path.ends_with("api.test") {
            return json(200, r#"{"ok":true}"#);
        }
        text(200, Bytes::from(vec![b'x'; 8 << 20]))
    });
    let proxy = Proxy::start(&upstream);
    let mut client = proxy.connect();
    client.write_all(b"GET /api/users.list HTTP/1.1\r\nhost: proxy\r\n\r\n").await.unwrap();
    tokio::time::sleep(secs(1)).await;
    assert_others_go_on(&proxy).await;
    tokio::time::sleep(secs(120)).await;
    let (said, took) = until_end(client, secs(1)).await;
    assert_near(took, Duration::ZERO);
    assert!(said.starts_with(b"HTTP/1.1 200 ") && said.len() < 1 << 20, "{}", said.len());
}

/// Whose path, host or lane could mean two things is told so, and goes nowhere.
///
/// Turned red by: any of these checks gone; each fails for itself.
#[tokio::test(start_paused = true)]
async fn what_could_mean_two_things_goes_nowhere() {
    for (start, status, hint) in [
        ("GET /api/auth.test HTTP/1.1\r\nhost: a\r\nhost: b", 400, "one Host header"),
        ("GET /api/auth.test HTTP/1.1\r\nhost: a\r\nHost: a", 400, "one Host header"),
        ("GET /api/auth.test HTTP/1.1\r\nx: y", 400, "one Host header"),
        ("GET http://127.0.0.1@evil.test/api/auth.test HTTP/1.1\r\nhost: a", 400, "forward proxy"),
        ("GET https://127.0.0.1.evil.test/api/auth.test HTTP/1.1\r\nhost: a", 400, "forward proxy"),
        ("GET evil.test:80 HTTP/1.1\r\nhost: a", 400, ""),
        ("OPTIONS * HTTP/1.1\r\nhost: a", 404, "unknown_path"),
        ("GET //evil.test/api/auth.test HTTP/1.1\r\nhost: a", 404, "wrong_base_url"),
        ("GET /api/@job/auth.test HTTP/1.1\r\nhost: a", 404, "unknown_method"),
        ("GET /@a/@b/api/auth.test HTTP/1.1\r\nhost: a", 404, "wrong_base_url"),
        ("GET /@a%2fapi%2fauth.test HTTP/1.1\r\nhost: a", 400, "encoded slash"),
        (
            "GET /@a;class=background;class=interactive/api/auth.test HTTP/1.1\r\nhost: a",
            400,
            "is said twice",
        ),
        (
            "GET /@a%0d%0aslackwater-class:interactive/api/auth.test HTTP/1.1\r\nhost: a",
            400,
            "control",
        ),
        ("GET /@a/../api/auth.test HTTP/1.1\r\nhost: a", 400, "dot segment"),
        ("GET /api/auth.test%00 HTTP/1.1\r\nhost: a", 400, "control"),
        ("GET /api/..%2e/x HTTP/1.1\r\nhost: a", 404, "unknown_method"),
        ("GET /API/auth.test HTTP/1.1\r\nhost: a", 404, "wrong_base_url"),
    ] {
        let upstream = ok();
        let proxy = Proxy::start(&upstream);
        let mut client = proxy.connect();
        let request = format!("{start}\r\nconnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let (said, _) = until_end(client, secs(1)).await;
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{start}: {said}");
        assert!(said.contains(hint), "{start}: {said}");
        assert_eq!(upstream.seen().len(), 0, "{start}");
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// The headers of a call, as HPACK has them without its tables.
fn call(method: &str) -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    for (name, value) in [(4, format!("/api/{method}")), (1, "proxy".to_owned())] {
        block.extend_from_slice(&[name, u8::try_from(value.len()).unwrap()]);
        block.extend_from_slice(value.as_bytes());
    }
    block
}

/// Speaks HTTP/2 with these frames until the connection ends or all are sent; then listens.
async fn speak(proxy: &Proxy, frames: impl Iterator<Item = Vec<u8>>) -> (usize, Vec<u8>) {
    let (mut reader, mut writer) = tokio::io::split(proxy.connect());
    let mut sent = 0;
    let speaks = async {
        for part in [PREFACE.to_vec(), SETTINGS.to_vec()].into_iter().chain(frames) {
            if writer.write_all(&part).await.is_err() {
                return;
            }
            sent += part.len();
        }
    };
    let listens = async {
        let mut said = Vec::new();
        let _ = tokio::time::timeout(secs(5), reader.read_to_end(&mut said)).await;
        said
    };
    let ((), said) = tokio::join!(speaks, listens);
    (sent, said)
}

/// Whether there is a frame of GOAWAY among these.
fn goes_away(mut said: &[u8]) -> bool {
    while let [a, b, c, kind, ..] = *said {
        if kind == 7 {
            return true;
        }
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap() + 9;
        said = said.get(length..).unwrap_or_default();
    }
    false
}

/// Headers that never end (CVE-2024-27919 and its kin) end their connection, after few of them.
///
/// Turned red by: a server without a bound on the size of headers.
#[tokio::test(start_paused = true)]
async fn headers_without_end_end_their_connection() {
    let upstream = ok();
    let proxy = Proxy::start(&upstream);
    let flood = (0..64 << 10).map(|n| match n {
        0 => frame(HEADERS, END_STREAM, 1, &call("auth.test")),
        // A header of a kilobyte each.
        _ => frame(CONTINUATION, 0, 1, &[&[0, 1, b'x', 0x7f, 0x81, 7][..], &[b'y'; 1024]].concat()),
    });
    let (sent, said) = speak(&proxy, flood).await;
    assert!(goes_away(&said), "{said:?}");
    assert!(sent < 1 << 20, "{sent} bytes were taken");
    assert_others_go_on(&proxy).await;
    assert_eq!(upstream.seen().len(), 1);
}

/// A header that is small in bytes and large when it is unpacked.
///
/// Turned red by: a server without a bound on the size of headers.
#[tokio::test(start_paused = true)]
async fn headers_that_unpack_to_too_much_are_refused() {
    let upstream = ok();
    let proxy = Proxy::start(&upstream);
    let mut block = call("auth.test");
    // x: yyy… goes into the table, and is then named a thousand times by one byte.
    block.extend_from_slice(&[0x40, 1, b'x', 0x7f, 0x81, 0x1e]);
    block.extend_from_slice(&[b'y'; 127 + 1 + 30 * 128]);
    block.extend_from_slice(&[0xbe; 1000]);
    let headers = frame(HEADERS, END_STREAM | END_HEADERS, 1, &block);
    speak(&proxy, std::iter::once(headers)).await;
    let buckets = proxy.status().buckets;
    assert!(buckets.iter().all(|bucket| bucket.used == 0), "it was taken for a call: {buckets:?}");
    assert_others_go_on(&proxy).await;
}

/// Streams that are opened and reset at once (CVE-2023-44487) hold nothing, and take no more
/// slots than the limit has.
///
/// Turned red by: calls that are held although their stream is gone.
#[tokio::test(start_paused = true)]
async fn streams_that_are_reset_at_once_hold_nothing() {
    let fake = fake();
    let proxy = Proxy::start(&fake);
    let flood = (0..20_000).flat_map(|n| {
        let stream = 2 * n + 1;
        let headers = frame(HEADERS, END_STREAM | END_HEADERS, stream, &call("conversations.list"));
        [headers, frame(RESET, 0, stream, &[0, 0, 0, 8])]
    });
    let begun = Instant::now();
    speak(&proxy, flood).await;
    assert!(Instant::now().duration_since(begun) <= secs(6));
    assert_eq!(proxy.admission.held(), 0);
    assert_others_go_on(&proxy).await;
    assert!(fake.totals().calls <= 21, "{}", fake.totals().calls);
    assert_eq!(fake.totals().refused, 0);
}

/// Connections beyond the bound wait until there is a place. Who holds one and does not use it
/// loses it.
///
/// Turned red by: connections that are not counted; no warning of it, and one for each connection.
#[tokio::test(start_paused = true)]
async fn connections_beyond_the_bound_wait_for_a_place() {
    let log = Log::warnings();
    let upstream = ok();
    let proxy = Proxy::with_places(&upstream, 3);
    let begun = Instant::now();
    let mut idle: Vec<_> = (0..2).map(|_| proxy.connect()).collect();
    settled().await;
    assert_eq!(log.take(), [] as [serde_json::Value; 0], "there is a place yet");
    idle.push(proxy.connect());
    let answer = proxy.bot().call("api.test").send().await;
    assert!(answer.is_ok());
    assert_near(Instant::now().duration_since(begun), secs(120));
    let told = log.take();
    // One place after the other is taken anew.
    assert!((1..=3).contains(&told.len()), "{told:?}");
    assert!(told[0]["message"].as_str().unwrap().contains("further ones wait"), "{told:?}");
    assert_eq!(
        (told[0]["level"].as_str(), told[0]["connections"].as_u64()),
        (Some("WARN"), Some(3))
    );
    assert!(told[0]["cure"].as_str().unwrap().contains("open files"), "{told:?}");
    drop(idle);
    for _ in 0..9 {
        // Each takes the last place, within the same minute.
        let taken: Vec<_> = (0..3).map(|_| proxy.connect()).collect();
        settled().await;
        drop(taken);
        settled().await;
    }
    assert!(log.take().len() <= 1);
    assert_others_go_on(&proxy).await;
}

/// Who is silent in the middle of its headers, or is gone without a word, is asked and given up.
///
/// Turned red by: a server without pings.
#[tokio::test(start_paused = true)]
async fn a_silent_client_of_http2_is_given_up() {
    let upstream = ok();
    let proxy = Proxy::start(&upstream);
    for frames in [vec![], vec![frame(HEADERS, END_STREAM, 1, &call("auth.test"))]] {
        let mut client = proxy.connect();
        client.write_all(&[PREFACE, SETTINGS, &frames.concat()].concat()).await.unwrap();
        let (_, took) = until_end(client, secs(200)).await;
        assert!(took >= secs(79) && took <= secs(81), "{took:?}");
        assert_others_go_on(&proxy).await;
    }
}
