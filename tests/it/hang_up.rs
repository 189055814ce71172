//! Clients that go before their answer comes.

use std::time::Duration;

use fake_slack::{Latency, Shape};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::Instant,
};

use crate::harness::{Proxy, Scripted, assert_near, fake, json, ms, secs, settled, slack};

/// One call a minute.
const RARE: &str = "admin.apps.uninstall";

/// The second of three hangs up while it waits: the third goes when the second would have.
///
/// Turned red by: a waiting call whose drop does not leave the queue.
#[tokio::test(start_paused = true)]
async fn who_hangs_up_while_held_costs_no_slot() {
    for h2 in [false, true] {
        let fake = fake();
        let proxy = Proxy::start(&fake);
        let (first, second) = (proxy.bot(), if h2 { proxy.bot_h2() } else { proxy.bot() });
        assert!(first.call(RARE).send().await.is_ok());
        let gone = second.call(RARE).lane("gone;max-wait=1h").held();
        settled().await;
        let mut stays = first.call(RARE).lane("stays;max-wait=1h").held();
        settled().await;
        assert_eq!(proxy.admission.held(), 2);

        drop(gone);
        settled().await;
        assert_eq!(proxy.admission.held(), 1);
        let status = proxy.status();
        let waiting: Vec<_> = status.queues.iter().map(|queue| &*queue.caller).collect();
        assert_eq!(waiting, ["stays"]);
        assert_eq!(status.buckets[0].waiting, 1);

        assert!(stays.join_next().await.unwrap().unwrap().is_ok());
        assert_near(proxy.now(), ms(60_020));
        assert_eq!(fake.totals().calls, 2);
    }
}

/// What its program may do of a connection that it has ended on its own side: read. The pipe's other
/// end stays open until all of it is dropped.
///
/// Turned red by: a connection that ends with its client's side; an attempt that is made after that; a
/// held call that is told nothing.
#[tokio::test(start_paused = true)]
async fn who_ends_its_own_side_gets_an_answer() {
    for (method, upstream, status, error, attempts) in [
        // Sent.
        ("users.info", "ok", 200, None, "1"),
        // It reads, and would be sent again.
        ("users.info", "500", 500, None, "1"),
        ("users.info", "break", 502, Some("upstream_broken"), "1"),
        ("users.info", "429", 429, Some("ratelimited"), "1"),
    ] {
        let upstream = Scripted::new(move |_| async move {
            tokio::time::sleep(secs(1)).await;
            match upstream {
                "ok" => json(200, r#"{"ok":true}"#),
                "500" => json(500, "{}"),
                "429" => json(429, r#"{"ok":false,"error":"ratelimited"}"#),
                _ => Err(std::io::ErrorKind::ConnectionReset.into()),
            }
        });
        let proxy = Proxy::start(&upstream);
        let (said, took) = half_closed(&proxy, method).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{said}");
        assert!(error.is_none_or(|error| said.contains(error)), "{said}");
        assert!(said.contains(&format!("slackwater-attempts: {attempts}\r\n")), "{said}");
        assert!(took <= ms(1_012), "{took:?}");
        assert_eq!(upstream.seen().len(), 1);
    }
    let fake = fake();
    let proxy = Proxy::start(&fake);
    assert!(proxy.bot().call(RARE).send().await.is_ok());
    let (said, took) = half_closed(&proxy, RARE).await;
    assert!(said.starts_with("HTTP/1.1 400 ") && said.contains("client_closed"), "{said}");
    assert!(took <= ms(12), "{took:?}");
    assert_eq!((fake.totals().calls, proxy.admission.held()), (1, 0));
}

/// What comes to a call whose client has said all, and when.
async fn half_closed(proxy: &Proxy, method: &str) -> (String, Duration) {
    let mut client = proxy.connect();
    let request = format!(
        "POST /@job;max-wait=90s/api/{method} HTTP/1.1\r\nhost: proxy\r\nauthorization: Bearer xoxb-T1-A1-secret\r\ncontent-length: 0\r\n\r\n"
    );
    client.write_all(request.as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    let begun = Instant::now();
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    (said, Instant::now().duration_since(begun))
}

/// The caller goes after a second, the answer comes after five: the exchange is seen through,
/// and the slot is free a period after that answer, no sooner and no later.
///
/// Turned red by: giving the slot back at the hang-up; dropping the exchange with its caller.
#[tokio::test(start_paused = true)]
async fn a_slot_ages_from_the_answer_that_nobody_waits_for() {
    for h2 in [false, true] {
        let upstream = Scripted::new(|seen| async move {
            let time = if seen.number == 1 { secs(5) } else { ms(0) };
            tokio::time::sleep(time).await;
            json(200, r#"{"ok":true}"#)
        });
        let proxy = Proxy::start(&upstream);
        let bot = if h2 { proxy.bot_h2() } else { proxy.bot() };
        assert!(bot.call(RARE).hang_up_after(secs(1)).await.is_none());
        settled().await;
        // A client of HTTP/1.1 may have ended its own side only, so its connection sees it through.
        assert_eq!(proxy.exchanges.len(), usize::from(h2), "somebody sees it through");
        assert!(bot.call(RARE).patient().send().await.is_ok());
        assert_near(proxy.now(), ms(5_000 + 60_020));
        assert_eq!(proxy.exchanges.len(), 0);
    }
}

/// Callers that hang up at any moment of a call, round trips of 2 to 200 ms, and a Slack that
/// counts strictly: no window is ever overrun, and none is left unused.
///
/// Turned red by: giving slots back at the hang-up (refunds); dropping the exchange with its
/// caller.
#[tokio::test(start_paused = true)]
async fn hang_ups_never_overrun_a_window() {
    for shape in [Shape::Sliding, Shape::FixedClock] {
        let fake = slack(|options| {
            options.shape = shape;
            options.latency = Latency::between(ms(2), ms(200)).unwrap();
            options.seed = 5;
        });
        let proxy = Proxy::start(&fake);
        let (bot, mut answered) = (proxy.bot(), 0);
        for round in 0..10_u64 {
            // Twenty go at once, the others wait; each has a moment of its own to go away.
            let mut calls = JoinSet::new();
            for n in 0..30 {
                let ask = bot.call("conversations.list").patient();
                calls.spawn(ask.hang_up_after(ms(1 + (30 * round + n) * 7919 % 250)));
            }
            answered += calls.join_all().await.into_iter().flatten().count();
            // By now the slots of this round have aged: 200 ms and a period.
            proxy.until(ms(60_300) * (u32::try_from(round).unwrap() + 1)).await;
        }
        assert_eq!(fake.ledger().violations, [], "{shape}");
        let totals = fake.totals();
        assert!((195..=200).contains(&totals.ok), "{shape}: {totals:?}");
        assert!(answered < 160, "{shape}: {answered} were answered, so few hung up in flight");
    }
}
