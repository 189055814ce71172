//! What is sent again that no limit stopped, and what its client sees where nothing is.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use crate::{
    answers::pieces,
    harness::{
        Answer, Ask, Bot, Proxy, Scripted, Wire, all, assert_near, fake, json, ms, pipe, secs,
        settled, text,
    },
};

/// Python's asynchronous SDK, which retries broken connections, and gets no interim responses.
const PYTHON: &str = "python/3.11.2 slackclient/3.39.0 Linux/6";

/// One call a minute; it changes something.
const RARE: &str = "admin.apps.uninstall";

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

/// Breaks the connections of the first calls, and does the others.
fn breaks(first: usize) -> Scripted {
    Scripted::new(move |seen| async move {
        if seen.number <= first { Err(reset()) } else { json(200, r#"{"ok":true}"#) }
    })
}

fn python(bot: &Bot, method: &str) -> Ask {
    bot.call(method).header("user-agent", PYTHON)
}

/// How many slots of the tightest bucket are taken.
fn used(proxy: &Proxy) -> u32 {
    proxy.status().buckets.iter().map(|bucket| bucket.used).max().unwrap_or(0)
}

fn metrics(proxy: &Proxy) -> String {
    let text = proxy.metrics.text(&proxy.status(), &proxy.catalogue()).unwrap();
    String::from_utf8(text).unwrap()
}

/// An upstream to which nobody can connect until it is up, and how often somebody tried.
fn down(fake: &fake_slack::FakeSlack) -> (Wire, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let (up, dials) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (fake, is_up, count) = (fake.clone(), Arc::clone(&up), Arc::clone(&dials));
    let wire = Wire::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        let up = is_up.load(Ordering::Relaxed);
        up.then(|| fake.connect()).ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
    });
    (wire, up, dials)
}

/// Turned red by: a read that is not sent again; one that is sent a third time; a second attempt
/// without a slot of its own.
#[tokio::test(start_paused = true)]
async fn a_read_whose_connection_breaks_is_sent_once_more() {
    for (broken, status, sent) in [(1, 200, 2), (9, 502, 2)] {
        let upstream = breaks(broken);
        let proxy = Proxy::start(&upstream);
        let answer = proxy.bot().call("users.info").form("user=U1").send().await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("slackwater-attempts"), sent.to_string());
        assert_eq!(upstream.seen().len(), sent);
        assert!(upstream.seen().iter().all(|seen| &*seen.body == b"user=U1"));
        assert_eq!(used(&proxy), 2, "both may have been counted");
        let metrics = metrics(&proxy);
        assert!(
            metrics.contains(r#"slackwater_retries_total{method="users.info",reason="broken"} 1"#),
            "{metrics}"
        );
    }
}

/// The second attempt waits for its slot like any call, and hears what happened to the first if there
/// is none in time.
///
/// Turned red by: a replay that passes the queue; a 429 in the place of what happened.
#[tokio::test(start_paused = true)]
async fn the_second_attempt_of_a_read_waits_for_a_slot() {
    let one = "methods: { users.info: { tier: special, limits: [{ name: x, limit: 1, per: 30s, scope: [app] }] } }";
    for (patient, status, at) in [(true, 200, secs(90) + ms(20)), (false, 502, ms(0))] {
        let upstream = breaks(1);
        let proxy = Proxy::configured(one, &upstream);
        let ask = proxy.bot().call("users.info");
        let answer = if patient { ask.patient() } else { ask }.send().await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_near(answer.took, at);
        assert_eq!(upstream.seen().len(), 1 + usize::from(patient));
    }
}

/// Turned red by: a post that is sent again, where there is room for it.
#[tokio::test(start_paused = true)]
async fn a_post_whose_connection_breaks_is_not_sent_again() {
    for method in ["chat.update", RARE] {
        let upstream = breaks(1);
        let proxy = Proxy::start(&upstream);
        let answer = proxy.bot().call(method).send().await;
        assert_eq!((answer.status, &answer.json()["error"]), (502, &"upstream_broken".into()));
        assert_eq!((upstream.seen().len(), used(&proxy)), (1, 1), "{method}");
    }
}

