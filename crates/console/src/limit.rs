//! A limit as commands show it: in words, and as JSON.

use limits::{AgeFrom, Dimension, Limit, Rule};
use serde_json::{Value, json};
use yaml::units::show_duration;

/// `1 per 1s, per app and channel; counted from the send, since Slack tolerates short bursts`.
pub fn in_words(limit: &Limit) -> String {
    let scope: Vec<&str> = limit.scope.iter().map(Dimension::as_str).collect();
    let scope = match scope.as_slice() {
        [wider @ .., last] if !wider.is_empty() => format!("{} and {last}", wider.join(", ")),
        all => all.concat(),
    };
    let rate = match limit.rule {
        Rule::Concurrency(at_once) => return format!("{at_once} at once, per {scope}"),
        Rule::InOrder(_) => return format!("one at a time, per {scope}"),
        Rule::Open => return format!("any number, per {scope}"),
        Rule::Gate => return "none".to_owned(),
        Rule::Rate(rate) => rate,
    };
    let figure = format!("{} per {}, per {scope}", rate.limit, show_duration(rate.per));
    let burst = rate.burst.map(|burst| format!("bursts of {burst} at most"));
    let tolerates = rate.tolerates.map(|_| match limit.age_from {
        AgeFrom::Send => "counted from the send, since Slack tolerates short bursts",
        AgeFrom::Answer => "Slack tolerates short bursts",
    });
    [Some(figure), burst, tolerates.map(str::to_owned)]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
}

/// A limit, as `limits --json` has it.
pub fn as_json(limit: &Limit) -> Value {
    let scope: Vec<&str> = limit.scope.iter().map(Dimension::as_str).collect();
    match limit.rule {
        Rule::Rate(rate) => json!({
            "name": &*limit.name,
            "limit": rate.limit,
            "per_seconds": rate.per.as_secs_f64(),
            "burst": rate.burst,
            "tolerates": rate.tolerates,
            "scope": scope,
            "age_from": limit.age_from.as_str(),
        }),
        Rule::Concurrency(at_once) => json!({
            "name": &*limit.name,
            "concurrency": at_once,
            "scope": scope,
        }),
        Rule::InOrder(_) | Rule::Open | Rule::Gate => {
            json!({ "name": &*limit.name, "scope": scope })
        }
    }
}
