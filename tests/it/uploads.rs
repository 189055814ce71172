//! Bodies that take their time: bytes that move are not cut, and nobody waits for ever.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::{Instant, sleep},
};

use crate::harness::{Proxy, Scripted, Wire, assert_near, json, ms, pipe, secs};

/// Two upstreams; of the second nothing is known.
const BOTH: &str = "upstreams: [
    { prefix: /api/, url: http://slack.test/api/, kind: web_api },
    { prefix: /plain/, url: http://slack.test/plain/, kind: plain }]";

const KIB: usize = 1 << 10;

fn ok() -> Scripted {
    Scripted::new(|_| async { json(200, r#"{"ok":true}"#) })
}

/// What an upload consists of.
#[derive(Clone, Copy, Debug)]
struct Upload {
    path: &'static str,
    chunked: bool,
    /// How large it is said to be, in pieces.
    size: usize,
    /// How many pieces come.
    comes: usize,
    piece: usize,
    every: Duration,
}

impl Upload {
    /// Sends it, and hears the answer and when it came.
    async fn send(self, proxy: &Proxy) -> (String, Duration) {
        let Self { path, chunked, size, comes, piece, every } = self;
        let (mut reader, mut writer) = tokio::io::split(proxy.connect());
        let length = if chunked {
            "transfer-encoding: chunked".to_owned()
        } else {
            format!("content-length: {}", size * piece)
        };
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{length}\r\n\r\n");
        let begun = Instant::now();
        let sends = async {
            writer.write_all(head.as_bytes()).await?;
            let body = vec![b'x'; piece];
            for _ in 0..comes {
                sleep(every).await;
                if chunked {
                    writer.write_all(format!("{piece:x}\r\n").as_bytes()).await?;
                }
                writer.write_all(&body).await?;
                if chunked {
                    writer.write_all(b"\r\n").await?;
                }
            }
            if chunked && comes == size {
                writer.write_all(b"0\r\n\r\n").await?;
            }
            std::future::pending::<std::io::Result<()>>().await
        };
        let hears = async {
            let mut said = Vec::new();
            let mut buf = [0; 4096];
            // The answer is small, and comes at once.
            while !said.windows(4).any(|four| four == b"\r\n\r\n") {
                match reader.read(&mut buf).await {
                    Ok(0) | Err(_) => break,
                    Ok(read) => said.extend_from_slice(&buf[..read]),
                }
            }
            (String::from_utf8_lossy(&said).into_owned(), Instant::now().duration_since(begun))
        };
        tokio::pin!(hears);
        tokio::select! {
            answer = &mut hears => answer,
            _ = sends => hears.await,
        }
    }
}

/// An upstream that reads so much of a request every second, and then answers if it has read so much.
fn slow(piece: usize, whole: usize) -> (Wire, Arc<AtomicUsize>) {
    let read = Arc::new(AtomicUsize::new(0));
    let (count, tasks) = (Arc::clone(&read), ok());
    let wire = Wire::new(move |_| {
        let (client, server) = pipe();
        let count = Arc::clone(&count);
        tasks.spawn(async move { reads_slowly(server, piece, whole, &count).await });
        Ok(client)
    });
    (wire, read)
}

async fn reads_slowly(mut server: DuplexStream, piece: usize, whole: usize, count: &AtomicUsize) {
    let mut buf = vec![0; piece.max(1)];
    while count.load(Ordering::Relaxed) < whole {
        sleep(secs(1)).await;
        if piece == 0 {
            continue;
        }
        let Ok(read) = server.read(&mut buf).await else { return };
        count.fetch_add(read, Ordering::Relaxed);
    }
    let _ = server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"ok\":true}").await;
    std::future::pending::<()>().await;
}

/// Turned red by: a time-out that counts from the request's beginning.
#[tokio::test(start_paused = true)]
async fn an_upload_of_seventy_seconds_comes_through() {
    for path in ["/api/files.upload", "/plain/upload"] {
        for chunked in [false, true] {
            let upstream = ok();
            let proxy = Proxy::configured(BOTH, &upstream);
            let upload =
                Upload { path, chunked, size: 70, comes: 70, piece: 64 * KIB, every: secs(1) };
            let (said, took) = upload.send(&proxy).await;
            assert!(said.starts_with("HTTP/1.1 200 "), "{upload:?}: {said}");
            assert_near(took, secs(70));
            assert_eq!(upstream.seen()[0].body.len(), 70 * 64 * KIB);
        }
    }
}

/// A small one, too, which is read before it is sent.
///
/// Turned red by: a bound on the time in all.
#[tokio::test(start_paused = true)]
async fn a_small_body_may_come_slowly() {
    let upstream = ok();
    let proxy = Proxy::configured(BOTH, &upstream);
    // 410 s.
    let upload = Upload {
        path: "/api/files.upload",
        chunked: false,
        size: 41,
        comes: 41,
        piece: 20 * KIB,
        every: secs(10),
    };
    let (said, _) = upload.send(&proxy).await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    assert_eq!(upstream.seen()[0].body.len(), 41 * 20 * KIB);
}

/// Time that the upstream takes after the last byte counts from there.
///
/// Turned red by: a time-out that counts from the request's beginning; none.
#[tokio::test(start_paused = true)]
async fn the_answer_is_waited_for_from_the_last_byte() {
    for (takes, status) in [(50, "200"), (70, "504")] {
        let upstream = Scripted::new(move |_| async move {
            sleep(secs(takes)).await;
            json(200, r#"{"ok":true}"#)
        });
        let proxy = Proxy::configured(BOTH, &upstream);
        let upload = Upload {
            path: "/plain/upload",
            chunked: true,
            size: 40,
            comes: 40,
            piece: 64 * KIB,
            every: secs(1),
        };
        let (said, took) = upload.send(&proxy).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{said}");
        assert!(took >= secs(40 + takes.min(60)) && took <= secs(41 + takes.min(60)), "{took:?}");
    }
}

/// Turned red by: no bound on a rest that does not come; blame for the upstream.
#[tokio::test(start_paused = true)]
async fn an_upload_that_stops_is_the_clients_fault() {
    for path in ["/api/files.upload", "/plain/upload"] {
        for chunked in [false, true] {
            let upstream = ok();
            let proxy = Proxy::configured(BOTH, &upstream);
            let upload =
                Upload { path, chunked, size: 70, comes: 30, piece: 64 * KIB, every: secs(1) };
            let (said, took) = upload.send(&proxy).await;
            assert!(said.starts_with("HTTP/1.1 408 "), "{upload:?}: {said}");
            assert!(took >= secs(90) && took <= secs(91), "{took:?}");
            assert_eq!(upstream.seen().len(), 0, "it never came whole");
        }
    }
}

/// A trickle is no progress, before the body's first MiB and after it.
///
/// Turned red by: a pace that is not kept.
#[tokio::test(start_paused = true)]
async fn an_upload_that_trickles_is_given_up() {
    for beginning in [0, 2048 * KIB] {
        let upstream = ok();
        let proxy = Proxy::configured(BOTH, &upstream);
        let (mut reader, mut writer) = tokio::io::split(proxy.connect());
        let head = "POST /plain/x HTTP/1.1\r\nhost: x\r\ncontent-length: 9999999\r\n\r\n";
        let begun = Instant::now();
        let sends = async {
            writer.write_all(head.as_bytes()).await.unwrap();
            writer.write_all(&vec![b'x'; beginning]).await.unwrap();
            while writer.write_all(b"x").await.is_ok() {
                sleep(secs(59)).await;
            }
        };
        let mut said = vec![0; 4096];
        let read = tokio::select! {
            () = sends => 0,
            read = reader.read(&mut said) => read.unwrap(),
        };
        let said = String::from_utf8_lossy(&said[..read]).into_owned();
        assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("64 KiB"), "{said}");
        let took = Instant::now().duration_since(begun);
        assert!(took >= secs(299) && took <= secs(301), "{took:?}");
    }
}

/// An upstream that reads slowly is waited for as long as it reads; also for a body that is all here.
///
/// Turned red by: a time-out that counts from the last byte read of the client.
#[tokio::test(start_paused = true)]
async fn an_upstream_that_reads_slowly_is_waited_for() {
    for (path, pieces) in [("/api/files.upload", 60), ("/plain/upload", 200)] {
        let whole = pieces * 16 * KIB;
        // A minute and a half, or more.
        let (wire, read) = slow(whole / 100, whole);
        let proxy = Proxy::configured(BOTH, wire);
        let upload = Upload {
            path,
            chunked: false,
            size: pieces,
            comes: pieces,
            piece: 16 * KIB,
            every: ms(1),
        };
        let (said, took) = upload.send(&proxy).await;
        assert!(said.starts_with("HTTP/1.1 200 "), "{path}: {said} {read:?}");
        assert!(took >= secs(90) && took <= secs(110), "{took:?}");
    }
}

/// Turned red by: no bound on an upstream that reads nothing.
#[tokio::test(start_paused = true)]
async fn an_upstream_that_stops_reading_is_given_up() {
    for (path, pieces) in [("/api/files.upload", 40), ("/plain/upload", 40)] {
        let (wire, read) = slow(0, 1);
        let proxy = Proxy::configured(BOTH, wire);
        let upload = Upload {
            path,
            chunked: false,
            size: pieces,
            comes: pieces,
            piece: 64 * KIB,
            every: ms(1),
        };
        let (said, took) = upload.send(&proxy).await;
        assert!(said.starts_with("HTTP/1.1 504 "), "{path}: {said} {read:?}");
        assert!(took >= secs(60) && took <= secs(62), "{took:?}");
        assert_eq!(proxy.admission.held(), 0);
    }
}

/// An answer before the end of the body is passed on at once, and the rest is bounded by the pace.
///
/// Turned red by: an answer that waits for the body.
#[tokio::test(start_paused = true)]
async fn an_answer_before_the_end_of_the_body_is_passed_on() {
    let wire = Wire::new({
        let tasks = ok();
        move |_| {
            let (client, mut server) = pipe();
            tasks.spawn(async move {
                let mut buf = [0; 1024];
                let _ = server.read(&mut buf).await;
                let no =
                    b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _ = server.write_all(no).await;
            });
            Ok(client)
        }
    });
    let proxy = Proxy::configured(BOTH, wire);
    let upload = Upload {
        path: "/plain/upload",
        chunked: true,
        size: 70,
        comes: 70,
        piece: 64 * KIB,
        every: secs(1),
    };
    let (said, took) = upload.send(&proxy).await;
    assert!(said.starts_with("HTTP/1.1 413 "), "{said}");
    assert!(took <= secs(20), "{took:?}");
}

/// A body that streams counts until its call has its answer: what was read of it is kept until then.
///
/// Turned red by: a body that counts until its first piece is sent.
#[tokio::test(start_paused = true)]
async fn a_body_that_streams_counts_until_its_answer() {
    let upstream = Scripted::new(|seen| async move {
        sleep(if seen.number == 1 { secs(10) } else { ms(0) }).await;
        json(200, r#"{"ok":true}"#)
    });
    let proxy = Proxy::configured("queue: { max_bytes: 1200KiB }", &upstream);
    let upload = Upload {
        path: "/api/files.upload",
        chunked: true,
        size: 40,
        comes: 40,
        piece: 64 * KIB,
        every: ms(1),
    };
    let bot = proxy.bot();
    let ask = || bot.call("auth.test").body("text/plain", vec![b'x'; 600 * KIB]);
    let meanwhile = async {
        sleep(secs(5)).await;
        ask().send().await
    };
    let ((answer, took), meanwhile) = tokio::join!(upload.send(&proxy), meanwhile);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(took >= secs(10), "{took:?}");
    assert_eq!(meanwhile.shed().1, "memory");
    assert!(ask().send().await.is_ok());
}
