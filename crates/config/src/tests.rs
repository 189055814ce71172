//! Configurations and what is said of them: the annotated default, every key, every mistake.

use std::time::Duration;

use limits::{AgeFrom, Class, Rule};
use slack::{Edits, Endpoint, KeepAlive, OrderingArguments, Tier};
use yaml::shape::Shape;

use super::*;

mod mistakes;

const ANNOTATED: &str = include_str!("../../../config/slackwater.yaml");

fn env(name: &str) -> Option<String> {
    let value = match name {
        "TOKEN" => "xoxb-first",
        "SAME_TOKEN" => " xoxb-first\n",
        "OTHER_TOKEN" => "xoxp-second",
        "BLANK" => " \n",
        "PORT" => "8088",
        "SECRET" => "s3cr3t",
        "ORDINAL" => "2",
        _ => return None,
    };
    Some(value.to_owned())
}

fn checked(text: &str) -> Config {
    check(text, "f.yaml", env).unwrap_or_else(|problems| panic!("{problems}"))
}

fn problems(text: &str) -> String {
    match check(text, "f.yaml", env) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

/// Everything of a configuration, comparable.
fn whole(config: &Config) -> String {
    let methods: Vec<_> = config.catalogue.methods().collect();
    let tiers = Tier::RATED.map(|tier| config.catalogue.tier(tier));
    let rest = Config { catalogue: Arc::new(config.catalogue.as_ref().clone()), ..config.clone() };
    let Config {
        listen,
        listen_tls,
        allow,
        admin,
        upstreams,
        tls,
        proxies,
        app,
        catalogue,
        identity,
        callers,
        clients,
        adaptive,
        background_share,
        memory,
        queue,
        timeouts,
        trust_callers,
        shed_as,
        on_429,
        fail_fast,
        reads,
        edits,
        mode,
        shared,
        state_file,
        drain_timeout,
        log,
        files,
        traces,
    } = rest;
    format!(
        "{listen} {listen_tls:?} {allow:?} {files:?} {admin:?} {upstreams:?} {tls:?} {proxies:?} {app} {:?} {methods:?} {tiers:?} {identity:?} \
         {callers:?} {clients:?} {adaptive:?} {background_share:?} {memory:?} {queue:?} {timeouts:?} {trust_callers:?} {shed_as:?} {on_429:?} {fail_fast:?} {reads:?} {edits:?} {mode:?} {shared:?} {state_file:?} {drain_timeout:?} {log:?} {traces:?}",
        catalogue.unknown(),
    )
}

fn upstreams_of(config: &Config) -> Vec<String> {
    let shown = |it: &Upstream| format!("{} {} {}", it.prefix, it.url, it.kind.as_str());
    config.upstreams.iter().map(shown).collect()
}

fn keys(shape: &Shape, found: &mut Vec<&'static str>) {
    match shape {
        Shape::Map(entries) => {
            for (key, shape) in *entries {
                if is_built(shape) {
                    found.push(key);
                }
                keys(shape, found);
            }
        }
        Shape::Named(shape) | Shape::List(shape) => keys(shape, found),
        Shape::Value | Shape::Nullable | Shape::ValueOrList | Shape::Unbuilt { .. } => {}
    }
}

fn is_built(shape: &Shape) -> bool {
    match shape {
        Shape::Unbuilt { .. } => false,
        Shape::Map(entries) => entries.iter().any(|(_, shape)| is_built(shape)),
        Shape::Value | Shape::Nullable | Shape::ValueOrList | Shape::Named(_) | Shape::List(_) => {
            true
        }
    }
}

#[test]
fn the_annotated_file_says_the_defaults() {
    assert_eq!(whole(&checked(ANNOTATED)), whole(&checked("")));
}

#[test]
fn the_annotated_file_has_every_key() {
    let mut known = Vec::new();
    keys(&keys::CONFIG, &mut known);
    assert!(known.len() > 40);
    for key in known {
        let stands = |line: &str| {
            line.match_indices(key).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                let after = &line[at + key.len()..];
                before.is_none_or(|c| c == ' ' || c == '{') && after.starts_with(':')
            })
        };
        assert!(ANNOTATED.lines().any(stands), "{key} is not in config/slackwater.yaml");
    }
}

