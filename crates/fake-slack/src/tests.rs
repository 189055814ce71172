//! The fake as its clients see it: HTTP over pipes in memory, under a paused clock.

use std::num::NonZeroU32;

use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::*;

const TOKEN: &str = "xoxb-1-2-secret";

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn fake() -> FakeSlack {
    FakeSlack::new(Options::new(testing::rules()))
}

fn request(verb: &str, path: &str, form: &str) -> Request<Body> {
    Request::builder()
        .method(verb)
        .uri(path)
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(http_body_util::Full::new(Bytes::copy_from_slice(form.as_bytes())).boxed_unsync())
        .unwrap()
}

/// What the fake says without a connection between: status, Retry-After, body.
async fn send(fake: &FakeSlack, request: Request<Body>) -> (StatusCode, Option<u64>, Value) {
    let response = ServiceExt::<Request<Body>>::oneshot(fake.clone(), request).await.unwrap();
    let retry_after = response.headers().get("retry-after");
    let retry_after = retry_after.map(|value| value.to_str().unwrap().parse().unwrap());
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, retry_after, serde_json::from_slice(&body).unwrap_or_default())
}

async fn call(fake: &FakeSlack, method: &str, form: &str) -> Value {
    send(fake, request("POST", &format!("/api/{method}"), form)).await.2
}

async fn status(fake: &FakeSlack, method: &str) -> u16 {
    send(fake, request("POST", &format!("/api/{method}"), "")).await.0.as_u16()
}

#[tokio::test(start_paused = true)]
async fn a_client_is_limited_over_http() {
    let fake = fake();
    let tasks = TaskTracker::new();
    let (mut client, connection) =
        http1::handshake::<_, Body>(TokioIo::new(fake.connect())).await.unwrap();
    tasks.spawn(connection);
    for n in 0..21 {
        let path = "http://slack/api/conversations.list";
        let response = client.send_request(request("GET", path, "")).await.unwrap();
        let expected = if n < 20 { StatusCode::OK } else { StatusCode::TOO_MANY_REQUESTS };
        assert_eq!(response.status(), expected);
        assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8");
        if n == 20 {
            assert_eq!(response.headers()["retry-after"], "60");
        }
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        if n == 20 {
            assert_eq!(body, json!({ "ok": false, "error": "ratelimited" }));
        } else {
            assert_eq!(body["channels"].as_array().unwrap().len(), 100);
        }
    }
    tokio::time::sleep(secs(60)).await;
    assert_eq!(status(&fake, "conversations.list").await, 200);
}

