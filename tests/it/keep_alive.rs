//! Clients that wait as long as they are told to: by `100 Continue`, byte for byte.

use std::time::Duration;

use fake_slack::Reply;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

use crate::harness::{Answer, Bot, Proxy, all, assert_near, fake, ms, secs, settled};

const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
/// As the SDK's synchronous client sends it: 30 s for each read.
const PYTHON: &str = "accept-encoding: identity\r\nconnection: close\r\nuser-agent: Python/3.11.7 slackclient/3.48.0 Linux/6.1\r\n";
/// The same by its asynchronous client: 30 s in all.
const ASYNC: &str =
    "accept-encoding: gzip, deflate\r\nuser-agent: Python/3.11.7 slackclient/3.48.0 Linux/6.1\r\n";
const REQUESTS: &str = "user-agent: python-requests/2.34.2\r\nconnection: close\r\n";
const NODE_7: &str = "user-agent: @slack:web-api/7.19.0 node/20.20.2 linux/6.1\r\n";
const LIST: &str = "conversations.list";

/// Makes a call with these headers, and reads what comes: how many interim responses, the status of
/// the final one, and how long it all took.
async fn call(proxy: &Proxy, path: &str, headers: &str) -> (usize, u16, Duration) {
    let said = raw(proxy, path, "HTTP/1.1", headers).await;
    let interims = said.0.matches(CONTINUE).count();
    let last = said.0.trim_start_matches(CONTINUE);
    assert!(!last.contains(CONTINUE), "{}", said.0);
    let status = last.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    (interims, status.unwrap_or_else(|| panic!("{}", said.0)), said.1)
}

