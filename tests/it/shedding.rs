//! Every reason to shed a call, in every way to say so.

use fake_slack::Reply;
use http::StatusCode;

use crate::harness::{
    Answer, Ask, Proxy, Scripted, all, assert_near, fake, json, ms, secs, settled,
};

const NODE: &str = "@slack:web-api/8.2.0 node/22.11.0 linux/6.1";
const PYTHON: &str = "Python/3.12.1 slackclient/3.27.0 Linux/6.1";

/// One call a minute.
const RARE: &str = "admin.apps.uninstall";

/// Who asks, how the operator wants it, and the status of what is shed then.
const WAYS: [(&str, &str, u16); 6] = [
    (NODE, "auto", 429),
    (PYTHON, "auto", 429),
    ("curl/8", "auto", 429),
    (NODE, "429", 429),
    (NODE, "ok_false", 200),
    (PYTHON, "ok_false", 200),
];

/// What every shed call is told, however: why, when to come back, and what stands in the way.
#[track_caller]
fn assert_shed(answer: &Answer, status: u16, reason: &str, bucket: &str, retry_after: u64) {
    assert_eq!(answer.shed_as(status), (retry_after, reason, bucket), "{answer:?}");
    assert_eq!(answer.header("ratelimit").is_empty(), bucket.is_empty(), "{answer:?}");
}

