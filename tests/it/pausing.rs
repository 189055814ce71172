//! What the operator has paused waits, and nothing else; and goes on as it was.

use std::{
    collections::HashSet,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use slackwater::pauses::{Began, Target};

use tokio::task::JoinSet;

use crate::harness::{
    Answer, Ask, Bot, Proxy, Scripted, Wire, all, assert_near, fake, json, ms, secs, settled,
};

fn target(kind: &str, name: &str) -> Target {
    Target::of(kind, name).unwrap()
}

fn pause(proxy: &Proxy, kind: &str, name: &str) {
    assert_eq!(proxy.admission.pause(&target(kind, name), 0, false), Ok(Began::New));
}

fn resume(proxy: &Proxy, kind: &str, name: &str) {
    assert!(proxy.admission.resume(&target(kind, name)).is_some());
}

/// So many calls of a caller, held as long as any may be.
fn held(bot: &Bot, lane: &str, n: usize) -> JoinSet<Answer> {
    let ask = bot.call("conversations.list").lane(&format!("{lane};max-wait=1h"));
    let mut calls = JoinSet::new();
    (0..n).for_each(|_| drop(calls.spawn(ask.clone().send())));
    calls
}

/// A job that has used its window is paused while 30 of its calls wait: they wait on, others go,
/// and afterwards they go in their order and at the pace of the limit.
///
/// Turned red by: a pause that new calls alone meet; calls that are queued anew when it ends.
#[tokio::test(start_paused = true)]
async fn a_paused_caller_waits_and_goes_on_in_its_order() {
    let fake = fake();
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    let mut calls = JoinSet::new();
    for n in 0..50_u64 {
        let ask = bot.call("conversations.list").lane("job;max-wait=1h").after(ms(n));
        calls.spawn(async move {
            assert!(ask.send().await.is_ok());
            n
        });
    }
    proxy.until(secs(1)).await;
    assert_eq!((fake.totals().calls, proxy.admission.held()), (20, 30));
    pause(&proxy, "caller", "job");
    proxy.until(secs(300)).await;
    assert_eq!((fake.totals().calls, proxy.admission.held()), (20, 30), "none goes");
    assert!(bot.call("conversations.list").lane("other").send().await.is_ok(), "others go");
    let status = proxy.status();
    assert_eq!((status.paused.len(), status.paused[0].waiting), (1, 30));
    let [queue] = &status.queues[..] else { panic!("{status:?}") };
    assert_eq!((queue.why, queue.until_ms), (Some("paused"), None));
    assert_eq!(queue.waits_for.as_deref(), Some("paused_caller:job"));
    resume(&proxy, "caller", "job");
    settled().await;
    assert_eq!(fake.totals().calls, 20 + 1 + 19, "as many as the window has");
    let mut order = Vec::new();
    while let Some(n) = calls.join_next().await {
        order.push(n.unwrap());
    }
    assert_eq!(order.len(), 50);
    assert!(order.is_sorted(), "{order:?}");
    assert!(proxy.now() < secs(362), "{:?}", proxy.now());
    assert_eq!(fake.ledger().violations, []);
}

/// Red when another method or another workspace waits too, and when a workspace's pause is for one
/// of its methods.
#[tokio::test(start_paused = true)]
async fn a_method_and_a_workspace_are_paused_each_by_itself() {
    let proxy = Proxy::start(&fake());
    let bot = proxy.bot();
    let call = |method: &str, token: &str| {
        bot.call(method).header("authorization", &format!("Bearer {token}")).patient()
    };
    let (one, two) = ("xoxb-T1-A1-x", "xoxb-T2-A1-x");
    // Nobody is asked whose they are: they stand for themselves.
    assert!(all([call("team.info", one), call("team.info", two)]).await.iter().all(Answer::is_ok));
    let keys: HashSet<String> =
        proxy.status().buckets.iter().map(|bucket| bucket.key.to_string()).collect();
    let mut names: Vec<_> = keys.iter().filter_map(|key| key.split('/').nth(1)).collect();
    names.sort_unstable();
    pause(&proxy, "method", "team.info");
    let _waits = call("team.info", one).held();
    settled().await;
    assert_eq!(proxy.admission.held(), 1);
    assert!(call("conversations.list", one).send().await.is_ok());
    resume(&proxy, "method", "team.info");
    settled().await;
    assert_eq!(proxy.admission.held(), 0);
    pause(&proxy, "workspace", names[0]);
    let mut asked: Vec<_> = [
        ("team.info", one),
        ("conversations.list", one),
        ("team.info", two),
        ("conversations.list", two),
    ]
    .map(|(method, token)| call(method, token).held())
    .into();
    settled().await;
    assert_eq!(proxy.admission.held(), 2, "both methods of one workspace");
    resume(&proxy, "workspace", names[0]);
    for call in &mut asked {
        assert!(call.join_next().await.unwrap().unwrap().is_ok());
    }
}

/// Red when a paused call is refused for its forecast, when it is told to come back at once, and
/// when it costs a slot.
#[tokio::test(start_paused = true)]
async fn a_paused_call_is_refused_when_its_client_would_leave() {
    let fake = fake();
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    pause(&proxy, "caller", "job");
    let answer = bot.call("team.info").lane("job;max-wait=5s").send().await;
    assert_eq!(answer.shed(), (30, "paused", "paused_caller:job"));
    assert_near(answer.took, secs(5));
    assert_eq!(fake.totals().calls, 0);
    assert_eq!(proxy.status().places, 0);
}

/// Red when `shed` is for new calls only, and when it holds.
#[tokio::test(start_paused = true)]
async fn a_pause_that_sheds_refuses_at_once() {
    let proxy = Proxy::start(&fake());
    let bot = proxy.bot();
    let mut waiting = held(&bot, "job", 25);
    settled().await;
    let job = target("caller", "job");
    assert_eq!(proxy.admission.pause(&job, 0, true), Ok(Began::New));
    settled().await;
    let mut refused = 0;
    while let Some(answer) = waiting.try_join_next() {
        let answer = answer.unwrap();
        if !answer.is_ok() {
            assert_eq!(answer.shed(), (30, "paused", "paused_caller:job"));
            refused += 1;
        }
    }
    assert_eq!(refused, 5);
    let new = bot.call("team.info").lane("job").send().await;
    assert_eq!((new.shed().1, new.took.as_millis()), ("paused", 0));
    assert_eq!(proxy.admission.pause(&job, 0, false), Ok(Began::Changed));
    let _held = held(&bot, "job", 1);
    settled().await;
    assert_eq!(proxy.admission.held(), 1, "now it holds");
}

/// A call is on its way when its method is paused, and Slack refuses it. Red when it is sent again
/// during the pause, or handed back.
#[tokio::test(start_paused = true)]
async fn a_call_on_its_way_meets_the_pause_when_it_is_sent_again() {
    let upstream = Scripted::new(|seen| async move {
        tokio::time::sleep(secs(1)).await;
        let again = seen.number > 1;
        let answer = if again { json(200, r#"{"ok":true}"#) } else { json(429, "{}") };
        answer.map(|mut answer| {
            answer.headers_mut().insert("retry-after", "2".parse().unwrap());
            answer
        })
    });
    let proxy = Proxy::start(&upstream);
    let mut call = proxy.bot().call("team.info").patient().held();
    settled().await;
    pause(&proxy, "method", "team.info");
    proxy.until(secs(20)).await;
    assert_eq!((upstream.seen().len(), proxy.admission.held()), (1, 1));
    resume(&proxy, "method", "team.info");
    assert!(call.join_next().await.unwrap().unwrap().is_ok());
    assert_near(proxy.now(), secs(21));
}

/// A call whose host cannot be reached meets a pause that began meanwhile, although it has all slots it needs.
///
/// Turned red by: an attempt after the first one that meets a pause only if it has to wait.
#[tokio::test(start_paused = true)]
async fn a_call_that_found_no_connection_meets_the_pause() {
    let (up, fake) = (Arc::new(AtomicBool::new(false)), fake());
    let (is_up, server) = (Arc::clone(&up), fake.clone());
    let proxy = Proxy::start(Wire::new(move |_| {
        let up = is_up.load(SeqCst);
        up.then(|| server.connect()).ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
    }));
    let mut call = proxy.bot().call("team.info").patient().held();
    settled().await;
    pause(&proxy, "method", "team.info");
    up.store(true, SeqCst);
    proxy.until(secs(20)).await;
    assert_eq!((fake.ledger().calls.len(), proxy.admission.held()), (0, 1));
    resume(&proxy, "method", "team.info");
    assert!(call.join_next().await.unwrap().unwrap().is_ok());
    assert_near(proxy.now(), secs(20));
}

/// A client that hangs up while it is paused leaves the line, and a drain ends at its time.
#[tokio::test(start_paused = true)]
async fn a_paused_call_leaves_and_is_drained_as_any_other() {
    let proxy = Proxy::start(&fake());
    let bot = proxy.bot();
    pause(&proxy, "caller", "job");
    let ask = |lane: &str| -> Ask { bot.call("team.info").lane(&format!("{lane};max-wait=1h")) };
    assert!(ask("job").hang_up_after(secs(1)).await.is_none());
    settled().await;
    assert_eq!(proxy.admission.held(), 0);
    let mut stays = ask("job").held();
    settled().await;
    proxy.admission.close();
    assert_eq!(stays.join_next().await.unwrap().unwrap().shed().1, "draining");
}
