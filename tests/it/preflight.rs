//! What only asks how one may call is no call: the OPTIONS that a browser sends before one.

use http::Method;

use crate::harness::{Ask, Bot, Proxy, Scripted, all, json, ms, secs, slack, text};

/// One call a minute.
const RARE: &str = "admin.apps.uninstall";

/// What a browser sends before it calls: no token, no arguments.
fn preflight(bot: &Bot, path: &str) -> Ask {
    bot.at(Method::OPTIONS, path)
        .without_header("authorization")
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization")
}

/// Slack's answer to a preflight, and to everything else.
fn slack_for_browsers() -> Scripted {
    Scripted::new(|seen| async move {
        if seen.verb != Method::OPTIONS {
            return json(200, r#"{"ok":true}"#);
        }
        let mut answer = text(200, "")?;
        answer.headers_mut().insert("access-control-allow-origin", "*".parse().unwrap());
        Ok(answer)
    })
}

/// Turned red by: a preflight that takes a slot, of anybody; one that is counted where there is no
/// method.
#[tokio::test(start_paused = true)]
async fn preflights_take_no_slot_and_hold_nobody_up() {
    let upstream = slack_for_browsers();
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    for path in [
        "/api/conversations.list",
        "/api/admin.apps.uninstall",
        "/api/chat.postMessage?channel=C1",
        "/api/not.in.the.catalogue",
        "/services/T1/B1/x",
        "/commands/T1/1/x",
        "/triggers/T1/1/x",
        "/scim/v1/Users/U1",
        "/audit/v1/logs",
    ] {
        for answer in all((0..60).map(|_| preflight(&bot, path))).await {
            assert_eq!((answer.status, answer.header("slackwater-bucket")), (200, ""), "{path}");
            assert_eq!(answer.header("access-control-allow-origin"), "*");
            assert_eq!(answer.header("slackwater-wait-ms"), "0");
        }
        let rest = path.split('?').next().unwrap();
        let call = bot.at(Method::POST, rest).form("channel=C1&text=x").send().await;
        assert_eq!(call.status, 200, "{path}");
        assert!(call.took <= ms(12), "{path}: {:?}", call.took);
    }
    assert!(proxy.now() <= ms(50), "{:?}", proxy.now());
    assert_eq!(proxy.admission.held(), 0);
    // As it came, but for what is the connection's.
    let seen = &upstream.seen()[0];
    assert_eq!((&seen.verb, &*seen.path), (&Method::OPTIONS, "/api/conversations.list"));
    assert_eq!(seen.headers["access-control-request-headers"], "authorization");
}

/// Turned red by: a preflight behind the call that it is for.
#[tokio::test(start_paused = true)]
async fn a_preflight_passes_where_calls_wait() {
    let proxy = Proxy::start(&slack_for_browsers());
    let bot = proxy.bot();
    // Of those without a token, as a preflight is.
    let call = || bot.call(RARE).without_header("authorization");
    assert!(call().send().await.is_ok());
    let _held = call().patient().held();
    let answer = preflight(&bot, &format!("/api/{RARE}")).after(secs(1)).send().await;
    assert_eq!((answer.status, answer.header("slackwater-wait-ms")), (200, "0"));
    // It makes no call of what comes in any other verb, or says that it is one.
    for verb in [Method::GET, Method::HEAD, Method::PUT, Method::TRACE] {
        let ask = bot.at(verb.clone(), &format!("/api/{RARE}")).lane("me;max-wait=0s");
        let ask =
            ask.without_header("authorization").header("access-control-request-method", "POST");
        assert_eq!(ask.send().await.status, 429, "{verb}");
    }
}

/// What goes nowhere as a call goes nowhere as a preflight, too.
#[tokio::test(start_paused = true)]
async fn a_preflight_reaches_nothing_that_a_call_does_not() {
    let upstream = slack_for_browsers();
    let proxy = Proxy::start(&upstream);
    let bot = proxy.bot();
    for (path, status) in [
        ("/api/", 404),
        ("/api/a/b", 404),
        ("/apis/x", 404),
        ("/api/%2e%2e/x", 400),
        ("/@/api/x", 400),
    ] {
        assert_eq!(preflight(&bot, path).send().await.status, status, "{path}");
    }
    assert_eq!(upstream.seen().len(), 0);
}

/// A page reads what slackwater says itself as it reads what Slack says, and nobody else is told more.
///
/// Turned red by: an answer of ours without the header, or with it for those who are no page.
#[tokio::test(start_paused = true)]
async fn a_page_may_read_that_its_call_is_shed() {
    let proxy = Proxy::start(&slack(|_| {}));
    let bot = proxy.bot();
    assert!(bot.call(RARE).send().await.is_ok());
    let shed = || bot.call(RARE).lane("me;max-wait=0s");
    let page = shed().header("origin", "https://app.example").send().await;
    assert_eq!((page.status, page.header("access-control-allow-origin")), (429, "*"));
    assert!(page.header("access-control-expose-headers").contains("retry-after"));
    let lost = bot.at(Method::POST, "/x").header("origin", "null").send().await;
    assert_eq!((lost.status, lost.header("access-control-allow-origin")), (404, "*"));
    assert_eq!(shed().send().await.header("access-control-allow-origin"), "");
    // What Slack says has Slack's headers.
    let passed = bot.call("users.info").header("origin", "https://app.example").send().await;
    assert_eq!((passed.status, passed.header("access-control-allow-origin")), (200, ""));
}
