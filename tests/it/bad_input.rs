//! Requests that are refused, each with what is wrong and what is right.

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Proxy, Scripted, fake, json, settled};

fn ok() -> Scripted {
    Scripted::new(|_| async { json(200, r#"{"ok":true}"#) })
}

/// Turned red by: any of the checks of a path gone; each case fails for itself.
#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_told_and_goes_nowhere() {
    for h2 in [false, true] {
        let upstream = ok();
        let proxy = Proxy::start(&upstream);
        let bot = if h2 { proxy.bot_h2() } else { proxy.bot() };
        for (path, status, error, hint) in [
            ("/", 404, "unknown_path", "/api/"),
            ("/apis/auth.test", 404, "wrong_base_url", "/api/"),
            ("/api", 404, "unknown_path", "/api/"),
            ("/@job", 404, "unknown_path", "/api/"),
            ("/api/", 404, "unknown_method", "/api/chat.postMessage"),
            ("/api/a/b", 404, "unknown_method", "/api/chat.postMessage"),
            ("/@job//api/", 404, "unknown_method", "/api/chat.postMessage"),
            ("/@job/api", 404, "unknown_path", "/api/"),
            ("/chat.postMessage", 404, "wrong_base_url", "has to end with /api/"),
            ("/apichat.postMessage", 404, "wrong_base_url", "has to end with /api/"),
            ("/@job//chat.postMessage/", 404, "wrong_base_url", "has to end with /api/"),
            ("/slack.com/chat.postMessage", 404, "wrong_base_url", "has to end with /api/"),
            ("/api/caf%C3%A9", 404, "unknown_method", "/api/chat.postMessage"),
            ("/api/../admin", 400, "invalid_request", "dot segment"),
            ("/api/./x", 400, "invalid_request", "dot segment"),
            ("/api/%2e%2E/x", 400, "invalid_request", "dot segment"),
            ("/api/..;x/y", 400, "invalid_request", "dot segment"),
            ("/api/a%2fb", 400, "invalid_request", "encoded slash"),
            ("/api/a%5Cb", 400, "invalid_request", "backslash"),
            ("/api/a%00", 400, "invalid_request", "control character"),
            ("/api/a%252e", 400, "invalid_request", "encoded slash"),
            ("/@/api/auth.test", 400, "invalid_lane", "1 to 64 printable"),
            (
                "/@a;class=vip/api/auth.test",
                400,
                "invalid_lane",
                "interactive, normal or background",
            ),
            ("/@a;max-wait=soon/api/auth.test", 400, "invalid_lane", "500ms, 30s or 2m"),
            ("/%40a%3Bprio=1/api/auth.test", 400, "invalid_lane", "class=…;max-wait=…"),
        ] {
            let answer = bot.at(Method::GET, path).send().await;
            let body = answer.json();
            assert_eq!((answer.status, &body["error"]), (status, &error.into()), "{path}");
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(answer.header("slackwater-error"), error);
            assert_eq!(body["ok"], false);
            let message = body["message"].as_str().unwrap();
            assert!(message.contains(hint), "{path}: {message}");
            assert_eq!(answer.message(), format!("[ERROR] slackwater: {message}"));
        }
        for (name, value, hint) in [
            ("slackwater-class", "vip", "interactive, normal or background"),
            ("slackwater-max-wait", "10", "500ms, 30s or 2m"),
            ("slackwater-caller", "", "1 to 64 printable"),
        ] {
            let answer = bot.call("auth.test").header(name, value).send().await;
            assert_eq!((answer.status, &answer.json()["error"]), (400, &"invalid_lane".into()));
            let message = answer.json()["message"].as_str().unwrap().to_owned();
            assert!(message.to_lowercase().contains(name) && message.contains(hint), "{message}");
        }
        assert_eq!(upstream.seen().len(), 0);
    }
}

/// What Go's client shows of an answer that it does not read is its status line.
///
/// Turned red by: the status line of every other 404.
#[tokio::test(start_paused = true)]
async fn the_status_line_tells_what_is_wrong() {
    let proxy = Proxy::start(&ok());
    for (path, line) in [
        ("/chat.postMessage", "HTTP/1.1 404 Not Found: the base URL must end with /api/\r\n"),
        ("/x", "HTTP/1.1 404 Not Found: unknown_path\r\n"),
        ("/api/", "HTTP/1.1 404 Not Found: unknown_method\r\n"),
        ("/@a;class=vip/api/x", "HTTP/1.1 400 Bad Request: invalid_lane\r\n"),
        ("/api/auth.test", "HTTP/1.1 200 OK\r\n"),
    ] {
        let said =
            say(&proxy, format!("POST {path} HTTP/1.1\r\nhost: proxy\r\n\r\n").as_bytes()).await;
        assert!(said.starts_with(line), "{path}: {said}");
    }
}

/// Node's SDK repeats a call for half an hour after any status but 200, and says nothing.
///
/// Turned red by: another status for it; status 200 for others, for a webhook's client, for what is worth
/// another try, or against the operator's will.
#[tokio::test(start_paused = true)]
async fn a_client_that_would_repeat_a_mistake_is_told_at_once() {
    const NODE: &str = "@slack:web-api/8.2.0 node/22.11.0 linux/6.1";
    let upstream = Scripted::new(|_| async { Err(std::io::ErrorKind::ConnectionReset.into()) });
    let bad = ["/chat.postMessage", "/x", "/api/", "/@/api/auth.test", "/api/../x"];
    for (file, agent, status) in [
        ("", NODE, 200),
        ("shed_as: ok_false", NODE, 200),
        ("shed_as: 429", NODE, 404),
        ("", "@slack:webhook/7.0.0", 404),
        ("shed_as: ok_false", "curl/8", 404),
        ("", "", 404),
    ] {
        let proxy = Proxy::configured(file, &upstream);
        let bot = proxy.bot();
        for path in bad {
            let answer = bot.at(Method::POST, path).header("user-agent", agent).send().await;
            let refused = if path.contains("..") || path.contains('@') { 400 } else { status };
            let expected = if status == 200 { 200 } else { refused };
            assert_eq!(answer.status, expected, "{file} {agent} {path}");
            assert_eq!(answer.json()["error"], answer.header("slackwater-error"));
        }
        let broken = bot.call("auth.test").header("user-agent", agent).send().await;
        assert_eq!((broken.status, &broken.json()["error"]), (502, &"upstream_broken".into()));
    }
}

/// What a connection answers to these bytes, as far as it comes without a wait.
async fn say(proxy: &Proxy, bytes: &[u8]) -> String {
    let (mut reader, mut writer) = tokio::io::split(proxy.connect());
    let read = async {
        let mut said = Vec::new();
        // An answer, then silence or the end.
        let _ =
            tokio::time::timeout(std::time::Duration::from_secs(1), reader.read_to_end(&mut said))
                .await;
        String::from_utf8_lossy(&said).into_owned()
    };
    let write = async {
        // The other side may stop listening.
        let _ = writer.write_all(bytes).await;
    };
    let ((), said) = tokio::join!(write, read);
    said
}

/// Turned red by: a request's own host that is believed.
#[tokio::test(start_paused = true)]
async fn no_form_of_request_reaches_another_host() {
    let upstream = ok();
    let proxy = Proxy::start(&upstream);
    for start in [
        "CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example:443\r\n\r\n",
        "GET http://evil.example/api/auth.test HTTP/1.1\r\nhost: evil.example\r\n\r\n",
        "GET http://slack.com/api/auth.test HTTP/1.1\r\nhost: slack.com\r\n\r\n",
    ] {
        let said = say(&proxy, start.as_bytes()).await;
        assert!(said.starts_with("HTTP/1.1 400 "), "{start}: {said}");
        assert!(said.contains("not a forward proxy"), "{start}: {said}");
    }
    assert_eq!(upstream.seen().len(), 0);
    // The Host header is the client's affair; where a call goes is the configuration's.
    let start = "GET /api/auth.test HTTP/1.1\r\nhost: evil.example\r\n\r\n";
    assert!(say(&proxy, start.as_bytes()).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(upstream.seen()[0].headers["host"], "slack.com");
}

/// More headers than anybody needs are refused, on their connection only.
#[tokio::test(start_paused = true)]
async fn too_many_headers_are_refused_and_nobody_else_is_disturbed() {
    let fake = fake();
    let proxy = Proxy::start(&fake);
    let mut held = proxy.bot().call("auth.test").after(crate::harness::secs(1)).held();
    let large = format!("GET /api/auth.test HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(70 << 10));
    let many = format!("GET /api/auth.test HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(101));
    for request in [large, many] {
        let said = say(&proxy, request.as_bytes()).await;
        assert!(said.starts_with("HTTP/1.1 431 "), "{said}");
    }
    assert!(say(&proxy, b"nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    assert!(held.join_next().await.unwrap().unwrap().is_ok());
    settled().await;
    assert_eq!(fake.totals().calls, 1);
}

/// A body that never comes whole is given up, and leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn half_a_request_is_no_call() {
    let fake = fake();
    let proxy = Proxy::configured("timeouts: { body_idle: 500ms }", &fake);
    let half = b"POST /api/auth.test HTTP/1.1\r\nhost: proxy\r\ncontent-length: 10\r\n\r\nhalf";
    let said = say(&proxy, half).await;
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    assert!(said.contains("request_timeout"), "{said}");
    assert_eq!((fake.totals().calls, proxy.admission.held()), (0, 0));
}
