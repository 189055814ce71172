//! Whose tokens are whose: what is asked of Slack, who waits for it, and what then counts together.

use std::{collections::HashSet, sync::Arc};

use slackwater::fake_slack::{FakeSlack, Latency};
use tokio::task::JoinSet;

use crate::harness::{Ask, Bot, Proxy, Scripted, all, fake, json, ms, secs, slack, text};

const RESOLVE: &str = "identity: { resolve: true }";

/// A call with that token.
fn with(bot: &Bot, token: &str, method: &str) -> Ask {
    bot.call(method).header("authorization", &format!("Bearer {token}")).patient()
}

/// How many of Slack's calls were of that method.
fn calls(fake: &FakeSlack, method: &str) -> u64 {
    fake.totals().by_method.get(method).map_or(0, |method| method.calls)
}

/// Turned red by: a bucket per token.
#[tokio::test(start_paused = true)]
async fn the_tokens_of_a_rotation_share_one_window() {
    let fake = slack(|options| options.latency = Latency::always(ms(50)));
    let proxy = Proxy::configured(RESOLVE, &fake);
    let bot = proxy.bot();
    let tokens = (0..40).map(|n| format!("xoxe.xoxb-T1-A1-{}", n % 2));
    let asks = tokens.map(|token| with(&bot, &token, "conversations.list"));
    for answer in all(asks).await {
        assert!(answer.is_ok(), "{answer:?}");
    }
    assert_eq!(fake.ledger().violations, []);
    assert_eq!((calls(&fake, "conversations.list"), calls(&fake, "auth.test")), (40, 2));
    assert!((secs(60)..secs(61)).contains(&proxy.now()), "{:?}", proxy.now());
}

/// Turned red by: one identity for all tokens.
#[tokio::test(start_paused = true)]
async fn apps_and_workspaces_on_one_proxy_have_windows_of_their_own() {
    let fake = fake();
    let proxy = Proxy::configured(RESOLVE, &fake);
    let bot = proxy.bot();
    let tokens = ["xoxb-T1-A1-x", "xoxb-T1-A2-x", "xoxb-T2-A1-x"];
    let asks = tokens.into_iter().flat_map(|token| {
        let bot = bot.clone();
        (0..20).map(move |_| with(&bot, token, "conversations.list"))
    });
    for answer in all(asks).await {
        assert!(answer.is_ok(), "{answer:?}");
    }
    assert_eq!(fake.ledger().violations, []);
    assert!(proxy.now() < secs(1), "{:?}", proxy.now());
}

