//! What stands beside the Web API: webhooks, response URLs, triggers, SCIM, Audit Logs.

use fake_slack::{FakeSlack, Latency, Reply, Shape};
use http::Method;
use slack::{AppKind, Catalogue};
use slackwater::admin::Status;

use crate::harness::{
    Answer, Ask, Bot, Proxy, Scripted, all, assert_near, json, ms, secs, slack, text,
};

/// Two tokens of two apps, whose workspaces are in one organization.
const ORG: &str = "
identity:
  resolve: false
  tokens:
    - { token_env: ONE, app: A1, workspace: T1, org: E1 }
    - { token_env: TWO, app: A2, workspace: T2, org: E1 }
";

const NODE: &str = "@slack:web-api/8.2.0 node/22.11.0 linux/6.1";

/// The fake takes their workspace for their organization.
fn token(name: &str) -> Option<String> {
    let token = match name {
        "ONE" => "xoxp-E1-A1-secret",
        "TWO" => "xoxp-E1-A2-secret",
        _ => return None,
    };
    Some(token.to_owned())
}

fn distant(shape: Shape, seed: u64) -> FakeSlack {
    slack(|options| {
        options.shape = shape;
        options.seed = seed;
        options.latency = Latency::between(ms(2), ms(200)).unwrap();
    })
}