/// Who retries broken connections by itself sees that one broke, and nobody else does.
///
/// Turned red by: an answer of ours; a call that is not counted, or whose permit is not settled.
#[tokio::test(start_paused = true)]
async fn a_client_that_retries_broken_connections_sees_one() {
    for h2 in [false, true] {
        let upstream = Scripted::new(|seen| async move {
            if seen.path.ends_with("api.test") {
                tokio::time::sleep(secs(2)).await;
                return json(200, r#"{"ok":true}"#);
            }
            Err(reset())
        });
        let proxy = Proxy::start(&upstream);
        let bot = if h2 { proxy.bot_h2() } else { proxy.bot() };
        // In HTTP/2 on the same connection.
        let mut beside = bot.call("api.test").held();
        settled().await;
        let error = python(&bot, RARE).try_send().await.unwrap_err();
        // What the client of a test calls a stream that was reset, and a connection that ended.
        let sees = if h2 { "INTERNAL_ERROR" } else { "IncompleteMessage" };
        assert!(error.contains(sees), "{error}");
        assert!(beside.join_next().await.unwrap().unwrap().is_ok());
        assert_eq!((upstream.seen().len(), used(&proxy)), (2, 1));
        let metrics = metrics(&proxy);
        let counted = format!(r#"code="closed",method="{RARE}""#);
        let line =
            metrics.lines().find(|line| line.contains("requests_total") && line.contains(&counted));
        assert!(line.is_some_and(|line| line.ends_with(" 1")), "{metrics}");
        // A read is first sent once more by the proxy.
        assert!(python(&bot, "users.info").try_send().await.is_err());
        assert_eq!(upstream.seen().len(), 4);
    }
}

/// It would not send a post again of whose answer something came, and it does not here: it sees what came.
///
/// Turned red by: a line that is closed without what came of the answer, in its headers or after them.
#[tokio::test(start_paused = true)]
async fn a_client_that_retries_broken_connections_sees_an_answer_that_broke_off() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let length = "content-length: 100\r\n\r\n";
    let body = r#"{"ok":true,"channel":"#;
    for (said, sees) in [
        (HEAD.to_owned(), "502"),
        ("HTTP/1.1 20".to_owned(), "502"),
        (r#"{"ok":true}"#.to_owned(), "502"),
        (format!("{HEAD}{length}{body}"), body),
        (format!("{HEAD}transfer-encoding: chunked\r\n\r\n15\r\n{body}\r\n"), body),
        (String::new(), ""),
    ] {
        let (calls, text) = (Arc::new(AtomicUsize::new(0)), said.clone());
        let (count, upstream) = (Arc::clone(&calls), breaks(0));
        let wire = Wire::new(move |_| {
            let (client, mut server) = pipe();
            let (text, count) = (text.clone(), Arc::clone(&count));
            upstream.spawn(async move {
                let mut read = [0; 4096];
                if server.read(&mut read).await.is_ok_and(|read| read > 0) {
                    count.fetch_add(1, Ordering::Relaxed);
                    let _ = server.write_all(text.as_bytes()).await;
                }
            });
            Ok(client)
        });
        let proxy = Proxy::start(wire);
        let post = format!(
            "POST /api/{RARE} HTTP/1.1\r\nhost: proxy\r\nuser-agent: {PYTHON}\r\ncontent-length: 0\r\n\r\n"
        );
        let mut line = proxy.connect();
        line.write_all(post.as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        let read = line.read_to_end(&mut heard);
        let _ = tokio::time::timeout(secs(5), read).await;
        let heard = String::from_utf8(heard).unwrap();
        assert!(heard.contains(sees) && heard.is_empty() == sees.is_empty(), "{said:?}: {heard:?}");
        assert_eq!(calls.load(Ordering::Relaxed), 1, "{said:?}");
    }
}

/// An operator's client, too; and one that is known can be told otherwise.
///
/// Turned red by: a rule that is not looked at.
#[tokio::test(start_paused = true)]
async fn the_operator_says_which_clients_retry() {
    let file = "clients: [
        { name: a, user_agent: 'a/*', max_wait: 8s, retries: broken_connections },
        { name: b, user_agent: '*slackclient*', max_wait: 8s }]";
    let upstream = breaks(9);
    let proxy = Proxy::configured(file, &upstream);
    let bot = proxy.bot();
    assert!(bot.call(RARE).header("user-agent", "a/1").try_send().await.is_err());
    assert_eq!(python(&bot, "pins.add").send().await.status, 502);
}

/// The answer to the request before it on the same connection arrives whole, however late its client
/// reads it, and then the connection ends. hyper begins the second call only when the answer to the
/// first is written, as a rule; this is for the case that it does not.
#[tokio::test(start_paused = true)]
async fn a_connection_ends_after_the_answers_before() {
    const SIZE: usize = 1 << 20;
    let upstream = Scripted::new(|seen| async move {
        if seen.path.ends_with("api.test") { text(200, vec![b'x'; SIZE]) } else { Err(reset()) }
    });
    let proxy = Proxy::start(&upstream);
    let mut client = proxy.connect();
    let head = |path| format!("GET {path} HTTP/1.1\r\nhost: x\r\nuser-agent: {PYTHON}\r\n\r\n");
    let both = head("/api/api.test") + &head("/api/pins.add");
    client.write_all(both.as_bytes()).await.unwrap();
    tokio::time::sleep(secs(5)).await;
    let mut said = Vec::new();
    client.read_to_end(&mut said).await.unwrap();
    assert!(said.ends_with(&vec![b'x'; SIZE]), "{} bytes", said.len());
    assert_eq!(upstream.seen().len(), 2);
    assert_eq!(proxy.admission.held(), 0);
}

/// While it is kept waiting, too: interim responses are whole, and then it ends.
///
/// Turned red by: an answer of ours after them.
#[tokio::test(start_paused = true)]
async fn a_connection_ends_after_interim_responses() {
    let upstream = Scripted::new(|_| async {
        tokio::time::sleep(secs(25)).await;
        Err(reset())
    });
    let proxy = Proxy::start(&upstream);
    let mut client = proxy.connect();
    let request = format!(
        "GET /api/pins.add HTTP/1.1\r\nhost: x\r\nuser-agent: {PYTHON}\r\n\
         accept-encoding: identity\r\nconnection: close\r\n\r\n"
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "HTTP/1.1 100 Continue\r\n\r\n".repeat(2));
    assert_near(proxy.now(), secs(25));
}

/// What was not sent is tried again, a post too, and costs one slot.
///
/// Turned red by: a failed connection that is the end.
#[tokio::test(start_paused = true)]
async fn a_call_that_found_no_connection_is_tried_again() {
    let fake = fake();
    let (wire, up, dials) = down(&fake);
    let proxy = Proxy::start(wire);
    let bot = proxy.bot();
    let mut held = bot.call(RARE).held();
    let late = bot.call("auth.test").after(secs(2)).held();
    tokio::time::sleep(ms(2_500)).await;
    assert_eq!(used(&proxy), 0, "it takes no slot while it is not sent");
    up.store(true, Ordering::Relaxed);
    let answer = held.join_next().await.unwrap().unwrap();
    assert!(answer.is_ok() && answer.took <= ms(3_200), "{answer:?}");
    assert_eq!(answer.header("slackwater-attempts"), "1");
    assert!(late.join_all().await.iter().all(Answer::is_ok));
    assert!(dials.load(Ordering::Relaxed) <= 9, "{dials:?}");
    assert_eq!(fake.ledger().violations, []);
}

/// A body over a MiB, too: nothing of it has been sent.
///
/// Turned red by: a stream that is spent by an attempt that never began.
#[tokio::test(start_paused = true)]
async fn an_upload_that_found_no_connection_is_tried_again() {
    let upstream = breaks(0);
    let (up, server) = (Arc::new(AtomicBool::new(false)), upstream.clone());
    let wire = Wire::new({
        let up = Arc::clone(&up);
        move |_| {
            if !up.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (client, io) = pipe();
            server.spawn(server.clone().serve(io, false));
            Ok(client)
        }
    });
    let proxy = Proxy::start(wire);
    let body = vec![b'x'; 3 << 20];
    let mut held = proxy.bot().call("files.upload").body("text/plain", body.clone()).held();
    tokio::time::sleep(secs(1)).await;
    up.store(true, Ordering::Relaxed);
    let answer = held.join_next().await.unwrap().unwrap();
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(upstream.seen()[0].body, body);
}

/// Slack cannot be reached for a minute, and a thousand calls want to: it is not stormed, each call
/// is told so when its client's wait is over or after ten seconds, and those that come later go on.
///
/// Turned red by: an attempt for each call; calls that hold slots meanwhile, or wait for ever.
#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_down_is_not_stormed() {
    let fake = fake();
    let (wire, up, dials) = down(&fake);
    let proxy = Proxy::start(wire);
    let bot = proxy.bot();
    bot.call("auth.test").hang_up_after(ms(150)).await;
    let before = dials.load(Ordering::Relaxed);
    let ask = |n: u64| {
        let ask = bot.call("users.list").form(&format!("n={n}")).after(ms(n * 10));
        if n.is_multiple_of(2) { ask.patient() } else { ask }
    };
    let answers = all((0..1000).map(ask)).await;
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.status, 502, "{answer:?}");
        assert_eq!(answer.json()["error"], "upstream_unreachable");
        assert!(answer.json()["message"].as_str().unwrap().contains("refused"), "{answer:?}");
        let most = if n.is_multiple_of(2) { secs(10) } else { secs(8) };
        assert!(answer.took >= most && answer.took <= most + ms(120), "{answer:?}");
    }
    let tried = dials.load(Ordering::Relaxed) - before;
    assert!(tried <= 20, "{tried} attempts in 20 s");
    assert_eq!((proxy.admission.held(), used(&proxy)), (0, 0));
    proxy.until(secs(60)).await;
    up.store(true, Ordering::Relaxed);
    // The first of them finds out.
    let answers = all((0..20).map(|_| bot.call("users.list"))).await;
    assert!(answers.iter().all(|answer| answer.is_ok() && answer.took <= ms(250)), "{answers:?}");
}

