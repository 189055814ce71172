//! What must not be told: tokens, and the paths of webhooks, which are as good as tokens.

use std::io;

use http::Method;
use slack::{AppKind, Catalogue};

use crate::harness::{Answer, Bot, Log, Proxy, Scripted, Wire, all, json, secs};

const SECRET: &str = "hunter2";

/// What is told of an answer, but not by the upstream.
fn told(answer: &Answer) -> String {
    let ours = answer.header("slackwater-attempts") == "0" || answer.status == 429;
    let body = if ours { String::from_utf8_lossy(&answer.body) } else { "".into() };
    format!("{:?} {body}", answer.headers)
}

/// Calls of every kind to every end that a call may have, in both versions of HTTP.
async fn calls(bot: &Bot) -> Vec<Answer> {
    let token = format!("Bearer xoxb-{SECRET}");
    let paths = ["services/T1/B1", "workflows/T1", "triggers/T1", "actions/T1", "commands/T1"];
    let mut asks = Vec::new();
    for path in paths {
        // Two that pass or fail, one that is shed, and some that go nowhere.
        for n in 0..8 {
            let ask = bot.at(Method::POST, &format!("/{path}/{SECRET}")).lane("job;max-wait=2s");
            let ask = if n == 0 { ask.lane("job;class=urgent") } else { ask };
            asks.push(ask.header("authorization", &token).body("application/json", "{}"));
        }
        for bad in ["%2f", "%5c", "/../x", "%00"] {
            asks.push(bot.at(Method::POST, &format!("/{path}/{SECRET}{bad}")));
        }
        asks.push(bot.at(Method::POST, &format!("/nowhere/{path}/{SECRET}")));
    }
    for path in ["/scim/v1/Users", "/audit/v1/logs", "/api/auth.test"] {
        asks.push(bot.at(Method::GET, path).header("authorization", &token));
    }
    all(asks).await
}

/// Turned red by: a bucket by the path as it is; a log line, of any level, with the URL.
#[tokio::test(start_paused = true)]
async fn tokens_and_webhooks_are_told_nowhere() {
    let log = Log::text();
    let catalogue = Catalogue::built_in(AppKind::Internal).unwrap();
    let refuses = Scripted::new(|seen| async move {
        let mut answer = json(if seen.number.is_multiple_of(2) { 429 } else { 200 }, "{}")?;
        answer.headers_mut().insert("retry-after", "1".parse().unwrap());
        Ok(answer)
    });
    let breaks = Scripted::new(|_| async { Err(io::ErrorKind::ConnectionReset.into()) });
    let hangs = Scripted::new(|_| async {
        tokio::time::sleep(secs(120)).await;
        json(200, "{}")
    });
    let nobody = Wire::new(|_| Err(io::ErrorKind::ConnectionRefused.into()));
    let mut statuses = Vec::new();
    for upstream in [(&refuses).into(), (&breaks).into(), (&hangs).into(), nobody] {
        let proxy = Proxy::start(upstream);
        for bot in [proxy.bot(), proxy.bot_h2()] {
            for answer in calls(&bot).await {
                let told = told(&answer);
                assert!(!told.contains(SECRET), "{told}");
                statuses.push(answer.status);
            }
        }
        let status = proxy.status();
        let shown = serde_json::to_string(&(&status.buckets, &status.queues)).unwrap();
        assert!(shown.contains("url-") && !shown.contains(SECRET), "{shown}");
        let metrics = proxy.metrics.text(&status, &catalogue).unwrap();
        let metrics = String::from_utf8(metrics).unwrap();
        assert!(metrics.contains("response_url") && !metrics.contains(SECRET), "{metrics}");
    }
    statuses.sort_unstable();
    statuses.dedup();
    assert_eq!(statuses, [200, 400, 404, 429, 502, 504]);
    let log = log.all();
    assert!(log.contains("call answered") && log.contains("no answer from the upstream"));
    let leak = log.lines().find(|line| line.contains(SECRET));
    assert_eq!(leak, None);
}
