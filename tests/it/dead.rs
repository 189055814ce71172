//! A dead token or webhook costs nobody's slots: its calls are answered at once, as Slack answered before.

use fake_slack::Reply;
use http::Method;
use tokio::task::JoinSet;

use crate::harness::{
    Answer, Ask, Bot, Proxy, Scripted, all, assert_near, fake, json, ms, secs, settled, text,
};

const POST: &str = "chat.postMessage";
const LIST: &str = "conversations.list";
const OTHER_TOKEN: &str = "Bearer xoxb-T1-A1-other";

/// Why it was answered at once; nothing if Slack answered.
fn fast(answer: &Answer) -> Option<&str> {
    let reason = answer.header("slackwater-fail-fast");
    (!reason.is_empty()).then_some(reason)
}

/// The sample of a metric with that label.
fn metric(proxy: &Proxy, name: &str, label: &str) -> f64 {
    let text = proxy.metrics.text(&proxy.status(), &proxy.catalogue()).unwrap();
    let text = String::from_utf8(text).unwrap();
    let sample = format!("{name}{{{label}}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&sample));
    value.unwrap_or_else(|| panic!("{sample}")).parse().unwrap()
}

#[track_caller]
fn assert_near_enough(value: f64, wanted: f64) {
    assert!((value - wanted).abs() < 0.5, "{value} instead of {wanted}");
}

/// A Slack to which the bot's token is dead from its second call of a method on.
fn revoked(error: &'static str) -> Scripted {
    Scripted::new(move |seen| async move {
        if seen.number == 1 { json(200, r#"{"ok":true}"#) } else { refusal(error) }
    })
}

fn refusal(error: &str) -> Result<http::Response<crate::harness::Stream>, std::io::Error> {
    json(200, &format!(r#"{{"ok":false,"error":"{error}"}}"#))
}

/// Turned red by: the dead token's calls sent on; an answer in other words or without its mark; another
/// token's calls answered for it; a count that is missing.
#[tokio::test(start_paused = true)]
async fn the_calls_of_a_dead_token_are_answered_at_once_and_take_no_slot() {
    for error in ["account_inactive", "token_revoked", "token_expired"] {
        let slack = revoked(error);
        let proxy = Proxy::start(&slack);
        let bot = proxy.bot();
        assert!(bot.call(LIST).send().await.is_ok());
        let first = bot.call(LIST).send().await;
        assert_eq!((first.status, fast(&first)), (200, None), "Slack says it");
        for answer in all((0..100).map(|n| bot.call([LIST, POST][n % 2]))).await {
            assert_eq!((answer.status, &answer.body), (200, &first.body));
            assert_eq!(answer.header("content-type"), first.header("content-type"));
            assert_eq!(fast(&answer), Some(error));
            assert_eq!(answer.header("slackwater-attempts"), "0");
            assert_near(answer.took, ms(0));
        }
        assert_eq!(slack.seen().len(), 2);
        let other = bot.call(LIST).header("authorization", OTHER_TOKEN).send().await;
        assert_eq!(fast(&other), None, "another token");
        let label = format!("reason=\"{error}\"");
        assert_near_enough(metric(&proxy, "slackwater_fail_fast_total", &label), 100.0);
        assert_near_enough(metric(&proxy, "slackwater_fail_fast_total", "reason=\"gone\""), 0.0);
        let status = proxy.status();
        let dead = status.dead.iter().find(|dead| dead.answered == 100).unwrap();
        assert_eq!((dead.kind, dead.reason), ("token", error));
        assert!(dead.name.starts_with("token-") && dead.method.is_none(), "{dead:?}");
        assert_near_enough(metric(&proxy, "slackwater_dead", "kind=\"token\""), 2.0);
    }
}

/// Turned red by: no probe, more than one, one that is not asked a minute after the last; a success that
/// does not clear.
#[tokio::test(start_paused = true)]
async fn a_call_a_minute_probes_and_a_success_clears() {
    let fake = fake();
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    let dead = || Reply::error("token_revoked");
    fake.script(LIST, [dead(), dead()]);
    assert_eq!(fast(&bot.call(LIST).send().await), None);
    proxy.until(secs(59)).await;
    assert!(fast(&bot.call(LIST).send().await).is_some());
    proxy.until(secs(61)).await;
    let probes = all((0..5).map(|_| bot.call(LIST))).await;
    assert_eq!(probes.iter().filter(|answer| fast(answer).is_none()).count(), 1, "{probes:?}");
    proxy.until(secs(120)).await;
    assert!(fast(&bot.call(LIST).send().await).is_some(), "a minute after the probe's answer");
    proxy.until(secs(122)).await;
    assert!(bot.call(LIST).send().await.is_ok(), "the script is over");
    for answer in all((0..5).map(|_| bot.call(LIST))).await {
        assert!(answer.is_ok() && fast(&answer).is_none());
    }
    assert!(proxy.status().dead.is_empty());
}

/// Turned red by: a question that is answered from memory; an answer to it that does not count for other
/// methods, or does not put off the next probe.
#[tokio::test(start_paused = true)]
async fn who_asks_whose_a_token_is_always_asks_slack() {
    let fake = fake();
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    fake.script("auth.test", [Reply::error("invalid_auth"), Reply::error("invalid_auth")]);
    assert_eq!(fast(&bot.call("auth.test").send().await), None);
    assert_eq!(fast(&bot.call(LIST).send().await), Some("invalid_auth"));
    proxy.until(secs(30)).await;
    assert_eq!(fast(&bot.call("auth.test").send().await), None);
    proxy.until(secs(70)).await;
    let reason = fast(&bot.call(LIST).send().await).map(str::to_owned);
    assert!(reason.is_some(), "a minute after the last word");
    assert!(bot.call("auth.test").send().await.is_ok());
    assert!(bot.call(LIST).send().await.is_ok(), "its answer clears");
}

/// A good token is refused with `invalid_auth` by methods that want another kind or place.
///
/// Turned red by: one method's word that counts for all; two methods' words that do not; a success of
/// another method that clears.
#[tokio::test(start_paused = true)]
async fn one_methods_invalid_auth_is_its_own() {
    let fake = fake();
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    fake.script("apps.connections.open", [Reply::error("invalid_auth")]);
    assert_eq!(fast(&bot.call("apps.connections.open").send().await), None);
    assert!(bot.call(LIST).send().await.is_ok());
    assert_eq!(fast(&bot.call("apps.connections.open").send().await), Some("invalid_auth"));
    assert_eq!(proxy.status().dead[0].method.as_deref(), Some("apps.connections.open"));
    let in_form = bot.call("apps.connections.open").without_header("authorization");
    let in_form = in_form.form("token=xoxb-T1-A1-secret").send().await;
    assert_eq!(fast(&in_form), None, "in another place it is another credential");
    fake.script(LIST, [Reply::error("invalid_auth")]);
    assert_eq!(fast(&bot.call(LIST).send().await), None);
    assert_eq!(fast(&bot.call(POST).send().await), Some("invalid_auth"), "two methods agree");
}

/// Turned red by: calls that are left in the queue; those of another token that are not.
#[tokio::test(start_paused = true)]
async fn held_calls_of_a_token_that_dies_are_answered() {
    let fake = fake();
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    let rare = |bot: &Bot| bot.call("admin.apps.uninstall").patient();
    assert!(rare(&bot).send().await.is_ok());
    let mut held: JoinSet<Answer> = JoinSet::new();
    for _ in 0..3 {
        held.spawn(rare(&bot).send());
    }
    let _other = rare(&bot).header("authorization", OTHER_TOKEN).held();
    settled().await;
    assert_eq!(proxy.admission.held(), 4);
    fake.script(LIST, [Reply::error("account_inactive")]);
    assert_eq!(fast(&bot.call(LIST).send().await), None);
    while let Some(answer) = held.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(fast(&answer), Some("account_inactive"));
        assert!(answer.took < secs(1), "{answer:?}");
    }
    assert_eq!(proxy.admission.held(), 1, "another token's");
    let label = "reason=\"account_inactive\"";
    assert_near_enough(metric(&proxy, "slackwater_fail_fast_total", label), 3.0);
}

/// Turned red by: an answer for the sake of one message that counts for all; another webhook's.
#[tokio::test(start_paused = true)]
async fn a_dead_webhook_is_answered_at_once() {
    let slack = Scripted::new(|seen| async move {
        match seen.path.as_str() {
            "/services/T1/B1/gone" => text(404, "no_active_hooks"),
            "/services/T1/B1/odd" => text(410, "channel_is_archived"),
            _ => text(200, "ok"),
        }
    });
    let proxy = Proxy::start(&slack);
    let bot = proxy.bot();
    let hook = |name: &str| -> Ask {
        let ask = bot.at(Method::POST, &format!("/services/T1/B1/{name}"));
        ask.without_header("authorization").body("application/json", r#"{"text":"x"}"#)
    };
    for (name, status, reason) in
        [("gone", 404, Some("no_active_hooks")), ("odd", 410, None), ("good", 200, None)]
    {
        assert_eq!(fast(&hook(name).send().await), None, "{name}");
        let again = hook(name).send().await;
        assert_eq!((again.status, fast(&again)), (status, reason), "{name}");
    }
    assert_eq!(hook("gone").send().await.body, "no_active_hooks");
    let [dead] = &proxy.status().dead[..] else { panic!() };
    assert_eq!((dead.kind, &dead.name[..4]), ("webhook", "url-"));
    assert!(!format!("{:?}", proxy.status()).contains("gone"), "the path is its secret");
}

/// Turned red by: a key that turns nothing off, or only for later calls.
#[tokio::test(start_paused = true)]
async fn it_can_be_turned_off_and_watched_calls_are_left_alone() {
    let slack = Scripted::new(|_| async { refusal("token_revoked") });
    let proxy = Proxy::start(&slack);
    let bot = proxy.bot();
    assert_eq!(fast(&bot.call(LIST).send().await), None);
    assert!(fast(&bot.call(LIST).send().await).is_some());
    proxy.reload("mode: shadow").unwrap();
    assert_eq!(fast(&bot.call(LIST).send().await), None, "it is only watched");
    proxy.reload("fail_fast: false").unwrap();
    for _ in 0..2 {
        assert_eq!(fast(&bot.call(LIST).send().await), None);
    }
    assert!(proxy.status().dead.is_empty());
    proxy.reload("").unwrap();
    assert_eq!(fast(&bot.call(LIST).send().await), None);
    assert!(fast(&bot.call(LIST).send().await).is_some());
}

/// Turned red by: no bound; one that is never forgotten.
#[tokio::test(start_paused = true)]
async fn what_is_dead_is_bounded_and_forgotten() {
    let slack = Scripted::new(|_| async { refusal("token_revoked") });
    let proxy = Proxy::start(&slack);
    let bot = proxy.bot();
    let with = |n: u32| bot.call(LIST).header("authorization", &format!("Bearer xoxb-T1-A1-{n}"));
    for n in 0..1100 {
        assert_eq!(fast(&with(n).send().await), None);
    }
    assert_eq!(proxy.status().dead.len(), 1024);
    assert!(fast(&with(1099).send().await).is_some());
    assert_eq!(fast(&with(0).send().await), None, "it was forgotten for others");
    proxy.until(proxy.now() + secs(601)).await;
    assert!(proxy.status().dead.is_empty());
}

/// Turned red by: a token told of as dead where its calls are only watched.
#[tokio::test(start_paused = true)]
async fn what_is_only_watched_is_not_answered_for_slack() {
    let slack = revoked("token_revoked");
    let proxy = Proxy::configured("mode: shadow", &slack);
    let bot = proxy.bot();
    for _ in 0..5 {
        assert_eq!(fast(&bot.call(LIST).send().await), None);
    }
    assert_eq!(slack.seen().len(), 5);
    assert!(proxy.status().dead.is_empty());
}
