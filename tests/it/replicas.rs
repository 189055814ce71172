//! Several replicas without a store: each has a part of every limit, and together they keep to it.

use std::{num::NonZeroU32, time::Duration};

use fake_slack::{FakeSlack, Latency, RecordedAs};
use limits::Split;

use crate::harness::{Ask, Bot, Proxy, ms, secs, slack};

/// What the wall clock says at first.
const WALL: Duration = secs(1_800_000_000);

/// A Slack that counts a call within 100 ms.
fn near() -> FakeSlack {
    slack(|options| options.latency = Latency::between(ms(2), ms(100)).unwrap())
}

/// So many replicas before it, whose clocks are up to 100 ms apart.
fn replicas(of: u32, more: &str, fake: &FakeSlack) -> Vec<Proxy> {
    let start = |ordinal| {
        let file = format!("shared: {{ replicas: {of}, ordinal: {ordinal} }}\n{more}");
        let proxy = Proxy::configured(&file, fake);
        let split = Split::new(NonZeroU32::new(of).unwrap(), ordinal, Split::MARGIN).unwrap();
        proxy.admission.split(split, WALL + ms(100) * ordinal / (of - 1));
        proxy
    };
    (0..of).map(start).collect()
}

/// Lets each replica have so many calls, for so long; Slack refuses nothing. The calls of each.
async fn flood(
    fake: &FakeSlack,
    proxies: &[Proxy],
    calls: u64,
    ask: impl Fn(&Bot, u64) -> Ask,
    time: Duration,
) -> u64 {
    let bots: Vec<Bot> = proxies.iter().map(Proxy::bot).collect();
    let asks = bots.iter().flat_map(|bot| (0..calls).map(|it| ask(bot, it).patient().held()));
    let _held: Vec<_> = asks.collect();
    tokio::time::sleep(time).await;
    let ledger = fake.ledger();
    assert_eq!(ledger.violations, []);
    assert!(ledger.calls.iter().all(|call| call.outcome == RecordedAs::Ok));
    fake.totals().calls
}

/// Twenty in a minute are seven, seven and six for three replicas: in ten minutes they have done
/// nine tenths of what one could do, and never more.
#[tokio::test(start_paused = true)]
async fn replicas_share_a_tier() {
    let fake = near();
    let proxies = replicas(3, "", &fake);
    let ask = |bot: &Bot, _| bot.call("conversations.list");
    let done = flood(&fake, &proxies, 100, ask, secs(600)).await;
    assert!((180..=200).contains(&done), "{done}");
}

/// One in a minute, for three replicas: they take turns.
#[tokio::test(start_paused = true)]
async fn replicas_take_turns_where_there_is_one_call_for_all() {
    let fake = near();
    let proxies = replicas(3, "", &fake);
    let ask = |bot: &Bot, _| bot.call("admin.apps.uninstall");
    let done = flood(&fake, &proxies, 30, ask, secs(3600)).await;
    assert!((55..=60).contains(&done), "{done}");
}

/// One a second in a channel, of which Slack tolerates short bursts; more replicas than a burst has
/// calls; a limit per second of which it tolerates none; and calls that go one at a time.
#[tokio::test(start_paused = true)]
async fn replicas_share_what_is_counted_in_seconds() {
    for (of, least) in [(2, 270), (3, 270), (5, 270)] {
        let fake = near();
        let proxies = replicas(of, "", &fake);
        let ask = |bot: &Bot, it: u64| bot.post("C1", &it.to_string()).lane(&format!("l{it}"));
        let done = flood(&fake, &proxies, 200, ask, secs(300)).await;
        assert!((least..=303).contains(&done), "{of}: {done}");
    }
    let strict = "methods: { conversations.close: { tier: special, limits: [
        { name: close_app_wide, limit: 1, per: 1s, scope: [app] } ] } }";
    let fake = slack(|options| options.latency = Latency::between(ms(2), ms(100)).unwrap());
    let proxies = replicas(3, strict, &fake);
    // Slack counts their tier, too: 20 in a minute.
    let ask = |bot: &Bot, it: u64| bot.call("conversations.close").form(&format!("channel=D{it}"));
    let done = flood(&fake, &proxies, 5, ask, secs(20)).await;
    assert_eq!(done, 15);
    let fake = near();
    let proxies = replicas(3, "", &fake);
    let ask = |bot: &Bot, it: u64| bot.call("bookmarks.add").form(&format!("channel_id=C{it}"));
    let done = flood(&fake, &proxies, 50, ask, secs(120)).await;
    assert!((30..=40).contains(&done), "{done}");
}

/// A call that would wait too long for its replica's turn is told when that is, and goes then.
#[tokio::test(start_paused = true)]
async fn who_comes_too_early_is_told_when_the_turn_is() {
    let fake = near();
    let proxies = replicas(3, "", &fake);
    let mut shed = 0;
    for proxy in &proxies {
        let ask = || proxy.bot().call("admin.apps.uninstall").lane("l;max-wait=1s");
        let first = ask().send().await;
        if first.is_ok() {
            continue;
        }
        shed += 1;
        let (seconds, reason, bucket) = first.shed();
        assert_eq!((reason, bucket.split(':').next()), ("deadline", Some("tier1")));
        assert!((1..=190).contains(&seconds), "{seconds}");
        tokio::time::sleep(secs(seconds - 1)).await;
        assert!(ask().send().await.is_ok());
    }
    assert!(shed >= 2);
    assert_eq!(fake.ledger().violations, []);
}
