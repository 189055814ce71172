//! Who calls most is named, whoever comes.

use crate::harness::{Proxy, all, fake, settled};

/// Two hundred callers come first, each once, and then one floods. Red when the first fifty names
/// are the labels for good, and when labels have no bound.
#[tokio::test(start_paused = true)]
async fn a_flood_is_named_in_metrics_after_many_others() {
    let proxy = Proxy::start(&fake());
    let bot = proxy.bot();
    let ask = |lane: &str| bot.call("team.info").lane(&format!("{lane};max-wait=0s"));
    all((0..200).map(|n| ask(&format!("once-{n}")))).await;
    all((0..30).map(|_| ask("flood"))).await;
    let _held: Vec<_> =
        (0..7).map(|_| bot.call("team.info").lane("waits;max-wait=1h").held()).collect();
    settled().await;
    let status = proxy.status();
    let catalogue = slack::Catalogue::built_in(slack::AppKind::Internal);
    let text = proxy.metrics.text(&status, &catalogue.unwrap()).unwrap();
    let text = String::from_utf8(text).unwrap();
    let labels = |metric: &str| -> Vec<&str> {
        text.lines().filter(|line| line.starts_with(&format!("{metric}{{"))).collect()
    };
    let callers = labels("slackwater_caller_requests_total");
    assert_eq!(callers.len(), 51, "fifty names and the others");
    let flood = callers.iter().find(|line| line.contains("\"flood\"")).unwrap();
    let counted: u32 = flood.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((25..=30).contains(&counted), "{flood}");
    assert_eq!(
        labels("slackwater_caller_queue_depth"),
        ["slackwater_caller_queue_depth{caller=\"waits\"} 7"]
    );
    let [others, workspace] = labels("slackwater_workspace_requests_total")[..] else {
        panic!("{text}")
    };
    assert!(others.ends_with("{workspace=\"other\"} 0"), "{others}");
    assert!(workspace.ends_with(" 230"), "{workspace}");
    let top = proxy.counters.answers.top();
    assert_eq!((&*top.callers[0].name, top.callers[0].requests), ("flood", 30));
    // All but the first fifty of a minute are shed: they wait for nothing.
    assert_eq!(top.callers[0].sheds, 30);
    assert_eq!(top.workspaces[0].sheds, 230 - 50);
    let sheds = labels("slackwater_caller_sheds_total");
    let sheds_of = |name: &str| sheds.iter().find(|line| line.contains(&format!("\"{name}\"")));
    let counted: u32 = sheds_of("flood").unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!((25..=30).contains(&counted) && sheds.len() == 51, "{sheds:?}");
    assert_eq!((top.workspaces.len(), top.workspaces[0].requests), (1, 230));
    assert_eq!((&*status.callers[0].name, status.callers[0].depth), ("waits", 7));
    assert_eq!(status.workspaces[0].depth, 7);
}