/// An upstream that accepts and closes at once, for ever: nothing was sent, and a few attempts are
/// enough to know.
///
/// Turned red by: attempts without a pause, or without end.
#[tokio::test(start_paused = true)]
async fn an_upstream_that_closes_at_once_is_tried_a_few_times() {
    let dials = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&dials);
    let wire = Wire::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        let (client, server) = pipe();
        drop(server);
        Ok(client)
    });
    let proxy = Proxy::start(wire);
    for method in [RARE, "users.info"] {
        dials.store(0, Ordering::Relaxed);
        let answer = proxy.bot().call(method).patient().send().await;
        assert_eq!((answer.status, &answer.json()["error"]), (502, &"upstream_broken".into()));
        assert!(answer.took <= secs(2), "{answer:?}");
        assert!(dials.load(Ordering::Relaxed) <= 4, "{method}: {dials:?}");
    }
}

/// Posts of one caller to one channel stay in order, also where the first finds no connection, and
/// the second comes while the first pauses and would find one.
///
/// Turned red by: a permit that gives up its turn between two attempts.
#[tokio::test(start_paused = true)]
async fn posts_stay_in_order_when_the_first_finds_no_connection() {
    let (fake, dials) = (fake(), AtomicUsize::new(0));
    let wire = Wire::new({
        let fake = fake.clone();
        move |_| {
            // The call's own two fail; the one between them only looks whether the host is up.
            let fails = matches!(dials.fetch_add(1, Ordering::Relaxed), 0 | 2);
            (!fails).then(|| fake.connect()).ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
        }
    });
    let proxy = Proxy::start(wire);
    let bot = proxy.bot();
    let posts = (0..4_u64).map(|n| bot.post("C1", &n.to_string()).patient().after(ms(n * 150)));
    let answers = all(posts).await;
    assert!(answers.iter().all(Answer::is_ok), "{answers:?}");
    let ledger = fake.ledger();
    let texts: String = ledger.calls.iter().filter_map(|call| call.text.as_deref()).collect();
    assert_eq!(texts, "0123");
}