#[tokio::test(start_paused = true)]
async fn connections_are_accepted_from_memory_with_http2_and_end_with_the_stop() {
    let fake = fake();
    let tasks = TaskTracker::new();
    let (pipes, accept) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let serving = {
        let (fake, stop) = (fake.clone(), stop.clone());
        tasks.spawn(async move { fake.serve(accept, stop).await })
    };
    let (client, server) = tokio::io::duplex(4_096);
    pipes.send(server).await.unwrap();
    let (mut client, connection) =
        http2::handshake::<_, _, Body>(TokioExecutor::new(), TokioIo::new(client)).await.unwrap();
    tasks.spawn(connection);
    let request = request("POST", "http://slack/api/auth.test", "");
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    drop(response);
    stop.cancel();
    serving.await.unwrap();
    assert!(pipes.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_call_is_counted_within_its_round_trip() {
    let latency = Latency::between(ms(100), ms(300)).unwrap();
    let fake = FakeSlack::new(Options { latency, ..Options::new(testing::rules()) });
    for _ in 0..20 {
        let sent = fake.now();
        call(&fake, "users.info", "user=U1").await;
        let answered = fake.now();
        // A timer wakes up to a millisecond late, and there are two.
        assert!((ms(100)..=ms(302)).contains(&answered.saturating_sub(sent)));
        let counted = fake.ledger().calls.back().unwrap().at;
        assert!(sent <= counted && counted <= answered);
    }
}

/// Turned red by: awaiting the journey in the connection's own task.
#[tokio::test(start_paused = true)]
async fn a_call_counts_although_its_client_hangs_up() {
    let latency = Latency::always(ms(200));
    let fake = FakeSlack::new(Options { latency, ..Options::new(testing::rules()) });
    for _ in 0..10 {
        let mut journey = tokio_test::task::spawn(fake.clone().respond(request(
            "POST",
            "/api/conversations.list",
            "",
        )));
        assert!(journey.poll().is_pending());
        drop(journey);
    }
    tokio::time::sleep(ms(210)).await;
    assert_eq!(fake.totals().ok, 10);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_under_way_until_it_is_answered() {
    let latency = Latency::always(ms(200));
    let fake = FakeSlack::new(Options { latency, ..Options::new(testing::rules()) });
    let (one, two) =
        tokio::join!(call(&fake, "bookmarks.add", ""), call(&fake, "bookmarks.add", ""));
    let refused = json!({ "ok": false, "error": "too_many_requests" });
    assert!((one == refused) != (two == refused), "{one} {two}");
    assert_eq!(fake.ledger().violations[0].status, 200);
    assert_eq!(call(&fake, "bookmarks.add", "").await, json!({ "ok": true }));
}

#[tokio::test(start_paused = true)]
async fn a_script_comes_before_the_judge() {
    let fake = fake();
    fake.script(
        "chat.update",
        [
            Reply::new(StatusCode::TOO_MANY_REQUESTS),
            Reply::error("ratelimited").delayed(secs(3)),
            Reply::rate_limited(7),
        ],
    );
    let update = || request("POST", "/api/chat.update", "channel=C1&ts=1.2&text=x");
    assert_eq!(send(&fake, update()).await, (StatusCode::TOO_MANY_REQUESTS, None, Value::Null));
    let before = fake.now();
    assert_eq!(send(&fake, update()).await.2["error"], "ratelimited");
    assert_eq!(fake.now(), before + secs(3));
    assert_eq!(send(&fake, update()).await.1, Some(7));
    assert_eq!(send(&fake, update()).await.2["ok"], true);
    let totals = fake.totals();
    assert_eq!((totals.scripted, totals.ok, totals.refused), (3, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn only_a_token_of_slacks_is_let_in() {
    let fake = fake();
    let send = |request| send(&fake, request);
    let get = |path: &str| Request::builder().uri(path).body(Body::default()).unwrap();
    assert_eq!(send(get("/api/auth.test")).await.2["error"], "not_authed");
    assert_eq!(send(get("/api/auth.test?token=nonsense")).await.2["error"], "invalid_auth");
    assert_eq!(send(get("/api/auth.test?token=xoxb-1-2-x")).await.2["ok"], true);
    assert_eq!(send(get("/api/api.test?foo=bar")).await.2["args"], json!({ "foo": "bar" }));
    assert_eq!(send(get("/api/strange%20name?token=xoxb-1")).await.2["error"], "unknown_method");
    let totals = fake.totals();
    assert_eq!((totals.failed, totals.ok, totals.refused), (3, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn the_bodies_are_such_as_the_sdks_read() {
    let fake = fake();
    let who = call(&fake, "auth.test", "").await;
    assert_eq!((&who["team_id"], &who["ok"]), (&json!("T1"), &json!(true)));
    let bot = call(&fake, "bots.info", &format!("bot={}", who["bot_id"].as_str().unwrap())).await;
    assert_eq!(bot["bot"]["app_id"], "A2");
    assert_eq!(call(&fake, "bots.info", "bot=B0").await["error"], "bot_not_found");

    let posted = call(&fake, "chat.postMessage", "channel=C1&text=hello").await;
    assert_eq!(posted["message"]["text"], "hello");
    let again = call(&fake, "chat.postMessage", "channel=C1&text=hello").await;
    assert!(posted["ts"].as_str() < again["ts"].as_str());
    let ts = posted["ts"].as_str().unwrap();
    let updated = call(&fake, "chat.update", &format!("channel=C1&ts={ts}&text=bye")).await;
    assert_eq!((&updated["ts"], &updated["text"]), (&posted["ts"], &json!("bye")));
    assert_eq!(call(&fake, "chat.postMessage", "").await["error"], "channel_not_found");

    let installed = call(&fake, "oauth.v2.access", "client_id=1&code=7-8-x").await;
    assert_eq!((&installed["app_id"], &installed["team"]["id"]), (&json!("A8"), &json!("T7")));
    assert_eq!(call(&fake, "users.info", "user=U1").await["user"]["id"], "U1");
    assert_eq!(call(&fake, "views.open", "trigger_id=1").await["view"]["team_id"], "T1");
    assert_eq!(call(&fake, "conversations.close", "channel=D1").await, json!({ "ok": true }));

    let (mut cursor, mut channels) = (String::new(), 0);
    loop {
        let form = format!("limit=99&cursor={cursor}");
        let page = call(&fake, "conversations.list", &form).await;
        channels += page["channels"].as_array().unwrap().len();
        cursor = page["response_metadata"]["next_cursor"].as_str().unwrap().to_owned();
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(channels, 250);
}

#[tokio::test(start_paused = true)]
async fn lists_are_given_out_a_page_at_a_time() {
    let fake = FakeSlack::new(Options { items: 7, ..Options::new(testing::rules()) });
    let ids = |page: &Value, key: &str| -> Vec<String> {
        let id = |item: &Value| item["id"].as_str().unwrap_or_default().to_owned();
        page[key].as_array().unwrap().iter().map(id).collect()
    };
    let first = call(&fake, "conversations.list", "limit=5&types=mpim,im").await;
    let five = ["D00000001", "G00000002", "D00000003", "G00000004", "D00000005"];
    assert_eq!(ids(&first, "channels"), five);
    let cursor = first["response_metadata"]["next_cursor"].as_str().unwrap();
    let form = format!("limit=5&types=mpim,im&cursor={cursor}");
    let second = call(&fake, "conversations.list", &form).await;
    assert_eq!(ids(&second, "channels"), ["G00000006", "D00000007"]);
    assert_eq!(second["response_metadata"]["next_cursor"], "");
    assert_eq!(call(&fake, "users.list", "cursor=next:8=").await["error"], "invalid_cursor");
    assert_eq!(call(&fake, "users.list", "cursor=7").await["error"], "invalid_cursor");
    assert_eq!(call(&fake, "conversations.list", "types=dm").await["error"], "invalid_types");
    let members = call(&fake, "conversations.members", "channel=C1&limit=1").await;
    assert_eq!(members["members"], json!(["U00000001"]));
    let files = call(&fake, "files.list", "count=3&page=3").await;
    assert_eq!(ids(&files, "files"), ["F00000007"]);
    assert_eq!(files["paging"], json!({ "count": 3, "total": 7, "page": 3, "pages": 3 }));
}

#[tokio::test(start_paused = true)]
async fn the_ledger_is_read_and_reset_over_http() {
    let penalty = Penalty::Workspace;
    let fake = FakeSlack::new(Options { penalty, ..Options::new(testing::rules()) });
    for n in 0..7 {
        call(&fake, "chat.postMessage", &format!("channel=C{n}&text=message+{n}")).await;
        tokio::time::sleep(ms(250)).await;
    }
    let ledger = send(&fake, request("GET", "/ledger", "")).await.2;
    assert_eq!(ledger["minute_ms"], 60_000);
    assert_eq!((&ledger["window"], &ledger["penalty"]), (&json!("sliding"), &json!("workspace")));
    assert_eq!(
        ledger["totals"],
        json!({
            "calls": 7, "ok": 5, "refused": 2, "failed": 0, "scripted": 0, "faulted": 0, "posts": 5,
            "by_method": { "chat.postMessage": { "calls": 7, "refused": 2 } },
        })
    );
    assert_eq!(
        ledger["violations"][0],
        json!({
            "seq": 6, "at_ms": 1_250.0, "method": "chat.postMessage", "status": 429,
            "limit": "post_per_workspace", "key": "app=A2 workspace=T1", "used": 5, "n": 5,
            "cause": "window", "retry_after": 59,
        })
    );
    assert_eq!(ledger["violations"][1]["cause"], "penalty");
    let token = Identity::of_token(Some(TOKEN)).unwrap().token;
    assert_eq!(
        ledger["calls"][4],
        json!({
            "seq": 5, "at_ms": 1_000.0, "method": "chat.postMessage", "app": "A2",
            "workspace": "T1", "channel": "C4", "token": &*token, "status": 200,
            "outcome": "ok", "text": "message 4", "order": 5,
        })
    );
    assert!(!ledger.to_string().contains("secret"));
    let brief = send(&fake, request("GET", "/ledger?calls=false", "")).await.2;
    assert_eq!((brief.get("calls"), &brief["totals"]), (None, &ledger["totals"]));

    // The ledger alone: the windows are still full, and the workspace is closed.
    assert_eq!(send(&fake, request("DELETE", "/ledger", "")).await.2, json!({ "ok": true }));
    assert_eq!(fake.totals(), Totals::default());
    assert_eq!(status(&fake, "chat.postMessage").await, 429);
    // Both.
    assert_eq!(send(&fake, request("POST", "/reset", "")).await.2, json!({ "ok": true }));
    assert_eq!(fake.totals(), Totals::default());
    assert_eq!(status(&fake, "chat.postMessage").await, 200);
}

#[tokio::test(start_paused = true)]
async fn other_paths_are_not_found() {
    let fake = fake();
    for path in ["/", "/api", "/api/", "/ledgers", "/services/", "/audit/v2/logs"] {
        let (status, _, body) = send(&fake, request("GET", path, "")).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(body, json!({ "ok": false, "error": "not_found" }));
    }
    let (status, ..) = send(&fake, request("GET", "/reset", "")).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(fake.totals().calls, 0);
}

/// Beside the Web API everything is worded as Slack words it there, and the URL of a webhook is in
/// the ledger as its hash.
#[tokio::test(start_paused = true)]
async fn other_hosts_of_slack_are_served_and_limited() {
    let fake = fake();
    let raw = |request| async {
        let response = ServiceExt::<Request<Body>>::oneshot(fake.clone(), request).await.unwrap();
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    };
    for path in ["/services/T1/B1/secret", "/commands/T1/1/secret", "/actions/T1/1/secret"] {
        assert_eq!(raw(request("POST", path, "text=x")).await, (200, "ok".into()), "{path}");
    }
    let ok = Bytes::from_static(br#"{"ok":true}"#);
    assert_eq!(raw(request("POST", "/triggers/T1/1/secret", "")).await, (200, ok));
    let (status, after, _) = send(&fake, request("POST", "/services/T1/B1/secret", "")).await;
    assert_eq!((status, after), (StatusCode::OK, None));
    let refused = raw(request("POST", "/services/T1/B1/secret", "")).await;
    let words = r#"{"retry_after":30,"ok":false,"error":"rate_limited"}"#;
    assert_eq!(refused, (429, words.into()));
    assert_eq!(raw(request("POST", "/services/T1/B1/other", "")).await.0, 200);

    let (_, _, users) = send(&fake, request("GET", "/scim/v1/Users", "")).await;
    assert_eq!(users["Resources"][0]["userName"], "somebody");
    let (status, _, user) = send(&fake, request("POST", "/scim/v1/Users", "userName=cal")).await;
    assert_eq!((status, &user["userName"]), (StatusCode::CREATED, &"cal".into()));
    assert_eq!(raw(request("DELETE", "/scim/v1/Users/W1", "")).await, (204, Bytes::new()));
    let (_, _, logs) = send(&fake, request("GET", "/audit/v1/logs", "")).await;
    assert_eq!(logs["entries"][0]["action"], "user_login");
    let mut nobody = request("GET", "/scim/v1/Users", "");
    nobody.headers_mut().remove("authorization");
    let (status, _, body) = send(&fake, nobody).await;
    assert_eq!((status, &body["Errors"]["code"]), (StatusCode::UNAUTHORIZED, &401.into()));

    let (_, _, ledger) = send(&fake, request("GET", "/ledger", "")).await;
    assert!(!ledger.to_string().contains("secret"), "{ledger}");
    assert_eq!(ledger["violations"].as_array().unwrap().len(), 1);
    // printf /services/T1/B1/secret | sha256sum
    assert_eq!(ledger["violations"][0]["key"], "url=url-f8ff3603f530");
    assert_eq!(ledger["calls"][0]["url"], "url-f8ff3603f530");
    assert_eq!(ledger["totals"]["by_method"]["webhook"], json!({ "calls": 4, "refused": 1 }));
}

#[test]
fn the_ledger_is_bounded_and_its_totals_are_exact() {
    let options = Options { ledger: 100, ..Options::new(testing::rules()) };
    let fake = FakeSlack::new(options);
    for n in 0..5_000_u32 {
        let call = Call::new(&format!("method.{}", n % 2_000), "A1", "T1");
        let _ = fake.handle(Duration::ZERO, &call);
    }
    for _ in 0..500 {
        let _ = fake.handle(Duration::ZERO, &Call::new("conversations.list", "A1", "T1"));
    }
    let ledger = fake.ledger();
    assert_eq!((ledger.calls.len(), ledger.violations.len()), (100, 100));
    assert_eq!((ledger.totals.calls, ledger.totals.refused), (5_500, 480));
    assert_eq!(ledger.calls.back().map(|call| call.seq), Some(5_500));
    assert_eq!(ledger.totals.by_method.len(), 1_000);
    let calls: u64 = ledger.totals.by_method.values().map(|method| method.calls).sum();
    assert_eq!(calls, 5_500);
}

#[tokio::test(start_paused = true)]
async fn a_long_text_is_cut_for_the_ledger() {
    let fake = fake();
    call(&fake, "chat.postMessage", &format!("channel=C1&text={}", "%C3%A9".repeat(10_000))).await;
    let text = fake.ledger().calls[0].text.clone().unwrap();
    assert_eq!(text.chars().count(), 256);
}

#[tokio::test(start_paused = true)]
async fn a_body_has_a_largest_size() {
    let fake = fake();
    let form = "x".repeat((16 << 20) + 1);
    let (status, ..) = send(&fake, request("POST", "/api/files.upload", &form)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

/// A whole day of a polite client in an instant, with hidden limits and every shape.
#[test]
fn a_client_that_keeps_to_the_sliding_window_is_never_refused() {
    let ten = NonZeroU32::new(10).unwrap();
    for shape in Shape::ALL {
        let rules = testing::rules().with_hidden("conversations.list", ten);
        let fake = FakeSlack::new(Options { shape, ..Options::new(rules) });
        let list = Call::new("conversations.list", "A1", "T1");
        for n in 0..14_400_u64 {
            // Ten at once, every minute.
            let Decision::Accept(flight) = fake.handle(secs(60 * (n / 10)), &list) else {
                panic!("{shape}: refused call {n}");
            };
            fake.land(flight);
        }
        assert_eq!(fake.totals().ok, 14_400);
    }
}

#[tokio::test(start_paused = true)]
async fn serving_ends_when_no_more_connections_come_and_the_last_has_ended() {
    let fake = fake();
    let (pipes, accept) = mpsc::channel(1);
    let (client, server) = tokio::io::duplex(64);
    pipes.send(server).await.unwrap();
    drop(pipes);
    let mut serving = tokio_test::task::spawn(fake.serve(accept, CancellationToken::new()));
    assert!(serving.poll().is_pending());
    drop(client);
    serving.await;
}

/// The one real socket here, in real time.
#[tokio::test]
async fn a_socket_is_served() {
    let fake = fake();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let serving = {
        let (fake, stop) = (fake.clone(), stop.clone());
        tasks.spawn(async move { fake.serve(listener, stop).await })
    };
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = http1::handshake::<_, Body>(TokioIo::new(stream)).await.unwrap();
    tasks.spawn(connection);
    let response = client.send_request(request("POST", "/api/auth.test", "")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    stop.cancel();
    serving.await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
