//! What each side sees of the other's headers.

use http::Method;

use crate::harness::{Proxy, Scripted, json};

/// The example of the standard (<https://www.w3.org/TR/trace-context/>).
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// An upstream that says more than the caller is to hear.
fn talkative() -> Scripted {
    Scripted::new(|_| async {
        let mut answer = json(200, r#"{"ok":true}"#)?;
        for (name, value) in [
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "Basic"),
            ("slackwater-reason", "forged"),
            ("slackwater-anything", "forged"),
            ("x-oauth-scopes", "chat:write"),
            ("set-cookie", "b=1"),
        ] {
            answer.headers_mut().insert(name, value.parse().unwrap());
        }
        Ok(answer)
    })
}

/// Turned red by: headers that go on as they came, in either direction.
#[tokio::test(start_paused = true)]
async fn what_is_of_one_connection_or_ours_stays_here() {
    for h2 in [false, true] {
        let upstream = talkative();
        let proxy = Proxy::start(&upstream);
        let bot = if h2 { proxy.bot_h2() } else { proxy.bot() };
        let mut ask = bot
            .at(Method::POST, "/api/auth.test?pretty=1")
            .header("x-request-id", "mine-1")
            .header("traceparent", TRACEPARENT)
            .header("tracestate", "rojo=1")
            .header("slackwater-caller", "job")
            .header("slackwater-anything", "x")
            .header("te", "trailers")
            .header("proxy-authorization", "Basic x")
            .header("user-agent", "bot/1")
            .header("cookie", "d=xoxd-1");
        if !h2 {
            ask = ask.header("connection", "x-mine").header("x-mine", "1");
            ask = ask.header("keep-alive", "5");
        }
        let answer = ask.form("a=1").send().await;
        let seen = &upstream.seen()[0];
        assert_eq!((&seen.verb, &*seen.path), (&Method::POST, "/api/auth.test?pretty=1"));
        let mut names: Vec<_> = seen.headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        let expected = [
            "authorization",
            "content-length",
            "content-type",
            "cookie",
            "host",
            "traceparent",
            "tracestate",
            "user-agent",
            "x-request-id",
        ];
        assert_eq!(names, expected);
        assert_eq!(seen.headers["traceparent"], TRACEPARENT);
        assert_eq!(seen.headers["host"], "slack.com");
        assert_eq!(seen.headers["authorization"], "Bearer xoxb-T1-A1-secret");
        assert_eq!(seen.headers["x-request-id"], "mine-1");
        assert_eq!(seen.headers["content-length"], "3");

        let mut names: Vec<_> = answer.headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        let expected = [
            "content-length",
            "content-type",
            "date",
            "ratelimit",
            "ratelimit-policy",
            "set-cookie",
            "slackwater-attempts",
            "slackwater-bucket",
            "slackwater-wait-ms",
            "x-oauth-scopes",
            "x-request-id",
        ];
        assert_eq!(names, expected, "h2: {h2}");
        assert_eq!(answer.header("x-request-id"), "mine-1");
        assert_eq!(
            (answer.header("slackwater-wait-ms"), answer.header("slackwater-attempts")),
            ("0", "1")
        );
    }
}

/// A call without an id gets one, the same for the upstream and the caller, and another than
/// the next one's. Answers of ours have theirs too.
#[tokio::test(start_paused = true)]
async fn every_call_has_an_id() {
    let upstream = talkative();
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    let mut ids = Vec::new();
    for path in ["/api/auth.test", "/api/auth.test", "/nowhere", "/api/.."] {
        let answer = bot.at(Method::GET, path).send().await;
        assert_eq!(answer.header("x-request-id").len(), 16, "{path}");
        ids.push(answer.header("x-request-id").to_owned());
    }
    let told: Vec<_> = upstream
        .seen()
        .iter()
        .map(|seen| seen.headers["x-request-id"].to_str().unwrap().to_owned())
        .collect();
    assert_eq!(told, ids[..2]);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}
