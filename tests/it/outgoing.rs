//! Connections to Slack: whom they trust, what they speak, how they end.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use http::Version;
use rcgen::date_time_ymd;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::harness::{
    Authority, Machine, Proxy, Scripted, Wire, all, assert_near, json, ms, pipe, secs,
};

mod loops;
mod moves;
mod pool;
mod proxies;

const OWN_CA: &str = "tls: { ca: ca.pem }";
const HTTP2: &str = "tls: { ca: ca.pem, http2: true }";
const BOTH: &[&str] = &["h2", "http/1.1"];
/// One call a minute.
const RARE: &str = "admin.apps.uninstall";

fn ok() -> Scripted {
    Scripted::new(|_| async { json(200, r#"{"ok":true}"#) })
}

/// Connections to this upstream, by TLS, and how many there were.
fn tls(upstream: &Scripted, config: &Arc<ServerConfig>) -> (Wire, Arc<AtomicUsize>) {
    let dials = Arc::new(AtomicUsize::new(0));
    let (upstream, config, count) = (upstream.clone(), Arc::clone(config), Arc::clone(&dials));
    let wire = Wire::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        let (client, server) = pipe();
        upstream.spawn(upstream.clone().serve_tls(server, Arc::clone(&config)));
        Ok(client)
    });
    (wire, dials)
}

/// Turned red by: HTTP/2 offered where it is not asked for, or not where it is.
#[tokio::test(start_paused = true)]
async fn an_authority_of_ones_own_is_trusted_and_both_sides_speak_what_both_know() {
    let authority = Authority::named("Ours");
    for (file, offered, spoken) in [
        (OWN_CA, BOTH, Version::HTTP_11),
        (OWN_CA, &[][..], Version::HTTP_11),
        (HTTP2, BOTH, Version::HTTP_2),
        (HTTP2, &["http/1.1"], Version::HTTP_11),
        (HTTP2, &[], Version::HTTP_11),
    ] {
        let upstream = ok();
        let (wire, _) = tls(&upstream, &authority.server("slack.com", offered));
        let proxy = Proxy::on(&Machine::trusting(&authority), file, wire);
        for bot in [proxy.bot(), proxy.bot_h2()] {
            let answer = bot.call("auth.test").form("a=1").send().await;
            assert!(answer.is_ok(), "{answer:?}");
        }
        for seen in upstream.seen() {
            assert_eq!((seen.version, &*seen.body), (spoken, &b"a=1"[..]), "{file} {offered:?}");
        }
    }
}

/// What is not trusted gets nothing, and costs no slot.
///
/// Turned red by: any verifier that believes more.
#[tokio::test(start_paused = true)]
async fn who_is_not_slack_gets_no_byte_of_a_call() {
    let (authority, stranger) = (Authority::named("Ours"), Authority::named("Theirs"));
    let bad =
        |name, change: fn(&mut rcgen::CertificateParams)| authority.server_with(name, BOTH, change);
    for (server, hints) in [
        (stranger.server("slack.com", BOTH), ["UnknownIssuer", "tls.ca"]),
        (bad("slack.example", |_| {}), ["not valid for name", "url"]),
        (bad("slack.com", |it| it.not_after = date_time_ymd(2020, 1, 1)), ["expired", "clock"]),
        (
            bad("slack.com", |it| it.not_before = date_time_ymd(4000, 1, 1)),
            ["not valid yet", "clock"],
        ),
    ] {
        let upstream = ok();
        let (wire, _) = tls(&upstream, &server);
        let proxy = Proxy::on(&Machine::trusting(&authority), OWN_CA, wire);
        for _ in 0..2 {
            let answer = proxy.bot().call(RARE).send().await;
            assert_eq!(
                (answer.status, &answer.json()["error"]),
                (502, &"upstream_unreachable".into())
            );
            let message = answer.json()["message"].as_str().unwrap().to_owned();
            for hint in hints {
                assert!(message.contains(hint), "{hint}: {message}");
            }
        }
        assert_eq!(upstream.seen().len(), 0);
        assert!(proxy.status().buckets.iter().all(|bucket| bucket.used == 0));
    }
}

/// A server that accepts and says nothing is given up in time: when its client's wait is over.
///
/// Turned red by: a time-out around TCP only.
#[tokio::test(start_paused = true)]
async fn a_handshake_without_an_answer_ends_in_time() {
    let silent = ok();
    let wire = Wire::new(move |_| {
        let (client, server) = pipe();
        silent.spawn(async move {
            let _held = server;
            std::future::pending::<()>().await;
        });
        Ok(client)
    });
    let proxy = Proxy::on(&Machine::default(), "", wire);
    let answer = proxy.bot().call(RARE).send().await;
    assert_eq!((answer.status, &answer.json()["error"]), (502, &"upstream_unreachable".into()));
    assert!(answer.json()["message"].as_str().unwrap().contains("no connection within 5s"));
    assert_near(answer.took, secs(8));
}

/// A connection that dies without a word takes with it what is on it: one call of HTTP/1.1 till
/// `timeouts.headers`, all calls of HTTP/2, but those are told after 15 s, and the next call has a
/// new connection.
///
/// Turned red by: HTTP/2 without pings.
#[tokio::test(start_paused = true)]
async fn a_dead_connection_is_noticed() {
    let authority = Authority::named("Ours");
    for (file, lost_after, lost, dialled) in [(OWN_CA, secs(60), 1, 4), (HTTP2, secs(15), 3, 2)] {
        let upstream = Scripted::new(|seen| async move {
            if seen.path.ends_with("pins.add") {
                tokio::time::sleep(secs(1)).await;
            }
            json(200, r#"{"ok":true}"#)
        });
        // The first connection dies; its bytes go nowhere from then on.
        let (dead, dials) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let config = authority.server("slack.com", BOTH);
        let wire = Wire::new({
            let (upstream, dead, dials) = (upstream.clone(), Arc::clone(&dead), Arc::clone(&dials));
            move |_| {
                let first = dials.fetch_add(1, Ordering::Relaxed) == 0;
                let ((client, mut there), (mut here, server)) = (pipe(), pipe());
                upstream.spawn(upstream.clone().serve_tls(server, Arc::clone(&config)));
                let dead = Arc::clone(&dead);
                upstream.spawn(async move {
                    let dies = async {
                        while !(first && dead.load(Ordering::Relaxed)) {
                            tokio::time::sleep(ms(1)).await;
                        }
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut there, &mut here) => return,
                        () = dies => {}
                    }
                    std::future::pending::<()>().await;
                });
                Ok(client)
            }
        });
        let proxy = Proxy::on(&Machine::trusting(&authority), file, wire);
        let bot = proxy.bot();
        assert!(bot.call("auth.test").send().await.is_ok());
        dead.store(true, Ordering::Relaxed);
        tokio::time::sleep(ms(5)).await;
        let answers = all((0..3).map(|_| bot.call("pins.add").patient())).await;
        let failed: Vec<_> = answers.iter().filter(|answer| !answer.is_ok()).collect();
        assert_eq!(failed.len(), lost, "{file}: {answers:?}");
        for answer in failed {
            assert!(matches!(answer.status, 502 | 504), "{answer:?}");
            assert!(
                answer.took + secs(1) >= lost_after && answer.took <= lost_after + secs(1),
                "{answer:?}"
            );
        }
        assert!(bot.call("auth.test").send().await.is_ok());
        assert!(dials.load(Ordering::Relaxed) <= dialled, "{dials:?}");
    }
}

/// A connection that is never idle ends with its age, without a loss; an idle one before.
///
/// Turned red by: a client that is never made anew; no idle time-out.
#[tokio::test(start_paused = true)]
async fn a_connection_takes_no_new_calls_when_it_is_old_or_long_unused() {
    let authority = Authority::named("Ours");
    for file in [OWN_CA, HTTP2] {
        let upstream = ok();
        let (wire, dials) = tls(&upstream, &authority.server("slack.com", BOTH));
        let proxy = Proxy::on(&Machine::trusting(&authority), file, wire);
        let bot = proxy.bot();
        // Never idle for long, then old, then idle for a minute.
        let busy = (0..=280).step_by(40).map(|at| (at, 1));
        for (at, dialled) in busy.chain([(320, 2), (360, 2), (420, 3)]) {
            proxy.until(secs(at)).await;
            assert!(bot.call("api.test").send().await.is_ok());
            assert_eq!(dials.load(Ordering::Relaxed), dialled, "{file} at {at} s");
        }
    }
}

/// What a server of HTTP/2 says to a request that it has not looked at.
#[derive(Clone, Copy, Debug)]
enum No {
    /// Not any more on this connection.
    GoAway,
    /// Not now.
    Refused,
}

/// Says no, so many times, and yes then, frame by frame.
async fn say_no(mut io: impl AsyncRead + AsyncWrite + Unpin, no: No, times: &AtomicUsize) {
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    // The last stream that was looked at is 0; no error.
    const GOAWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    io.write_all(SETTINGS).await.unwrap();
    io.read_exact(&mut [0; 24]).await.unwrap();
    loop {
        let mut head = [0; 9];
        if io.read_exact(&mut head).await.is_err() {
            return;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        io.read_exact(&mut vec![0; length as usize]).await.unwrap();
        let [.., a, b, c, d] = head;
        if head[3] != 1 {
            continue;
        }
        if times.fetch_sub(1, Ordering::Relaxed) == 0 {
            // Status 200 and nothing else.
            io.write_all(&[0, 0, 1, 1, 5, a, b, c, d, 0x88]).await.unwrap();
            continue;
        }
        match no {
            No::GoAway => return io.write_all(GOAWAY).await.unwrap(),
            No::Refused => io.write_all(&[0, 0, 4, 3, 0, a, b, c, d, 0, 0, 0, 7]).await.unwrap(),
        }
    }
}

/// What a server of HTTP/2 did not take goes again, three times, and costs one slot.
///
/// Turned red by: no second try; a slot that is not given back.
#[tokio::test(start_paused = true)]
async fn a_call_that_was_not_taken_goes_again() {
    let authority = Authority::named("Ours");
    let config = authority.server("slack.com", BOTH);
    for (no, times, dialled) in
        [(No::GoAway, 1, 2), (No::Refused, 3, 1), (No::GoAway, 9, 4), (No::Refused, 9, 1)]
    {
        let (left, dials) = (Arc::new(AtomicUsize::new(times)), Arc::new(AtomicUsize::new(0)));
        let upstream = ok();
        let wire = Wire::new({
            let (config, left, dials) =
                (Arc::clone(&config), Arc::clone(&left), Arc::clone(&dials));
            move |_| {
                dials.fetch_add(1, Ordering::Relaxed);
                let (client, server) = pipe();
                let accepting = TlsAcceptor::from(Arc::clone(&config)).accept(server);
                let left = Arc::clone(&left);
                upstream.spawn(async move { say_no(accepting.await.unwrap(), no, &left).await });
                Ok(client)
            }
        });
        let proxy = Proxy::on(&Machine::trusting(&authority), HTTP2, wire);
        let answer = proxy.bot().call(RARE).form("a=1").send().await;
        let used = proxy.status().buckets.iter().map(|bucket| bucket.used).max();
        if times < 4 {
            assert_eq!(answer.status, 200, "{no:?} {answer:?}");
            assert_eq!((used, answer.header("slackwater-attempts")), (Some(1), "1"));
        } else {
            assert_eq!((answer.status, &answer.json()["error"]), (502, &"upstream_broken".into()));
            assert_eq!((used.unwrap_or(0), left.load(Ordering::Relaxed)), (0, times - 4));
        }
        assert_eq!(dials.load(Ordering::Relaxed), dialled, "{no:?}");
    }
}
