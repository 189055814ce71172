//! What tells two calls apart, wherever a client may put it: several spellings of one thing are one thing,
//! and take their slots from one bucket.

use http::Method;

use crate::harness::{Ask, Bot, Proxy, Scripted, json};

fn ok() -> Scripted {
    Scripted::new(|_| async { json(200, r#"{"ok":true}"#) })
}

/// Under which bucket a call counts, and how many it has had with it.
async fn counted(ask: Ask) -> (String, String) {
    let answer = ask.send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    (answer.header("slackwater-bucket").to_owned(), answer.header("ratelimit").to_owned())
}

/// All of them count in one bucket, one after the other.
async fn assert_one(what: &str, quota: u32, asks: Vec<Ask>) {
    let mut first = None;
    for (n, ask) in asks.into_iter().enumerate() {
        let (bucket, headroom) = counted(ask.patient()).await;
        let first = first.get_or_insert_with(|| bucket.clone());
        assert_eq!((&bucket, bucket.is_empty()), (&*first, false), "{what}, number {n}");
        let left = format!(";r={};", quota - 1 - u32::try_from(n).unwrap());
        assert!(headroom.contains(&left), "{what}, number {n}: {headroom}");
    }
}

fn get(bot: &Bot, path: &str) -> Ask {
    bot.at(Method::GET, path)
}

/// Turned red by: a bucket by the path as it came; by the name of a method as it came.
#[tokio::test(start_paused = true)]
async fn a_method_is_one_however_its_path_is_written() {
    let upstream = ok();
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    let paths = [
        "/api/conversations.list",
        "/api/conversations.list/",
        "/api//conversations.list",
        "//api/conversations.list",
        "//api//conversations.list//",
        "/%61pi/conversations%2elist",
        "/api/conversations.list?limit=1&slack_route=T1&_x_id=1-2",
    ];
    assert_one("paths", 20, paths.iter().map(|path| get(&bot, path)).collect()).await;
    // Slack sees the one that it documents.
    for seen in &upstream.seen()[..6] {
        assert_eq!(seen.path, "/api/conversations.list");
    }
    // Which case Slack takes is for Slack to say; one that it takes is counted.
    let cases = ["team.info", "Team.Info", "TEAM.INFO"];
    let asks = cases.iter().map(|name| get(&bot, &format!("/api/{name}"))).collect();
    assert_one("cases", 50, asks).await;
    assert_eq!(upstream.seen().pop().unwrap().path, "/api/TEAM.INFO");
    // What nobody knows counts by the name that it was called by.
    assert_eq!(counted(bot.call("no.such")).await.0.split('/').next_back(), Some("no.such"));
}

/// Turned red by: a lane that is looked for in the path as it came.
#[tokio::test(start_paused = true)]
async fn a_lane_is_one_however_its_path_is_written() {
    let upstream = ok();
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    for path in [
        "/@job;class=background/api/auth.test",
        "//@job;class=background//api//auth.test/",
        "/%40job%3Bclass%3Dbackground/api/auth.test",
        "/%40j%6Fb%3bclass=background//api/auth.test",
    ] {
        assert_eq!(get(&bot, path).send().await.status, 200, "{path}");
        assert_eq!(upstream.seen().pop().unwrap().path, "/api/auth.test");
    }
    let callers = proxy.metrics.text(&proxy.status(), &proxy.catalogue()).unwrap();
    let callers = String::from_utf8(callers).unwrap();
    assert!(callers.contains(r#"slackwater_caller_requests_total{caller="job"} 4"#), "{callers}");
}

/// Turned red by: a bucket by the URL with its query; by the path with its last slash, or as it is encoded.
#[tokio::test(start_paused = true)]
async fn a_secret_url_is_one_however_it_is_written() {
    let upstream = ok();
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    for (quota, prefix) in [(10, "/triggers"), (5, "/commands"), (5, "/actions")] {
        let paths = [
            format!("{prefix}/T1/1/abc"),
            format!("{prefix}/T1/1/abc/"),
            format!("/{prefix}//T1/1//abc?x=1&y=2"),
            format!("{prefix}/T1/%31/a%62c"),
        ];
        let ask = |path: &String| bot.at(Method::POST, path).without_header("authorization");
        assert_one(prefix, quota, paths.iter().map(ask).collect()).await;
    }
    // Two webhooks whose secrets differ in nothing but a case are two.
    let hook = |path: &str| counted(bot.at(Method::POST, path));
    assert_ne!(hook("/services/T1/B1/abc").await.0, hook("/services/T1/B1/abC").await.0);
    // Whatever means something else is something else.
    assert_ne!(hook("/services/T1/B2/a%3Ac").await.0, hook("/services/T1/B2/a%3Bc").await.0);
}
