//! The built-in catalogue against figures of Slack's documentation, and mistakes in one.

use std::{collections::HashMap, sync::Arc, time::Duration};

use limits::{AgeFrom, Class, Dimension, Limit, Rule, Scope};

use super::*;

fn built_in() -> Catalogue {
    Catalogue::built_in(AppKind::Internal).unwrap_or_else(|problems| panic!("{problems}"))
}

fn rate(limit: &Limit) -> (u32, Duration) {
    match limit.rule {
        Rule::Rate(rate) => (rate.limit.get(), rate.per),
        Rule::Concurrency(_) | Rule::Open | Rule::Gate => panic!("{limit:?} is no rate"),
    }
}

fn own<'a>(catalogue: &'a Catalogue, method: &str, limit: &str) -> &'a Arc<Limit> {
    let method = catalogue.get(method).unwrap();
    method.limits.iter().find(|known| &*known.name == limit).unwrap()
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn tiers_have_the_documented_floors() {
    let catalogue = built_in();
    for (tier, floor) in
        [(Tier::Tier1, 1), (Tier::Tier2, 20), (Tier::Tier3, 50), (Tier::Tier4, 100)]
    {
        let rate = catalogue.tier(tier).unwrap();
        assert_eq!((rate.limit.get(), rate.per), (floor, seconds(60)), "{tier}");
    }
    assert_eq!(catalogue.tier(Tier::Special), None);
    assert_eq!(catalogue.tier(Tier::None), None);
}

#[test]
fn a_method_is_under_its_tier_first_and_then_its_own_limits() {
    let catalogue = built_in();
    let close = catalogue.method("conversations.close");
    assert_eq!(close.tier, Tier::Tier2);
    assert_eq!(close.channel_arg.as_deref(), Some("channel"));
    let names: Vec<&str> = close.limits.iter().map(|limit| &*limit.name).collect();
    assert_eq!(names, ["tier2", "close_app_wide"]);
    assert_eq!(rate(&close.limits[0]), (20, seconds(60)));
    let tier_scope = Scope::of(&[Dimension::App, Dimension::Workspace, Dimension::Method]);
    assert_eq!(close.limits[0].scope, tier_scope);
    assert_eq!(rate(&close.limits[1]), (1, seconds(1)));
    assert_eq!(close.limits[1].scope, Scope::of(&[Dimension::App]));
    assert_eq!(close.limits[1].age_from, AgeFrom::Answer);
}

#[test]
fn posting_is_counted_from_the_send_since_bursts_are_tolerated() {
    let catalogue = built_in();
    let post = catalogue.method("chat.postMessage");
    assert_eq!(post.tier, Tier::Special);
    assert!(post.in_order && !post.reads);
    let channel = own(&catalogue, "chat.postMessage", "post_per_channel");
    assert_eq!(rate(channel), (1, seconds(1)));
    assert_eq!(channel.age_from, AgeFrom::Send);
    assert!(
        matches!(channel.rule, Rule::Rate(rate) if rate.tolerates.is_some_and(|n| n.get() == 3))
    );
    assert!(channel.scope.contains(Dimension::Channel));
    assert_eq!(rate(own(&catalogue, "chat.postMessage", "post_per_workspace")), (300, seconds(60)));
}

#[test]
fn what_a_click_opens_is_interactive_and_soon_worthless() {
    let catalogue = built_in();
    for name in ["views.open", "views.push", "dialog.open"] {
        let method = catalogue.get(name).unwrap();
        assert_eq!(method.class, Some(Class::Interactive), "{name}");
        assert_eq!(method.max_wait, Some(Duration::from_millis(1500)), "{name}");
    }
}

#[test]
fn an_unlisted_app_reads_history_once_a_minute() {
    let unlisted = Catalogue::built_in(AppKind::Unlisted).unwrap();
    for name in ["conversations.history", "conversations.replies"] {
        assert_eq!(built_in().get(name).unwrap().tier, Tier::Tier3, "{name}");
        assert_eq!(unlisted.get(name).unwrap().tier, Tier::Tier1, "{name}");
        assert_eq!(rate(&unlisted.get(name).unwrap().limits[0]), (1, seconds(60)), "{name}");
    }
}

#[test]
fn an_unknown_method_has_a_tier_and_a_fixed_name() {
    let catalogue = built_in();
    for name in ["no.such.method", "", "other", "x".repeat(10_000).as_str()] {
        assert!(catalogue.get(name).is_none());
        let method = catalogue.method(name);
        assert_eq!((&*method.name, method.tier), (OTHER, Tier::Tier2));
        assert!(Arc::ptr_eq(&method.limits[0], &catalogue.method("conversations.close").limits[0]));
    }
}

#[test]
fn limits_of_one_name_are_one_limit() {
    let mut seen: HashMap<&str, &Arc<Limit>> = HashMap::new();
    let catalogue = built_in();
    for method in catalogue.methods() {
        for limit in &method.limits {
            let first = *seen.entry(&limit.name).or_insert(limit);
            assert!(Arc::ptr_eq(first, limit), "{} of {}", limit.name, method.name);
        }
    }
}

