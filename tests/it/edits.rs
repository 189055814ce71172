//! Of edits of one thing that are held, the newest is sent, and all hear of it.

use fake_slack::{FakeSlack, Latency, RecordedAs, Reply};
use http::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::{Answer, Ask, Bot, Proxy, all, assert_near, ms, secs, slack};

/// A Slack whose round trips take 0.3 s.
fn usual() -> FakeSlack {
    slack(|options| options.latency = Latency::always(ms(300)))
}

/// One update in ten seconds, so that those that follow the first are held.
const TIGHT: &str = "\
edits: latest
methods: { chat.update: { limits: [{ name: tight, limit: 1, per: 10s, scope: [app] }] } }
";

fn update(bot: &Bot, arguments: &str) -> Ask {
    bot.call("chat.update").form(&format!("channel=C1&ts=1.1&{arguments}")).patient()
}

fn text(bot: &Bot, text: u32) -> Ask {
    update(bot, &format!("text={text}"))
}

/// The texts of what Slack did, in its order.
fn done(fake: &FakeSlack) -> Vec<String> {
    let calls = fake.ledger().calls.into_iter();
    let done = calls.filter(|call| call.outcome == RecordedAs::Ok);
    done.map(|call| call.text.map(|text| text.to_string()).unwrap_or_default()).collect()
}

/// Each is sent a millisecond after the one before.
fn in_turn(asks: impl IntoIterator<Item = Ask>) -> Vec<Ask> {
    (0..).zip(asks).map(|(n, ask)| ask.after(ms(n))).collect()
}

fn superseded(answers: &[Answer]) -> Vec<&str> {
    answers.iter().map(|answer| answer.header("slackwater-superseded")).collect()
}

