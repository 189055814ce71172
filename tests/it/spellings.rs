//! What tells two calls apart, wherever a client may put it: several spellings of one thing are one thing,
//! and take their slots from one bucket.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::Method;

use crate::harness::{Ask, Bot, Proxy, Scripted, json};

/// One call a minute.
const RARE: &str = "admin.apps.uninstall";

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const MULTIPART: &str = "multipart/form-data; boundary=b";

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

fn part(name: &str, value: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn gzip(text: &str) -> Bytes {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap().into()
}

/// The values by which a call counts, of all its buckets.
async fn values(proxy: &Proxy, ask: Ask) -> Vec<String> {
    assert_eq!(ask.send().await.status, 200);
    let mut values: Vec<_> = proxy
        .status()
        .buckets
        .iter()
        .flat_map(|bucket| bucket.key.as_str().split('/').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    values.sort();
    values.dedup();
    values
}

/// Turned red by: each of these ways of saying it that is not read.
#[tokio::test(start_paused = true)]
async fn a_channel_is_found_wherever_a_client_puts_it() {
    let none = "";
    let multipart = format!("{}{}--b--\r\n", part("text", "x"), part("channel", "C1"));
    let file = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{}\r\n{}--b--\r\n",
        "channel=C9&".repeat(5_000),
        part("channel", "C1")
    );
    let upstream = ok();
    for (query, kind, body, found) in [
        ("", FORM, "channel=C1&text=x", true),
        ("", FORM, "text=x&channel=C1", true),
        ("", FORM, "ch%61nnel=%43%31", true),
        ("", FORM, "channel=+C1%20", true),
        ("", FORM, "channel=&channel=C1", true),
        // Of two, the first counts in a form, and the last in JSON.
        ("", FORM, "channel=C1&channel=C9", true),
        ("", JSON, r#"{"channel":"C9","channel":"C1"}"#, true),
        ("", "application/x-www-form-urlencoded; charset=UTF-8", "channel=C1", true),
        ("", "Application/X-WWW-Form-URLEncoded", "channel=C1", true),
        // Without a content type, as PHP and others send it.
        ("", none, "channel=C1", true),
        ("", "text/plain", "channel=C1", true),
        ("", JSON, r#"{"text":"x","channel":"C1"}"#, true),
        ("", JSON, r#"{"\u0063hannel":"\u00431"}"#, true),
        ("", "application/json; charset=utf-8", r#"{"channel":"C1"}"#, true),
        ("", "APPLICATION/JSON;charset=utf-8", " \n{\"channel\":\"C1\"}", true),
        ("", MULTIPART, &multipart, true),
        ("", "Multipart/Form-Data; boundary=\"b\"", &multipart, true),
        ("", MULTIPART, &file, true),
        ("?channel=C1", none, "", true),
        ("?channel=C1", JSON, r#"{"text":"x"}"#, true),
        ("?channel=C1", MULTIPART, "no form", true),
        ("?slack_route=T1%3AT1&_x_id=1-2.3&_x_csid=a&channel=C1&fp=1", FORM, "token=xoxc-1", true),
        // What names none, or says that it is what it is not.
        ("", JSON, r#"{"blocks":[{"channel":"C1"}],"channel":{"id":"C1"}}"#, false),
        ("", JSON, "channel=C1", false),
        ("", FORM, r#"{"channel":"C1"}"#, false),
        ("", MULTIPART, "channel=C1", false),
        ("", "multipart/form-data", &multipart, false),
        ("?xchannel=C1&channels=C1", FORM, "Channel=C1", false),
    ] {
        for packed in [false, true] {
            let proxy = Proxy::start(&upstream);
            let path = format!("/api/chat.postMessage{query}");
            let mut ask = proxy.bot().at(Method::POST, &path).body(kind, body.to_owned());
            if packed {
                ask = ask.body(kind, gzip(body)).header("content-encoding", "gzip");
            }
            if kind.is_empty() {
                ask = ask.without_header("content-type");
            }
            let values = values(&proxy, ask).await;
            let has = values.iter().any(|value| value == "C1");
            assert_eq!(has, found, "{packed} {query} {kind} {body:.99}: {values:?}");
            assert!(!values.iter().any(|value| value == "C9"), "{values:?}");
        }
    }
}

/// Turned red by: the name of a channel as it came.
#[tokio::test(start_paused = true)]
async fn a_channel_has_one_name() {
    let upstream = ok();
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    for channel in ["general", "%23general", "#general", "+general+", "random"] {
        bot.post(channel, "x").patient().send().await;
    }
    let status = proxy.status();
    let of = |name: &str| {
        let keys = status.buckets.iter().filter(|bucket| bucket.key.as_str().contains(name));
        keys.map(|bucket| bucket.limit.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of("general").len(), of("random").len(), "{status:?}");
    assert_eq!(of("#"), [] as [String; 0]);
}

/// What is packed so that nobody can read it is forwarded as it came; and a bomb is left alone.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_names_nothing() {
    let upstream = ok();
    let bomb = gzip(&format!("{}&channel=C1", "x".repeat(2 << 20)));
    for (coding, body) in [
        ("br", Bytes::from_static(b"channel=C1")),
        ("gzip", Bytes::from_static(b"channel=C1")),
        ("gzip, gzip", gzip("channel=C1")),
        ("gzip", bomb),
    ] {
        let proxy = Proxy::start(&upstream);
        let ask = proxy.bot().call("chat.postMessage").body(FORM, body.clone());
        let values = values(&proxy, ask.header("content-encoding", coding)).await;
        assert!(!values.iter().any(|value| value == "C1"), "{coding}: {values:?}");
        let seen = upstream.seen().pop().unwrap();
        assert!(seen.body == body && seen.headers["content-encoding"] == coding);
    }
}

/// Turned red by: each of these ways of bringing it that is not read, or is another token's.
#[tokio::test(start_paused = true)]
async fn a_token_is_one_wherever_a_client_puts_it() {
    let upstream = ok();
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    let path = "/api/conversations.list";
    let bare = || bot.at(Method::POST, path).without_header("authorization");
    let with = |value: &str| bare().header("authorization", value);
    let multipart = format!("{}--b--\r\n", part("token", "xoxb-1"));
    let asks = vec![
        with("Bearer xoxb-1"),
        with("bearer xoxb-1"),
        with("BEARER   xoxb-1 "),
        bare().form("token=xoxb-1"),
        bare().form("limit=1&t%6fken=xoxb%2D1%0A"),
        bare().body(MULTIPART, multipart),
        bare().body(JSON, r#"{"token":"xoxb-1"}"#),
        bot.at(Method::GET, &format!("{path}?token=xoxb-1")).without_header("authorization"),
        bare().body(FORM, gzip("token=xoxb-1")).header("content-encoding", "gzip"),
        bot.at(Method::POST, &format!("{path}?token=xoxb-1"))
            .without_header("authorization")
            .body(JSON, r#"{"limit":1}"#),
        // The header is the token, whatever else is called so; also one with a cookie.
        with("Bearer xoxb-1").form("token=xoxb-2"),
        with("Bearer xoxb-1").header("cookie", "d=xoxd-1"),
    ];
    assert_one("tokens", 20, asks).await;
}

/// A call that comes back has the place that it left, though its client writes some of it anew.
///
/// Turned red by: a place by the query, or the body, as it came.
#[tokio::test(start_paused = true)]
async fn a_returning_call_is_one_however_it_is_written() {
    let proxy = Proxy::start(&ok());
    let bot = proxy.bot();
    assert!(bot.call(RARE).send().await.is_ok());
    let form = |boundary: &str| {
        let body =
            format!("{}--b--\r\n", part("app_id", "A1")).replace("--b", &format!("--{boundary}"));
        (format!("multipart/form-data; boundary={boundary}"), body)
    };
    for (n, boundary) in ["x1", "y2", "z3"].into_iter().enumerate() {
        let (kind, body) = form(boundary);
        for path in [format!("/api/{RARE}?_x_id=a-{n}"), format!("//api/{RARE}/?_x_id=b-{n}")] {
            let ask = bot.at(Method::POST, &path).body(&kind, body.clone());
            ask.lane("me;max-wait=0s").send().await.shed();
        }
    }
    assert_eq!(proxy.status().places, 1);
    let (kind, body) = form("x1");
    let other = bot.call(RARE).body(&kind, body.replace("A1", "A2"));
    other.lane("me;max-wait=0s").send().await.shed();
    assert_eq!(proxy.status().places, 2);
}
