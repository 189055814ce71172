//! The built-in catalogue against figures of Slack's documentation, and mistakes in one.

use std::{collections::HashMap, sync::Arc, time::Duration};

use http::HeaderMap;
use limits::{AgeFrom, BucketKey, Class, Dimension, Limit, Rule, Scope, Values};

use super::{buckets::Dimensions, *};

fn built_in() -> Catalogue {
    Catalogue::built_in(AppKind::Internal).unwrap_or_else(|problems| panic!("{problems}"))
}

fn rate(limit: &Limit) -> (u32, Duration) {
    match limit.rule {
        Rule::Rate(rate) => (rate.limit.get(), rate.per),
        _ => panic!("{limit:?} is no rate"),
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
    assert!(!post.reads);
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

fn headers(text: &str) -> HeaderMap {
    let pairs = text.split('\n').filter_map(|line| line.split_once(": "));
    pairs.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

/// As they were seen, each with what it is known as.
#[test]
fn clients_are_known_by_what_they_send() {
    const URLLIB: &str = "accept-encoding: identity\nconnection: close";
    const AIOHTTP: &str = "accept: */*\naccept-encoding: gzip, deflate";
    const REQUESTS: &str = "accept: */*\naccept-encoding: gzip, deflate\nconnection: keep-alive";
    const NET_HTTP: &str = "accept-encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3\naccept: */*";
    const FETCH: &str = "accept: */*\naccept-language: *\nsec-fetch-mode: cors";
    const AXIOS: &str = "accept-encoding: gzip, compress, deflate, br\nconnection: keep-alive";
    const SLACK: &str = "Python/3.11.7 slackclient/3.48.0 Linux/6.18";
    let catalogue = built_in();
    for (user_agent, with, known) in [
        (SLACK, URLLIB, "python interim 30 s per read 25 s"),
        (
            SLACK,
            "accept-encoding: Identity\nconnection: Close",
            "python interim 30 s per read 25 s",
        ),
        (SLACK, AIOHTTP, "python_async none 30 s in all 25 s"),
        (SLACK, "accept-encoding: identity", "python_async none 30 s in all 25 s"),
        (SLACK, "", "python_async none 30 s in all 25 s"),
        ("Java-Slack-SDK; slack-api-client/1.40", "", "java none 10 s per read 8 s"),
        ("Slack Ruby Client/2.4.0", NET_HTTP, "ruby interim 60 s per read 50 s"),
        ("Slack Ruby Client/2.4.0", "", "ruby_adapter none 60 s in all 50 s"),
        ("@slack:web-api/7.19.0 node/20.20.2", AXIOS, "node none never 3600 s"),
        ("@slack:web-api/8.2.0 node/20.20.2", FETCH, "node_8 none 300 s in all 290 s"),
        ("@slack:webhook/7.2.0 node/20.20.2", AXIOS, "node_webhook none never 290 s"),
        ("node", FETCH, "fetch none 300 s in all 290 s"),
        ("undici", &format!("{FETCH}\nuser-agent: undici"), "undici none 300 s in all 290 s"),
        ("axios/1.21.1", AXIOS, "axios none never 300 s"),
        (
            "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
            "",
            "node_fetch none never 300 s",
        ),
        ("Alertmanager/0.28.1", "", "alertmanager none 300 s in all 290 s"),
        ("Grafana", "user-agent: Grafana", "grafana none 30 s in all 25 s"),
        ("Go-http-client/1.1", "accept-encoding: gzip", "go none never 300 s"),
        ("", "accept-charset: utf-8", "slack_morphism none never 300 s"),
        ("python-requests/2.34.2", REQUESTS, "requests interim 10 s per read 8 s"),
        ("Python-urllib/3.11", URLLIB, "urllib interim 10 s per read 8 s"),
        ("python-urllib3/2.8.0", "", "urllib3 interim 10 s per read 8 s"),
        ("python-httpx/0.28.1", REQUESTS, "httpx interim 5 s per read 4 s"),
        ("Python/3.11 aiohttp/3.14.5", AIOHTTP, "aiohttp none 300 s in all 290 s"),
        ("Ruby", &format!("{NET_HTTP}\nuser-agent: Ruby"), "net_http interim 60 s per read 50 s"),
        ("Faraday v1.1.0", NET_HTTP, "faraday interim 60 s per read 50 s"),
        ("okhttp/3.13.1", "accept-encoding: gzip", "okhttp none 10 s per read 8 s"),
        ("Java-http-client/17.0.15", "", "java_net_http none never 300 s"),
        (
            "Apache-HttpClient/4.5.14 (Java/17.0.15)",
            "",
            "apache_http_client interim 10 s per read 8 s",
        ),
        (
            "Java/17.0.15",
            "accept: text/html, image/gif, image/jpeg, */*; q=0.2",
            "http_url_connection interim 10 s per read 8 s",
        ),
        ("GuzzleHttp/7", "", "guzzle none 60 s in all 50 s"),
        ("curl/7.88.1", "accept: */*", "curl none never 300 s"),
        // Nobody knows these, or they break at interim responses.
        ("SomeSDK/1.0 Java/17", "accept: application/json", "nobody"),
        ("Deno/2.9.6", "accept: */*\naccept-language: *", "nobody"),
        ("Bun/1.4.5", "accept: */*", "nobody"),
        ("node", "accept: */*", "nobody"),
        ("", "connection: close", "nobody"),
    ] {
        let mut headers = headers(with);
        if !user_agent.is_empty() {
            headers.insert("user-agent", user_agent.parse().unwrap());
        }
        let client = catalogue.client(user_agent, &headers);
        let shown = client.map_or("nobody".to_owned(), |client| {
            let timeout = match client.timeout {
                Some(ClientTimeout::Read(time)) => format!("{} s per read", time.as_secs()),
                Some(ClientTimeout::Total(time)) => format!("{} s in all", time.as_secs()),
                None => "never".to_owned(),
            };
            let (name, alive) = (&client.name, client.keep_alive.as_str());
            format!("{name} {alive} {timeout} {} s", client.max_wait.as_secs())
        });
        assert_eq!(shown, known, "{user_agent} {with}");
    }
    let stop: Vec<_> = catalogue.clients().iter().filter(|client| client.stops_whole).collect();
    assert_eq!(stop.iter().map(|client| &*client.name).collect::<Vec<_>>(), ["node", "node_8"]);
}

/// Three come in each of its time-outs, so that one may be late.
#[test]
fn interim_responses_come_in_time() {
    let every = |agent: &str| {
        let catalogue = built_in();
        let client = catalogue.client(agent, &HeaderMap::new());
        client.unwrap().interim_every(seconds(10)).map(|every| every.as_millis())
    };
    assert_eq!(every("python-httpx/0.28"), Some(1_666));
    assert_eq!(every("python-requests/2.34"), Some(3_333));
    assert_eq!(every("Apache-HttpClient/5.2.1"), Some(3_333));
    assert_eq!(every("okhttp/4"), None);
    let ruby = headers("accept-encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3");
    let catalogue = built_in();
    let ruby = catalogue.client("Slack Ruby Client/2", &ruby).unwrap();
    assert_eq!(ruby.interim_every(seconds(10)), Some(seconds(10)));
}

#[test]
fn a_shorter_minute_shortens_every_period_and_what_clients_wait() {
    let catalogue = built_in().with_minute(seconds(6));
    let close = catalogue.method("conversations.close");
    assert_eq!(rate(&close.limits[0]), (20, seconds(6)));
    assert_eq!(rate(&close.limits[1]), (1, Duration::from_millis(100)));
    assert_eq!(catalogue.tier(Tier::Tier2).unwrap().per, seconds(6));
    assert_eq!(rate(&catalogue.method("no.such.method").limits[0]), (20, seconds(6)));
    assert!(Arc::ptr_eq(&close.limits[0], &catalogue.unknown().limits[0]));
    assert_eq!(catalogue.method("views.open").max_wait, Some(Duration::from_millis(1500)));
    let client = |agent| catalogue.client(agent, &HeaderMap::new()).unwrap().clone();
    let python = client("slackclient/3");
    assert_eq!(python.max_wait, Duration::from_millis(2_500));
    assert_eq!(python.timeout, Some(ClientTimeout::Total(seconds(3))));
    assert_eq!(client("okhttp/4").timeout, Some(ClientTimeout::Read(seconds(1))));
    let Holds { normal, secret_url, interim } = catalogue.holds();
    assert_eq!((normal, secret_url, interim), (seconds(30), seconds(3), seconds(1)));
    assert_eq!(client("python-requests/2").interim_every(interim).unwrap().as_millis(), 333);

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
    assert!(!method.reads && method.in_order.is_none());
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

/// The ordering key of a call of a method with these arguments.
fn ordering_key(method: &str, call: &[(&str, &str)]) -> Option<String> {
    let catalogue = built_in();
    let method = catalogue.get(method).unwrap();
    let value = |name: &str| call.iter().find(|(it, _)| *it == name).map(|(_, value)| *value);
    method.in_order.as_ref()?.key(&method.name, "token-1", value)
}

/// Red when a message is in order with all of its channel, and when its update and its end are not
/// in order.
#[test]
fn calls_are_in_order_with_what_changes_the_same() {
    let message = [("channel", "C1"), ("ts", "1.1"), ("thread_ts", "1.0"), ("user", "U1")];
    for method in ["chat.update", "chat.delete", "chat.appendStream", "chat.stopStream"] {
        assert_eq!(ordering_key(method, &message).as_deref(), Some("channel=C1,ts=1.1"));
    }
    for method in ["chat.postMessage", "chat.meMessage", "chat.startStream"] {
        assert_eq!(ordering_key(method, &message).as_deref(), Some("channel=C1,thread_ts=1.0"));
        assert_eq!(
            ordering_key(method, &[("channel", "C1")]).as_deref(),
            Some("channel=C1,thread_ts=")
        );
        assert_eq!(ordering_key(method, &[("text", "good morning")]), None);
    }
    let ephemeral = ordering_key("chat.postEphemeral", &message);
    assert_eq!(ephemeral.as_deref(), Some("channel=C1,user=U1"));
    assert_eq!(ordering_key("chat.scheduleMessage", &message), None);
    assert_eq!(ordering_key("conversations.info", &message), None);
}

/// Red when two things have one key, and when one has two.
#[test]
fn what_is_replaced_in_place_has_a_key() {
    for (method, call, key) in [
        ("views.update", &[("external_id", "e"), ("view_id", "V1")][..], "view_id=V1"),
        ("views.update", &[("external_id", "e")], "external_id=e"),
        ("views.publish", &[("user_id", "U1")], "user_id=U1"),
        ("users.profile.set", &[("user", "U1")], "user=U1"),
        ("users.profile.set", &[("name", "status_text")], "token=token-1"),
        ("users.setPresence", &[("presence", "away")], "token=token-1"),
        ("conversations.setTopic", &[("channel", "C1"), ("topic", "x")], "channel=C1"),
        ("conversations.rename", &[("channel", "C1")], "channel=C1"),
        ("conversations.mark", &[("channel", "C1")], "channel=C1,method=conversations.mark"),
        (
            "assistant.threads.setStatus",
            &[("channel_id", "D1"), ("thread_ts", "1.0")],
            "channel_id=D1,thread_ts=1.0,method=assistant.threads.setStatus",
        ),
        (
            "reactions.remove",
            &[("channel", "C1"), ("timestamp", "1.0"), ("name", "eyes")],
            "channel=C1,timestamp=1.0,name=eyes",
        ),
        ("usergroups.users.update", &[("usergroup", "S1")], "usergroup=S1"),
        ("canvases.edit", &[("canvas_id", "F1")], "canvas_id=F1"),
        ("bookmarks.edit", &[("bookmark_id", "Bk1"), ("channel_id", "C1")], "bookmark_id=Bk1"),
        ("slackLists.items.update", &[("list_id", "F1")], "list_id=F1"),
        (
            "chat.unfurl",
            &[("unfurl_id", "a"), ("source", "composer")],
            "unfurl_id=a,source=composer",
        ),
    ] {
        assert_eq!(ordering_key(method, call).as_deref(), Some(key), "{method}");
    }
}

/// Red when a key is part of no bucket, and when a call that waits loses it in a reload.
#[test]
fn a_call_keeps_its_ordering_key_in_a_reload() {
    let catalogue = built_in();
    let method = catalogue.get("chat.update").unwrap();
    let identity = Identity::only("token-1".into());
    let call = Dimensions {
        identity: &identity,
        method: "chat.update",
        channel: None,
        user: None,
        url: None,
        ordering_key: Some("channel=C1,ts=1.1"),
        caller: "job",
    };
    let held = buckets::of(method, call);
    let order = |keys: &[BucketKey]| {
        let mut orders = keys.iter().filter(|key| matches!(key.limit.rule, Rule::InOrder(_)));
        orders.next().map(|key| key.value(Dimension::OrderingKey).unwrap().to_owned())
    };
    assert_eq!(order(&held).as_deref(), Some("channel=C1,ts=1.1"));
    let again = buckets::again(&catalogue, method, &held);
    assert_eq!(again, held);
    let less = with_methods("  chat.update: { tier: tier3 }\n").unwrap();
    assert_eq!(order(&buckets::again(&less, method, &held)), None);
    assert_eq!(order(&buckets::of(method, Dimensions { ordering_key: None, ..call })), None);
}

/// A call that waits in a bucket of a crowd. Red when what stands for the crowd is taken for the name of a
/// method, and when another limit of the same kind is forgotten.
#[test]
fn a_call_that_waits_among_a_crowd_stays_there_in_a_reload() {
    let catalogue = built_in();
    let method = catalogue.get("conversations.list").unwrap();
    let identity = Identity::only("token-1".into());
    let call = Dimensions {
        identity: &identity,
        method: "conversations.list",
        channel: None,
        user: None,
        url: None,
        ordering_key: None,
        caller: "job",
    };
    let own = buckets::of(method, call);
    let among_a_crowd = |key: &BucketKey| {
        let parts = key.values.as_str().split('/').count();
        let values = Values::of_crowd(7, parts);
        if key.limit.rule == Rule::Open { key.clone() } else { BucketKey { values, ..key.clone() } }
    };
    let held: Vec<_> = own.iter().map(among_a_crowd).collect();
    assert_eq!(buckets::again(&catalogue, method, &held), held);
    let other = with_methods("  conversations.list: { tier: tier4 }\n").unwrap();
    let tier = |held: &[BucketKey]| buckets::again(&other, method, held)[0].to_string();
    assert!(tier(&own).ends_with("/conversations.list"));
    assert_eq!(tier(&held), "tier4:~~7/~~/~~");
}
