//! How Slack is asked whose a token is: as the call would ask that brought it, or not at all.

use std::fmt::Write as _;

use http::Method;

use crate::harness::{Ask, Bot, Log, Proxy, Scripted, Seen, json, ms, secs};

const RESOLVE: &str = "identity: { resolve: true }";
const TOKEN: &str = "xoxc-1-2-3-hunter2";
const COOKIE: &str = "b=1; d=xoxd-hunter2; d-s=2";
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64)";

fn is_question(seen: &Seen) -> bool {
    seen.path == "/api/auth.test"
}

fn questions(upstream: &Scripted) -> Vec<Seen> {
    upstream.seen().into_iter().filter(is_question).collect()
}

/// A Slack that knows the token of a session by its cookie, and checks the User-Agent.
fn slack_with_sessions() -> Scripted {
    Scripted::new(|seen| async move {
        let header = |name: &str| {
            let values = seen.headers.get_all(name).iter();
            values.map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join("; ")
        };
        let brought =
            format!("{} {}", header("authorization"), String::from_utf8_lossy(&seen.body));
        let knows = brought.contains(TOKEN) || seen.path.contains(TOKEN);
        if knows && header("cookie").contains("d=xoxd-hunter2") && header("user-agent") == AGENT {
            json(200, r#"{"ok":true,"team_id":"T1","user_id":"U1"}"#)
        } else {
            json(200, r#"{"ok":false,"error":"invalid_auth"}"#)
        }
    })
}

/// A call of a session, with its token in a header.
fn session(bot: &Bot) -> Ask {
    with_cookie(bot.call("users.list").header("authorization", &format!("Bearer {TOKEN}")))
}

fn with_cookie(ask: Ask) -> Ask {
    ask.header("cookie", COOKIE).header("user-agent", AGENT)
}

/// Turned red by: a question without the cookie, or without the User-Agent; one that is a question of a
/// bearer token wherever the call has its own.
#[tokio::test(start_paused = true)]
async fn a_session_is_asked_about_as_it_asks_itself() {
    let form = format!("token={TOKEN}&limit=5");
    let multipart = format!(
        "--b\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n{TOKEN}\r\n--b--\r\n"
    );
    for h2 in [false, true] {
        for at in ["header", "form", "multipart", "query", "json"] {
            let upstream = slack_with_sessions();
            let proxy = Proxy::configured(RESOLVE, &upstream);
            let bot = if h2 { proxy.bot_h2() } else { proxy.bot() };
            let bare = || with_cookie(bot.call("users.list").without_header("authorization"));
            let ask = match at {
                "header" => session(&bot),
                "form" => bare().form(&form),
                "multipart" => bare().body("multipart/form-data; boundary=b", multipart.clone()),
                "json" => bare().body("application/json", format!(r#"{{"token":"{TOKEN}"}}"#)),
                _ => {
                    let path = format!("/api/users.list?token={TOKEN}&_x_id=1");
                    with_cookie(bot.at(Method::GET, &path).without_header("authorization"))
                }
            };
            let answer = ask.send().await;
            let bucket = answer.header("slackwater-bucket");
            assert!(bucket.ends_with("/T1/users.list"), "{at}: {bucket}");
            let asked = questions(&upstream);
            assert_eq!(asked.len(), 1, "{at}");
            let Seen { verb, headers, body, .. } = &asked[0];
            assert_eq!((verb, headers["user-agent"].as_bytes()), (&Method::POST, AGENT.as_bytes()));
            assert_eq!(headers.contains_key("authorization"), at == "header", "{at}");
            let form = if at == "header" { String::new() } else { format!("token={TOKEN}") };
            assert_eq!(body, &form, "{at}");
            assert!(!headers.contains_key("content-type") || at != "header");
        }
    }
}

/// Turned red by: a question that cannot be answered.
#[tokio::test(start_paused = true)]
async fn half_a_session_is_not_asked_about() {
    let upstream = slack_with_sessions();
    let proxy = Proxy::configured(RESOLVE, &upstream);
    let bot = proxy.bot();
    // The token without its cookie: it counts by its hash, and nothing waits.
    for cookie in ["", "d=", "x=d=xoxd-hunter2"] {
        let ask = bot.call("users.list").header("authorization", &format!("Bearer {TOKEN}"));
        let ask = if cookie.is_empty() { ask } else { ask.header("cookie", cookie) };
        let answer = ask.send().await;
        assert!(answer.took < ms(20) && answer.json()["error"] == "invalid_auth", "{answer:?}");
        let bucket = answer.header("slackwater-bucket");
        assert!(bucket.starts_with("tier2:token-"), "{bucket}");
    }
    // The cookie without its token is nobody's.
    let answer = with_cookie(bot.call("users.list")).without_header("authorization").send().await;
    assert_eq!(answer.header("slackwater-bucket"), "tier2:none/none/users.list");
    assert_eq!(questions(&upstream).len(), 0);
    // When the cookie comes, it is asked at once: nobody has said no.
    let answer = session(&bot).send().await;
    assert!(answer.header("slackwater-bucket").ends_with("/T1/users.list"), "{answer:?}");
    assert_eq!(questions(&upstream).len(), 1);
}

/// A cookie that is over is one that Slack says no to.
#[tokio::test(start_paused = true)]
async fn a_session_that_is_over_is_asked_about_once_a_minute() {
    let upstream = slack_with_sessions();
    let proxy = Proxy::configured(RESOLVE, &upstream);
    let bot = proxy.bot();
    for at in [0, 1, 59, 61] {
        proxy.until(secs(at)).await;
        session(&bot).header("cookie", "d=xoxd-old").send().await;
    }
    assert_eq!(questions(&upstream).len(), 2);
}

/// Turned red by: the headers of a call left out, those of its body taken along, or all of them sent to
/// another server.
#[tokio::test(start_paused = true)]
async fn a_question_has_the_calls_headers_and_none_of_its_body() {
    let upstream =
        Scripted::new(|_| async { json(200, r#"{"ok":true,"team_id":"T1","bot_id":"B1"}"#) });
    let proxy = Proxy::configured(RESOLVE, &upstream);
    let bot = proxy.bot();
    let ask = |token: &str, path: &str| {
        bot.at(Method::POST, path)
            .form("channel=C1&text=x")
            .header("authorization", &format!("Bearer {token}"))
            .header("x-gateway-key", "k1")
            .header("user-agent", "bot/1")
            .header("cookie", COOKIE)
            .header("content-language", "en")
            .header("if-none-match", "\"1\"")
            .header("x-request-id", "r1")
            .header("slackwater-caller", "me")
    };
    ask("xoxb-1", "/api/users.info").send().await;
    let asked = questions(&upstream).pop().unwrap();
    assert_eq!((asked.headers["x-gateway-key"].as_bytes(), asked.body.len()), (&b"k1"[..], 0));
    for absent in
        ["content-type", "content-language", "if-none-match", "x-request-id", "slackwater-caller"]
    {
        assert!(!asked.headers.contains_key(absent), "{absent}");
    }
    // A call to another server of Slack's: nothing of it but the token, and what the client is.
    ask("xoxb-2", "/scim/v1/Users").send().await;
    let asked = questions(&upstream).pop().unwrap();
    assert_eq!(asked.headers["authorization"], "Bearer xoxb-2");
    assert_eq!(asked.headers["user-agent"], "bot/1");
    assert!(!asked.headers.contains_key("cookie") && !asked.headers.contains_key("x-gateway-key"));
}

/// A call that goes to the host of a workspace is asked about there.
#[tokio::test(start_paused = true)]
async fn a_question_goes_where_the_call_goes() {
    let upstream = slack_with_sessions();
    let file = format!(
        "{RESOLVE}
upstreams:
  - {{ prefix: /api/, url: 'https://slack.com/api/', kind: web_api }}
  - {{ prefix: /team/api/, url: 'https://team.slack.com/api/', kind: web_api }}"
    );
    let proxy = Proxy::configured(&file, &upstream);
    let bot = proxy.bot();
    let there = with_cookie(bot.at(Method::POST, "/team/api/users.list"));
    let there = there.header("authorization", &format!("Bearer {TOKEN}")).send().await;
    assert_eq!(questions(&upstream)[0].headers["host"], "team.slack.com");
    // Both ways lead to one window.
    let here = session(&bot).send().await;
    assert_eq!(here.header("slackwater-bucket"), there.header("slackwater-bucket"));
    assert!(here.header("ratelimit").contains(";r=18;"), "{here:?}");
}

/// An app-level token has an app and no workspace. All of an app count together.
///
/// Turned red by: an answer without a workspace that tells nothing; tokens that are their own workspaces.
#[tokio::test(start_paused = true)]
async fn app_level_tokens_count_for_their_app() {
    let upstream =
        Scripted::new(|_| async { json(200, r#"{"ok":true,"app_name":"X","app_id":"A1"}"#) });
    let proxy = Proxy::configured(RESOLVE, &upstream);
    let bot = proxy.bot();
    for token in ["xapp-1-A1-1-x", "xapp-1-A1-2-y"] {
        let ask = bot.call("apps.connections.open").patient();
        let answer = ask.header("authorization", &format!("Bearer {token}")).send().await;
        let bucket = answer.header("slackwater-bucket");
        assert!(bucket.ends_with(":A1/A1/apps.connections.open"), "{bucket}");
    }
    proxy.until(secs(200)).await;
    bot.call("users.info").header("authorization", "Bearer xapp-1-A1-1-x").send().await;
    assert_eq!(questions(&upstream).len(), 2);
}

/// Turned red by: a cookie that is printed with the headers that it stands among.
#[tokio::test(start_paused = true)]
async fn a_cookie_is_told_nowhere() {
    let log = Log::text();
    for upstream in [slack_with_sessions(), Scripted::new(|_| async { json(429, "{}") })] {
        let proxy = Proxy::configured(RESOLVE, &upstream);
        let bot = proxy.bot();
        let mut told = String::new();
        for ask in [
            session(&bot),
            with_cookie(bot.call("users.list").without_header("authorization"))
                .form(&format!("token={TOKEN}")),
            with_cookie(bot.call("chat/x")),
            with_cookie(bot.call("users.list").lane("me;class=urgent")),
        ] {
            let answer = ask.send().await;
            write!(told, "{:?} {:?}", answer.headers, answer.body).unwrap();
        }
        let status = proxy.status();
        told += &serde_json::to_string(&(&status.buckets, &status.queues)).unwrap();
        told +=
            &String::from_utf8(proxy.metrics.text(&status, &proxy.catalogue()).unwrap()).unwrap();
        assert!(!told.contains("hunter2"), "{told}");
    }
    let log = log.all();
    assert!(log.contains("call answered"));
    assert_eq!(log.lines().find(|line| line.contains("hunter2")), None);
}