async fn raw(proxy: &Proxy, path: &str, version: &str, headers: &str) -> (String, Duration) {
    let begun = Instant::now();
    let mut client = proxy.connect();
    let head = format!(
        "POST {path} {version}\r\nhost: proxy\r\nauthorization: Bearer xoxb-T1-A1-secret\r\ncontent-length: 0\r\n{headers}\r\n"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    // To the end of the last head.
    while !said.ends_with(b"}") {
        let read = timeout(secs(4_000), client.read_buf(&mut said)).await.unwrap();
        assert!(read.unwrap() > 0, "{said:?}");
    }
    (String::from_utf8(said).unwrap(), Instant::now().duration_since(begun))
}

/// Takes the whole minute of the method.
async fn full(proxy: &Proxy) -> Bot {
    let bot = proxy.bot();
    let answers = all((0..20).map(|_| bot.call(LIST))).await;
    assert!(answers.iter().all(Answer::is_ok));
    bot
}

/// Turned red by: interim responses that nobody asks for; a wait that ends with the client's own
/// time-out.
#[tokio::test(start_paused = true)]
async fn a_client_that_bears_it_is_kept_waiting() {
    for (path, headers, told) in [
        ("/api/conversations.list", PYTHON, 6),
        ("/@job;class=background/api/conversations.list", PYTHON, 6),
        ("/@job;max-wait=2m/api/conversations.list", PYTHON, 6),
        ("/api/conversations.list", REQUESTS, 18),
    ] {
        let fake = fake();
        let proxy = Proxy::start(&fake);
        full(&proxy).await;
        let (interims, status, took) = call(&proxy, path, headers).await;
        assert_eq!((interims, status), (told, 200), "{path} {headers}");
        assert_near(took, ms(60_020));
    }
}

/// Turned red by: interim responses to whoever speaks HTTP/1.1; no look at who stands in between; the
/// 5 min of a client that is kept waiting for one that is not.
#[tokio::test(start_paused = true)]
async fn any_other_is_told_at_once() {
    for headers in [
        ASYNC,
        "",
        "user-agent: node\r\nsec-fetch-mode: cors\r\n",
        &format!("{PYTHON}via: 1.1 relay\r\n"),
        &format!("{PYTHON}forwarded: for=10.0.0.1\r\n"),
        &format!("{REQUESTS}x-forwarded-for: 10.0.0.1\r\n"),
        &format!("{REQUESTS}x-forwarded-proto: https\r\n"),
        &format!("{PYTHON}slackwater-class: interactive\r\n"),
    ] {
        let fake = fake();
        let proxy = Proxy::start(&fake);
        full(&proxy).await;
        let (interims, status, took) = call(&proxy, "/api/conversations.list", headers).await;
        // A page of the browser's kind may wait for 5 min by itself.
        let waits = if headers.contains("sec-fetch-mode") { (0, 200) } else { (0, 429) };
        assert_eq!((interims, status), waits, "{headers}");
        assert!(status == 200 || took <= ms(12), "{headers}: {took:?}");
    }
}

/// HTTP/1.0 knows no interim responses, and in HTTP/2 they would be frames.
#[tokio::test(start_paused = true)]
async fn another_version_is_told_at_once() {
    let fake = fake();
    let proxy = Proxy::start(&fake);
    full(&proxy).await;
    let (said, _) = raw(&proxy, "/api/conversations.list", "HTTP/1.0", REQUESTS).await;
    assert!(said.starts_with("HTTP/1.0 429 "), "{said}");
    let answer = proxy.bot_h2().call(LIST).header("user-agent", "python-requests/2").send().await;
    assert_eq!(answer.shed().1, "deadline");
}

/// A client whose body is still on its way could take an interim response for the asking: it is held as
/// long as it waits by itself.
///
/// Turned red by: interim responses as soon as the beginning of a body is read.
#[tokio::test(start_paused = true)]
async fn a_client_that_still_sends_is_told_at_once() {
    const SIZE: usize = 3 << 20;
    let fake = fake();
    let proxy = Proxy::start(&fake);
    full(&proxy).await;
    let (mut reading, mut writing) = tokio::io::split(proxy.connect());
    let head = format!(
        "POST /api/{LIST} HTTP/1.1\r\nhost: proxy\r\nauthorization: Bearer xoxb-T1-A1-secret\r\ncontent-length: {SIZE}\r\n{REQUESTS}\r\n"
    );
    let sending = async {
        // More than is kept, less than all. It stops where nobody reads on.
        let body = vec![b'x'; SIZE / 2];
        let _ = writing.write_all(&[head.as_bytes(), &body].concat()).await;
        std::future::pending::<()>().await;
    };
    let mut said = [0; 12];
    let read = async { timeout(secs(30), reading.read_exact(&mut said)).await };
    let read = tokio::select! { read = read => read, () = sending => return };
    read.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&said), "HTTP/1.1 429");
}

/// The whole wait is one: for the turn, for the replay, for Slack's response. Nothing comes between
/// the pieces of what it says.
///
/// Turned red by: a start in the queue alone.
#[tokio::test(start_paused = true)]
async fn it_is_told_while_slack_takes_its_time_and_after_a_refusal() {
    let fake = fake();
    let proxy = Proxy::start(&fake);
    fake.script(LIST, [Reply::rate_limited(70).delayed(secs(25)), Reply::ok().delayed(secs(25))]);
    let (interims, status, took) = call(&proxy, "/api/conversations.list", PYTHON).await;
    assert_eq!((interims, status), (12, 200));
    assert!(took >= secs(120) && took <= secs(121), "{took:?}");
}

/// A flood of 60 comes through whole with nothing set, in three windows; as background, which has three
/// quarters of each, in four.
#[tokio::test(start_paused = true)]
async fn a_flood_of_three_windows_comes_through() {
    for (path, minutes) in
        [("/api/conversations.list", 2), ("/@job;class=background/api/conversations.list", 4)]
    {
        for headers in [PYTHON, REQUESTS, NODE_7] {
            let fake = fake();
            let proxy = Proxy::start(&fake);
            let calls = (0..60).map(|_| call(&proxy, path, headers));
            let answers = futures_util::future::join_all(calls).await;
            let refused = answers.iter().filter(|(_, status, _)| *status != 200).count();
            assert_eq!(refused, 0, "{path} {headers}");
            assert_eq!(fake.totals().refused, 0);
            assert!(proxy.now() <= secs(60 * minutes + 5), "{:?}", proxy.now());
        }
    }
}

