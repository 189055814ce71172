//! What callers and operators see of the limits: who waits, why, and until when.

use slack::AppKind;
use slackwater::admin::Status;

use crate::harness::{Answer, Proxy, Scripted, all, fake, json, ms, secs, settled};

/// The tightest bucket, the policy and what is left.
fn told(answer: &Answer) -> [&str; 3] {
    ["slackwater-bucket", "ratelimit-policy", "ratelimit"].map(|name| answer.header(name))
}

/// An upstream that refuses those of its first calls that are named, for 30 s.
fn refuses(numbers: &'static [usize]) -> Scripted {
    Scripted::new(move |seen| async move {
        if !numbers.contains(&seen.number) {
            return json(200, r#"{"ok":true}"#);
        }
        let mut answer = json(429, r#"{"ok":false,"error":"ratelimited"}"#)?;
        answer.headers_mut().insert("retry-after", "30".parse().unwrap());
        Ok(answer)
    })
}

pub(crate) fn metrics(proxy: &Proxy) -> String {
    let catalogue = slack::Catalogue::built_in(AppKind::Internal).unwrap();
    let text = proxy.metrics.text(&proxy.status(), &catalogue).unwrap();
    String::from_utf8(text).unwrap()
}

#[track_caller]
fn assert_has(metrics: &str, lines: &[&str]) {
    for line in lines {
        assert!(metrics.lines().any(|one| one == *line), "{line} in\n{metrics}");
    }
}

/// Turned red by: telling what is left before the call; telling of a time that is too early.
#[tokio::test(start_paused = true)]
async fn an_answer_tells_what_is_left_and_when_there_is_more() {
    let proxy = Proxy::start(&fake());
    let bot = proxy.bot();
    let bucket = "tier2:token-ed2f41e609a4/token-ed2f41e609a4/conversations.list";
    let policy = r#""tier2";q=20;w=60"#;
    let answer = bot.call("conversations.list").send().await;
    assert_eq!(told(&answer), [bucket, policy, r#""tier2";r=19;t=61"#]);
    proxy.until(ms(10_500)).await;
    for left in (0..19).rev() {
        let answer = bot.call("conversations.list").send().await;
        assert_eq!(told(&answer), [bucket, policy, &format!(r#""tier2";r={left};t=50"#)]);
    }
    // Whoever obeys is not early.
    let shed = bot.call("conversations.list").lane("job;max-wait=1s").send().await;
    let (retry_after, _, of) = shed.shed();
    assert_eq!((retry_after, of), (50, bucket));
    assert_eq!(told(&shed), [bucket, policy, r#""tier2";r=0;t=50"#]);
    tokio::time::sleep(secs(50)).await;
    let answer = bot.call("conversations.list").lane("job;max-wait=1s").send().await;
    assert!(answer.is_ok(), "{answer:?}");
}

/// Of a post's channel and workspace, the channel is the tighter: it has one a second.
///
/// Turned red by: telling of the first bucket; telling of limits on calls in flight.
#[tokio::test(start_paused = true)]
async fn an_answer_tells_of_its_tightest_limit() {
    let proxy = Proxy::start(&Scripted::new(|_| async { json(200, r#"{"ok":true}"#) }));
    let answer = proxy.bot().post("C1", "x").send().await;
    let [bucket, policy, limit] = told(&answer);
    assert!(bucket.ends_with("/C1"), "{bucket}");
    assert!(policy.ends_with(";q=1;w=1"), "{policy}");
    assert!(limit.ends_with(";r=0;t=2"), "{limit}");
}

/// A call under no limit has no headers of ours, and what the upstream says goes on; where we
/// say something, its word is replaced.
#[tokio::test(start_paused = true)]
async fn the_upstreams_limits_are_told_only_where_there_are_none_of_ours() {
    let upstream = Scripted::new(|_| async {
        let mut answer = json(200, r#"{"ok":true}"#)?;
        for name in ["ratelimit", "ratelimit-policy"] {
            answer.headers_mut().append(name, "\"theirs\";r=1".parse().unwrap());
            answer.headers_mut().append(name, "\"more\";r=1".parse().unwrap());
        }
        Ok(answer)
    });
    let proxy = Proxy::configured("methods: { auth.test: { tier: none, limits: [] } }", &upstream);
    let free = proxy.bot().call("auth.test").send().await;
    assert_eq!(told(&free), ["", "\"theirs\";r=1", "\"theirs\";r=1"]);
    let ours = proxy.bot().call("conversations.list").send().await;
    assert_eq!(told(&ours)[2], r#""tier2";r=19;t=61"#);
    assert_eq!(ours.headers.get_all("ratelimit").iter().count(), 1);
}

/// Slack's own 429, handed on: nothing is left until its pause is over.
#[tokio::test(start_paused = true)]
async fn a_refusal_that_is_handed_on_tells_of_the_pause() {
    let upstream = refuses(&[1]);
    let proxy = Proxy::configured("on_429: { max_attempts: 1 }", &upstream);
    let answer = proxy.bot().call("conversations.list").patient().send().await;
    assert_eq!(answer.shed().0, 30);
    let bucket = "tier2:token-ed2f41e609a4/token-ed2f41e609a4/conversations.list";
    assert_eq!(told(&answer), [bucket, r#""tier2";q=20;w=60"#, r#""tier2";r=0;t=30"#]);
}

fn queue(status: &Status) -> (Option<&str>, Option<&str>, Option<u64>) {
    let queue = &status.queues[0];
    (queue.waits_for.as_deref(), queue.why, queue.until_ms)
}

/// Turned red by: counting places as waiting calls; a reason of the youngest call's.
#[tokio::test(start_paused = true)]
async fn status_tells_who_waits_and_why_and_until_when() {
    let slow = "methods: { conversations.members: { tier: special, limits: [{ name: slow, limit: 1, per: 10s, scope: [app, workspace] }] } }";
    let proxy = Proxy::configured(slow, &fake());
    let bot = proxy.bot();
    assert!(bot.call("conversations.members").send().await.is_ok());
    let _held = [bot.call("conversations.members").patient().held(), {
        bot.call("conversations.members").patient().after(ms(500)).held()
    }];
    proxy.until(ms(1_000)).await;
    let _away = bot.call("conversations.members").lane("away;max-wait=1s").send().await;
    proxy.until(ms(2_020)).await;
    let status = proxy.status();
    let (waits_for, why, until) = queue(&status);
    assert_eq!(
        (waits_for, why),
        (Some("slow:token-ed2f41e609a4/token-ed2f41e609a4"), Some("full"))
    );
    assert!(until.is_some_and(|until| (7_990..=8_000).contains(&until)), "{until:?}");
    assert_eq!((status.queues[0].depth, status.places), (2, 1));
    let [bucket] = &status.buckets[..] else { panic!("no open buckets: {status:?}") };
    assert_eq!((bucket.waiting, bucket.places, bucket.probing), (2, 1, false));
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(json["buckets"][0]["limit"], "slow");
    let metrics = metrics(&proxy);
    assert_has(&metrics, &["slackwater_places 1"]);
    assert!(!metrics.contains("slackwater_slots_used{"), "no limit counts by method");
}

/// Turned red by: a freeze that does not show; a probe that does not.
#[tokio::test(start_paused = true)]
async fn status_tells_of_a_pause_and_of_the_probe_after_it() {
    let upstream = Scripted::new(|seen| async move {
        if seen.number == 1 {
            let mut answer = json(429, r#"{"ok":false,"error":"ratelimited"}"#)?;
            answer.headers_mut().insert("retry-after", "30".parse().unwrap());
            return Ok(answer);
        }
        tokio::time::sleep(secs(5)).await;
        json(200, r#"{"ok":true}"#)
    });
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    let second = bot.call("users.info").patient().after(secs(1));
    let _calls = [bot.call("users.info").patient().held(), second.held()];
    proxy.until(secs(10)).await;
    let status = proxy.status();
    let (waits_for, why, until) = queue(&status);
    assert_eq!(
        (waits_for, why),
        (Some("tier4:token-ed2f41e609a4/token-ed2f41e609a4/users.info"), Some("frozen"))
    );
    assert!(until.is_some_and(|until| (19_980..=20_000).contains(&until)), "{until:?}");
    proxy.until(secs(32)).await;
    let status = proxy.status();
    assert_eq!(
        queue(&status),
        (Some("tier4:token-ed2f41e609a4/token-ed2f41e609a4/users.info"), Some("probing"), None)
    );
    assert!(status.buckets.iter().any(|bucket| bucket.probing), "{status:?}");
}

/// Two methods refused close the workspace: it shows then, and counts as a freeze.
///
/// Turned red by: hiding what is shut; counting the first freeze only; a surprise that is not.
#[tokio::test(start_paused = true)]
async fn a_widened_freeze_shows_in_status_and_metrics() {
    let proxy = Proxy::start(&refuses(&[1, 2]));
    let bot = proxy.bot();
    let _calls = [bot.call("users.info").patient().held(), {
        bot.call("conversations.list").patient().after(ms(10)).held()
    }];
    proxy.until(secs(1)).await;
    settled().await;
    let status = proxy.status();
    let shut: Vec<_> = status.buckets.iter().map(|bucket| &*bucket.limit.name).collect();
    assert_eq!(shut, ["tier2", "tier4", "whole_workspace"]);
    assert_has(
        &metrics(&proxy),
        &[
            r#"slackwater_freezes_total{scope="app_workspace"} 1"#,
            r#"slackwater_freezes_total{scope="app_workspace_method"} 2"#,
            r#"slackwater_upstream_429_total{method="users.info",surprise="true"} 1"#,
            "slackwater_frozen_buckets 3",
        ],
    );
}

/// Turned red by: the patience of another call than the oldest; a pause whose end is not told.
#[tokio::test(start_paused = true)]
async fn a_wait_is_told_beside_what_its_client_bears() {
    let proxy = Proxy::start(&refuses(&[1]));
    let bot = proxy.bot();
    let _first = bot.call("conversations.list").lane("a;max-wait=60s").held();
    settled().await;
    tokio::time::sleep(secs(10)).await;
    let _second = bot.call("conversations.list").lane("b;max-wait=40s").held();
    settled().await;
    let text = metrics(&proxy);
    assert_has(&text, &[r#"slackwater_queue_hold_seconds{method="conversations.list"} 60"#]);
    let seconds = |metric: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(metric)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let (waits, frozen) = (seconds("slackwater_queue_oldest_wait"), seconds("slackwater_frozen_s"));
    assert!((10.0..10.1).contains(&waits) && (19.9..=20.0).contains(&frozen), "{text}");
}

/// Red when the first refusal of a method is where its counter begins, and when what was never called
/// has one.
#[tokio::test(start_paused = true)]
async fn what_alerts_look_at_begins_at_zero() {
    let proxy = Proxy::start(&fake());
    let bot = proxy.bot();
    let text = metrics(&proxy);
    assert!(!text.contains("slackwater_sheds_total") && !text.contains("slackwater_shadow_"));
    assert_has(
        &text,
        &[
            r#"slackwater_freezes_total{scope="app"} 0"#,
            r#"slackwater_freezes_total{scope="app_workspace"} 0"#,
            r#"slackwater_freezes_total{scope="app_workspace_method"} 0"#,
            r#"slackwater_config_reloads_total{result="applied"} 0"#,
            r#"slackwater_config_reloads_total{result="refused"} 0"#,
        ],
    );
    assert!(bot.call("conversations.list").send().await.is_ok());
    let text = metrics(&proxy);
    assert_has(
        &text,
        &[
            r#"slackwater_sheds_total{method="conversations.list",reason="memory"} 0"#,
            r#"slackwater_sheds_total{method="conversations.list",reason="queue_full"} 0"#,
            r#"slackwater_upstream_429_total{method="conversations.list",surprise="true"} 0"#,
            r#"slackwater_replays_total{method="conversations.list"} 0"#,
            r#"slackwater_retries_total{method="conversations.list",reason="broken"} 0"#,
            r#"slackwater_retries_total{method="conversations.list",reason="server_error"} 0"#,
        ],
    );
    assert!(!text.contains("users.list"), "{text}");
    // Nothing of this one has been answered yet.
    let proxy = Proxy::start(&refuses(&[1]));
    let _call = proxy.bot().call("users.list").patient().held();
    settled().await;
    let zero = r#"slackwater_sheds_total{method="users.list",reason="deadline"} 0"#;
    assert_has(&metrics(&proxy), &[zero]);
    assert!(proxy.metrics.sums().shed.is_empty(), "what never was is not among the sums");
}

/// The label is the catalogue's word, whatever callers send.
#[tokio::test(start_paused = true)]
async fn slots_are_counted_by_the_methods_that_are_known() {
    let proxy = Proxy::start(&fake());
    let bot = proxy.bot();
    let methods = ["conversations.list", "conversations.list", "made.up", "made.up.too"];
    assert!(all(methods.map(|method| bot.call(method))).await.len() == 4);
    assert_has(
        &metrics(&proxy),
        &[
            r#"slackwater_slots_used{method="conversations.list"} 2"#,
            r#"slackwater_slots_quota{method="conversations.list"} 20"#,
            r#"slackwater_slots_used{method="other"} 2"#,
            r#"slackwater_slots_quota{method="other"} 40"#,
            "slackwater_places 0",
        ],
    );
}
