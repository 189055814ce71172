//! How many calls are in flight at once, and what becomes of the others.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use http::Method;
use tokio::task::JoinSet;

use crate::{
    answers::pieces,
    harness::{
        Answer, Ask, Bot, Proxy, Scripted, Wire, all, assert_near, json, ms, pipe, secs, settled,
    },
    views::metrics,
};

/// Two servers, of which that of webhooks is another one than that of the Web API.
const SERVERS: &str = "upstreams: [{ prefix: /api/, url: http://slack.test/api/, kind: web_api }, { prefix: /services/, url: http://hooks.test/services/, kind: webhook }]\n";

/// A server of which webhooks get no answer for a minute, and all else one after 100 ms. `most` is how many
/// requests it had at once.
fn silent_hooks(most: &Arc<AtomicUsize>) -> Scripted {
    let (most, now) = (Arc::clone(most), Arc::new(AtomicUsize::new(0)));
    Scripted::new(move |seen| {
        let (most, now) = (Arc::clone(&most), Arc::clone(&now));
        async move {
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            let silent = seen.path.starts_with("/services/");
            tokio::time::sleep(if silent { secs(55) } else { ms(100) }).await;
            now.fetch_sub(1, SeqCst);
            json(200, r#"{"ok":true}"#)
        }
    })
}

fn hook(bot: &Bot, n: usize) -> Ask {
    bot.at(Method::POST, &format!("/services/T1/B{n}/secret"))
}

fn why(proxy: &Proxy) -> Vec<(String, Option<&'static str>, Option<String>)> {
    let queues = proxy.status().queues.into_iter();
    queues.map(|queue| (queue.method.to_string(), queue.why, queue.waits_for)).collect()
}

fn in_flight(proxy: &Proxy) -> Vec<(String, usize, usize)> {
    let loads = proxy.status().in_flight.into_iter();
    loads.map(|load| (load.server.to_string(), load.calls, load.held)).collect()
}

/// Webhook calls whose clients hang up are in flight nevertheless. There are no more of them than may be,
/// further ones wait, and calls to other servers pass them.
///
/// Turned red by: no bound; a bound for all servers alone; calls that count only while their client waits.
#[tokio::test(start_paused = true)]
async fn a_silent_server_has_no_more_than_its_part() {
    let most = Arc::default();
    let upstream = silent_hooks(&most);
    let proxy = Proxy::configured(&format!("{SERVERS}queue: {{ max_in_flight: 20 }}"), &upstream);
    let bot = proxy.bot();
    let mut gone = JoinSet::new();
    for n in 0..120 {
        let ask = hook(&bot, n).lane("hooks;max-wait=1m");
        gone.spawn(async move { ask.hang_up_after(ms(500)).await.is_some() });
    }
    settled().await;
    assert_eq!(most.load(SeqCst), 10, "half of all");
    assert_eq!(in_flight(&proxy), [("hooks.test".to_owned(), 10, 110), ("*".to_owned(), 10, 110)]);
    let [(_, reason, bucket)] = &why(&proxy)[..] else { panic!("{:?}", why(&proxy)) };
    assert_eq!((*reason, bucket.as_deref()), (Some("in_flight"), Some("in_flight:hooks.test")));
    let text = metrics(&proxy);
    for line in [
        r#"slackwater_queue_held{why="in_flight"} 110"#,
        r#"slackwater_in_flight_most{to="each"} 10"#,
        r#"slackwater_in_flight_most{to="all"} 20"#,
    ] {
        assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
    }
    proxy.until(secs(1)).await;
    assert!(gone.join_all().await.iter().all(|answered| !answered));
    assert_eq!(proxy.admission.held(), 0, "those that were held have left");
    assert_eq!(in_flight(&proxy)[0].1, 10, "and those that were sent have not");
    // Beside them the Web API has the rest.
    let answers = all((0..100).map(|_| bot.call("api.test"))).await;
    assert!(answers.iter().all(Answer::is_ok), "{answers:?}");
    assert_eq!(most.load(SeqCst), 20);
    let longest = answers.iter().map(|answer| answer.took).max().unwrap();
    assert!(longest < ms(1_100), "ten at once, for 100 ms each: {longest:?}");
    // Then the server's places are free again.
    proxy.until(secs(56)).await;
    let answer = hook(&bot, 1).lane("hooks;max-wait=1m").send().await;
    assert_eq!(answer.status, 200);
}

/// Calls without a limit wait for each other, and none is refused as long as its client waits.
///
/// Turned red by: no bound; passes that are handed out again before their calls count; ends that nobody
/// is told of.
#[tokio::test(start_paused = true)]
async fn calls_beyond_the_bound_wait_for_their_turn() {
    let most = Arc::default();
    let proxy = Proxy::configured("queue: { max_in_flight: 3 }", &silent_hooks(&most));
    let bot = proxy.bot();
    let mut answers = all((0..100).map(|_| bot.call("api.test").patient())).await;
    assert!(answers.iter().all(Answer::is_ok), "{answers:?}");
    assert_eq!(most.load(SeqCst), 2, "two thirds");
    answers.sort_by_key(|answer| answer.took);
    let last = answers[99].took;
    assert!(last >= secs(5) && last < ms(5_500), "two at a time: {last:?}");
    assert_eq!(in_flight(&proxy), [("slack.com".to_owned(), 0, 0), ("*".to_owned(), 0, 0)]);
}

/// A call is in flight until its answer has ended, or its client does not read on.
///
/// Turned red by: an answer that counts as ended with its headers.
#[tokio::test(start_paused = true)]
async fn an_answer_that_goes_on_is_in_flight() {
    let upstream = Scripted::new(|_| async {
        let half = || Bytes::from(vec![b'x'; 8_000]);
        Ok(pieces(200, vec![(ms(0), half()), (secs(5), half())], true))
    });
    let proxy = Proxy::configured("queue: { max_in_flight: 2 }", &upstream);
    let bot = proxy.bot();
    let mut took: Vec<_> =
        all((0..3).map(|n| hook(&bot, n).patient())).await.iter().map(|it| it.took).collect();
    took.sort_unstable();
    for (took, at) in took.into_iter().zip([5, 10, 15]) {
        assert_near(took, secs(at));
    }
    // That this client reads no more shows when the other half of its answer is written to it.
    let _ = hook(&bot, 1).hang_up_after(secs(1)).await;
    let answer = hook(&bot, 2).patient().send().await;
    assert_near(answer.took, secs(4 + 5));
}

/// Who waits for that waits no longer than its client, and is told why.
///
/// Turned red by: a refusal that blames a pause; one that tells to come back at once.
#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_call_that_waits_holds() {
    let most = Arc::default();
    let proxy = Proxy::configured("queue: { max_in_flight: 2 }", &silent_hooks(&most));
    let bot = proxy.bot();
    let _silent = hook(&bot, 1).held();
    settled().await;
    let answer = hook(&bot, 2).lane("hooks;max-wait=3s").send().await;
    assert_near(answer.took, secs(3));
    assert_eq!(answer.hook_shed(), (5, "in_flight", "in_flight:hooks.slack.com"));
    let answer = hook(&bot, 3).lane("hooks;max-wait=0s").send().await;
    assert_near(answer.took, ms(0));
    assert_eq!(answer.hook_shed().1, "deadline");
    let text = metrics(&proxy);
    let shed = r#"slackwater_sheds_total{method="webhook",reason="in_flight"} 1"#;
    assert!(text.lines().any(|one| one == shed), "{text}");
}

