//! Whose tokens are whose: what is asked of Slack, who waits for it, and what then counts together.

use std::{collections::HashSet, time::Duration};

use fake_slack::{FakeSlack, Latency};

use tokio::task::JoinSet;

use crate::harness::{Ask, Bot, Proxy, Scripted, all, fake, json, ms, secs, slack, text};

const RESOLVE: &str = "identity: { resolve: true }";

/// A call with that token.
fn with(bot: &Bot, token: &str, method: &str) -> Ask {
    bot.call(method).header("authorization", &format!("Bearer {token}")).patient()
}

/// An upstream that tells that late whose a token is: always one bot's.
fn late(by: Duration) -> Scripted {
    Scripted::new(move |seen| async move {
        if seen.path == "/api/auth.test" {
            tokio::time::sleep(by).await;
        }
        json(200, r#"{"ok":true,"team":"Acme","user":"helper","team_id":"T1","bot_id":"B1"}"#)
    })
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
    let upstream = late(secs(5));
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
    let status = proxy.status();
    let keys: HashSet<_> = status.buckets.iter().map(|bucket| bucket.key.clone()).collect();
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
    let upstream = Scripted::new(|_| async {
        json(200, r#"{"ok":true,"team":"Acme","user":"helper","team_id":"T1","bot_id":"B1"}"#)
    });
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
    let status = proxy.status();
    assert!(
        status.buckets.iter().any(|bucket| bucket.key.as_str() == "A1"),
        "{answer:?} {status:?}"
    );

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
    let upstream = late(ms(500));
    let proxy = Proxy::configured(RESOLVE, &upstream);
    let bot = proxy.bot();
    assert!(with(&bot, "xoxb-1", "users.list").hang_up_after(ms(100)).await.is_none());
    proxy.until(ms(600)).await;
    assert_eq!(upstream.seen().len(), 1, "its call is not sent: nobody waits for it");
    let answer = with(&bot, "xoxb-1", "users.list").send().await;
    assert_eq!(answer.header("slackwater-bucket"), "tier2:B1/T1/users.list");
    assert!(answer.took < ms(20));
}

/// Two tokens take twelve slots each before it is known that they are one bot's: then there are
/// four too many, and the next call waits until the first eight have aged.
///
/// Turned red by: leaving what was counted by the hash where it is.
#[tokio::test(start_paused = true)]
async fn what_was_counted_before_slack_told_counts_together_then() {
    let upstream = late(secs(5));
    let proxy = Proxy::configured(RESOLVE, &upstream);
    let bot = proxy.bot();
    let asks = (0..24).map(|n| with(&bot, &format!("xoxb-{}", n % 2), "users.list").after(ms(n)));
    for answer in all(asks).await {
        assert!(answer.is_ok(), "{answer:?}");
    }
    proxy.until(secs(6)).await;
    let status = proxy.status();
    let of = |key: &str| status.buckets.iter().find(|bucket| bucket.key.as_str() == key);
    let both = of("B1/T1/users.list").unwrap();
    assert_eq!((both.used, both.quota), (24, Some(20)), "{status:?}");
    assert_eq!(both.whose.as_deref(), Some("helper in Acme"));
    assert_eq!(
        status.buckets.iter().filter(|bucket| bucket.key.as_str().contains("users.list")).count(),
        1
    );
    let next = with(&bot, "xoxb-1", "users.list").send().await;
    assert!(next.is_ok());
    assert!((secs(61)..ms(61_200)).contains(&proxy.now()), "{:?}", proxy.now());
}

/// Calls that wait when it becomes known whose they are go on waiting, in one line.
#[tokio::test(start_paused = true)]
async fn waiting_calls_move_along_in_their_order() {
    let upstream = late(secs(5));
    let proxy = Proxy::configured(RESOLVE, &upstream);
    let bot = proxy.bot();
    let ask = |n: u64| {
        with(&bot, &format!("xoxb-{}", n % 2), "users.list").form(&format!("n={n}")).after(ms(n))
    };
    all((0..2).map(ask)).await;
    for answer in all((2..60).map(ask)).await {
        assert!(answer.is_ok(), "{answer:?}");
    }
    let sent = bodies(&upstream, "/api/users.list");
    assert_eq!(sent.len(), 60);
    // What was too much before it was known is not made good; from then on it is 20 a minute.
    let expected: Vec<_> = (40..60).map(|n| format!("n={n}")).collect();
    assert_eq!(sent[40..], expected);
    assert!((secs(61)..secs(63)).contains(&proxy.now()), "{:?}", proxy.now());
}

/// The bodies of the calls of a path, in the order in which they came.
fn bodies(upstream: &Scripted, path: &str) -> Vec<String> {
    let seen = upstream.seen().into_iter().filter(|seen| seen.path == path);
    seen.map(|seen| String::from_utf8(seen.body.to_vec()).unwrap()).collect()
}

/// Posts whose token is not known yet wait for the answer, and go in their order, whether it comes in
/// time or not.
///
/// Turned red by: a timer for each call; a watch channel, which wakes in any order.
#[tokio::test(start_paused = true)]
async fn posts_of_a_new_token_keep_their_order() {
    for answer in [ms(500), secs(3)] {
        let upstream = late(answer);
        let proxy = Proxy::configured(RESOLVE, &upstream);
        let bot = proxy.bot();
        let post = |n: u64| {
            let post = with(&bot, "xoxb-1", "chat.postMessage");
            post.form(&format!("channel=C1&text={n}")).after(ms(n * 10))
        };
        for answer in all((0..30).map(post)).await {
            assert!(answer.is_ok(), "{answer:?}");
        }
        let expected: Vec<_> = (0..30).map(|n| format!("channel=C1&text={n}")).collect();
        assert_eq!(bodies(&upstream, "/api/chat.postMessage"), expected);
    }
}

/// Turned red by: reading the proxy's own questions only.
#[tokio::test(start_paused = true)]
async fn answers_to_the_bots_own_calls_tell_as_much() {
    let fake = fake();
    let proxy = Proxy::configured("identity: { resolve: false }", &fake);
    let bot = proxy.bot();
    let bucket = |answer: crate::harness::Answer| answer.header("slackwater-bucket").to_owned();
    let unknown = with(&bot, "xoxb-T1-A1-x", "users.list").send().await;
    assert!(bucket(unknown).starts_with("tier2:token-"));
    let who = with(&bot, "xoxb-T1-A1-x", "auth.test").send().await.json();
    let bot_id = who["bot_id"].as_str().unwrap().to_owned();
    let known = with(&bot, "xoxb-T1-A1-x", "users.list").send().await;
    assert_eq!(bucket(known), format!("tier2:{bot_id}/T1/users.list"));
    // Now the bot gets its app's name, and what it has used goes along.
    let info = with(&bot, "xoxb-T1-A1-x", "bots.info").form(&format!("bot={bot_id}"));
    assert!(info.send().await.is_ok());
    let named = with(&bot, "xoxb-T1-A1-x", "users.list").send().await;
    assert!(named.header("ratelimit").starts_with("\"tier2\";r=17;"), "{named:?}");
    assert_eq!(bucket(named), "tier2:A1/T1/users.list");
}

/// An installation brings tokens that are known before their first call.
#[tokio::test(start_paused = true)]
async fn the_tokens_of_an_installation_are_known_at_once() {
    let upstream = Scripted::new(|seen| async move {
        assert!(!seen.path.ends_with("auth.test"), "nothing is left to ask");
        match &*seen.path {
            "/api/oauth.v2.access" => json(
                200,
                r#"{"ok":true,"access_token":"xoxb-new","app_id":"A1","team":{"id":"T1"},
                    "authed_user":{"id":"U1","access_token":"xoxp-new"}}"#,
            ),
            _ => json(200, r#"{"ok":true}"#),
        }
    });
    let proxy = Proxy::configured(RESOLVE, &upstream);
    let bot = proxy.bot();
    bot.call("oauth.v2.access").without_header("authorization").form("code=1").send().await;
    for token in ["xoxb-new", "xoxp-new"] {
        let answer = with(&bot, token, "users.list").send().await;
        assert_eq!(answer.header("slackwater-bucket"), "tier2:A1/T1/users.list");
    }
}
