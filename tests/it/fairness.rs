//! Who goes next, seen from outside.

use tokio::task::JoinSet;

use crate::harness::{Answer, Ask, Bot, Proxy, Scripted, fake, json, ms, secs, settled};

/// One call a second, so that every grant can be seen.
const SLOW: &str = "methods: { conversations.members: { tier: special, limits: [{ name: slow, limit: 1, per: 1s, scope: [app, workspace] }] } }";

fn ask(bot: &Bot, lane: &str) -> Ask {
    bot.call("conversations.members").lane(&format!("{lane};max-wait=1h"))
}

fn flood(bot: &Bot, lane: &str, n: usize) -> JoinSet<()> {
    let mut calls = JoinSet::new();
    for _ in 0..n {
        let ask = ask(bot, lane);
        calls.spawn(async move { assert!(ask.send().await.is_ok()) });
    }
    calls
}

/// One caller with a thousand calls and another with one: the one is next.
///
/// Turned red by: one queue for all callers.
#[tokio::test(start_paused = true)]
async fn a_flood_holds_up_nobody_else() {
    let fake = fake();
    let proxy = Proxy::configured(SLOW, &fake);
    let bot = proxy.bot();
    let mut flood = flood(&bot, "flood", 1_000);
    settled().await;
    assert_eq!(proxy.admission.held(), 999);
    for at in [2_500, 10_500, 30_500] {
        proxy.until(ms(at)).await;
        let answer = ask(&bot, "one").send().await;
        assert!(answer.is_ok() && answer.took <= ms(1_040), "{:?}", answer.took);
    }
    // And the flood has all the rest: nothing was left unused.
    let totals = fake.totals();
    assert!(totals.calls >= 31, "{totals:?}");
    assert_eq!(flood.len(), 1_000);
    while flood.try_join_next().is_some() {}
    assert!((965..=972).contains(&flood.len()), "{}", flood.len());
}

/// Background work waits behind the others, and still gets on: at least one of ten.
///
/// Turned red by: classes without floors; classes that are ignored.
#[tokio::test(start_paused = true)]
async fn background_waits_behind_the_others_and_gets_on() {
    let proxy = Proxy::configured(SLOW, &fake());
    let bot = proxy.bot();
    let _normal = flood(&bot, "bot", 200);
    settled().await;
    let mut background = flood(&bot, "cleanup;class=background", 20);
    let mut interactive = Vec::new();
    for at in [20_500, 40_500] {
        proxy.until(ms(at)).await;
        interactive.push(ask(&bot, "click;class=interactive").send().await.took);
    }
    proxy.until(secs(60)).await;
    let mut done = 0;
    while background.try_join_next().is_some() {
        done += 1;
    }
    assert!((5..=7).contains(&done), "{done} of some 58 grants");
    assert!(interactive.iter().all(|took| *took <= ms(2_060)), "{interactive:?}");
}

/// A caller's own calls go in the order in which it sent them.
///
/// Turned red by: last in, first out.
#[tokio::test(start_paused = true)]
async fn a_callers_calls_go_in_their_order() {
    let fake = fake();
    let proxy = Proxy::configured(SLOW, &fake);
    let bot = proxy.bot();
    let mut calls = JoinSet::new();
    for n in 0..20_u64 {
        let ask = ask(&bot, "job").after(ms(n));
        calls.spawn(async move {
            assert!(ask.send().await.is_ok());
            n
        });
    }
    let mut order = Vec::new();
    while let Some(n) = calls.join_next().await {
        order.push(n.unwrap());
    }
    assert!(order.is_sorted(), "{order:?}");
}