/// What stands in the comments is right too: uncommented, it is a configuration.
#[test]
fn the_examples_in_the_annotated_file_are_right() {
    let example = |first: &str| {
        let example = ANNOTATED.lines().skip_while(|line| *line != first);
        let example = example.take_while(|line| line.starts_with("#   "));
        let example: Vec<&str> = example.map(|line| &line[4..]).collect();
        checked(&example.join("\n"))
    };
    let config = example("#   methods:");
    let close = config.catalogue.get("conversations.close").unwrap();
    assert_eq!(close.class, Some(Class::Background));
    let post = config.catalogue.get("chat.postMessage").unwrap();
    assert_eq!(post.limits.len(), 4);
    let callers = example("#   callers:").callers;
    assert_eq!(callers.len(), 3);
    assert_eq!(callers[0].terms.max_wait, Some(Duration::from_secs(600)));
    let clients = example("#   clients:").clients;
    assert_eq!(clients.len(), 2);
    assert_eq!(clients[0].client.keep_alive, KeepAlive::Interim);
}

#[test]
fn nothing_configured_is_a_configuration() {
    let config = checked("");
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:9090");
    assert_eq!(
        upstreams_of(&config),
        [
            "/api/ https://slack.com/api/ web_api",
            "/services/ https://hooks.slack.com/services/ webhook",
            "/workflows/ https://hooks.slack.com/workflows/ trigger",
            "/triggers/ https://hooks.slack.com/triggers/ trigger",
            "/actions/ https://hooks.slack.com/actions/ response_url",
            "/commands/ https://hooks.slack.com/commands/ response_url",
            "/scim/ https://api.slack.com/scim/ scim",
            "/audit/ https://api.slack.com/audit/ audit",
        ]
    );
    assert_eq!(config.app, AppKind::Internal);
    assert_eq!(config.queue.max_wait, Duration::from_secs(8));
    assert_eq!(config.queue.max_hold, Duration::from_secs(3600));
    assert_eq!((config.queue.max_depth, config.queue.max_total), (10_000, 100_000));
    assert_eq!(config.queue.max_bytes, 33_554_432);
    assert_eq!(config.timeouts.connect, Duration::from_secs(5));
    assert_eq!(config.on_429.max_attempts.get(), 10);
    assert_eq!(config.on_429.default_retry_after, Duration::from_secs(30));
    assert!(config.fail_fast.on);
    assert_eq!(config.traces, None);
    assert_eq!(config.drain_timeout, Duration::from_secs(25));
    assert_eq!(config.trust_callers, TrustCallers::Auto);
    assert_eq!(config.shed_as, ShedAs::Auto);
    assert!(config.callers.is_empty());
    assert_eq!(config.background_share, Share::new(0.75).unwrap());
    assert_eq!(config.adaptive, Adaptive { down: true, up: false, ceiling: 200 });
    assert_eq!(config.log, Log { format: LogFormat::Text, level: tracing::Level::INFO });
    for text in ["# only a comment\n", "queue:\n", "methods: {}\nupstreams:\n"] {
        assert_eq!(whole(&checked(text)), whole(&config), "{text}");
    }
}