/// An answer that is streamed for twelve seconds.
///
/// Turned red by: the oldest that is sent, and by a replaced call that hears nothing.
#[tokio::test(start_paused = true)]
async fn a_stream_of_updates_takes_what_the_round_trips_allow() {
    let stream = async |file: &str| {
        let fake = usual();
        let proxy = Proxy::configured(file, &fake);
        let bot = proxy.bot();
        let asks = (0..120).map(|n| text(&bot, n).after(ms(100 * u64::from(n))));
        let answers = all(asks).await;
        assert!(answers.iter().all(Answer::is_ok), "{answers:?}");
        (done(&fake), proxy.now(), answers)
    };
    let (texts, took, answers) = stream("").await;
    assert_eq!(texts, (0..120).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(took > secs(60), "{took:?}");
    assert!(superseded(&answers).iter().all(|by| by.is_empty()));

    let (texts, took, answers) = stream("edits: latest").await;
    let sent: Vec<u32> = texts.iter().map(|text| text.parse().unwrap()).collect();
    assert!(sent.is_sorted() && (38..=42).contains(&sent.len()), "{sent:?}");
    assert_eq!(sent.last(), Some(&119));
    assert!(took < ms(12_800), "{took:?}");
    // The newest text is never older than a slot: each that is sent was the newest when it went.
    for (n, answer) in (0..).zip(&answers) {
        assert_eq!(answer.header("slackwater-superseded").is_empty(), sent.contains(&n), "{n}");
        assert!(answer.took < ms(700), "{n}: {:?}", answer.took);
    }
}

/// Turned red by: the place of the newest, and the record of the oldest.
#[tokio::test(start_paused = true)]
async fn the_newest_takes_the_place_of_all_that_are_held() {
    let fake = usual();
    let proxy = Proxy::configured(TIGHT, &fake);
    let bot = proxy.bot();
    let answers = all(in_turn((0..6).map(|n| text(&bot, n)))).await;
    assert_eq!(done(&fake), ["0", "5"]);
    assert_near(proxy.now(), ms(10_620));
    assert!(answers.iter().all(Answer::is_ok));
    assert_eq!(superseded(&answers), ["", "4", "3", "2", "1", ""]);
    let of = |name| answers.iter().map(|answer| answer.header(name)).collect::<Vec<_>>();
    assert_eq!(of("slackwater-attempts"), ["1", "0", "0", "0", "0", "1"]);
    assert_eq!(
        of("slackwater-from"),
        ["", "newer_edit", "newer_edit", "newer_edit", "newer_edit", ""]
    );
    let waits: Vec<u64> =
        answers.iter().map(|it| it.header("slackwater-wait-ms").parse().unwrap()).collect();
    assert!(waits[1..].iter().all(|wait| (10_310..10_330).contains(wait)), "{waits:?}");
}

/// Turned red by: a key without the token, the caller, the message or the method.
#[tokio::test(start_paused = true)]
async fn only_the_same_thing_of_the_same_caller_and_token_is_replaced() {
    let fake = usual();
    let proxy = Proxy::configured(&TIGHT.replace("10s", "1s"), &fake);
    let bot = proxy.bot();
    let first = update(&bot, "text=first");
    let held = update(&bot, "text=held");
    let others = [
        update(&bot, "text=token").header("authorization", "Bearer xoxb-T1-A1-other"),
        update(&bot, "text=own&token=xoxb-T1-A1-secret").without_header("authorization"),
        update(&bot, "text=theirs&token=xoxb-T1-A1-other").without_header("authorization"),
        update(&bot, "text=caller").lane("other;max-wait=1h"),
        bot.call("chat.update").form("channel=C1&ts=1.2&text=message").patient(),
        bot.call("chat.update").form("channel=C2&ts=1.1&text=channel").patient(),
        update(&bot, "text=cookie").header("cookie", "d=1"),
        update(&bot, "text=packed").header("accept-encoding", "gzip"),
        update(&bot, "text=lane").lane("job;max-wait=1h;edits=all"),
    ];
    let answers = all(in_turn([first, held].into_iter().chain(others))).await;
    assert!(answers.iter().all(Answer::is_ok));
    assert!(superseded(&answers).iter().all(|by| by.is_empty()));
    assert_eq!(proxy.open_edits(), 0);
    let mut texts = done(&fake);
    texts.sort_unstable();
    let wanted = [
        "caller", "channel", "cookie", "first", "held", "lane", "message", "own", "packed",
        "theirs", "token",
    ];
    assert_eq!(texts, wanted);
}

/// Turned red by: a replacement that loses blocks, and one across a deletion.
#[tokio::test(start_paused = true)]
async fn what_would_lose_something_is_sent() {
    let large = format!("text={}", "x".repeat(1 << 20));
    for (older, newer, sent) in [
        ("text=a&blocks=[]", "text=b", 3),
        ("text=a", "text=b&blocks=[]", 2),
        ("text=a&reply_broadcast=true", "text=b", 3),
        ("text=a", "text=", 3),
        ("text=a", "text=b&text=c", 3),
        (&*large, "text=b", 3),
        ("text=a", &*large, 3),
    ] {
        let fake = usual();
        let proxy = Proxy::configured(TIGHT, &fake);
        let bot = proxy.bot();
        let asks = ["text=0", older, newer].map(|arguments| update(&bot, arguments));
        let answers = all(in_turn(asks)).await;
        assert!(answers.iter().all(|it| it.status == 200), "{answers:?}");
        let (older, newer) = (&older[..older.len().min(30)], &newer[..newer.len().min(30)]);
        assert_eq!(fake.ledger().calls.len(), sent, "{older} {newer}");
    }
    let fake = usual();
    let proxy = Proxy::configured(TIGHT, &fake);
    let bot = proxy.bot();
    let delete = bot.call("chat.delete").form("channel=C1&ts=1.1&text=deleted").patient();
    let asks = [text(&bot, 0), text(&bot, 1), delete, text(&bot, 2), text(&bot, 3)];
    all(in_turn(asks)).await;
    assert_eq!(done(&fake), ["0", "1", "deleted", "3"]);
}

/// The form of the arguments is no difference.
#[tokio::test(start_paused = true)]
async fn an_update_is_the_same_in_every_form() {
    let fake = usual();
    let proxy = Proxy::configured(TIGHT, &fake);
    let bot = proxy.bot();
    let json = json!({ "channel": "C1", "ts": "1.1", "text": "json" }).to_string();
    let asks = [
        text(&bot, 0),
        text(&bot, 1),
        bot.call("chat.update").body("application/json", json).patient(),
        bot.at(http::Method::POST, "/api/chat.update?text=query&ts=1.1&channel=C1").patient(),
    ];
    let answers = all(in_turn(asks)).await;
    assert_eq!(superseded(&answers), ["", "2", "1", ""]);
    assert_eq!(done(&fake), ["0", "query"]);
}

/// Turned red by: a call that its first client ends, and a text that goes with its client.
#[tokio::test(start_paused = true)]
async fn who_hangs_up_takes_nothing_back() {
    for leaves in 1..=3_u32 {
        let fake = usual();
        let proxy = Proxy::configured(TIGHT, &fake);
        let bot = proxy.bot();
        let mut staying = Vec::new();
        let mut leaving = JoinSet::new();
        for n in 0..=3 {
            let ask = text(&bot, n).after(ms(u64::from(n)));
            if n == leaves {
                leaving.spawn(ask.hang_up_after(secs(5)));
            } else {
                staying.push(ask);
            }
        }
        let answers = all(staying).await;
        assert!(leaving.join_next().await.unwrap().unwrap().is_none());
        assert!(answers.iter().all(Answer::is_ok));
        assert_eq!(done(&fake), ["0", "3"], "{leaves}");
    }
}

/// As any held call whose client has left.
///
/// Turned red by: a place that outlives all who wait for it.
#[tokio::test(start_paused = true)]
async fn when_all_have_left_nothing_is_sent() {
    let fake = usual();
    let proxy = Proxy::configured(TIGHT, &fake);
    let bot = proxy.bot();
    assert!(text(&bot, 0).send().await.is_ok());
    let (one, two) = (text(&bot, 1), text(&bot, 2).after(ms(1)));
    let (one, two) = tokio::join!(one.hang_up_after(secs(2)), two.hang_up_after(secs(3)));
    assert!(one.is_none() && two.is_none());
    tokio::time::sleep(secs(20)).await;
    assert_eq!((done(&fake), proxy.open_edits()), (vec!["0".to_owned()], 0));
    assert!(text(&bot, 3).send().await.is_ok());
    assert_eq!(done(&fake), ["0", "3"]);
}

/// Turned red by: a refused edit that is not replaced while it waits for its replay.
#[tokio::test(start_paused = true)]
async fn an_edit_that_slack_refused_is_replaced_while_it_waits() {
    let fake = usual();
    fake.script("chat.update", [Reply::rate_limited(5)]);
    let proxy = Proxy::configured("edits: latest", &fake);
    let bot = proxy.bot();
    let asks = (0..4).map(|n| text(&bot, n).after(ms(1_000 * u64::from(n))));
    let answers = all(asks).await;
    assert!(answers.iter().all(Answer::is_ok), "{answers:?}");
    assert_eq!(superseded(&answers), ["3", "2", "1", ""]);
    assert_eq!(done(&fake), ["3"]);
}

/// Turned red by: the class and the deadline of the first.
#[tokio::test(start_paused = true)]
async fn the_place_is_as_urgent_and_as_patient_as_all_who_wait() {
    let fake = usual();
    let proxy = Proxy::configured(TIGHT, &fake);
    let bot = proxy.bot();
    let other = |n: u32| {
        let form = format!("channel=C1&ts=2.{n}&text=other{n}");
        bot.call("chat.update").form(&form).lane("others;max-wait=1h")
    };
    let asks = [
        text(&bot, 0),
        other(0),
        other(1),
        text(&bot, 1).lane("job;class=background;max-wait=1h"),
        text(&bot, 2).lane("job;class=interactive;max-wait=1h"),
        // It gives up before the others, and hears of it; its text stays.
        text(&bot, 3).lane("job;class=background;max-wait=1s"),
    ];
    let answers = all(in_turn(asks)).await;
    assert_eq!(done(&fake), ["0", "3", "other0", "other1"]);
    assert_eq!(superseded(&answers), ["", "", "", "2", "1", ""]);
    assert!(answers[..5].iter().all(Answer::is_ok));
    assert_eq!(answers[5].shed().1, "deadline");
    assert_near(answers[5].took, secs(1));
}

/// Turned red by: a failure that only one hears of, and an older text that is sent after it.
#[tokio::test(start_paused = true)]
async fn what_becomes_of_the_newest_becomes_of_all() {
    for (reply, status) in [
        (Reply::json(StatusCode::OK, &json!({ "ok": false, "error": "edit_window_closed" })), 200),
        (Reply::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({})), 500),
    ] {
        let fake = usual();
        let passed = Reply::json(StatusCode::OK, &json!({ "ok": true }));
        fake.script("chat.update", [passed, reply]);
        let proxy = Proxy::configured(TIGHT, &fake);
        let bot = proxy.bot();
        let answers = all(in_turn((0..5).map(|n| text(&bot, n)))).await;
        assert!(answers[1..].iter().all(|answer| answer.status == status), "{answers:?}");
        assert_eq!(fake.ledger().calls.len(), 2);
    }
    let fake = usual();
    let passed = Reply::json(StatusCode::OK, &json!({ "ok": true }));
    fake.script("chat.update", [passed, Reply::rate_limited(5), Reply::rate_limited(5)]);
    let file = format!("{TIGHT}on_429: {{ max_attempts: 2 }}\n");
    let proxy = Proxy::configured(&file, &fake);
    let bot = proxy.bot();
    let answers = all(in_turn((0..5).map(|n| text(&bot, n)))).await;
    for answer in &answers[1..] {
        assert_eq!(answer.shed().1, "upstream", "{answer:?}");
    }
    assert_eq!(fake.ledger().calls.len(), 3);
}

