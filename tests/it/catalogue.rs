//! The catalogue against an independent reader of its file.

use std::{collections::BTreeMap, sync::Arc};

use limits::{AgeFrom, Class, Limit, Rule};
use serde::Deserialize;
use slack::{AppKind, Catalogue, Endpoint, OrderingArguments};

#[derive(Deserialize)]
struct File {
    tiers: BTreeMap<String, TierRate>,
    unknown_method: String,
    methods: BTreeMap<String, Method>,
    endpoints: BTreeMap<String, Method>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TierRate {
    limit: u32,
    per: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Method {
    #[serde(default = "special")]
    tier: String,
    channel: Option<String>,
    user: Option<String>,
    #[serde(default)]
    reads: bool,
    #[serde(default)]
    in_order: Vec<String>,
    class: Option<String>,
    max_wait: Option<String>,
    #[serde(default)]
    limits: Vec<Own>,
    replaces: Option<Replaces>,
    #[serde(default)]
    drops: Vec<Drops>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Replaces {
    content: Vec<String>,
    fields: Vec<String>,
    may_be_empty: Vec<String>,
    never_with: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Drops {
    reads: Vec<String>,
    read_by: Option<String>,
    write_by: Option<String>,
}

/// What endpoints have, which are under no tier.
fn special() -> String {
    "special".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Own {
    name: String,
    limit: Option<u32>,
    per: Option<String>,
    burst: Option<u32>,
    tolerates: Option<u32>,
    concurrency: Option<u32>,
    scope: Vec<String>,
    #[serde(default)]
    age_from: Option<String>,
}

/// A duration as the file writes them, in milliseconds.
fn millis(text: &str) -> u128 {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 1.0,
        "s" => 1_000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        other => panic!("{other} in {text}"),
    };
    let millis: f64 = digits.parse::<f64>().unwrap() * unit;
    format!("{millis}").parse().unwrap()
}

/// A limit as text, from either side.
fn ours(limit: &Limit) -> String {
    let rule = match limit.rule {
        Rule::Rate(rate) => format!(
            "{} per {} burst {:?} tolerates {:?}",
            rate.limit,
            rate.per.as_millis(),
            rate.burst.map(u32::from),
            rate.tolerates.map(u32::from)
        ),
        Rule::Concurrency(n) => format!("{n} at once"),
        Rule::InOrder(_) => "one at a time".into(),
        Rule::Open => "any number".into(),
        Rule::Gate => "none".into(),
    };
    let scope: Vec<_> = limit.scope.iter().map(limits::Dimension::as_str).collect();
    format!("{} {rule} {scope:?} from {}", limit.name, limit.age_from.as_str())
}

fn theirs(limit: &Own) -> String {
    let rule = match (limit.limit, limit.concurrency) {
        (Some(n), None) => format!(
            "{n} per {} burst {:?} tolerates {:?}",
            millis(limit.per.as_ref().unwrap()),
            limit.burst,
            limit.tolerates
        ),
        (None, Some(n)) => format!("{n} at once"),
        _ => panic!("{}", limit.name),
    };
    let age_from = limit.age_from.as_deref().unwrap_or(AgeFrom::Answer.as_str());
    format!("{} {rule} {:?} from {age_from}", limit.name, limit.scope)
}

#[test]
fn another_reader_finds_the_same_in_the_catalogue() {
    let mut file: File = serde_yaml::from_str(include_str!("../../config/slack.yaml")).unwrap();
    let catalogue = Catalogue::built_in(AppKind::Internal).unwrap();
    assert!(file.methods.len() > 400);
    let endpoints: Vec<_> = file.endpoints.keys().cloned().collect();
    let mut ours_of = Endpoint::ALL.map(Endpoint::as_str);
    ours_of.sort_unstable();
    assert_eq!(endpoints, ours_of);
    file.methods.append(&mut file.endpoints);
    let names: Vec<_> = catalogue.methods().map(|method| &*method.name).collect();
    assert_eq!(names, file.methods.keys().collect::<Vec<_>>());
    assert_eq!(catalogue.unknown().tier.as_str(), file.unknown_method);
    for (name, theirs_of) in &file.methods {
        let method = catalogue.get(name).unwrap();
        assert_eq!(method.tier.as_str(), theirs_of.tier, "{name}");
        assert_eq!(method.channel_arg.as_deref(), theirs_of.channel.as_deref(), "{name}");
        assert_eq!(method.user_arg.as_deref(), theirs_of.user.as_deref(), "{name}");
        assert_eq!(method.reads, theirs_of.reads, "{name}");
        let order = method.in_order.iter().flat_map(OrderingArguments::words);
        assert_eq!(order.collect::<Vec<_>>(), theirs_of.in_order, "{name}");
        assert_eq!(method.class.map(Class::as_str), theirs_of.class.as_deref());
        let wait = theirs_of.max_wait.as_deref().map(millis);
        assert_eq!(method.max_wait.map(|wait| wait.as_millis()), wait, "{name}");
        let replaces = method.saves.replaces.as_ref().map(|it| {
            let list =
                |names: &[Arc<str>]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
            [&it.content, &it.fields, &it.may_be_empty, &it.never_with].map(|names| list(names))
        });
        let theirs_replaces = theirs_of.replaces.as_ref();
        let theirs_replaces = theirs_replaces.map(|it| {
            [&it.content, &it.fields, &it.may_be_empty, &it.never_with].map(Clone::clone)
        });
        assert_eq!(replaces, theirs_replaces, "{name}");
        let drops = method.saves.drops.iter().map(|it| {
            let reads = it.reads.iter().map(ToString::to_string).collect::<Vec<_>>();
            let write_by = it.write_by.as_ref().map(|by| by.names().collect::<Vec<_>>().join("|"));
            (reads, it.read_by.as_ref().map(ToString::to_string), write_by)
        });
        let theirs_drops = theirs_of.drops.iter();
        let theirs_drops =
            theirs_drops.map(|it| (it.reads.clone(), it.read_by.clone(), it.write_by.clone()));
        assert!(drops.eq(theirs_drops), "{name}");

        // The tier's own limit comes first; what it counts by is Slack's, not the file's.
        let tier = file.tiers.get(&theirs_of.tier).map(|tier| {
            let (n, per) = (tier.limit, millis(&tier.per));
            let scope = r#"["app", "workspace", "method"]"#;
            let name = &theirs_of.tier;
            format!("{name} {n} per {per} burst None tolerates None {scope} from answer")
        });
        let expected: Vec<_> =
            tier.into_iter().chain(theirs_of.limits.iter().map(theirs)).collect();
        assert_eq!(method.limits.iter().map(|limit| ours(limit)).collect::<Vec<_>>(), expected);
    }
}
