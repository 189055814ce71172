//! The configuration changes while calls wait and are in flight.

use std::{sync::Arc, time::Duration};

use crate::harness::{
    Answer, Machine, Proxy, Scripted, Wire, all, assert_near, json, ms, secs, settled,
};

const LIST: &str = "conversations.list";

/// A Slack that says yes to everything after 100 ms.
fn ok() -> Scripted {
    Scripted::new(|_| async {
        tokio::time::sleep(ms(100)).await;
        json(200, r#"{"ok":true}"#)
    })
}

/// When each of `n` calls at once was answered, with the configuration changed after ten seconds.
async fn answered(n: u64, file: &str) -> Vec<u64> {
    let upstream = ok();
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    let calls = (0..n).map(|_| bot.call(LIST).patient());
    let (answers, ()) = tokio::join!(all(calls), async {
        proxy.until(secs(10)).await;
        assert_eq!(proxy.reload(file), Ok(()));
    });
    assert!(answers.iter().all(Answer::is_ok));
    let mut took: Vec<_> = answers.iter().map(|answer| answer.took.as_secs()).collect();
    took.sort_unstable();
    took
}

/// Turned red by: buckets made anew.
#[tokio::test(start_paused = true)]
async fn a_lower_limit_holds_at_once_and_what_was_taken_counts() {
    let took = answered(30, "tiers: { tier2: { limit: 5, per: 1m } }").await;
    assert_eq!(took[..20], [0; 20]);
    assert_eq!(took[20..], [60, 60, 60, 60, 60, 120, 120, 120, 120, 120]);
}

#[tokio::test(start_paused = true)]
async fn a_higher_limit_lets_held_calls_go_at_once() {
    let took = answered(30, "tiers: { tier2: { limit: 28, per: 1m } }").await;
    assert_eq!(took[20..], [10, 10, 10, 10, 10, 10, 10, 10, 60, 60]);
}

/// Turned red by: calls that wait and stay with their old limits, or change them one by one.
#[tokio::test(start_paused = true)]
async fn other_limits_for_a_method_hold_for_those_who_wait_in_their_order() {
    let upstream = ok();
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    let call = |n: u64| bot.call(LIST).form(&format!("n={n}")).patient().after(ms(n));
    let (answers, ()) = tokio::join!(all((0..120).map(call)), async {
        proxy.until(secs(10)).await;
        assert_eq!(proxy.admission.held(), 100);
        let limits = "[{ name: mine, limit: 50, per: 10s, scope: [app, workspace] }]";
        let file = format!("methods: {{ {LIST}: {{ tier: special, limits: {limits} }} }}");
        assert_eq!(proxy.reload(&file), Ok(()));
    });
    assert!(answers.iter().all(Answer::is_ok));
    let order: Vec<_> = upstream.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(order, (0..120).map(|n| format!("n={n}")).collect::<Vec<_>>());
    assert_near(proxy.now(), secs(20) + ms(220));
}

/// Turned red by: a configuration that is applied in part.
#[tokio::test(start_paused = true)]
async fn what_is_wrong_changes_nothing_and_is_told() {
    let upstream = ok();
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    let mistake = proxy.reload("tiers: { tier2: { limit: 40, per: 1m } }\nqueue: { depth: 1 }");
    assert_eq!(mistake, Err("test:3:10: queue.depth: is no key here; is it max_depth?".into()));
    let mistake = proxy.reload("tiers: { tier2: { limit: 40, per: 1m } }\nlisten: 127.0.0.1:1");
    let why = "changes only with a restart: listen; nothing of the new configuration is applied";
    assert_eq!(mistake, Err(why.into()));
    let mut calls = bot.call(LIST).patient().held();
    for _ in 0..39 {
        calls.spawn(bot.call(LIST).patient().send());
    }
    settled().await;
    assert_eq!(proxy.admission.held(), 20, "the limit is the old one");
    assert_eq!(proxy.reload(""), Ok(()), "the next one that is right is applied");
    let text = proxy.metrics.text(&proxy.status(), &proxy.catalogue()).unwrap();
    let text = String::from_utf8(text).unwrap();
    for line in [
        r#"slackwater_config_reloads_total{result="refused"} 2"#,
        r#"slackwater_config_reloads_total{result="applied"} 1"#,
    ] {
        assert!(text.contains(line), "{text}");
    }
}

/// Calls on their way keep the old configuration, later ones have the new one.
///
/// Turned red by: a stack that is not replaced.
#[tokio::test(start_paused = true)]
async fn later_calls_are_under_the_new_rules() {
    let upstream = Scripted::new(|_| async {
        tokio::time::sleep(secs(10)).await;
        json(200, r#"{"ok":true}"#)
    });
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    let before = bot.call(LIST).held();
    settled().await;
    let file = "timeouts: { headers: 5s }\nupstreams: [{ prefix: /other/, url: 'http://slack.test/api/', kind: web_api }]";
    assert_eq!(proxy.reload(file), Ok(()));
    assert_eq!(bot.call(LIST).send().await.status, 404);
    let late = bot.at(http::Method::POST, "/other/users.list").send().await;
    assert_eq!((late.status, late.took.as_secs()), (504, 5), "{late:?}");
    let before = before.join_all().await.remove(0);
    assert!(before.is_ok() && before.took > Duration::from_secs(9), "{before:?}");
}

/// Whose a token is that the configuration tells: what it took counts for them.
///
/// Turned red by: identities that stay, or buckets that are not moved along.
#[tokio::test(start_paused = true)]
async fn an_app_that_is_named_later_takes_over_what_its_tokens_took() {
    let upstream = ok();
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    let token = |token: &str| bot.call("admin.apps.uninstall").header("authorization", token);
    assert!(token("Bearer xoxb-1").patient().send().await.is_ok());
    let file = "identity:
  resolve: false
  tokens:
    - { token_env: ONE, app: A1, workspace: T1 }
    - { token_env: TWO, app: A1, workspace: T1 }
";
    assert_eq!(proxy.reload(file), Ok(()));
    let answer = token("Bearer xoxb-2").patient().send().await;
    assert!(answer.is_ok());
    assert_near(proxy.now(), secs(60) + ms(220));
}

/// However often the configuration changes while calls are held, there is one account of what they hold.
///
/// Turned red by: an account for each stack of layers.
#[tokio::test(start_paused = true)]
async fn what_held_calls_hold_counts_after_a_reload() {
    let upstream = ok();
    let file = "queue: { max_bytes: 1MiB }";
    let proxy = Proxy::configured(file, &upstream);
    let bot = proxy.bot();
    let ask = || bot.call("admin.apps.uninstall").body("text/plain", vec![b'x'; 600 << 10]);
    assert!(ask().send().await.is_ok());
    let held = ask().patient().held();
    settled().await;
    assert_eq!(proxy.reload(file), Ok(()));
    let answer = ask().patient().send().await;
    assert_eq!(answer.shed().1, "memory");
    drop(held);
    settled().await;
    assert_eq!(proxy.memory.held(), (0, 0));
}

/// The file says nothing of memory, and its container has another limit by now.
///
/// Turned red by: a limit of the container that has to be as it was; a share of it that has to be.
#[tokio::test(start_paused = true)]
async fn a_container_may_be_given_another_limit() {
    let of = |mib: usize| {
        let limit = (mib << 20).to_string();
        Machine::default()
            .file("/proc/self/cgroup", "0::/")
            .file("/sys/fs/cgroup/memory.max", &limit)
    };
    let config = config::check_on(&of(192), "queue: { max_total: 2000 }", "test").unwrap();
    let proxy = Proxy::with(Arc::new(config), Wire::from(&ok()));
    assert_eq!(proxy.reload_on(&of(256), "queue: { max_total: 3000 }"), Ok(()));
    assert!(proxy.reload_on(&of(256), "queue: { max_total: 3000, max_bytes: 9MiB }").is_err());
}
