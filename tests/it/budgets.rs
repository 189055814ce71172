//! What the operator allows each caller: limits per caller, and ceilings over what callers claim.

use fake_slack::RecordedAs;

use crate::harness::{Answer, Ask, Proxy, all, fake, ms, secs, settled};

/// Ten closes in half an hour for each caller, beside what Slack allows.
const BUDGET: &str = "methods: { conversations.close: { limits: [
    { name: close_app_wide, limit: 1, per: 1s, scope: [app] },
    { name: closes_per_cycle, limit: 10, per: 30m, scope: [app, caller] } ] } }";

/// Two jobs close channels. Each has done ten when half an hour is over, however many it asked for
/// and however fast; what it asks beyond that waits for the next half hour, or is told when that is.
/// A bot without such a job is not concerned.
///
/// Turned red by: a budget that all callers share; a budget that is counted in clock half hours; a
/// budget of which background calls have a part only.
#[tokio::test(start_paused = true)]
async fn a_caller_has_done_no_more_than_its_budget_in_any_half_hour() {
    let fake = fake();
    let proxy = Proxy::configured(BUDGET, &fake);
    let bot = proxy.bot();
    let close = |lane: &str, n: u64| -> Ask {
        bot.call("conversations.close").form(&format!("channel=D{n}")).lane(lane)
    };
    let jobs = ["drain;class=background;max-wait=1h", "other;max-wait=1h"];
    let held: Vec<_> =
        jobs.iter().flat_map(|lane| (0..15).map(|n| close(lane, n).held())).collect();
    proxy.until(secs(29 * 60)).await;
    assert_eq!(fake.totals().calls, 20, "ten of each");
    assert_eq!(proxy.admission.held(), 10);
    let late = close("drain;max-wait=10s", 99).send().await;
    let (retry_after, reason, bucket) = late.shed();
    assert_eq!((reason, bucket.split(':').next()), ("deadline", Some("closes_per_cycle")));
    assert!((60..=31 * 60).contains(&retry_after), "{retry_after}");
    assert!(
        bot.call("conversations.list").lane("drain").send().await.is_ok(),
        "its other calls go"
    );
    proxy.until(secs(31 * 60 + 30)).await;
    assert_eq!(fake.totals().calls, 31, "the next five of each, and the list");
    drop(held);
    assert!(fake.ledger().calls.iter().all(|call| call.outcome == RecordedAs::Ok));
}

/// A ceiling holds over a rule's caller, whether it says who it is and how urgent in its lane, in a
/// header, or lets the rule find it; its depth, too. Red when one of the three ways leads past it.
#[tokio::test(start_paused = true)]
async fn no_way_leads_past_a_ceiling() {
    let rules = "callers: [{ name: job, match: { user_agent: 'job/*', lane: '*' }, max_class: background, max_depth: 2 }]";
    let proxy = Proxy::configured(rules, &fake());
    let bot = proxy.bot();
    // The window of one a minute is taken.
    assert!(bot.call("admin.apps.uninstall").lane("filler").send().await.is_ok());
    let ask = || bot.call("admin.apps.uninstall").header("user-agent", "job/1");
    let ways: [Ask; 3] = [
        ask().lane("mine;class=interactive;max-wait=1h"),
        ask()
            .header("slackwater-caller", "another")
            .header("slackwater-class", "interactive")
            .header("slackwater-max-wait", "1h"),
        ask().header("slackwater-max-wait", "1h"),
    ];
    for first in 0..3 {
        let mut held: Vec<_> = Vec::new();
        for n in 0..2 {
            held.push(ways[(first + n) % 3].clone().held());
            settled().await;
        }
        let status = proxy.status();
        let [queue] = &status.queues[..] else { panic!("{status:?}") };
        assert_eq!((&*queue.caller, queue.class, queue.depth), ("job", "background", 2));
        let third = ways[(first + 2) % 3].clone().send().await;
        assert_eq!(third.shed().1, "queue_full");
        drop(held);
        settled().await;
        assert_eq!(proxy.admission.held(), 0);
    }
}

/// Where callers are not trusted they may only lower their class, in the lane and in a header; a
/// rule's class is the operator's own word. Red when one of them raises it.
#[tokio::test(start_paused = true)]
async fn who_is_not_trusted_lowers_its_class_only() {
    let rules = "trust_callers: never
callers: [{ name: web, class: interactive }]";
    let proxy = Proxy::configured(rules, &fake());
    let bot = proxy.bot();
    assert!(bot.call("admin.apps.uninstall").send().await.is_ok());
    let ask = || bot.call("admin.apps.uninstall").header("slackwater-max-wait", "1h");
    let _held = [
        ask().lane("lane;class=interactive").held(),
        ask().lane("header").header("slackwater-class", "interactive").held(),
        ask().lane("lower;class=background").held(),
        ask().lane("web").held(),
        ask().lane("web").header("slackwater-class", "background").held(),
    ];
    settled().await;
    let status = proxy.status();
    let held: Vec<_> = status.queues.iter().map(|queue| (&*queue.caller, queue.class)).collect();
    let expected = [
        ("web", "interactive"),
        ("header", "normal"),
        ("lane", "normal"),
        ("lower", "background"),
        ("web", "background"),
    ];
    assert_eq!(held, expected);
}

/// A budget holds for those who flood, and costs others nothing.
#[tokio::test(start_paused = true)]
async fn a_budget_leaves_the_limit_to_others() {
    let budget = "methods: { conversations.list: { limits: [{ name: lists, limit: 5, per: 1m, scope: [workspace, caller] }] } }";
    let proxy = Proxy::configured(budget, &fake());
    let bot = proxy.bot();
    let flood: Vec<_> =
        (0..40).map(|_| bot.call("conversations.list").lane("flood;max-wait=1h").held()).collect();
    settled().await;
    let others = (0..3).flat_map(|caller| (0..5).map(move |_| caller));
    let asks = others.map(|n| bot.call("conversations.list").lane(&format!("other{n}")));
    let answers = all(asks).await;
    assert!(answers.iter().all(|answer: &Answer| answer.is_ok() && answer.took <= ms(5)));
    drop(flood);
}