/// Whoever goes meanwhile leaves nothing behind, and whoever is left goes on trying.
///
/// Turned red by: a leader whose end nobody takes over from.
#[tokio::test(start_paused = true)]
async fn a_client_may_go_between_two_attempts() {
    let fake = fake();
    let (wire, up, dials) = down(&fake);
    let proxy = Proxy::start(wire);
    let bot = proxy.bot();
    let mut stays = bot.call("auth.test").after(ms(5)).held();
    assert!(bot.post("C1", "x").hang_up_after(ms(1_000)).await.is_none());
    let so_far = dials.load(Ordering::Relaxed);
    up.store(true, Ordering::Relaxed);
    let answer = stays.join_next().await.unwrap().unwrap();
    assert!(answer.is_ok(), "{answer:?}");
    assert!(dials.load(Ordering::Relaxed) <= so_far + 2);
    assert_eq!(used(&proxy), 1);
    // Its turn is nobody's, too.
    let posted = bot.post("C1", "y").send().await;
    assert!(posted.is_ok() && posted.took <= ms(12), "{posted:?}");
}

/// Turned red by: a write that is sent again; a second answer that is not passed on; no pause.
#[tokio::test(start_paused = true)]
async fn a_read_that_meets_an_error_of_the_server_is_sent_once_more() {
    for status in [500, 502, 503, 504] {
        for (method, errors, sent, seen, took) in [
            ("users.info", 1, 200, 2, ms(500)),
            ("users.info", 9, status, 2, ms(500)),
            ("pins.add", 1, status, 1, ms(0)),
        ] {
            let upstream = Scripted::new(move |seen| async move {
                if seen.number > errors {
                    return json(200, r#"{"ok":true}"#);
                }
                text(status, format!("no {}", seen.number))
            });
            let proxy = Proxy::start(&upstream);
            let answer = proxy.bot().call(method).send().await;
            assert_eq!((answer.status, upstream.seen().len()), (sent, seen), "{answer:?}");
            assert_near(answer.took, took);
            if sent != 200 {
                assert_eq!(answer.body, format!("no {seen}"));
            }
            assert_eq!(used(&proxy), u32::try_from(seen).unwrap());
        }
    }
    // No pause is longer than the client waits.
    let upstream = Scripted::new(|_| async { text(500, "no") });
    let proxy = Proxy::start(&upstream);
    let answer = proxy.bot().call("users.info").lane("a;max-wait=400ms").send().await;
    assert_eq!((answer.status, upstream.seen().len()), (500, 1));
    assert_ne!(answer.header("ratelimit"), "", "its limits are told as ever");
}

/// A call that is sent again keeps neither the connection of its first answer nor its place among those in
/// flight, however long that answer is. If it is not sent after all, its caller hears what the server said.
///
/// Turned red by: an answer that is kept with the rest of its body on its way.
#[tokio::test(start_paused = true)]
async fn a_long_error_does_not_hold_up_the_next_attempt() {
    let one = "methods: { users.info: { tier: special, limits: [{ name: x, limit: 1, per: 30s, scope: [app] }] } }
";
    for (limits, first, status, took, seen) in
        [("", 500, 200, ms(500), 2), ("", 429, 200, secs(1), 2), (one, 500, 500, ms(500), 1)]
    {
        let upstream = Scripted::new(move |seen| async move {
            if seen.number > 1 {
                return json(200, r#"{"ok":true}"#);
            }
            let half = || Bytes::from(vec![b'x'; 50_000]);
            let mut answer = pieces(first, vec![(ms(0), half()), (secs(50), half())], true);
            answer.headers_mut().insert("retry-after", "1".parse().unwrap());
            Ok(answer)
        });
        let proxy = Proxy::configured(&format!("{limits}queue: {{ max_in_flight: 2 }}"), &upstream);
        let answer = proxy.bot().call("users.info").send().await;
        assert_eq!((answer.status, upstream.seen().len()), (status, seen), "{answer:?}");
        assert_near(answer.took, took);
        assert!(status == 200 || answer.body.is_empty(), "{answer:?}");
    }
}

/// A refusal that is short is kept, also where no header says how long it is.
///
/// Turned red by: a body of chunks that counts as one whose rest is on its way.
#[tokio::test(start_paused = true)]
async fn a_short_refusal_is_kept_with_its_body() {
    let upstream = Scripted::new(|_| async {
        let body = Bytes::from_static(br#"{"ok":false,"error":"ratelimited"}"#);
        let mut answer = pieces(429, vec![(ms(0), body)], false);
        answer.headers_mut().insert("retry-after", "30".parse().unwrap());
        Ok(answer)
    });
    let proxy = Proxy::start(&upstream);
    let answer = proxy.bot().call("users.info").send().await;
    assert_eq!((answer.status, &answer.json()["error"]), (429, &"ratelimited".into()));
}

/// In shadow mode nothing is sent that was not asked for.
///
/// Turned red by: a retry of a call that is only watched.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_only_watched_is_sent_once() {
    let upstream = breaks(1);
    let proxy = Proxy::configured("mode: shadow", &upstream);
    let answer = proxy.bot().call("users.info").send().await;
    assert_eq!((answer.status, upstream.seen().len()), (502, 1));
}

/// Turned red by: a host that is taken for down where nobody waits for it.
#[tokio::test(start_paused = true)]
async fn a_watched_call_tries_for_itself() {
    let fake = fake();
    let (wire, up, dials) = down(&fake);
    let proxy = Proxy::configured("mode: shadow", wire);
    let bot = proxy.bot();
    for tried in 1..4 {
        let answer = bot.call("auth.test").send().await;
        assert_eq!((answer.status, dials.load(Ordering::Relaxed)), (502, tried));
        assert_near(answer.took, ms(0));
    }
    up.store(true, Ordering::Relaxed);
    assert!(bot.call("auth.test").send().await.is_ok());
}

/// Through an upstream of which nothing is known, the same holds: nothing is known to read there.
///
/// Turned red by: a permit without a slot that is not replayed.
#[tokio::test(start_paused = true)]
async fn a_forwarded_call_is_tried_again_if_it_was_not_sent() {
    let file = "upstreams: [{ prefix: /x/, url: http://slack.test/x/, kind: plain }]";
    let tries = Arc::new(AtomicUsize::new(0));
    let upstream = breaks(1);
    let (count, server) = (Arc::clone(&tries), upstream.clone());
    let wire = Wire::new(move |_| {
        if count.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (client, io) = pipe();
        server.spawn(server.clone().serve(io, false));
        Ok(client)
    });
    let proxy = Proxy::configured(file, wire);
    let begun = Instant::now();
    let answer = proxy.bot().at(Method::GET, "/x/y").send().await;
    assert_eq!((answer.status, &answer.json()["error"]), (502, &"upstream_broken".into()));
    assert!(Instant::now() - begun <= Duration::from_millis(300), "{answer:?}");
    assert_eq!(upstream.seen().len(), 1);
}
