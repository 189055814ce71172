//! A limit, from YAML.

use std::{collections::BTreeSet, sync::Arc};

use limits::{AgeFrom, Dimension, Limit, Rate, Rule, Scope};
use yaml::{Cursor, Form, Report, shape::Shape};

use super::missing;
use crate::own::is_own;

/// The longest name of a limit: it goes into headers and metrics.
const MAX_NAME: usize = 64;

/// The keys of a limit.
pub const LIMIT: Shape = Shape::Map(&[
    ("name", Shape::Value),
    ("limit", Shape::Value),
    ("per", Shape::Value),
    ("burst", Shape::Value),
    ("tolerates", Shape::Value),
    ("concurrency", Shape::Value),
    ("scope", Shape::List(&Shape::Value)),
    ("age_from", Shape::Value),
]);

/// A limit of a method.
pub(super) fn limit(at: Cursor<'_>, report: &mut Report) -> Option<Limit> {
    let name = match at.get("name") {
        Some(name) => limit_name(name, report),
        None => missing(at, "name", "close_app_wide", report),
    };
    let rule = rule(at, report);
    let scope = match at.get("scope") {
        Some(scope) => read_scope(scope, report),
        None => missing(at, "scope", "[app, workspace]", report),
    };
    let age_from = age_from(at, rule, report);
    Some(Limit { name: name?, rule: rule?, scope: scope?, age_from: age_from? })
}

fn rule(at: Cursor<'_>, report: &mut Report) -> Option<Rule> {
    let [limit, per, burst, tolerates] =
        ["limit", "per", "burst", "tolerates"].map(|key| at.get(key));
    if let Some(concurrency) = at.get("concurrency") {
        for it in [limit, per, burst, tolerates, at.get("age_from")].into_iter().flatten() {
            report.add(it, "means nothing beside concurrency; delete one of the two");
        }
        return concurrency.read_count(report).map(Rule::Concurrency);
    }
    let count = match limit {
        Some(it) => it.read_count(report),
        None => missing(at, "limit", "20", report),
    };
    let period = match per {
        Some(it) => it.read_period(report),
        None => missing(at, "per", "1m", report),
    };
    let bursts = burst.map(|it| it.read_count(report));
    if let (Some(it), Some(Some(most)), Some(count)) = (burst, bursts, count)
        && most >= count
    {
        report.add(it, "is not below limit, so it would change nothing; lower or delete it");
    }
    let allowed = tolerates.map(|it| it.read_count(report));
    if let (Some(_), Some(it)) = (burst, tolerates) {
        report.add(it, "contradicts burst, which is for servers that refuse bursts; delete one");
    }
    Some(Rule::Rate(Rate {
        limit: count?,
        per: period?,
        burst: bursts.map_or(Some(None), |burst| burst.map(Some))?,
        tolerates: allowed.map_or(Some(None), |allowed| allowed.map(Some))?,
    }))
}

fn age_from(at: Cursor<'_>, rule: Option<Rule>, report: &mut Report) -> Option<AgeFrom> {
    let Some(it) = at.get("age_from") else { return Some(AgeFrom::default()) };
    let words = AgeFrom::ALL.map(|from| (from.as_str(), from));
    let age_from = it.read_word(&words, report)?;
    let tolerates = at.get("tolerates").is_some();
    if age_from == AgeFrom::Send && !tolerates && matches!(rule, Some(Rule::Rate(_))) {
        report.add(
            it,
            "send is only for limits whose documentation allows short bursts; add `tolerates: N`, \
             or delete age_from",
        );
    }
    Some(age_from)
}

fn limit_name(at: Cursor<'_>, report: &mut Report) -> Option<Arc<str>> {
    let name = at.read_text(report)?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.len() > MAX_NAME || !name.chars().all(fits) {
        let text = "is no name of a limit; write up to 64 lower-case letters, digits and _";
        report.add(at, format!("{} {text}", at.quoted()));
        return None;
    }
    if is_own(&name) {
        report.add(
            at,
            format!("{} is the name of a limit of the proxy's own; choose another", at.quoted()),
        );
        return None;
    }
    Some(name)
}

fn read_scope(at: Cursor<'_>, report: &mut Report) -> Option<Scope> {
    if at.form() != Form::List {
        return None;
    }
    // The proxy's own limit alone counts by ordering keys.
    let all = Dimension::ALL.into_iter().filter(|by| *by != Dimension::OrderingKey);
    let words: Vec<_> = all.map(|dimension| (dimension.as_str(), dimension)).collect();
    let mut scope = Some(BTreeSet::new());
    for item in at.items() {
        match (item.read_word(&words, report), &mut scope) {
            (Some(dimension), Some(scope)) => {
                if !scope.insert(dimension) {
                    report.add(item, "is there twice; delete one");
                }
            }
            _ => scope = None,
        }
    }
    let scope = scope?;
    if scope.is_empty() {
        report.add(at, "counts by nothing; name what the limit is counted per, as in [app]");
        return None;
    }
    Some(Scope::of(&Vec::from_iter(scope)))
}