/// What is only watched is not changed.
#[tokio::test(start_paused = true)]
async fn nothing_is_replaced_that_is_only_watched() {
    let fake = usual();
    let proxy = Proxy::configured("edits: latest\nmode: shadow", &fake);
    let bot = proxy.bot();
    let answers = all(in_turn((0..5).map(|n| text(&bot, n)))).await;
    assert!(superseded(&answers).iter().all(|by| by.is_empty()));
    assert_eq!(done(&fake).len(), 5);
}

/// Turned red by: a book that begins anew with each configuration.
#[tokio::test(start_paused = true)]
async fn a_reload_decides_for_what_comes_after_it() {
    for (file, sent) in [(TIGHT.to_owned(), 2), (TIGHT.replace("latest", "all"), 4)] {
        let fake = usual();
        let proxy = Proxy::configured(TIGHT, &fake);
        let bot = proxy.bot();
        let before = all(in_turn((0..2).map(|n| text(&bot, n))));
        let after = async {
            tokio::time::sleep(secs(1)).await;
            proxy.reload(&file).unwrap();
            all(in_turn((2..4).map(|n| text(&bot, n)))).await
        };
        let (before, after) = tokio::join!(before, after);
        assert!(before.iter().chain(&after).all(Answer::is_ok));
        let texts = done(&fake);
        assert_eq!((texts.len(), texts.last().map(String::as_str)), (sent, Some("3")), "{texts:?}");
    }
}