fn hook(bot: &Bot, path: &str) -> Ask {
    bot.at(Method::POST, path).body("application/json", r#"{"text":"hello"}"#)
}

fn post(bot: &Bot, url: &str) -> Ask {
    hook(bot, &format!("/services/T1/B1/{url}")).without_header("authorization")
}

fn scim(bot: &Bot, verb: Method, path: &str) -> Ask {
    bot.at(verb, &format!("/scim/v1/{path}")).body("application/json", r#"{"userName":"u"}"#)
}

fn status(proxy: &Proxy) -> Status {
    proxy.status()
}

fn metrics(proxy: &Proxy) -> String {
    let catalogue = Catalogue::built_in(AppKind::Internal).unwrap();
    String::from_utf8(proxy.metrics.text(&status(proxy), &catalogue).unwrap()).unwrap()
}

#[track_caller]
fn assert_all_passed(fake: &FakeSlack, answers: &[Answer]) {
    for answer in answers {
        assert!((200..300).contains(&answer.status), "{answer:?}");
    }
    assert_eq!(fake.ledger().violations, [], "{}", fake.options().shape);
    assert_eq!(fake.totals().ok, answers.len() as u64);
}

/// A second apart on each webhook, and none waits for another's turn.
///
/// Turned red by: counting webhooks together; by app, workspace or token.
#[tokio::test(start_paused = true)]
async fn webhooks_do_not_hold_each_other_up() {
    for (seed, shape) in Shape::ALL.into_iter().enumerate() {
        let fake = distant(shape, seed as u64);
        let proxy = Proxy::start(&fake);
        let bot = proxy.bot();
        let busy = |n| post(&bot, "busy").lane("job;max-wait=1h").after(ms(n));
        let mut asks: Vec<_> = (0..10).map(busy).collect();
        asks.push(post(&bot, "idle").after(ms(500)));
        asks.push(post(&bot, "idle?query=counts-not").after(ms(700)));
        let answers = all(asks).await;
        assert_all_passed(&fake, &answers);
        assert!(answers.iter().all(|answer| &*answer.body == b"ok"));
        assert!(answers[9].took >= secs(9), "{:?}", answers[9].took);
        assert!(answers[10].took <= ms(205), "{:?}", answers[10].took);
        assert!(answers[11].took >= ms(800), "{:?}", answers[11].took);
        let bucket = answers[11].header("slackwater-bucket");
        // printf /services/T1/B1/idle | sha256sum
        assert_eq!(bucket, "webhook:url-c5d5a02d9df2");
        assert_eq!(fake.ledger().calls.back().unwrap().method.as_ref(), "webhook");
    }
}

/// Nothing that is known of a URL, or of the client, makes a sixth use good.
///
/// Turned red by: holding it as long as its client says; the class of other calls.
#[tokio::test(start_paused = true)]
async fn a_sixth_use_of_a_response_url_is_sent_away_at_once() {
    let fake = distant(Shape::Sliding, 1);
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    for path in ["/commands/T1/1/x", "/actions/T1/1/x"] {
        let answers = all((0..6).map(|n| hook(&bot, path).patient().after(ms(n)))).await;
        let passed = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(passed, 5);
        let (retry_after, reason, bucket) = answers[5].hook_shed();
        assert_eq!(reason, "deadline");
        assert!((1_790..=1_801).contains(&retry_after), "{retry_after}");
        assert!(bucket.starts_with("response_url:url-"), "{bucket}");
        assert!(answers[5].took <= ms(12), "{:?}", answers[5].took);
    }
    let other = hook(&bot, "/commands/T1/2/x").send().await;
    assert_eq!(other.status, 200);
    assert_eq!(fake.ledger().violations, []);
    let metrics = metrics(&proxy);
    let line = r#"{class="interactive",code="200",method="response_url",tier="special"} 11"#;
    assert!(metrics.contains(line), "{metrics}");
}

/// Ten a minute for each trigger.
#[tokio::test(start_paused = true)]
async fn triggers_keep_to_their_limit() {
    let fake = distant(Shape::Sliding, 2);
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    let trigger = |n: u64| {
        let prefix = if n.is_multiple_of(2) { "triggers" } else { "workflows" };
        hook(&bot, &format!("/{prefix}/T1/1/x")).patient().after(ms(n))
    };
    let answers = all((0..30).map(trigger)).await;
    assert_all_passed(&fake, &answers);
    assert!(answers.iter().all(Answer::is_ok));
    assert!((secs(60)..secs(61)).contains(&proxy.now()), "{:?}", proxy.now());
}

/// 180 a minute, and 20 at once: the burst's own window, in every shape that Slack's might have.
///
/// Turned red by: leaving out the burst; one limit for all verbs, or none for the organization.
#[tokio::test(start_paused = true)]
async fn scim_keeps_to_bursts_and_counts_each_verb_apart() {
    for (seed, shape) in Shape::ALL.into_iter().enumerate() {
        let fake = distant(shape, seed as u64);
        let proxy = Proxy::start(&fake);
        let bot = proxy.bot();
        let create = |n| scim(&bot, Method::POST, "Users").patient().after(ms(n));
        let delete = |n| scim(&bot, Method::DELETE, &format!("Users/U{n}")).patient().after(ms(n));
        let read = |n| scim(&bot, Method::GET, &format!("Users/U{n}")).patient().after(ms(n));
        let asks = (0..60).map(create).chain((0..20).map(delete)).chain((0..100).map(read));
        let answers = all(asks).await;
        assert_all_passed(&fake, &answers);
        let statuses = |from: usize, to: usize| -> Vec<u16> {
            answers[from..to].iter().map(|answer| answer.status).collect()
        };
        assert_eq!(statuses(0, 60), [201; 60]);
        assert_eq!(statuses(60, 80), [204; 20]);
        for answer in &answers[60..] {
            assert!(answer.took <= ms(210), "{shape}: {:?}", answer.took);
        }
        // Twenty at once, and twenty after each 20/180 of a minute.
        assert!((ms(13_300)..ms(14_200)).contains(&proxy.now()), "{shape}: {:?}", proxy.now());
    }
}

/// Writes of all sorts come to 600 a minute and 180 at once for the organization.
///
/// Turned red by: taking the organization's limit from the endpoints that have one of their own.
#[tokio::test(start_paused = true)]
async fn all_scim_writes_count_for_the_organization() {
    let fake = distant(Shape::Bucket, 5);
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    let write = |n| scim(&bot, Method::PUT, &format!("Groups/S{n}")).patient().after(ms(n));
    let other = |n| scim(&bot, Method::POST, "Bulk").patient().after(ms(n));
    let answers = all((0..80).map(write).chain((0..101).map(other))).await;
    assert_all_passed(&fake, &answers);
    let late: Vec<_> = answers.iter().filter(|answer| answer.took > secs(1)).collect();
    assert_eq!(late.len(), 1);
    assert!((secs(18)..ms(18_500)).contains(&late[0].took), "{:?}", late[0].took);
}

/// Two apps, and two workspaces, of one organization share what it may ask.
///
/// Turned red by: counting by app, workspace or token.
#[tokio::test(start_paused = true)]
async fn audit_logs_count_for_all_apps_of_an_organization() {
    let fake = distant(Shape::Sliding, 4);
    let proxy = Proxy::with_environment(ORG, token, &fake);
    let bot = proxy.bot();
    let ask = |n: u64| {
        let token = token(if n.is_multiple_of(2) { "ONE" } else { "TWO" }).unwrap();
        let logs = bot.at(Method::GET, "/audit/v1/logs?limit=1").patient().after(ms(n));
        logs.header("authorization", &format!("Bearer {token}"))
    };
    let answers = all((0..60).map(ask)).await;
    assert_all_passed(&fake, &answers);
    assert_eq!(answers[0].json()["entries"][0]["action"], "user_login");
    assert_eq!(answers[0].header("slackwater-bucket"), "audit:E1");
    let late = answers.iter().filter(|answer| answer.took > secs(59)).count();
    assert_eq!(late, 10);
    assert!((secs(60)..secs(61)).contains(&proxy.now()), "{:?}", proxy.now());
}

/// Status 200 says beside the Web API that a message is sent or a user made, whoever asks.
///
/// Turned red by: `shed_as` that holds there, too; the Web API's words where hooks.slack.com has its own.
#[tokio::test(start_paused = true)]
async fn what_is_refused_beside_the_web_api_is_never_told_as_done() {
    let refused = r#"{"ok":false,"error":"ratelimited"}"#;
    for (verb, path, is_hook) in [
        (Method::POST, "/services/T1/B1/x", true),
        (Method::POST, "/commands/T1/1/x", true),
        (Method::POST, "/triggers/T1/1/x", true),
        (Method::POST, "/scim/v1/Users", false),
        (Method::GET, "/audit/v1/logs", false),
    ] {
        for (body, file, reason) in [
            (refused, "on_429: { max_attempts: 1 }", "upstream"),
            ("", "on_429: { max_attempts: 1 }", "upstream"),
            ("", "callers: [{ name: default, enabled: false }]", "disabled"),
        ] {
            let upstream = Scripted::new(move |_| async move {
                let mut answer = json(429, body)?;
                answer.headers_mut().insert("retry-after", "5".parse().unwrap());
                Ok(answer)
            });
            let proxy = Proxy::configured(&format!("{file}\nshed_as: ok_false"), &upstream);
            let ask = proxy.bot().at(verb.clone(), path).header("user-agent", NODE);
            let answer = ask.send().await;
            let in_our_words = body.is_empty();
            let told = if is_hook && in_our_words { answer.hook_shed() } else { answer.shed() };
            assert_eq!(told.1, reason, "{path}");
        }
    }
}

/// What Slack refuses is waited out beside the Web API too. A read is sent again after a 503; a
/// post, of which nobody knows whether it was done, is not.
///
/// Turned red by: taking every verb of an endpoint that reads for a read.
#[tokio::test(start_paused = true)]
async fn refusals_are_waited_out() {
    let refused = r#"{"retry_after":5,"ok":false,"error":"rate_limited"}"#;
    for (status, verb, path, attempts) in [
        (429, Method::POST, "/services/T1/B1/x", 2),
        (429, Method::POST, "/commands/T1/1/x", 2),
        (429, Method::POST, "/triggers/T1/1/x", 2),
        (429, Method::POST, "/scim/v1/Users", 2),
        (429, Method::GET, "/audit/v1/logs", 2),
        (503, Method::GET, "/audit/v1/logs", 2),
        (503, Method::GET, "/scim/v1/Users/U1", 2),
        (503, Method::POST, "/scim/v1/Users", 1),
        (503, Method::POST, "/audit/v1/logs", 1),
        (503, Method::POST, "/services/T1/B1/x", 1),
        (503, Method::GET, "/triggers/T1/1/x", 1),
    ] {
        let upstream = Scripted::new(move |seen| async move {
            let first = seen.number == 1;
            let mut answer =
                if first { json(status, refused)? } else { json(200, r#"{"ok":true}"#)? };
            answer.headers_mut().insert("retry-after", "5".parse().unwrap());
            Ok(answer)
        });
        let proxy = Proxy::start(&upstream);
        let answer = proxy.bot().at(verb.clone(), path).patient().send().await;
        assert_eq!(upstream.seen().len(), attempts, "{status} {verb} {path}");
        assert_eq!(answer.status, if attempts == 2 { 200 } else { status }, "{verb} {path}");
        assert_near(proxy.now(), if attempts == 2 { secs(5) } else { secs(0) });
    }
}

/// Refused webhooks tell nothing of a workspace or an app: they have none.
///
/// Turned red by: counting them in `whole_workspace` and `whole_app`.
#[tokio::test(start_paused = true)]
async fn refused_webhooks_close_nothing_but_themselves() {
    let fake = distant(Shape::Sliding, 6);
    for method in ["webhook", "trigger", "audit", "scim.read"] {
        fake.script(method, [Reply::rate_limited(30), Reply::rate_limited(30)]);
    }
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    let answers = all([
        post(&bot, "1").patient(),
        post(&bot, "2").patient().after(ms(300)),
        hook(&bot, "/triggers/T1/1/x").patient().after(ms(600)),
        hook(&bot, "/triggers/T1/2/x").patient().after(ms(900)),
        bot.at(Method::GET, "/audit/v1/logs").patient().after(ms(1_200)),
        scim(&bot, Method::GET, "Users").patient().after(ms(1_500)),
        post(&bot, "3").after(ms(1_800)),
        bot.call("users.info").after(ms(1_800)),
        scim(&bot, Method::POST, "Users").after(ms(1_800)),
    ])
    .await;
    for answer in &answers[..6] {
        assert!(answer.status == 200 && answer.took >= secs(30), "{answer:?}");
    }
    for answer in &answers[6..] {
        assert!(answer.status < 300 && answer.took <= ms(205), "{answer:?}");
    }
    let shut = status(&proxy).buckets.into_iter().filter(|it| it.limit.name.starts_with("whole"));
    assert_eq!(shut.count(), 0);
}

/// Who sets the own profile names nobody; the limit per profile counts all the same.
///
/// Turned red by: leaving a call that names no user out of the limits per user.
#[tokio::test(start_paused = true)]
async fn a_user_that_is_not_named_is_the_tokens_own() {
    let fake = distant(Shape::Sliding, 7);
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    let own = |n| bot.call("users.profile.set").form("name=x").patient().after(ms(n));
    let others = |n| bot.call("users.profile.set").form(&format!("user=U{n}")).after(ms(n));
    let answers = all((0..11).map(own).chain((0..19).map(others))).await;
    assert_all_passed(&fake, &answers);
    let late: Vec<_> = answers.iter().filter(|answer| answer.took > secs(1)).collect();
    assert_eq!(late.len(), 1);
    assert_near_minute(late[0]);

    // Nothing of the call names whose search it is; where the workspace may do more, the user may not.
    let limit = "{ name: team, limit: 40, per: 1m, scope: [workspace] }, \
                 { name: mine, limit: 10, per: 1m, scope: [user] }";
    let file = format!("methods: {{ assistant.search.context: {{ limits: [{limit}] }} }}");
    let proxy = Proxy::configured(&file, &Scripted::new(|_| async { json(200, r#"{"ok":true}"#) }));
    let bot = proxy.bot();
    let search = |n| bot.call("assistant.search.context").form("query=x").patient().after(ms(n));
    let mut answers = all((0..11).map(search)).await;
    assert_near_minute(&answers.pop().unwrap());
    assert!(answers.iter().all(|answer| answer.took <= ms(12)));
}

#[track_caller]
fn assert_near_minute(answer: &Answer) {
    assert!((secs(59)..secs(61)).contains(&answer.took), "{:?}", answer.took);
}

/// What the limits are called by is not a method of the Web API.
#[tokio::test(start_paused = true)]
async fn an_endpoints_name_is_no_method() {
    let proxy = Proxy::start(&slack(|_| {}));
    let answer = proxy.bot().call("webhook").send().await;
    let bucket = answer.header("slackwater-bucket");
    assert!(bucket.starts_with("tier2:") && bucket.ends_with("/webhook"), "{bucket}");
}

/// A lane stands before every prefix, and what is only forwarded is under no limit.
#[tokio::test(start_paused = true)]
async fn lanes_are_heard_and_plain_is_not_limited() {
    let upstream = Scripted::new(|_| async { text(200, "ok") });
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    for path in [
        "/api/auth.test",
        "/services/T1/B1/x",
        "/workflows/T1/1/x",
        "/triggers/T1/1/x",
        "/actions/T1/1/x",
        "/commands/T1/1/x",
        "/scim/v1/Users",
        "/audit/v1/logs",
    ] {
        let answer = hook(&bot, path).lane("cleanup;class=background").send().await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(upstream.seen().pop().unwrap().path, path);
        assert_ne!(answer.header("slackwater-bucket"), "", "{path}");
    }
    let metrics = metrics(&proxy);
    assert!(metrics.contains(r#"slackwater_caller_requests_total{caller="cleanup"} 8"#));

    let plain = "upstreams: [{ prefix: /, url: 'https://hooks.slack.com/', kind: plain }]";
    let proxy = Proxy::configured(plain, &upstream);
    let bot = proxy.bot();
    for answer in all((0..50).map(|_| hook(&bot, "/services/T1/B1/x"))).await {
        assert_eq!((answer.status, answer.header("slackwater-bucket")), (200, ""));
    }
    assert!(proxy.now() <= ms(12), "{:?}", proxy.now());
}
