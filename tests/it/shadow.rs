//! Calls that are only watched go as if nobody were there, and what would have been is counted.

use fake_slack::RecordedAs;
use slack::{AppKind, Catalogue, Mode};

use crate::harness::{Answer, Proxy, Scripted, all, fake, json, ms, secs, settled};

/// A metric's sum over all its labels, to the nearest whole.
#[expect(clippy::cast_possible_truncation, reason = "no test has so many calls")]
fn metric(proxy: &Proxy, name: &str) -> i64 {
    let catalogue = Catalogue::built_in(AppKind::Internal).unwrap();
    let text = proxy.metrics.text(&proxy.status(), &catalogue).unwrap();
    let text = String::from_utf8(text).unwrap();
    let samples = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    let values = samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
    values.sum::<f64>().round() as i64
}

/// A Slack that takes everything.
fn generous() -> Scripted {
    Scripted::new(|_| async { json(200, r#"{"ok":true}"#) })
}

/// Fifty calls where twenty a minute are allowed: all go at once, and it is counted that ten would have
/// waited a minute, ten longer than that, and ten would have been refused for it.
///
/// Turned red by: calls that are held in shadow; ghosts that are forgotten when their call ends.
#[tokio::test(start_paused = true)]
async fn nothing_is_held_and_what_would_have_been_is_counted() {
    let upstream = generous();
    let proxy = Proxy::configured("mode: shadow", &upstream);
    let bot = proxy.bot();
    let asks = (0..50).map(|n| {
        let wait = if n < 40 { "1h" } else { "70s" };
        bot.call("conversations.list").lane(&format!("job;max-wait={wait}"))
    });
    let answers = all(asks).await;
    assert!(answers.iter().all(|answer| answer.is_ok() && answer.took < ms(20)));
    assert_eq!((upstream.seen().len(), proxy.admission.held()), (50, 0));
    assert_eq!(metric(&proxy, "slackwater_shadow_429_total"), 30);
    assert_eq!(metric(&proxy, "slackwater_shadow_sheds_total"), 10);
    assert_eq!(metric(&proxy, "slackwater_shadow_wait_seconds_count"), 20);
    proxy.until(secs(200)).await;
    assert_eq!(metric(&proxy, "slackwater_shadow_wait_seconds_count"), 40);
    let waited = metric(&proxy, "slackwater_shadow_wait_seconds_sum");
    assert!((1_200..1_220).contains(&waited), "{waited}");
    assert_eq!(metric(&proxy, "slackwater_sheds_total"), 0);
    assert_eq!(proxy.status().places, 0);
}

/// Red when what is counted of a watched method begins with the first that is counted.
#[tokio::test(start_paused = true)]
async fn what_would_have_been_begins_at_zero() {
    let catalogue = Catalogue::built_in(AppKind::Internal).unwrap();
    let text = |proxy: &Proxy| {
        proxy.metrics.health(true, 0, &proxy.admission.modes(), &catalogue);
        String::from_utf8(proxy.metrics.text(&proxy.status(), &catalogue).unwrap()).unwrap()
    };
    let proxy = Proxy::configured("mode: shadow", &generous());
    assert!(!text(&proxy).contains("slackwater_shadow_sheds_total"));
    assert!(proxy.bot().call("users.list").send().await.is_ok());
    let text = text(&proxy);
    for line in [
        r#"slackwater_shadow_429_total{method="users.list"} 0"#,
        r#"slackwater_shadow_sheds_total{method="users.list",reason="deadline"} 0"#,
        r#"slackwater_shadow_sheds_total{method="users.list",reason="disabled"} 0"#,
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

/// Held calls go at once when it is switched on. When it is switched off the windows hold what was
/// sent, so nothing goes that Slack would refuse.
///
/// Turned red by: windows that hold what would have been sent; held calls that wait on.
#[tokio::test(start_paused = true)]
async fn a_switch_lets_all_go_and_back_again_no_limit_is_exceeded() {
    let fake = fake();
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    let list = || bot.call("conversations.list").patient();
    let mut calls: Vec<_> = (0..30).map(|_| list().held()).collect();
    settled().await;
    assert_eq!(proxy.admission.held(), 10);
    assert!(proxy.admission.say_mode(Mode::Shadow, None));
    assert!(!proxy.admission.say_mode(Mode::Shadow, None), "it was");
    settled().await;
    assert_eq!((proxy.admission.held(), fake.totals().calls), (0, 30));
    let mut statuses = Vec::new();
    for call in &mut calls {
        statuses.push(call.join_next().await.unwrap().unwrap().status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 10, "Slack's word");
    proxy.until(secs(120)).await;
    // In half a minute fifteen of another method, watched; enforced again, five more have room.
    all((0..15).map(|_| bot.call("users.list"))).await;
    assert!(proxy.admission.say_mode(Mode::Enforce, None));
    let before = fake.totals();
    let held: Vec<_> = (0..10).map(|_| bot.call("users.list").patient().held()).collect();
    settled().await;
    assert_eq!(fake.totals().calls - before.calls, 5);
    proxy.until(secs(182)).await;
    assert_eq!(proxy.admission.held(), 0);
    assert_eq!(fake.totals().refused, before.refused);
    drop(held);
}

/// Slack's answer goes through as it came: no replay, no other status, no words of ours.
///
/// Turned red by: a replay; a 429 that is reworded for Node.
#[tokio::test(start_paused = true)]
async fn slacks_refusal_is_handed_on_untouched() {
    let upstream = Scripted::new(|_| async {
        let mut answer = json(429, "slow down")?;
        answer.headers_mut().insert("retry-after", "7".parse().unwrap());
        Ok(answer)
    });
    let proxy = Proxy::configured("mode: shadow", &upstream);
    let ask = proxy.bot().call("users.list").header("user-agent", "@slack:web-api/7.0.0");
    let answer = ask.send().await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, "7"));
    assert_eq!(&answer.body[..], b"slow down");
    assert_eq!(answer.header("slackwater-reason"), "");
    assert_eq!(upstream.seen().len(), 1);
    assert_eq!(metric(&proxy, "slackwater_upstream_429_total"), 1);
}

/// One method is watched and the others kept; and one kept while the others are watched. What a
/// watched method takes of a limit, others that keep to it have not.
#[tokio::test(start_paused = true)]
async fn a_method_has_a_mode_of_its_own() {
    let upstream = generous();
    let file = "methods: { chat.update: { mode: shadow }, users.list: { mode: enforce } }";
    let proxy = Proxy::configured(file, &upstream);
    let bot = proxy.bot();
    let asks = |method: &'static str, n: usize| {
        let bot = bot.clone();
        (0..n)
            .map(move |_| bot.call(method).form("channel=C1&ts=1.2&text=x").lane("job;max-wait=0s"))
    };
    let passed = |answers: &[Answer]| answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(passed(&all(asks("chat.update", 70)).await), 70);
    assert_eq!(passed(&all(asks("users.list", 30)).await), 20);
    proxy.admission.say_mode(Mode::Shadow, None);
    assert_eq!(passed(&all(asks("users.list", 30)).await), 30, "said last");
    proxy.admission.say_mode(Mode::Enforce, Some(&"users.list".into()));
    assert_eq!(passed(&all(asks("users.list", 5)).await), 0);
    assert_eq!(passed(&all(asks("conversations.list", 30)).await), 30);
}

/// Neither a pause nor `enabled: false` stops what is only watched.
#[tokio::test(start_paused = true)]
async fn in_shadow_nothing_is_refused() {
    let fake = fake();
    let file = "mode: shadow\nmethods: { users.list: { enabled: false } }";
    let proxy = Proxy::configured(file, &fake);
    let bot = proxy.bot();
    let job = slackwater::pauses::Target::of("caller", "job").unwrap();
    proxy.admission.pause(&job, 0, true).unwrap();
    assert!(bot.call("conversations.list").lane("job").send().await.is_ok());
    assert!(bot.call("users.list").send().await.is_ok());
    assert!(fake.ledger().calls.iter().all(|call| call.outcome == RecordedAs::Ok));
    assert_eq!(metric(&proxy, "slackwater_shadow_sheds_total"), 2);
}