#[test]
fn methods_come_by_name() {
    let catalogue = built_in();
    let names: Vec<_> = catalogue.methods().map(|method| &method.name).collect();
    assert!(names.is_sorted());
    assert!(names.len() > 400, "{}", names.len());
}

#[test]
fn clients_are_known_by_their_user_agents() {
    let catalogue = built_in();
    for (user_agent, known) in [
        ("Python/3.12.1 slackclient/3.27.0 Linux/6.1", Some((seconds(25), false))),
        ("Java-Slack-SDK; slack-api-client/1.40", Some((seconds(8), false))),
        ("Slack Ruby Client/2.4.0", Some((seconds(50), false))),
        ("@slack:web-api/7.0.4 node/20.11.0 linux/6.1", Some((seconds(290), true))),
        ("Go-http-client/1.1", Some((seconds(300), false))),
        ("curl/8.5.0", None),
        ("", None),
    ] {
        let client = catalogue.client(user_agent);
        let client = client.map(|client| (client.max_wait, client.stops_whole));
        assert_eq!(client, known, "{user_agent}");
    }
}

#[test]
fn a_shorter_minute_shortens_every_period_and_nothing_else() {
    let catalogue = built_in().with_minute(seconds(6));
    let close = catalogue.method("conversations.close");
    assert_eq!(rate(&close.limits[0]), (20, seconds(6)));
    assert_eq!(rate(&close.limits[1]), (1, Duration::from_millis(100)));
    assert_eq!(catalogue.tier(Tier::Tier2).unwrap().per, seconds(6));
    assert_eq!(rate(&catalogue.method("no.such.method").limits[0]), (20, seconds(6)));
    assert!(Arc::ptr_eq(&close.limits[0], &catalogue.unknown().limits[0]));
    assert_eq!(catalogue.method("views.open").max_wait, Some(Duration::from_millis(1500)));
    assert_eq!(catalogue.clients(), built_in().clients());

    let none = built_in().with_minute(Duration::ZERO);
    assert_eq!(rate(&none.method("auth.test").limits[0]).1, Duration::from_nanos(1));
    let most = built_in().with_minute(Duration::MAX);
    assert!(rate(&most.method("auth.test").limits[0]).1 > seconds(1 << 30));
}

/// A catalogue with these methods, or what is wrong with it.
fn with_methods(methods: &str) -> Result<Catalogue, String> {
    let tiers =
        "tiers: { tier1: &, tier2: &, tier3: &, tier4: & }".replace('&', "{ limit: 2, per: 1m }");
    let text = format!("{tiers}\nmethods:\n{methods}");
    read::catalogue(&text, "f", AppKind::Internal).map_err(|problems| problems.to_string())
}

#[test]
fn a_catalogue_may_say_little() {
    let catalogue = with_methods("  a.b: { tier: none }\n").unwrap();
    let method = catalogue.get("a.b").unwrap();
    assert_eq!((method.tier, method.limits.len()), (Tier::None, 0));
    assert!(!method.reads && !method.in_order);
}

#[test]
fn mistakes_in_a_catalogue_are_found() {
    for (methods, problem) in [
        ("  a.b: {}", "f:3:3: methods.a.b: has no tier; add one, as in `tier: tier2`"),
        (
            "  a.b: { tier: tier5 }",
            "f:3:16: methods.a.b.tier: \"tier5\" is none of tier1, tier2, tier3, tier4, special, none; is it tier1?",
        ),
        (
            "  a.b: { tier: special }",
            "f:3:3: methods.a.b: tier special has no limit of its own; list the method's limits, or name another tier (none for no limit)",
        ),
        (
            "  a.b: { tier: tier1, chanel: c }",
            "f:3:23: methods.a.b.chanel: is no key here; is it channel?",
        ),
        (
            "  a.b: { tier: none, limits: [{ name: x, limit: 1, per: 1s, scope: [app, channel] }] }",
            "f:3:31: methods.a.b.limits[0]: counts by channel, but which argument of the method names it is not known; add `channel: ARGUMENT` to the method",
        ),
        (
            "  a.b: { tier: none, limits: [{ name: x, limit: 1, per: 1s, scope: [app] }] }\n  a.c: { tier: none, limits: [{ name: x, limit: 2, per: 1s, scope: [app] }] }",
            "f:4:31: methods.a.c.limits[0]: limits of one name in a.c and in a.b differ; they would be one limit, so choose another name",
        ),
        (
            "  a.b: { tier: none, limits: [{ name: tier1, limit: 1, per: 1s, scope: [app] }] }",
            "f:3:31: methods.a.b.limits[0]: limits of one name in a.b and in tiers differ; they would be one limit, so choose another name",
        ),
        (
            "  a.b: { tier: none, limits: [{ name: x, limit: 1, per: 1s, scope: [app] }, { name: x, limit: 1, per: 1s, scope: [app] }] }",
            "f:3:77: methods.a.b.limits[1]: has the name of another limit of the method; delete one",
        ),
    ] {
        assert_eq!(with_methods(methods).unwrap_err(), problem, "{methods}");
    }
}
