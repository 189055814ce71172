//! Slack refuses a call for a limit.

use fake_slack::{Latency, Reply};
use http::StatusCode;
use tokio::time::Instant;

use crate::{
    harness::{Answer, Proxy, Scripted, all, assert_near, json, ms, secs, slack, text},
    views::metrics,
};

/// A Slack a tenth of a second away.
fn near() -> fake_slack::FakeSlack {
    slack(|options| options.latency = Latency::always(ms(100)))
}

/// An upstream a tenth of a second away that refuses the first call for 30 s.
fn refuses_first() -> Scripted {
    Scripted::new(|seen| async move {
        tokio::time::sleep(ms(100)).await;
        if seen.number > 1 {
            return json(200, r#"{"ok":true}"#);
        }
        let mut answer = json(429, r#"{"ok":false,"error":"ratelimited"}"#)?;
        answer.headers_mut().insert("retry-after", "30".parse().unwrap());
        Ok(answer)
    })
}

/// How many calls came in each round trip, after `skip` calls.
fn waves(upstream: &Scripted, skip: usize) -> Vec<usize> {
    let at: Vec<_> = upstream.seen().iter().skip(skip).map(|seen| seen.at).collect();
    at.chunk_by(|one, next| *next - *one < ms(50)).map(<[_]>::len).collect()
}

/// Twenty calls behind one 429: nobody sees it. When the pause is over one call probes, then
/// two go, then four, then eight, then all that are left: no herd, and no lost period.
///
/// Turned red by: no probing after a freeze; a refused call that waits behind the others.
#[tokio::test(start_paused = true)]
async fn calls_behind_a_429_wait_it_out_and_see_nothing() {
    let upstream = refuses_first();
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    let mut asks = vec![bot.call("users.info").patient()];
    asks.extend((0..19).map(|_| bot.call("users.info").patient().after(ms(200))));
    let answers = all(asks).await;
    for (n, answer) in answers.iter().enumerate() {
        assert!(answer.is_ok(), "{answer:?}");
        assert_eq!(answer.header("slackwater-attempts"), if n == 0 { "2" } else { "1" });
    }
    assert_eq!(waves(&upstream, 1), [1, 2, 4, 8, 5]);
    // The refusal came at 0.1 s, and five round trips follow the pause.
    assert_near(proxy.now(), ms(100 + 30_000 + 5 * 100));
    // The call that was refused is the first again.
    assert_near(answers[0].took, ms(30_200));
}

/// Those of its flight that Slack let through say nothing about the time after the pause.
///
/// Turned red by: counting answers of calls sent before the freeze as those of probes.
#[tokio::test(start_paused = true)]
async fn one_call_probes_after_a_freeze_although_others_of_the_flight_passed() {
    let upstream = refuses_first();
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    let flight = (0..20).map(|_| bot.call("users.info").patient());
    let behind = (0..20).map(|_| bot.call("users.info").patient().after(secs(1)));
    let answers = all(flight.chain(behind)).await;
    assert!(answers.iter().all(Answer::is_ok), "{answers:?}");
    assert_eq!(waves(&upstream, 20), [1, 2, 4, 8, 6]);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_method_delays_no_other() {
    let fake = near();
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    fake.script("conversations.list", [Reply::rate_limited(30)]);
    let answers = all([
        bot.call("conversations.list").patient(),
        bot.call("conversations.history").after(secs(1)),
        bot.post("C1", "x").after(secs(1)),
    ])
    .await;
    assert!(answers[0].took >= secs(30));
    for answer in &answers[1..] {
        assert!(answer.is_ok() && answer.took <= ms(105), "{answer:?}");
    }
}

/// A pause that Slack does not tell is 30 s.
#[tokio::test(start_paused = true)]
async fn a_429_without_a_pause_closes_the_bucket_for_the_default() {
    let fake = near();
    let proxy = Proxy::start(&fake);
    fake.script("auth.test", [Reply::new(StatusCode::TOO_MANY_REQUESTS)]);
    let answer = proxy.bot().call("auth.test").patient().send().await;
    assert!(answer.is_ok());
    assert_near(answer.took, ms(30_200));
    assert_eq!(answer.header("slackwater-attempts"), "2");
}

/// When the attempts are spent the caller gets a 429 that every SDK understands, whatever
/// Slack left out of its own.
#[tokio::test(start_paused = true)]
async fn a_refusal_that_is_handed_on_is_made_whole() {
    let fake = near();
    let proxy = Proxy::configured("on_429: { max_attempts: 2 }", &fake);
    let nothing = Reply::new(StatusCode::TOO_MANY_REQUESTS);
    fake.script("auth.test", [Reply::rate_limited(2), nothing]);
    let answer = proxy.bot().call("auth.test").patient().send().await;
    let (retry_after, reason, _) = answer.shed();
    assert_eq!((retry_after, reason), (30, "upstream"));
    assert_eq!(answer.header("slackwater-attempts"), "2");
    assert_near(answer.took, ms(2_200));
}

/// A call whose client does not wait as long as the pause hears from Slack at once, and costs
/// it no second try. One that waits longer than the pause does not.
///
/// Turned red by: shedding it for its deadline; handing on what can be waited for.
#[tokio::test(start_paused = true)]
async fn a_refused_call_whose_client_will_not_wait_is_told_at_once() {
    let upstream = Scripted::new(|_| async {
        let mut answer = json(429, r#"{"ok":false,"error":"ratelimited","said_by":"slack"}"#)?;
        answer.headers_mut().insert("retry-after", "30".parse().unwrap());
        Ok(answer)
    });
    for patience in ["0s", "8s", "29s", "30s", "59s"] {
        let proxy = Proxy::configured("on_429: { max_attempts: 2 }", &upstream);
        let before = upstream.seen().len();
        let ask = proxy.bot().call("auth.test").lane(&format!("job;max-wait={patience}"));
        let answer = ask.send().await;
        assert_eq!((answer.status, answer.header("retry-after")), (429, "30"), "{patience}");
        assert_eq!(answer.header("slackwater-reason"), "upstream");
        assert_eq!(answer.json()["said_by"], "slack", "Slack's own words");
        let waits_it_out = matches!(patience, "30s" | "59s");
        assert_near(answer.took, if waits_it_out { secs(30) } else { ms(0) });
        assert_eq!(upstream.seen().len() - before, 1 + usize::from(waits_it_out), "{patience}");
        let sent_again = r#"slackwater_replays_total{method="auth.test"} 1"#;
        assert_eq!(metrics(&proxy).contains(sent_again), waits_it_out, "{patience}");
    }
}

/// Where the call has no room here when Slack's pause is over, its caller is told the later
/// time: coming back before would be in vain.
///
/// Turned red by: Slack's Retry-After whatever the window says.
#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_handed_on_with_a_time_at_which_there_is_no_room() {
    let fake = near();
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    assert!(all((0..19).map(|_| bot.call("conversations.list"))).await.iter().all(Answer::is_ok));
    fake.script("conversations.list", [Reply::rate_limited(5)]);
    let answer = bot.call("conversations.list").send().await;
    let (retry_after, reason, _) = answer.shed();
    assert_eq!((retry_after, reason), (60, "upstream"));
    tokio::time::sleep(secs(retry_after)).await;
    assert!(bot.call("conversations.list").send().await.is_ok());
}

/// A read after a 503 whose pause is too long gets the 503 as it came.
#[tokio::test(start_paused = true)]
async fn a_503_whose_pause_is_too_long_is_handed_on_as_it_came() {
    let upstream = busy_at_first();
    let proxy = Proxy::start(&upstream);
    let ask = proxy.bot().call("users.info").lane("job;max-wait=4s");
    let answer = ask.send().await;
    assert_eq!((answer.status, &*answer.body), (503, &b"busy"[..]));
    assert_eq!(
        (answer.header("retry-after"), answer.header("slackwater-reason")),
        ("5", "upstream")
    );
    assert_near(answer.took, ms(0));
    assert_eq!(upstream.seen().len(), 1);
}

/// Posts to one channel stay in order although one of them was refused.
///
/// Turned red by: last in, first out.
#[tokio::test(start_paused = true)]
async fn nobody_overtakes_a_refused_post_in_its_channel() {
    let fake = near();
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    fake.script("chat.postMessage", [Reply::rate_limited(5)]);
    let posts = (0..5).map(|n| bot.post("C1", &n.to_string()).patient().after(ms(n)));
    assert!(all(posts).await.iter().all(|answer| answer.status == 200));
    let texts: String = fake
        .ledger()
        .calls
        .iter()
        .filter_map(|call| call.text.clone())
        .fold(String::new(), |all, text| all + &text);
    assert!(texts.ends_with("01234"), "{texts}");
}

/// Nothing else is sent twice: whether a post was done is not known.
#[tokio::test(start_paused = true)]
async fn other_failures_are_handed_on_as_they_are() {
    let upstream = Scripted::new(|seen| async move {
        match seen.number {
            1 => text(500, "oops"),
            2 => text(503, "later"),
            _ => json(200, r#"{"ok":false,"error":"fatal_error"}"#),
        }
    });
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    for (status, body) in
        [(500, "oops"), (503, "later"), (200, r#"{"ok":false,"error":"fatal_error"}"#)]
    {
        let before = Instant::now();
        let answer = bot.post(&format!("C{status}"), "x").send().await;
        assert_eq!((answer.status, &*answer.body), (status, body.as_bytes()));
        assert!(Instant::now() - before <= ms(12));
    }
    assert_eq!(upstream.seen().len(), 3);
}

/// An upstream that asks the first caller to come back in five seconds.
fn busy_at_first() -> Scripted {
    Scripted::new(|seen| async move {
        if seen.number > 1 {
            return json(200, r#"{"ok":true}"#);
        }
        let mut answer = text(503, "busy")?;
        answer.headers_mut().insert("retry-after", "5".parse().unwrap());
        Ok(answer)
    })
}

/// After a 503 that asks for a pause the method is closed, and a read is sent again.
///
/// Turned red by: handing every 503 on.
#[tokio::test(start_paused = true)]
async fn a_read_is_sent_again_after_a_503_that_asks_for_a_pause() {
    let proxy = Proxy::start(&busy_at_first());
    let answer = proxy.bot().call("users.info").patient().send().await;
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(answer.header("slackwater-attempts"), "2");
    assert_near(answer.took, secs(5));
}

/// A post may have been done before the 503, so it is not sent again; the pause is kept.
///
/// Turned red by: sending every call again.
#[tokio::test(start_paused = true)]
async fn a_post_is_not_sent_again_after_a_503() {
    let upstream = busy_at_first();
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    let first = bot.call("chat.update").patient().send().await;
    assert_eq!((first.status, &*first.body), (503, &b"busy"[..]));
    let second = bot.call("chat.update").patient().send().await;
    assert!(second.is_ok(), "{second:?}");
    assert_near(second.took, secs(5));
    assert_eq!(upstream.seen().len(), 2);
}

/// Where a call is under no limit, no bucket can be closed, and nothing would keep a refused
/// call from going again at once.
///
/// Turned red by: sending a refused call again whether or not a bucket was closed.
#[tokio::test(start_paused = true)]
async fn without_a_limit_a_429_is_handed_on() {
    let upstream = refuses_first();
    let proxy = Proxy::configured("methods: { auth.test: { tier: none, limits: [] } }", &upstream);
    let answer = proxy.bot().call("auth.test").patient().send().await;
    let (retry_after, reason, _) = answer.shed();
    assert_eq!((retry_after, reason), (30, "upstream"));
    assert_eq!(upstream.seen().len(), 1);
}
