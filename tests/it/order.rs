//! What of a caller is in order, and what is not held up by that.

use fake_slack::{FakeSlack, Latency, RecordedAs, Reply};

use crate::harness::{Answer, Ask, Bot, Proxy, Scripted, all, assert_near, json, ms, secs, slack};

/// A Slack whose round trips take 0.3 s.
fn usual() -> FakeSlack {
    slack(|options| options.latency = Latency::always(ms(300)))
}

/// Each goes when the one before has been sent for a millisecond, patiently.
fn one_after_the_other(asks: impl IntoIterator<Item = Ask>) -> Vec<Ask> {
    (0..).zip(asks).map(|(n, ask)| ask.patient().after(ms(n))).collect()
}

fn update(bot: &Bot, ts: &str, text: &str) -> Ask {
    bot.call("chat.update").form(&format!("channel=C1&ts={ts}&text={text}"))
}

/// The texts of what Slack did, in its order.
fn done(fake: &FakeSlack) -> Vec<String> {
    let calls = fake.ledger().calls.into_iter();
    let done = calls.filter(|call| call.outcome == RecordedAs::Ok);
    done.filter_map(|call| call.text).map(|text| text.to_string()).collect()
}

/// The most urgent thing is that the last text stays, whichever of them Slack refuses.
///
/// Turned red by: updates in no order, and a refused one that is overtaken.
#[tokio::test(start_paused = true)]
async fn a_message_ends_with_its_last_text() {
    for refused in 0..5 {
        let fake = usual();
        let proxy = Proxy::start(&fake);
        let bot = proxy.bot();
        let passed = Reply::json(http::StatusCode::OK, &serde_json::json!({ "ok": true }));
        let mut replies = vec![passed; refused];
        replies.push(Reply::rate_limited(2));
        // What is scripted is not in the ledger as done, so the last one is looked for.
        fake.script("chat.update", replies);
        let updates = (0..8).map(|n| update(&bot, "1.1", &n.to_string()));
        let answers = all(one_after_the_other(updates)).await;
        assert!(answers.iter().all(Answer::is_ok), "{answers:?}");
        let texts = fake.ledger().calls.into_iter().filter_map(|call| call.text);
        let texts: Vec<_> = texts.map(|text| text.to_string()).collect();
        let mut wanted: Vec<_> = (0..8).collect();
        wanted.insert(refused, refused);
        assert_eq!(texts, wanted.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
}

/// Turned red by: an order of all of a channel's messages.
#[tokio::test(start_paused = true)]
async fn updates_of_several_messages_do_not_wait_for_each_other() {
    let fake = usual();
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    let updates = (0..20).map(|n| update(&bot, &format!("1.{n}"), "x"));
    assert!(all(one_after_the_other(updates)).await.iter().all(Answer::is_ok));
    assert_near(proxy.now(), ms(319));
}

/// Eight streams in eight threads of one channel, eight pieces in each.
///
/// Turned red by: an order of all of a channel's messages, and by none.
#[tokio::test(start_paused = true)]
async fn streams_in_several_threads_do_not_wait_for_each_other() {
    let fake = usual();
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    let pieces = (0..64).map(|n| {
        let (stream, piece) = (n % 8, n / 8);
        let form = format!("channel=C1&ts=1.{stream}&markdown_text={piece}&text={stream}{piece}");
        let last = if piece == 7 { "chat.stopStream" } else { "chat.appendStream" };
        bot.call(last).form(&form)
    });
    assert!(all(one_after_the_other(pieces)).await.iter().all(Answer::is_ok));
    // Eight round trips, and not sixty-four.
    assert_near(proxy.now(), ms(8 * 300 + 7));
    let texts = done(&fake);
    for stream in '0'..'8' {
        let pieces = texts.iter().filter_map(|text| text.strip_prefix(stream));
        assert_eq!(pieces.collect::<String>(), "01234567", "{stream}");
    }
}

/// Turned red by: an order of all of a channel's whispers.
#[tokio::test(start_paused = true)]
async fn whispers_to_several_people_do_not_wait_for_each_other() {
    let fake = usual();
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    let whispers = (0..60).map(|n| {
        let form = format!("channel=C1&user=U{}&text={}", n % 30, n / 30);
        bot.call("chat.postEphemeral").form(&form)
    });
    assert!(all(one_after_the_other(whispers)).await.iter().all(Answer::is_ok));
    // Thirty people, two for each.
    assert_near(proxy.now(), ms(2 * 300 + 29));
}

/// Replies in one thread are in order although some are refused; in another they go meanwhile, and
/// so do posts to the channel itself.
///
/// Turned red by: an order that a refused reply loses, and by one of the whole channel.
#[tokio::test(start_paused = true)]
async fn a_thread_is_in_order_by_itself() {
    let fake = usual();
    let file = "methods: { chat.postMessage: { limits: [{ name: w, limit: 100, per: 1m, scope: [app] }] } }";
    let proxy = Proxy::configured(file, &fake);
    let bot = proxy.bot();
    let reply = |thread: &str, text: u32| {
        bot.call("chat.postMessage")
            .form(&format!("channel=C1&thread_ts={thread}&text={thread}{text}"))
    };
    fake.script("chat.postMessage", [Reply::rate_limited(2)]);
    let mut asks: Vec<_> = (0..5).map(|n| reply("1.1", n)).collect();
    asks.extend((0..5).map(|n| reply("1.2", n)));
    asks.extend((0..5).map(|n| bot.post("C1", &format!("top{n}"))));
    assert!(all(one_after_the_other(asks)).await.iter().all(Answer::is_ok));
    let texts = done(&fake);
    for thread in ["1.1", "1.2", "top"] {
        let texts = texts.iter().filter_map(|text| text.strip_prefix(thread));
        assert_eq!(texts.collect::<String>(), "01234", "{thread}");
    }
}

/// One answer that never comes holds up its thread for five seconds, and no other.
///
/// Turned red by: an order that waits for its answer as long as it takes, and by one of the whole
/// channel.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_holds_up_its_thread_for_five_seconds() {
    let upstream = Scripted::new(|seen| async move {
        if seen.number == 1 {
            std::future::pending::<()>().await;
        }
        json(200, r#"{"ok":true}"#)
    });
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    let append = |ts: &str| bot.call("chat.appendStream").form(&format!("channel=C1&ts={ts}"));
    let mut lost = append("1.1").patient().held();
    tokio::time::sleep(ms(1)).await;
    let answers = all([append("1.1").patient(), append("1.1").patient(), append("1.2")]).await;
    assert!(answers.iter().all(Answer::is_ok), "{answers:?}");
    assert_near(answers[0].took, ms(4_999));
    assert_near(answers[1].took, ms(4_999));
    assert_near(answers[2].took, ms(0));
    lost.shutdown().await;
    let next = append("1.1").send().await;
    assert!(next.is_ok(), "{next:?}");
    assert_near(next.took, ms(0));
}

/// Two callers are in no order with each other.
///
/// Turned red by: an order of all callers together.
#[tokio::test(start_paused = true)]
async fn an_order_is_one_callers() {
    let fake = usual();
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    let updates = ["one", "two"].map(|lane| update(&bot, "1.1", lane).lane(lane));
    assert!(all(updates).await.iter().all(Answer::is_ok));
    assert_near(proxy.now(), ms(300));
}

/// What is changed is read from wherever a call has it.
///
/// Turned red by: an encoding in which it is not found.
#[tokio::test(start_paused = true)]
async fn what_is_changed_is_found_in_every_encoding() {
    let fake = usual();
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    let part = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let parts = part("text", "2") + &part("ts", "1.1") + &part("channel", "C1") + "--b--\r\n";
    let members = r#"{"text":"1","blocks":[{"ts":"no"}],"ts":"1.1","channel":"C1"}"#;
    let updates = [
        update(&bot, "1.1", "0"),
        bot.call("chat.update").body("application/json", members),
        bot.call("chat.update").body("multipart/form-data; boundary=b", parts),
        bot.at(http::Method::POST, "/api/chat.update?channel=C1&ts=1.1&text=3"),
    ];
    assert!(all(one_after_the_other(updates)).await.iter().all(Answer::is_ok));
    assert_eq!(done(&fake), ["0", "1", "2", "3"]);
    assert_near(proxy.now(), ms(4 * 300));
}

/// An update that waits for its limit is not overtaken by the deletion of the message, whose limit has
/// room, nor by a click.
///
/// Turned red by: an order that only calls keep that are under way.
#[tokio::test(start_paused = true)]
async fn no_call_overtakes_one_that_waits_for_its_limit() {
    let fake = usual();
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    let others = (0..50).map(|n| update(&bot, &format!("2.{n}"), "x").patient());
    assert!(all(others).await.iter().all(Answer::is_ok));
    let changes = [
        update(&bot, "1.1", "first").patient(),
        update(&bot, "1.1", "second").lane("job;class=interactive;max-wait=1h").after(ms(1)),
        bot.call("chat.delete").form("channel=C1&ts=1.1&text=gone").patient().after(ms(2)),
        bot.call("chat.delete").form("channel=C1&ts=1.2&text=other").after(ms(3)),
    ];
    let answers = all(changes).await;
    assert!(answers.iter().all(Answer::is_ok), "{answers:?}");
    assert_near(answers[3].took, ms(300));
    assert_eq!(done(&fake)[50..], ["other", "first", "second", "gone"]);
    assert!(answers[2].took > secs(59), "{:?}", answers[2].took);
}