/// Turned red by: waiting for the answer however long it takes; asking once more for each call.
#[tokio::test(start_paused = true)]
async fn a_first_call_waits_a_second_for_slack_to_tell_and_later_ones_do_not_wait() {
    let upstream = Scripted::new(|seen| async move {
        if seen.path == "/api/auth.test" {
            tokio::time::sleep(secs(5)).await;
        }
        json(200, r#"{"ok":true,"team_id":"T1","bot_id":"B1"}"#)
    });
    let proxy = Proxy::configured(RESOLVE, &upstream);
    let bot = proxy.bot();
    let first = with(&bot, "xoxb-1", "users.info").send().await;
    assert_eq!(first.took.as_millis() / 10, 100, "{first:?}");
    assert_eq!(first.header("slackwater-wait-ms"), "1000");
    let second = with(&bot, "xoxb-1", "users.info").send().await;
    assert!(second.took < ms(20), "{second:?}");
    proxy.until(secs(6)).await;
    with(&bot, "xoxb-1", "users.info").send().await;
    let asked = upstream.seen().iter().filter(|seen| seen.path == "/api/auth.test").count();
    assert_eq!(asked, 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_slack_does_not_know_is_not_asked_about_for_a_minute() {
    let fake = fake();
    let proxy = Proxy::configured(RESOLVE, &fake);
    let bot = proxy.bot();
    for at in [0, 1, 59, 61] {
        proxy.until(secs(at)).await;
        let answer = with(&bot, "nonsense", "users.info").send().await;
        assert_eq!(answer.json()["error"], "invalid_auth");
        assert!(answer.took < ms(20), "{answer:?}");
    }
    assert_eq!(calls(&fake, "auth.test"), 2);
}

/// Turned red by: no bound on the questions, or on the identities of made-up tokens.
#[tokio::test(start_paused = true)]
async fn a_flood_of_made_up_tokens_asks_little_and_delays_nobody() {
    let fake = slack(|options| options.latency = Latency::always(ms(50)));
    let proxy = Proxy::configured(RESOLVE, &fake);
    let bot = proxy.bot();
    let known = || with(&bot, "xoxb-T1-A1-x", "conversations.members");
    assert!(known().send().await.is_ok());
    let flood = (0..3000)
        .map(|n| with(&bot, &format!("made-up-{n}"), "conversations.members").after(ms(n)));
    let mut flooding = JoinSet::new();
    flooding.spawn(all(flood.collect::<Vec<_>>()));
    for at in 1..30 {
        proxy.until(ms(at * 100)).await;
        let answer = known().send().await;
        assert!(answer.is_ok() && answer.took < ms(70), "{answer:?}");
    }
    proxy.until(secs(4)).await;
    // Four at once and ten a second, for three seconds and half of one that the last may wait.
    let asked = calls(&fake, "auth.test");
    assert!((25..=39).contains(&asked), "{asked}");
    let status = proxy.admission.status();
    let keys: HashSet<_> = status.buckets.iter().map(|bucket| Arc::clone(&bucket.key)).collect();
    // An identity has a bucket for its method, and some one for auth.test.
    assert!(keys.len() <= 1024 + 16 + 64, "{}", keys.len());
}

#[tokio::test(start_paused = true)]
async fn a_token_for_an_organization_counts_in_the_workspace_that_a_call_names() {
    let upstream = Scripted::new(|seen| async move {
        assert!(!seen.path.contains("xox"));
        json(
            200,
            r#"{"ok":true,"team_id":"E1","enterprise_id":"E1","bot_id":"B1","is_enterprise_install":true}"#,
        )
    });
    let proxy = Proxy::configured(RESOLVE, &upstream);
    let bot = proxy.bot();
    for (form, json, key) in [
        ("team_id=T1", "", "B1/T1/users.list"),
        ("", r#"{"team_id":"T2"}"#, "B1/T2/users.list"),
        ("", "", "B1/E1/users.list"),
        ("team_id=no+id", "", "B1/E1/users.list"),
    ] {
        let ask = with(&bot, "xoxb-1", "users.list");
        let ask = if json.is_empty() { ask.form(form) } else { ask.body("application/json", json) };
        let answer = ask.send().await;
        assert_eq!(answer.header("slackwater-bucket"), format!("tier2:{key}"), "{answer:?}");
    }
    // Of any other token the argument means nothing.
    let upstream =
        Scripted::new(|_| async { json(200, r#"{"ok":true,"team_id":"T1","bot_id":"B1"}"#) });
    let proxy = Proxy::configured(RESOLVE, &upstream);
    let answer = with(&proxy.bot(), "xoxb-1", "users.list").form("team_id=T2").send().await;
    assert_eq!(answer.header("slackwater-bucket"), "tier2:B1/T1/users.list");
}

#[tokio::test(start_paused = true)]
async fn a_persons_token_shares_the_window_of_the_only_bot() {
    let fake = fake();
    let proxy = Proxy::configured(RESOLVE, &fake);
    let bot = proxy.bot();
    let mine = with(&bot, "xoxb-T1-A1-x", "users.list").send().await;
    let persons = with(&bot, "xoxp-T1-A1-x", "users.list").send().await;
    assert_eq!(mine.header("slackwater-bucket"), persons.header("slackwater-bucket"));
    assert!(persons.header("ratelimit").starts_with("\"tier2\";r=18;"), "{persons:?}");
}

#[tokio::test(start_paused = true)]
async fn slack_is_asked_once_for_many_calls_and_not_at_all_where_that_is_off() {
    let fake = fake();
    let proxy = Proxy::configured("identity: { resolve: false, app: A1 }", &fake);
    let answer = with(&proxy.bot(), "xoxb-T1-A1-x", "conversations.close").form("channel=D1");
    let answer = answer.send().await;
    assert_eq!(calls(&fake, "auth.test"), 0);
    // One app, whatever the token: the limit for the whole app is one.
    let status = proxy.admission.status();
    assert!(status.buckets.iter().any(|bucket| &*bucket.key == "A1"), "{answer:?} {status:?}");

    let proxy = Proxy::configured(RESOLVE, &fake);
    let bot = proxy.bot();
    all((0..50).map(|_| with(&bot, "xoxb-T1-A1-x", "users.info"))).await;
    assert_eq!(calls(&fake, "auth.test"), 1);
}

/// A Slack that refuses, breaks or babbles costs a call a second at most, and is left alone then; a
/// pause that it asks for holds the question, too.
#[tokio::test(start_paused = true)]
async fn a_question_that_is_not_answered_costs_little() {
    for (kind, again) in [("broken", 10), ("429", 30), ("text", 60), ("strange", 60)] {
        let upstream = Scripted::new(move |seen| async move {
            if seen.path != "/api/auth.test" {
                return json(200, r#"{"ok":true}"#);
            }
            match kind {
                "broken" => Err(std::io::ErrorKind::ConnectionReset.into()),
                "429" => text(429, ""),
                "text" => text(200, "hello"),
                _ => json(200, r#"{"ok":true,"team_id":["T1"]}"#),
            }
        });
        let proxy = Proxy::configured(RESOLVE, &upstream);
        let bot = proxy.bot();
        let asked = || upstream.seen().iter().filter(|seen| seen.path == "/api/auth.test").count();
        for _ in 0..3 {
            let answer = with(&bot, "xoxb-1", "users.info").send().await;
            assert!(answer.is_ok() && answer.took <= ms(1010), "{kind}: {answer:?}");
        }
        assert_eq!(asked(), 1, "{kind}");
        proxy.until(secs(again + 12)).await;
        with(&bot, "xoxb-1", "users.info").send().await;
        assert!(asked() > 1, "{kind}");
    }
}

/// The one who asked first may hang up: the answer is for everybody.
#[tokio::test(start_paused = true)]
async fn a_question_outlives_the_call_that_raised_it() {
    let upstream = Scripted::new(|seen| async move {
        if seen.path == "/api/auth.test" {
            tokio::time::sleep(ms(500)).await;
        }
        json(200, r#"{"ok":true,"team_id":"T1","bot_id":"B1"}"#)
    });
    let proxy = Proxy::configured(RESOLVE, &upstream);
    let bot = proxy.bot();
    assert!(with(&bot, "xoxb-1", "users.list").hang_up_after(ms(100)).await.is_none());
    proxy.until(ms(600)).await;
    let answer = with(&bot, "xoxb-1", "users.list").send().await;
    assert_eq!(answer.header("slackwater-bucket"), "tier2:B1/T1/users.list");
    assert!(answer.took < ms(20));
}
