//! How long calls are held, and what those are told that are not.

use fake_slack::{FakeSlack, Reply};

use crate::harness::{Answer, Bot, Proxy, all, assert_near, fake, ms, secs, settled};

/// Takes the whole minute of a method at the start.
async fn full(method: &str, n: usize) -> (FakeSlack, Proxy, Bot) {
    let fake = fake();
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    let answers = all((0..n).map(|_| bot.call(method))).await;
    assert!(answers.iter().all(Answer::is_ok));
    (fake, proxy, bot)
}

/// A call that would wait longer than its client does is told at once when to come back, and
/// that is true: whoever comes back then is let through.
///
/// Turned red by: a Retry-After that is rounded down.
#[tokio::test(start_paused = true)]
async fn a_shed_call_is_told_the_truth() {
    for seconds in [0, 13, 51] {
        let (fake, proxy, bot) = full("conversations.list", 20).await;
        proxy.until(ms(seconds * 1_000 + 500)).await;
        let answer = bot.call("conversations.list").send().await;
        assert!(answer.took <= ms(5), "{:?}", answer.took);
        let (retry_after, reason, bucket) = answer.shed();
        assert_eq!(reason, "deadline");
        assert!(bucket.starts_with("tier2:") && bucket.ends_with("/conversations.list"));
        assert!(!bucket.contains("secret"), "{bucket}");
        assert_eq!(retry_after, 60 - seconds, "the wait is {} s and 0.52", 59 - seconds);
        assert_eq!(answer.header("slackwater-attempts"), "0");
        tokio::time::sleep(secs(retry_after)).await;
        let answer = bot.call("conversations.list").send().await;
        assert!(answer.is_ok() && answer.took <= ms(5), "{answer:?}");
        assert_eq!(fake.totals().calls, 21, "the shed call cost Slack nothing");
    }
}

/// Each client is held as long as it waits itself, and no longer; what a call says of itself
/// counts more; what its method makes sense for is a ceiling.
#[tokio::test(start_paused = true)]
async fn a_call_is_held_as_long_as_its_client_waits() {
    const PYTHON: &str = "Python/3.12.1 slackclient/3.27.0 Linux/6.1";
    const JAVA: &str = "Java-Slack-SDK; slack-api-client/1.40";
    const RUBY: &str = "Slack Ruby Client/2.4";
    const NODE: &str = "@slack:web-api/7.0.4 node/20.11.0 linux/6.1";
    const GO: &str = "Go-http-client/1.1";
    // Who, in which lane, with which header, and how many milliseconds it is held at most.
    for (agent, lane, header, held) in [
        ("", "", "", 8_000),
        ("curl/8.5", "", "", 60_000),
        ("Deno/2.9", "", "", 8_000),
        (JAVA, "", "", 8_000),
        (PYTHON, "", "", 25_000),
        (RUBY, "", "", 50_000),
        (NODE, "", "", 60_000),
        (GO, "", "", 60_000),
        (PYTHON, "job;max-wait=3s", "", 3_000),
        (PYTHON, "job%3Bmax-wait=40s", "", 40_000),
        (PYTHON, "job;max-wait=3s", "30s", 30_000),
        ("", "job;max-wait=0s", "", 0),
    ] {
        for slack in [-400_i64, 400] {
            let wait = (held + slack).clamp(10, 60_000);
            let (_, proxy, bot) = full("conversations.list", 20).await;
            let at = ms(u64::try_from(60_020 - wait).unwrap());
            proxy.until(at).await;
            let mut ask = bot.call("conversations.list").header("user-agent", agent);
            if !lane.is_empty() {
                ask = ask.lane(lane);
            }
            if !header.is_empty() {
                ask = ask.header("slackwater-max-wait", header);
            }
            let answer = ask.send().await;
            let case = format!("{agent} {lane} {header}: {wait} ms: {answer:?}");
            if wait <= held {
                assert!(answer.is_ok(), "{case}");
                assert_near(proxy.now(), ms(60_020));
                let told: i64 = answer.header("slackwater-wait-ms").parse().unwrap();
                assert!((wait - 12..=wait + 12).contains(&told), "{case}");
            } else {
                assert_eq!(answer.shed().1, "deadline", "{case}");
            }
        }
    }
}

/// A trigger is dead three seconds after the click: there is no use in holding it longer than
/// half of that, whatever the call says.
#[tokio::test(start_paused = true)]
async fn a_view_is_not_opened_too_late() {
    let (_, proxy, bot) = full("views.open", 100).await;
    proxy.until(ms(58_000)).await;
    let answer = bot.call("views.open").patient().send().await;
    assert_eq!(answer.shed().0, 3);
    proxy.until(ms(58_600)).await;
    let answer = bot.call("views.open").patient().send().await;
    assert!(answer.is_ok() && answer.took <= ms(1_500), "{answer:?}");
}

/// A call that was right to wait, until Slack closed its bucket: it is shed when its client
/// gives up, not when the bucket opens.
///
/// Turned red by: a deadline that is looked at on arrival only.
#[tokio::test(start_paused = true)]
async fn a_call_whose_turn_moves_away_is_shed_when_its_client_gives_up() {
    let fake = fake();
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    fake.script("conversations.list", [Reply::rate_limited(30).delayed(secs(57))]);
    let mut refused = bot.call("conversations.list").patient().held();
    settled().await;
    assert_eq!(all((0..19).map(|_| bot.call("conversations.list"))).await.len(), 19);
    proxy.until(secs(55)).await;
    let answer = bot.call("conversations.list").send().await;
    assert_near(answer.took, secs(8));
    let (retry_after, reason, _) = answer.shed();
    assert_eq!((retry_after, reason), (87 - 63, "deadline"));
    assert!(refused.join_next().await.unwrap().unwrap().is_ok());
    assert_near(proxy.now(), secs(87));
}

/// As many calls are held as may be; the next is told so.
#[tokio::test(start_paused = true)]
async fn a_full_queue_sheds() {
    for (bound, reason) in [("max_depth: 5", "queue_full"), ("max_total: 5", "queue_full")] {
        let fake = fake();
        let proxy = Proxy::configured(&format!("queue: {{ {bound} }}"), &fake);
        let bot = proxy.bot();
        let mut held: Vec<_> = Vec::new();
        for _ in 0..25 {
            held.push(bot.call("conversations.list").patient().held());
        }
        settled().await;
        assert_eq!(proxy.admission.held(), 5);
        let answer = bot.call("conversations.list").patient().send().await;
        assert_eq!(answer.shed().1, reason, "{bound}");
        held.pop();
        settled().await;
        assert_eq!(proxy.admission.held(), 4);
        held.push(bot.call("conversations.list").patient().held());
        settled().await;
        assert_eq!(proxy.admission.held(), 5);
    }
}
