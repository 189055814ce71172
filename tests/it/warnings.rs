//! What is refused although it could be helped is warned of, with the cure, and not too often.

use serde_json::{Value, json};

use crate::harness::{Log, Proxy, all, fake, secs};

/// One call a minute.
const RARE: &str = "admin.apps.uninstall";

const REFUSED: &str = "calls are refused instead of held";

/// The fields that tell of refused calls, but for the cure.
fn told(event: &Value) -> Value {
    assert_eq!((&event["level"], &event["message"]), (&json!("WARN"), &json!(REFUSED)));
    assert!(event["request_id"].is_string(), "{event}");
    json!([
        event["caller"],
        event["method"],
        event["reason"],
        event["would_wait_seconds"],
        event["client_waits_seconds"],
        event["refused"]
    ])
}

/// Turned red by: a line for each call; one for all callers; a count that begins with the minute.
#[tokio::test(start_paused = true)]
async fn calls_that_would_wait_too_long_are_warned_of_once_a_minute() {
    let log = Log::warnings();
    let proxy = Proxy::start(&fake());
    let bot = proxy.bot();
    let ask = |lane: &str| bot.call(RARE).lane(lane);
    assert!(ask("job").send().await.is_ok());
    all((0..5).map(|_| ask("job;max-wait=2500ms"))).await;
    let python = ask("web").header("user-agent", "slackclient/3").send().await;
    python.shed();
    let events = log.take();
    assert_eq!(
        events.iter().map(told).collect::<Vec<_>>(),
        [
            json!(["job", RARE, "deadline", 61, 2.5, 1]),
            json!(["web", RARE, "deadline", 61, 25.0, 1])
        ]
    );
    let cure = events[0]["cure"].as_str().unwrap();
    assert!(cure.contains("time-out") && cure.contains("max-wait=5m/api/"), "{cure}");
    let why = "it would have waited 61 s for tier1, and its client waits 25 s";
    assert_eq!(python.message(), format!("[ERROR] slackwater: not sent: {why}; {cure}"));
    proxy.until(secs(59)).await;
    ask("job;max-wait=0s").send().await.shed();
    assert_eq!(log.take(), [] as [Value; 0], "the minute is not over");
    // The place of the other caller is due at 61 s, and has its moment.
    proxy.until(secs(62)).await;
    assert!(ask("job;max-wait=0s").send().await.is_ok());
    ask("job;max-wait=0s").send().await.shed();
    let events: Vec<_> = log.take().iter().map(told).collect();
    assert_eq!((events.len(), &events[0][5]), (1, &json!(6)), "{events:?}");
}

/// A call of Node's SDK that waits twice is not lost.
///
/// Turned red by: a warning of it; none of one that stays away for longer.
#[tokio::test(start_paused = true)]
async fn who_comes_back_at_once_is_not_warned_of() {
    let log = Log::warnings();
    let proxy = Proxy::start(&fake());
    let bot = proxy.bot();
    assert!(bot.call(RARE).send().await.is_ok());
    let node = |lane: &str| bot.call(RARE).header("user-agent", "@slack:web-api/7").lane(lane);
    assert_eq!(node("job;max-wait=40s").send().await.shed().0, 1);
    assert_eq!(log.take(), [] as [Value; 0]);
    assert!(node("job;max-wait=5s").send().await.shed().0 > 1);
    assert_eq!(log.take().len(), 1);
}

/// Turned red by: the cure of a client for what its time-out does not change.
#[tokio::test(start_paused = true)]
async fn the_cure_is_that_of_the_bound_that_was_met() {
    for (file, lane, cure) in [
        ("queue: { max_depth: 1 }", "job;max-wait=1h", "queue.max_depth"),
        ("queue: { max_bytes: 1KiB }", "job", "queue.max_bytes"),
        ("methods: { admin.apps.uninstall: { max_wait: 1s } }", "job", "class=interactive"),
    ] {
        let log = Log::warnings();
        let proxy = Proxy::configured(file, &fake());
        let bot = proxy.bot();
        let body = format!("x={}", "x".repeat(if file.contains("bytes") { 2000 } else { 1 }));
        let _held = [(); 3].map(|()| bot.call(RARE).form(&body).lane(lane).held());
        crate::harness::settled().await;
        let events = log.take();
        let said = events[0]["cure"].as_str().unwrap();
        assert!(events.len() == 1 && said.contains(cure), "{events:?}");
        let knows = !file.contains("bytes");
        assert_eq!(events[0]["would_wait_seconds"].is_u64(), knows, "{events:?}");
    }
}