/// Of two callers that the operator's rules find by their User-Agent, the one of weight 3 has
/// three calls where the other has one.
///
/// Turned red by: rules that are read and not applied.
#[tokio::test(start_paused = true)]
async fn a_caller_of_weight_three_has_three_turns() {
    let rules = "callers: [{ name: web, match: { user_agent: 'web/*' }, weight: 3 }, { name: job, match: { user_agent: 'job/*' } }]";
    let proxy = Proxy::configured(&format!("{SLOW}\n{rules}"), &fake());
    let bot = proxy.bot();
    let flood = |agent: &'static str| {
        let mut calls = JoinSet::new();
        for _ in 0..100 {
            let ask = bot.call("conversations.members").header("user-agent", agent);
            calls.spawn(ask.header("slackwater-max-wait", "1h").send());
        }
        calls
    };
    let (mut web, mut job) = (flood("web/2.1"), flood("job/7"));
    settled().await;
    let callers = |status: &slackwater::admin::Status| {
        status.queues.iter().map(|queue| queue.caller.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(callers(&proxy.status()), ["job", "web"]);
    proxy.until(ms(40_500)).await;
    let answered = |calls: &mut JoinSet<Answer>| {
        std::iter::from_fn(|| calls.try_join_next())
            .filter(|one| one.as_ref().unwrap().is_ok())
            .count()
    };
    let (web, job) = (answered(&mut web), answered(&mut job));
    assert!(web + job >= 39 && (9..=11).contains(&job), "{web} of weight 3, {job} of weight 1");
}

/// A caller that claims to be urgent is held to the class that its rule allows, in the lane, in a
/// header, and known by its token in the body alone.
///
/// Turned red by: a ceiling that is read and not applied; a token that is looked for in the header
/// only.
#[tokio::test(start_paused = true)]
async fn a_caller_is_held_to_its_class() {
    // printf xoxb-T1-A1-claims | sha256sum
    let rules = "callers: [{ name: cleanup, max_class: background }, { name: script, match: { token_hash: '7b624006' }, max_class: background }]";
    let proxy = Proxy::configured(&format!("{SLOW}\n{rules}"), &fake());
    let bot = proxy.bot();
    let lane = ask(&bot, "cleanup;class=interactive");
    let header = ask(&bot, "cleanup").header("slackwater-class", "interactive");
    let body = ask(&bot, "mine;class=interactive")
        .form("token=xoxb-T1-A1-claims")
        .without_header("authorization");
    let free = ask(&bot, "click;class=interactive");
    // Each token has a limit to itself, as nobody said whose they are; these two have its slot.
    let _went = [free.clone().held(), body.clone().held()];
    settled().await;
    let _held = [lane.held(), header.held(), body.held(), free.held()];
    settled().await;
    let status = proxy.status();
    let held: Vec<_> =
        status.queues.iter().map(|queue| (&*queue.caller, queue.class, queue.depth)).collect();
    assert_eq!(
        held,
        [("click", "interactive", 1), ("cleanup", "background", 2), ("mine", "background", 1)]
    );
}

/// A body of that size.
fn of_size(ask: Ask, bytes: usize) -> Ask {
    ask.body("text/plain", vec![b'x'; bytes])
}

/// A job whose calls come back when they are told to, with bodies of 0.5 to 30 KB, holds all the bytes
/// that it may. Nobody else is refused for that, and neither are its own clicks; and it is told when there
/// is room, as for a full queue.
///
/// Turned red by: a last tenth of the bytes that is like the rest; a constant time to come back.
#[tokio::test(start_paused = true)]
async fn a_job_does_not_hold_all_the_bytes() {
    let proxy = Proxy::configured(&format!("queue: {{ max_bytes: 1MiB }}\n{SLOW}"), &fake());
    let bot = proxy.bot();
    let mut job = JoinSet::new();
    for n in 0..300 {
        let bytes = 500 + n * 97 % 29_500;
        let ask = of_size(ask(&bot, "job;class=background"), bytes);
        job.spawn(async move {
            let mut told = Vec::new();
            loop {
                let answer = ask.clone().send().await;
                if answer.status == 200 {
                    return told;
                }
                let (seconds, reason, _) = answer.shed();
                assert_eq!(reason, "memory", "{answer:?}");
                told.push(seconds);
                tokio::time::sleep(secs(seconds)).await;
            }
        });
    }
    settled().await;
    let held = proxy.admission.held();
    // Fewer of long bodies, more of short ones: the order in which they are read decides.
    assert!((50..100).contains(&held), "{held}");
    for at in 1..=15 {
        proxy.until(secs(4 * at)).await;
        for lane in ["click", "job;class=interactive"] {
            let answer = of_size(bot.call("views.open").lane(lane), 3_000).send().await;
            assert_eq!((answer.status, answer.took <= ms(12)), (200, true), "{lane}: {answer:?}");
        }
    }
    let told: Vec<_> = job.join_all().await.into_iter().flatten().collect();
    let later = told.iter().filter(|seconds| **seconds > 30).count();
    assert!(later * 4 > told.len(), "{later} of {}", told.len());
}

/// Bodies of calls that are under way are held, too.
///
/// Turned red by: a last tenth of the bytes that is like the rest.
#[tokio::test(start_paused = true)]
async fn calls_under_way_do_not_hold_all_the_bytes() {
    let upstream = Scripted::new(|seen| async move {
        if seen.path.contains("views.open") {
            return json(200, r#"{"ok":true}"#);
        }
        tokio::time::sleep(secs(30)).await;
        json(200, "ok")
    });
    let proxy = Proxy::configured("queue: { max_bytes: 1MiB }", &upstream);
    let bot = proxy.bot();
    let hook = |n: usize| {
        let ask = bot.at(http::Method::POST, &format!("/services/T1/B{n}/secret"));
        of_size(ask.lane("job"), 3_000).held()
    };
    let mut hooks: Vec<_> = (0..400).map(hook).collect();
    settled().await;
    let answer = of_size(bot.call("views.open").lane("click"), 3_000).send().await;
    assert!(answer.is_ok(), "{answer:?}");
    let refused = hooks.iter_mut().filter_map(JoinSet::try_join_next).count();
    let under_way = 400 - refused;
    // Of 3,000 bytes without their headers it would be 332.
    assert!((300..310).contains(&under_way), "{under_way} are 95 % of a MiB");
}