/// Node's SDK has no time-out, and 100 calls under way at once.
///
/// Turned red by: the 290 s that its version 8 waits.
#[tokio::test(start_paused = true)]
async fn three_hundred_calls_of_node_7_come_through() {
    let fake = fake();
    let proxy = Proxy::start(&fake);
    let under_way = tokio::sync::Semaphore::new(100);
    let calls = (0..300).map(async |_| {
        let _place = under_way.acquire().await.unwrap();
        call(&proxy, "/api/conversations.list", NODE_7).await
    });
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(|(interims, status, _)| (*interims, *status) == (0, 200)));
    assert!(proxy.now() <= secs(14 * 60 + 5), "{:?}", proxy.now());
}

/// Ninety are what every client bears; no call waits longer than they last, unless it says so.
///
/// Turned red by: no look at how long they last; a word of the client that is cut to it.
#[tokio::test(start_paused = true)]
async fn nobody_is_kept_longer_than_they_last() {
    for (lane, pause, told) in [
        ("class=background", 890, (89, 200)),
        ("class=background", 910, (0, 429)),
        ("max-wait=1h", 910, (90, 200)),
    ] {
        let fake = fake();
        let proxy = Proxy::start(&fake);
        fake.script(LIST, [Reply::rate_limited(pause), Reply::ok()]);
        let path = format!("/@job;{lane}/api/conversations.list");
        let (interims, status, took) = call(&proxy, &path, PYTHON).await;
        assert_eq!((interims, status), told, "{lane} {pause} {took:?}");
    }
}

/// A call whose client goes meanwhile is not sent.
#[tokio::test(start_paused = true)]
async fn who_goes_costs_nothing() {
    let fake = fake();
    let proxy = Proxy::start(&fake);
    full(&proxy).await;
    let held = call(&proxy, "/api/conversations.list", PYTHON);
    assert!(timeout(secs(35), held).await.is_err());
    settled().await;
    assert_eq!(proxy.admission.held(), 0);
    proxy.until(secs(70)).await;
    assert_eq!(fake.totals().calls, 20);
}

/// What the operator says of clients and callers counts, and follows the file.
///
/// Turned red by: rules that are read once; the catalogue before the configuration.
#[tokio::test(start_paused = true)]
async fn the_operators_word_counts_and_is_followed() {
    const MINE: &str = "clients: [{ name: mine, user_agent: 'mine/*', max_wait: 30s, keep_alive: interim }, { name: requests, user_agent: 'python-requests/*', max_wait: 3s }]";
    const CALLER: &str =
        "callers: [{ name: job, match: { user_agent: 'mine/*' }, max_wait: 70s }]\n";
    const AGENT: &str = "user-agent: mine/1\r\n";
    let fake = fake();
    let proxy = Proxy::start(&fake);
    full(&proxy).await;
    let told = async |headers: &str| call(&proxy, "/api/conversations.list", headers).await;
    assert_eq!(told(AGENT).await.1, 429, "8 s");
    proxy.reload(MINE).unwrap();
    assert_eq!(told(REQUESTS).await.1, 429, "3 s, and not kept waiting");
    let (interims, status, _) = told(AGENT).await;
    assert_eq!((interims, status), (6, 200), "kept waiting");
    proxy.until(secs(120)).await;
    let bot = full(&proxy).await;
    proxy.reload(CALLER).unwrap();
    let (interims, status, _) = told(AGENT).await;
    assert_eq!((interims, status), (0, 200), "70 s");
    let said = bot.call(LIST).header("user-agent", "mine/1").lane("job;max-wait=3s");
    assert!(said.send().await.is_ok());
    drop(bot);
}