/// Turned red by: a warning of what the operator has asked for, or of what Slack has said.
#[tokio::test(start_paused = true)]
async fn what_somebody_wants_is_not_warned_of() {
    let file = "callers: [{ name: old, enabled: false }]";
    let log = Log::warnings();
    let proxy = Proxy::configured(file, &fake());
    assert_eq!(proxy.bot().call(RARE).lane("old").send().await.shed().1, "disabled");
    proxy.admission.close();
    assert!(proxy.bot().call(RARE).send().await.is_ok());
    assert_eq!(proxy.bot().call(RARE).patient().send().await.shed().1, "draining");
    assert_eq!(log.take(), [] as [Value; 0]);
}

/// Turned red by: a line for each call, one for both mistakes, and a webhook's path in any.
#[tokio::test(start_paused = true)]
async fn a_wrong_base_url_is_warned_of_without_what_is_secret_in_it() {
    let log = Log::warnings();
    let proxy = Proxy::start(&fake());
    let bot = proxy.bot();
    let at = async |path: &str| bot.at(http::Method::POST, path).send().await.status;
    for path in ["/hooks/T1/B1/hunter", "/hooks/T1/B1/hunter", "/api/services/T1/B1/hunter"] {
        assert_eq!(at(path).await, 404);
    }
    let told = |event: &Value| {
        assert_eq!(event["message"], "calls go nowhere: their URL is wrong");
        assert!(event["cure"].as_str().unwrap().contains("end with /api/"), "{event}");
        json!([event["error"], event["path"], event["refused"]])
    };
    let all: Vec<_> = log.take().iter().map(told).collect();
    let nowhere = json!(["unknown_path", "/hooks/…", 1]);
    assert_eq!(all, [nowhere, json!(["unknown_method", "/api/services/…", 1])]);
    proxy.until(secs(61)).await;
    for path in ["/chat.postMessage", "/apichat.postMessage", "/hooks/T1/B1/hunter"] {
        assert_eq!(at(path).await, 404);
    }
    let all: Vec<_> = log.take().iter().map(told).collect();
    let no_prefix = json!(["wrong_base_url", "/chat.postMessage", 1]);
    assert_eq!(all, [no_prefix, json!(["unknown_path", "/hooks/…", 2])]);
    // What is refused for another reason says so to its caller.
    assert_eq!(at("/api/..").await, 400);
    assert_eq!(log.take(), [] as [Value; 0]);
}

/// A command looks whether a slackwater is there before it sends a token.
///
/// Turned red by: a listener that takes the probe for a call; one that answers a stranger's call so.
#[tokio::test(start_paused = true)]
async fn a_commands_own_probe_is_no_call() {
    let log = Log::warnings();
    let proxy = Proxy::start(&fake());
    let bot = proxy.bot();
    let probe = bot.at(http::Method::GET, "/").header("slackwater-probe", "1").send().await;
    assert_eq!(probe.status, 204);
    assert_eq!(probe.header("slackwater-attempts"), "0");
    assert_eq!(log.take(), [] as [Value; 0]);
    let counted = || {
        let text = proxy.metrics.text(&proxy.status(), &proxy.catalogue()).unwrap();
        String::from_utf8(text).unwrap().contains("slackwater_requests_total{")
    };
    assert!(!counted());
    // Without the header, at another path or with another verb it is what it was.
    assert_eq!(bot.at(http::Method::GET, "/").send().await.status, 404);
    for (verb, path) in [(http::Method::POST, "/"), (http::Method::GET, "/x")] {
        assert_eq!(bot.at(verb, path).header("slackwater-probe", "1").send().await.status, 404);
    }
    assert_eq!(log.take().len(), 1);
    assert!(counted());
}