#[test]
fn every_key_counts() {
    let config = checked(
        "listen: 0.0.0.0:${PORT}
admin: { listen: '[::1]:0' }
upstreams:
  - { prefix: /api/files/, url: http://localhost:9000/up/, kind: plain }
  - { prefix: /api/, url: https://slack-gov.com/api/, kind: web_api }
app: unlisted
tiers: { tier3: { limit: 40 }, tier4: { per: 2m } }
unknown_method: tier1
callers:
  - { name: cleanup, weight: 3, max_wait: 0s }
  - { name: jobs, match: { user_agent: 'job/*', lane: 'job-*', token_hash: token-0123ABCD }, class: normal, max_class: normal, weight: 255, max_depth: 9, enabled: true }
clients:
  - { name: slow, user_agent: 'slow/*', max_wait: 24h, keep_alive: interim, stops_whole: true }
  - { name: python, user_agent: '*slackclient/*', max_wait: 55s }
background: { share: 1 }
memory: 256MiB
adaptive: { down: true, up: true, ceiling: 1.25 }
queue: { max_wait: 0s, max_hold: 1m30s, max_depth: 1, max_total: 2, max_bytes: 1KiB, max_in_flight: 9, max_in_flight_per_server: 4 }
timeouts: { connect: 1s, headers: 2s, body_idle: 3s }
trust_callers: never
shed_as: ok_false
on_429: { max_attempts: 1, default_retry_after: 500ms }
fail_fast: false
drain_timeout: 0s
log: { format: json, level: debug }
",
    );
    assert_eq!(config.listen.to_string(), "0.0.0.0:8088");
    assert_eq!(config.admin.listen.to_string(), "[::1]:0");
    assert_eq!(config.upstreams[0].kind, Kind::Plain);
    assert_eq!(config.upstreams[1].url, "https://slack-gov.com/api/");
    assert_eq!(config.app, AppKind::Unlisted);
    let rate =
        |tier| config.catalogue.tier(tier).map(|rate| (rate.limit.get(), rate.per.as_secs()));
    assert_eq!(rate(Tier::Tier3), Some((40, 60)));
    assert_eq!(rate(Tier::Tier4), Some((100, 120)));
    assert_eq!(config.catalogue.method("conversations.history").tier, Tier::Tier1);
    assert_eq!(config.catalogue.method("no.such").tier, Tier::Tier1);
    assert_eq!(
        config.queue,
        QueueBounds {
            max_wait: Duration::ZERO,
            max_hold: Duration::from_secs(90),
            max_depth: 1,
            max_total: 2,
            spare: 1024,
            max_bytes: 1024,
            max_buckets: 53_248,
            max_in_flight: Some(9),
            max_in_flight_per_server: Some(4),
        }
    );
    assert_eq!(
        config.memory,
        Some(crate::Memory { bytes: 256 << 20, is_configured: true, gives_bytes: false })
    );
    assert_eq!(config.timeouts.body_idle, Duration::from_secs(3));
    let [cleanup, jobs] = &config.callers[..] else { panic!("{:?}", config.callers) };
    assert_eq!(
        (&*cleanup.name, cleanup.terms.weight.get(), cleanup.terms.max_depth),
        ("cleanup", 3, None)
    );
    assert_eq!((cleanup.terms.class, cleanup.terms.max_class), (None, None));
    assert_eq!((cleanup.terms.max_wait, jobs.terms.max_wait), (Some(Duration::ZERO), None));
    let client = |agent| {
        let client = config.client(agent, &HeaderMap::new());
        client.map(|it| (&*it.name, it.max_wait.as_secs(), it.keep_alive, it.stops_whole))
    };
    assert_eq!(client("slow/1"), Some(("slow", 86_400, KeepAlive::Interim, true)));
    let python = "Python/3.12.1 slackclient/3.27.0 Linux/6.1";
    assert_eq!(client(python), Some(("python", 55, KeepAlive::None, false)));
    assert_eq!(client("Grafana"), None, "it has a header for its sign");
    assert_eq!(client("okhttp/4.12"), Some(("okhttp", 8, KeepAlive::None, false)));
    assert!(cleanup.calls.lane.as_ref().unwrap().matches("cleanup"));
    assert!(cleanup.calls.user_agent.is_none() && cleanup.calls.token.is_none());
    assert_eq!(
        (jobs.terms.class, jobs.terms.max_class),
        (Some(Class::Normal), Some(Class::Normal))
    );
    assert_eq!((jobs.terms.weight.get(), jobs.terms.max_depth), (255, Some(9)));
    let Match { user_agent: Some(agent), lane: Some(lane), token: Some(token) } = &jobs.calls
    else {
        panic!("{jobs:?}")
    };
    assert!(agent.matches("job/1") && lane.matches("job-1"));
    assert!(token.matches(b"\x01\x23\xab\xcd\xef") && !token.matches(b"\x01\x23\xab"));
    assert_eq!(config.background_share, Share::new(1.0).unwrap());
    assert_eq!(config.adaptive, Adaptive { down: true, up: true, ceiling: 125 });
    assert_eq!(config.trust_callers, TrustCallers::Never);
    assert_eq!(config.shed_as, ShedAs::Always(RefusedAs::OkFalse));
    for text in ["shed_as: 429", "shed_as: \"429\""] {
        assert_eq!(checked(text).shed_as, ShedAs::Always(RefusedAs::Status429), "{text}");
    }
    assert_eq!(config.on_429.max_attempts.get(), 1);
    assert!(!config.fail_fast.on);
    assert_eq!(config.drain_timeout, Duration::ZERO);
    assert_eq!(config.log, Log { format: LogFormat::Json, level: tracing::Level::DEBUG });
}

#[test]
fn what_need_not_be_sent_is_said_for_all_a_method_and_a_caller() {
    let config = checked("");
    assert_eq!((&config.reads, config.edits), (&Reads::default(), Edits::All));
    let config = checked(
        "reads: { share: true, cache: { for: 1m, methods: [conversations.history, users.info], bytes: 64KiB } }
edits: latest
methods:
  chat.update: { edits: all }
  users.info: { share_reads: false }
callers: [{ name: bot, edits: latest, share_reads: true }]
",
    );
    let cache = config.reads.cache.as_ref().unwrap();
    let methods: Vec<&str> = cache.methods.iter().map(|name| &**name).collect();
    assert_eq!(methods, ["conversations.history", "users.info"]);
    assert_eq!((cache.max_age.as_secs(), cache.bytes), (60, 64 << 10));
    assert!(config.reads.share && config.edits == Edits::Latest);
    let saves = |method| &config.catalogue.method(method).saves;
    assert_eq!(saves("chat.update").edits, Some(Edits::All));
    assert_eq!(saves("users.info").share_reads, Some(false));
    assert_eq!(saves("views.update").edits, None);
    let terms = config.callers[0].terms;
    assert_eq!((terms.edits, terms.share_reads), (Some(Edits::Latest), Some(true)));
    let whole = checked("reads: { cache: {} }").reads.cache.unwrap();
    assert_eq!(whole, ReadCache::default());
    assert_eq!(whole.methods.len(), 4);
}

#[test]
fn govslack_is_the_same_at_other_hosts() {
    let gov = upstreams_of(&checked("govslack: true"));
    let public = upstreams_of(&checked("govslack: false"));
    assert_eq!(gov.len(), 8);
    let moved = public.iter().map(|upstream| upstream.replace("slack.com", "slack-gov.com"));
    assert_eq!(gov, moved.collect::<Vec<_>>());
}

#[test]
fn an_endpoints_limits_are_replaced_as_a_methods_are() {
    let config = checked(
        "methods:
  webhook: { limits: [{ name: mine, limit: 2, per: 1s, scope: [url] }], max_wait: 3s }
  audit: { tier: none, limits: [] }
",
    );
    let webhook = config.catalogue.endpoint(Endpoint::Webhook);
    assert_eq!((webhook.kind, webhook.limits.len()), (Kind::Webhook, 1));
    assert_eq!(
        (&*webhook.limits[0].name, webhook.max_wait),
        ("mine", Some(Duration::from_secs(3)))
    );
    assert!(config.catalogue.endpoint(Endpoint::Audit).limits.is_empty());
}

#[test]
fn limits_replace_those_of_the_catalogue_and_the_tier_stays() {
    let config = checked(
        "methods:
  conversations.close:
    class: background
    limits: [{ name: mine, limit: 5, per: 10s, burst: 2, scope: [workspace, app] }]
  chat.postMessage: { max_wait: 3s }
  users.info: { tier: none }
  brand.new: { tier: tier4, channel: where, reads: true, in_order: true }
",
    );
    let close = config.catalogue.get("conversations.close").unwrap();
    assert_eq!((close.tier, close.class), (Tier::Tier2, Some(Class::Background)));
    let names: Vec<&str> = close.limits.iter().map(|limit| &*limit.name).collect();
    assert_eq!(names, ["tier2", "mine"]);
    assert_eq!(close.limits[1].age_from, AgeFrom::Answer);
    assert!(matches!(close.limits[1].rule, Rule::Rate(rate) if rate.burst.is_some()));
    assert_eq!(close.channel_arg.as_deref(), Some("channel"));

    let post = config.catalogue.get("chat.postMessage").unwrap();
    assert_eq!((post.limits.len(), post.max_wait), (2, Some(Duration::from_secs(3))));
    assert!(config.catalogue.get("users.info").unwrap().limits.is_empty());
    let new = config.catalogue.get("brand.new").unwrap();
    assert!(new.reads && new.channel_arg.as_deref() == Some("where"));
    assert_eq!(in_order(&config, "brand.new"), ["where"]);
}

fn in_order(config: &Config, method: &str) -> Vec<String> {
    let order = &config.catalogue.get(method).unwrap().in_order;
    order.iter().flat_map(OrderingArguments::words).collect()
}

/// Red when a list does not replace the catalogue's, and when `false` leaves that.
#[test]
fn an_order_is_by_arguments_or_by_channel_or_none() {
    let config = checked(
        "methods:
  chat.postMessage: { in_order: true }
  chat.update: { in_order: false }
  chat.delete: { in_order: [] }
  views.update: { in_order: ['external_id|view_id', hash] }
  users.info: { in_order: true }
",
    );
    assert_eq!(in_order(&config, "chat.postMessage"), ["channel"]);
    assert_eq!(in_order(&config, "views.update"), ["external_id|view_id", "hash"]);
    for method in ["chat.update", "chat.delete", "users.info"] {
        assert!(in_order(&config, method).is_empty(), "{method}");
    }
    assert_eq!(in_order(&config, "chat.startStream"), ["channel", "thread_ts"]);
}

#[test]
fn tokens_are_hashed_and_never_shown() {
    let config = checked(
        "identity:
  resolve: false
  tokens:
    - { token_env: SAME_TOKEN, app: A1, workspace: T1 }
    - { token_env: OTHER_TOKEN, app: A1, workspace: T1 }
",
    );
    assert_eq!(config.identity.tokens[0].token, TokenHash::of("xoxb-first"));
    assert_eq!(
        (&*config.identity.tokens[1].app, &*config.identity.tokens[1].workspace),
        ("A1", "T1")
    );
    let shown = format!("{config:?}");
    assert!(!shown.contains("xox") && !shown.contains("sha256"), "{shown}");
}

#[test]
fn the_environment_counts_more_than_the_file() {
    let env = |name: &str| match name {
        LISTEN_ENV => Some("127.0.0.1:1".to_owned()),
        ADMIN_LISTEN_ENV => Some("127.0.0.1:2".to_owned()),
        _ => None,
    };
    let config = check("listen: 127.0.0.1:9090", "f.yaml", env).unwrap();
    assert_eq!(config.listen.port(), 1);
    assert_eq!(config.admin.listen.port(), 2);

    let bad = |name: &str| (name == LISTEN_ENV).then(|| "s3cr3t".to_owned());
    assert_eq!(
        check("", "f.yaml", bad).unwrap_err().to_string(),
        "SLACKWATER_LISTEN: is not an address; write an IP address and a port, as in \
         127.0.0.1:8080 (or 0.0.0.0:8080 for every interface)"
    );
    let same = |name: &str| (name == ADMIN_LISTEN_ENV).then(|| "127.0.0.1:8080".to_owned());
    assert_eq!(
        check("", "f.yaml", same).unwrap_err().to_string(),
        "SLACKWATER_ADMIN_LISTEN: is the address of listen too; give the two different ports"
    );
}

#[test]
fn what_asks_for_nothing_is_no_mistake() {
    let config = checked(
        "admin: { token: null, hosts: [] }
identity: { resolve: true, tokens: [] }
callers: []
background: {}
adaptive: { down: true, up: false, ceiling: 2.0 }
shared: null
state_file: null
mode: enforce
methods: { conversations.close: { enabled: true } }
",
    );
    assert_eq!(whole(&config), whole(&checked("")));
}

#[test]
fn a_file_is_loaded_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("slackwater.yaml");
    std::fs::write(&path, "drain_timeout: 3s\n").unwrap();
    assert_eq!(load(Some(&path)).unwrap().drain_timeout, Duration::from_secs(3));
    std::fs::write(&path, "drain_timeout: 3\n").unwrap();
    let error = load(Some(&path)).unwrap_err().to_string();
    assert!(error.contains(&format!("{}:1:16: drain_timeout: ", path.display())), "{error}");
    std::fs::write(&path, b"a: 1\nb: \xff\n").unwrap();
    let error = anyhow::Error::from(load(Some(&path)).unwrap_err());
    assert!(format!("{error:#}").ends_with("line 2 is not UTF-8"), "{error:#}");
    std::fs::write(&path, "#".repeat((1 << 20) + 5)).unwrap();
    assert!(load(Some(&path)).unwrap_err().to_string().contains("longer than 1 MiB"));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(load(Some(&path)), Err(LoadError::Read { .. })));
}