/// Calls that are held for their limits when there is plenty of room do not all go when there is none.
///
/// Turned red by: gates that only calls which come later stand before; a pause whose end takes the gates
/// away.
#[tokio::test(start_paused = true)]
async fn calls_held_before_there_was_no_room_wait_for_it_too() {
    let most = Arc::default();
    let proxy = Proxy::configured("queue: { max_in_flight: 8 }", &silent_hooks(&most));
    let bot = proxy.bot();
    let paused = slackwater::pauses::Target::Method("api.test".into());
    proxy.admission.pause(&paused, 0, false).unwrap();
    let mut held = JoinSet::new();
    for _ in 0..30 {
        held.spawn(bot.call("api.test").patient().send());
    }
    settled().await;
    assert_eq!(proxy.admission.held(), 30);
    proxy.admission.resume(&paused);
    let answers = held.join_all().await;
    assert!(answers.iter().all(Answer::is_ok));
    assert_eq!(most.load(SeqCst), 4);
}

/// The bound can be changed while calls wait.
///
/// Turned red by: a bound that is read at the start only.
#[tokio::test(start_paused = true)]
async fn a_reload_changes_the_bound() {
    let most = Arc::default();
    let proxy = Proxy::configured("queue: { max_in_flight: 2 }", &silent_hooks(&most));
    let bot = proxy.bot();
    let mut calls = JoinSet::new();
    for n in 0..30 {
        calls.spawn(hook(&bot, n).lane("hooks;max-wait=1m").send());
    }
    settled().await;
    assert_eq!(most.load(SeqCst), 1);
    proxy.reload("queue: { max_in_flight: 40, max_in_flight_per_server: 20 }").unwrap();
    settled().await;
    assert_eq!(most.load(SeqCst), 20);
    proxy.admission.allow_in_flight(30, &config::QueueBounds::default());
    proxy.until(secs(56)).await;
    assert_eq!(most.load(SeqCst), 20, "the rest followed, ten at once");
    assert!(calls.join_all().await.iter().all(|answer| answer.status == 200));
}

/// Calls that wait for a host that is down do not all go when it is back.
///
/// Turned red by: attempts after the first one that pass the gates.
#[tokio::test(start_paused = true)]
async fn a_host_that_comes_back_gets_no_more_calls_at_once_than_before() {
    let (most, up) = (Arc::default(), Arc::new(AtomicBool::new(false)));
    let (server, is_up) = (silent_hooks(&most), Arc::clone(&up));
    let wire = Wire::new(move |_| {
        if !is_up.load(SeqCst) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (client, io) = pipe();
        server.spawn(server.clone().serve(io, false));
        Ok(client)
    });
    let proxy = Proxy::configured("queue: { max_in_flight: 8 }", wire);
    let bot = proxy.bot();
    let mut calls = JoinSet::new();
    for _ in 0..200 {
        calls.spawn(bot.call("api.test").patient().send());
    }
    proxy.until(secs(3)).await;
    up.store(true, SeqCst);
    let answers = calls.join_all().await;
    assert!(answers.iter().all(Answer::is_ok), "{answers:?}");
    assert_eq!(most.load(SeqCst), 4, "half of what all servers may have");
}