/// Turned red by: a long pause for whom a 429 stops.
#[tokio::test(start_paused = true)]
async fn a_call_that_would_wait_too_long_is_told_as_its_client_takes_it() {
    for (agent, shed_as, status) in WAYS {
        // Whom a 429 stops is held till its deadline and comes back at once.
        let (took, seconds) = if agent == NODE && status == 429 { (59, 1) } else { (0, 61) };
        let proxy = Proxy::configured(&format!("shed_as: {shed_as}"), &fake());
        let bot = proxy.bot();
        assert!(bot.call(RARE).send().await.is_ok());
        let ask = bot.call(RARE).header("user-agent", agent).lane("job;max-wait=59s");
        let answer = ask.send().await;
        assert_near(answer.took, secs(took));
        let bucket = answer.header("slackwater-bucket").to_owned();
        assert!(bucket.starts_with("tier1:") && bucket.ends_with(RARE), "{bucket}");
        assert_shed(&answer, status, "deadline", &bucket, seconds);
        let ratelimit = answer.header("ratelimit");
        assert_eq!(ratelimit, format!(r#""tier1";r=0;t={seconds}"#));
    }
}

/// The lane is stronger than the operator, for whom it costs nothing. Beside the Web API neither counts.
///
/// Turned red by: the operator over the lane; a lane's form beside the Web API.
#[tokio::test(start_paused = true)]
async fn a_lane_chooses_the_form_of_its_refusals() {
    for (agent, shed_as, lane, status) in [
        (NODE, "auto", "429", 429),
        (NODE, "auto", "ok_false", 200),
        (NODE, "429", "ok_false", 200),
        (NODE, "429", "auto", 200),
        (NODE, "ok_false", "429", 429),
        (PYTHON, "auto", "ok_false", 200),
        (PYTHON, "ok_false", "auto", 429),
        (PYTHON, "ok_false", "429", 429),
    ] {
        let proxy = Proxy::configured(&format!("shed_as: {shed_as}"), &fake());
        let bot = proxy.bot();
        assert!(bot.call(RARE).send().await.is_ok());
        let with_lane = |ask: Ask| ask.lane(&format!("job;max-wait=1s;shed={lane}"));
        let answer = with_lane(bot.call(RARE)).header("user-agent", agent).send().await;
        assert_eq!(answer.shed_as(status).1, "deadline", "{agent} {shed_as} {lane}");
        let ask = bot.call(RARE).lane("job;max-wait=1s;shed=auto");
        let ask = ask.header("user-agent", agent).header("slackwater-shed", lane);
        assert_eq!(ask.send().await.shed_as(status).1, "deadline", "in a header");
        let hook = || {
            let ask = bot.at(http::Method::POST, "/services/T1/B1/secret");
            with_lane(ask.body("application/json", r#"{"text":"x"}"#)).header("user-agent", agent)
        };
        assert!(hook().send().await.status == 200);
        hook().lane(&format!("job;max-wait=0s;shed={lane}")).send().await.hook_shed();
    }
}

/// A call that was held and whose turn moved away.
#[tokio::test(start_paused = true)]
async fn a_call_that_has_waited_in_vain_is_told_as_its_client_takes_it() {
    for (agent, shed_as, status) in WAYS {
        let fake = fake();
        let proxy = Proxy::configured(&format!("shed_as: {shed_as}"), &fake);
        let bot = proxy.bot();
        fake.script(RARE, [Reply::rate_limited(30).delayed(secs(2))]);
        let _first = bot.call(RARE).patient().held();
        settled().await;
        // It could go as soon as the first is back, as far as anybody knows.
        let mut waits = bot.call(RARE).header("user-agent", agent).lane("job;max-wait=61s").held();
        settled().await;
        assert_eq!(proxy.admission.held(), 1);
        let answer = waits.join_next().await.unwrap().unwrap();
        assert_near(answer.took, secs(61));
        let (_, reason, bucket) = answer.shed_as(status);
        assert!(reason == "deadline" && bucket.starts_with("tier1:"), "{answer:?}");
    }
}

/// The bounds on calls are exact, each of them.
///
/// Turned red by: a bound that is one off.
#[tokio::test(start_paused = true)]
async fn a_full_queue_is_told_as_its_client_takes_it() {
    for (agent, shed_as, status) in WAYS {
        for bound in [
            "queue: { max_depth: 5 }",
            "queue: { max_total: 5 }",
            "callers: [{ name: job, max_depth: 5 }]",
        ] {
            let proxy = Proxy::configured(&format!("{bound}\nshed_as: {shed_as}"), &fake());
            let bot = proxy.bot();
            assert!(bot.call(RARE).send().await.is_ok());
            let ask = || bot.call(RARE).header("user-agent", agent).patient();
            let mut held: Vec<_> = (0..4).map(|_| ask().held()).collect();
            settled().await;
            // The last is taken too: the caller has less than its share, which is all of it.
            held.push(ask().held());
            settled().await;
            assert_eq!(proxy.admission.held(), 5, "{bound}");
            let answer = ask().send().await;
            assert_near(answer.took, ms(0));
            let bucket = answer.header("slackwater-bucket").to_owned();
            let (retry_after, reason, _) = answer.shed_as(status);
            assert_eq!(reason, "queue_full", "{bound}");
            assert!(!bucket.is_empty() && retry_after > 60, "{answer:?}");
            assert_eq!(proxy.admission.held(), 5, "{bound}");
            drop(held);
            settled().await;
            let _again = ask().held();
            settled().await;
            assert_eq!(proxy.admission.held(), 1, "{bound}");
        }
    }
}

/// The bound on bytes holds, also for those of one caller. A call has 134 to 845 of headers here.
#[tokio::test(start_paused = true)]
async fn held_bodies_without_room_are_told_as_their_clients_take_it() {
    for (agent, shed_as, status) in WAYS {
        let proxy = Proxy::configured(
            &format!("queue: {{ max_bytes: 64KiB }}\nshed_as: {shed_as}"),
            &fake(),
        );
        let bot = proxy.bot();
        assert!(bot.call(RARE).send().await.is_ok());
        let ask = |bytes: usize| -> Ask {
            bot.call(RARE)
                .header("user-agent", agent)
                .body("text/plain", vec![b'x'; bytes])
                .patient()
        };
        // Nine tenths, and the rest for whom that is less than its share.
        let mut held = vec![ask(55_000).held(), ask(2_000).held()];
        settled().await;
        let answer = ask(2_000).send().await;
        assert_eq!(answer.shed_as(status).1, "memory");
        assert!(
            answer.shed_as(status).0 > 60 && !answer.shed_as(status).2.is_empty(),
            "{answer:?}"
        );
        held.push(ask(6_000).lane("other;max-wait=1h").held());
        settled().await;
        assert_eq!(proxy.admission.held(), 3);
        assert_shed(&ask(2_000).lane("click").send().await, status, "memory", "", 1);
        drop(held);
        settled().await;
        assert_shed(&ask(66_000).send().await, status, "memory", "", 1);
        let _held = ask(64_500).held();
        settled().await;
        assert_eq!(proxy.admission.held(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_is_told_as_its_client_takes_it() {
    for (agent, shed_as, status) in WAYS {
        let proxy = Proxy::configured(&format!("shed_as: {shed_as}"), &fake());
        let bot = proxy.bot();
        assert!(bot.call(RARE).send().await.is_ok());
        let ask = || bot.call(RARE).header("user-agent", agent).patient();
        let mut held = ask().held();
        settled().await;
        proxy.admission.close();
        assert_shed(&held.join_next().await.unwrap().unwrap(), status, "draining", "", 1);
        assert_shed(&ask().send().await, status, "draining", "", 1);
    }
}

/// A 429 of Slack's that is handed on would stop such a client as ours would.
///
/// Turned red by: handing Slack's 429 on as it is.
#[tokio::test(start_paused = true)]
async fn a_429_of_slacks_is_told_as_its_client_takes_it() {
    for (agent, shed_as, status) in WAYS {
        for (body, coding) in
            [(r#"{"ok":false,"error":"ratelimited"}"#, ""), ("", ""), ("<html>", "gzip")]
        {
            let upstream = Scripted::new(move |_| async move {
                let mut answer = json(StatusCode::TOO_MANY_REQUESTS.as_u16(), body)?;
                answer.headers_mut().insert("retry-after", "30".parse().unwrap());
                answer.headers_mut().insert("x-slack-req-id", "r1".parse().unwrap());
                if !coding.is_empty() {
                    answer.headers_mut().insert("content-encoding", coding.parse().unwrap());
                }
                Ok(answer)
            });
            let proxy = Proxy::configured(&format!("shed_as: {shed_as}"), &upstream);
            let ask = proxy.bot().call("auth.test").header("user-agent", agent);
            let answer = ask.lane("job;max-wait=8s").send().await;
            let bucket = answer.header("slackwater-bucket").to_owned();
            assert_shed(&answer, status, "upstream", &bucket, 30);
            assert_eq!(answer.header("content-encoding"), "");
            assert_eq!(answer.header("x-slack-req-id"), "r1", "what Slack says beside it stays");
            assert_eq!(upstream.seen().len(), 1);
        }
    }
}

/// What is no refusal for a limit has its own status, whatever is chosen for those.
#[tokio::test(start_paused = true)]
async fn other_failures_have_their_own_status() {
    let proxy = Proxy::configured("shed_as: ok_false", &fake());
    let bot = proxy.bot();
    for (path, status) in [("/nowhere", 404), ("/api/..", 400), ("/api/a b", 404)] {
        let path = path.replace(' ', "%20");
        let answer = bot.at(http::Method::POST, &path).send().await;
        assert_eq!(answer.status, status, "{path}");
    }
}

/// A client that a 429 would stop is held as long as it waits itself, up to the bounds.
#[tokio::test(start_paused = true)]
async fn a_client_that_stops_as_a_whole_is_held_for_long() {
    let proxy = Proxy::start(&fake());
    let bot = proxy.bot();
    // By fetch, which gives up after five minutes.
    let ask = || bot.call(RARE).header("user-agent", NODE).header("sec-fetch-mode", "cors");
    let answers = all((0..6).map(|_| ask())).await;
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(done, 5, "one a minute, for less than five: {answers:?}");
    let shed = answers.iter().find(|answer| !answer.is_ok()).unwrap();
    assert_near(shed.took, secs(290));
    assert_eq!(shed.shed_as(429).1, "deadline");
    // Its earlier versions send by axios, which never does.
    let ask = || bot.call(RARE).header("user-agent", "@slack:web-api/7.19.0 node/20.20.2");
    assert!(all((0..6).map(|_| ask())).await.iter().all(Answer::is_ok));
}
