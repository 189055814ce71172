//! No window is overrun, and none is left unused.

use std::collections::HashMap;

use fake_slack::{FakeSlack, Latency, RecordedAs, Shape};

use crate::harness::{Answer, Ask, Proxy, Scripted, all, assert_near, json, ms, secs, slack};

/// A Slack whose round trips take 2 to 200 ms, and that counts a call somewhere on its way.
fn distant(shape: Shape, seed: u64) -> FakeSlack {
    slack(|options| {
        options.shape = shape;
        options.seed = seed;
        options.latency = Latency::between(ms(2), ms(200)).unwrap();
    })
}

/// Sends all, a millisecond apart, and holds both sides to the account: every caller has its
/// answer, and Slack refused nothing.
async fn sends(fake: &FakeSlack, proxy: &Proxy, asks: Vec<Ask>) {
    let n = asks.len() as u64;
    for answer in all(asks).await {
        assert!(answer.is_ok(), "{answer:?}");
    }
    assert_eq!(fake.ledger().violations, [], "{}", fake.options().shape);
    let totals = fake.totals();
    assert_eq!((totals.calls, totals.ok), (n, n));
    assert_eq!(proxy.admission.held(), 0);
}

/// Turned red by: letting one call of a bucket go at a time.
#[tokio::test(start_paused = true)]
async fn a_bucket_with_room_delays_nobody() {
    for h2 in [false, true] {
        let fake = slack(|options| options.latency = Latency::always(ms(100)));
        let proxy = Proxy::start(&fake);
        let bot = if h2 { proxy.bot_h2() } else { proxy.bot() };
        sends(&fake, &proxy, (0..100).map(|_| bot.call("conversations.members")).collect()).await;
        assert!(proxy.now() <= ms(150), "{:?}", proxy.now());
    }
}

/// Three windows' worth at once take two periods: the first window goes at once, and the last
/// call ends a round trip after the third opens.
///
/// Turned red by: slots that age from the send; slots that are free with the answer.
#[tokio::test(start_paused = true)]
async fn three_windows_at_once_take_two_periods_and_no_429() {
    for (seed, shape) in Shape::ALL.into_iter().enumerate() {
        for (method, n) in [("conversations.list", 60), ("chat.update", 150)] {
            let fake = distant(shape, seed as u64);
            let proxy = Proxy::start(&fake);
            let bot = proxy.bot();
            let ask = |i| {
                bot.call(method).form(&format!("channel=C1&ts=1.{i}&text=x")).patient().after(ms(i))
            };
            sends(&fake, &proxy, (0..n).map(ask).collect()).await;
            let took = proxy.now();
            assert!((secs(120)..secs(121)).contains(&took), "{shape} {method}: {took:?}");
        }
    }
}

/// Thirty channels, five posts to each, all at once: a second apart in each channel, and in
/// the order in which they were sent, although every round trip takes another time.
///
/// Turned red by: last in, first out.
#[tokio::test(start_paused = true)]
async fn posts_reach_every_channel_in_their_order() {
    for (seed, shape) in Shape::ALL.into_iter().enumerate() {
        let fake = distant(shape, seed as u64);
        let proxy = Proxy::start(&fake);
        let bot = proxy.bot();
        let post = |i: u64| {
            bot.post(&format!("C{}", i % 30), &format!("{}", i / 30)).patient().after(ms(i))
        };
        sends(&fake, &proxy, (0..150).map(post).collect()).await;
        let mut posted: HashMap<_, Vec<_>> = HashMap::new();
        for entry in fake.ledger().calls {
            posted.entry(entry.channel).or_default().push(entry.text.unwrap());
        }
        assert_eq!(posted.len(), 30);
        for (channel, texts) in posted {
            assert_eq!(texts.iter().map(|t| &**t).collect::<String>(), "01234", "{channel:?}");
        }
        let took = proxy.now();
        assert!((secs(4)..ms(5_500)).contains(&took), "{shape}: {took:?}");
    }
}

/// However slow Slack is, the next post to a channel goes only when the one before is answered,
/// so that none overtakes it; other callers' posts need not wait for it.
///
/// Turned red by: posts of one channel in flight together.
#[tokio::test(start_paused = true)]
async fn posts_to_one_channel_go_one_at_a_time() {
    let upstream = Scripted::new(|seen| async move {
        tokio::time::sleep(if seen.number == 1 { secs(4) } else { ms(100) }).await;
        json(200, r#"{"ok":true}"#)
    });
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    let answers = all([
        bot.post("C1", "first").patient(),
        bot.post("C1", "second").patient().after(ms(1)),
        bot.post("C1", "other").lane("other;max-wait=1h").after(ms(2)),
    ])
    .await;
    assert!(answers.iter().all(Answer::is_ok), "{answers:?}");
    let bodies: Vec<_> = upstream.seen().into_iter().map(|seen| seen.body).collect();
    let posts = ["first", "other", "second"].map(|text| format!("channel=C1&text={text}"));
    assert_eq!(bodies, posts);
    assert_near(proxy.now(), ms(4_100));
}

/// A channel that is full holds up nobody else's.
#[tokio::test(start_paused = true)]
async fn a_busy_channel_holds_up_no_other() {
    let fake = distant(Shape::Sliding, 1);
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    let mut busy: Vec<_> = (0..20).map(|_| bot.post("BUSY", "x").patient()).collect();
    busy.push(bot.post("IDLE", "x").after(ms(500)));
    let answers = all(busy).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert!(answers[20].took <= ms(205), "{:?}", answers[20].took);
    assert!(answers[19].took >= secs(19), "{:?}", answers[19].took);
}

/// What the incident met: one call a second over all workspaces, counted from the answer, and
/// twenty a minute in each.
///
/// Turned red by: ageing `close_app_wide` from the send.
#[tokio::test(start_paused = true)]
async fn closes_keep_to_both_of_their_limits() {
    let fake = distant(Shape::Sliding, 3);
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    let close = |i| bot.call("conversations.close").form("channel=D1").patient().after(ms(i));
    sends(&fake, &proxy, (0..25).map(close).collect()).await;
    // Twenty take a slot a second; the 21st waits for the first slot of the minute.
    let took = proxy.now();
    assert!((secs(64)..secs(67)).contains(&took), "{took:?}");
    let calls = fake.ledger().calls;
    assert!(calls.iter().all(|call| call.outcome == RecordedAs::Ok));
}
