//! `slackwater limits --learnt` and `--forget`: what the running proxy has learnt of limits.
//!
//! What is written is a configuration: laid into that of the proxy, it makes what was learnt the limit
//! from the first call on. The limits of a method are one list there, so all of them are written.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use config::Config;
use console::{Ask, Place};
use http::StatusCode;
use limits::{Dimension, Limit, Rule};
use serde::{Deserialize, Serialize};
use serde_json::json;
use slack::{Catalogue, Method};
use tokio::runtime;
use yaml::units::show_duration;

use super::super::change;

/// What `/learnt` answers, as far as it matters here.
#[derive(Debug, Deserialize)]
struct LearntPage {
    lessons: Vec<Lesson>,
}

/// What buckets of a limit have learnt.
#[derive(Debug, Deserialize)]
struct Lesson {
    limit: String,
    method: Option<String>,
    buckets: usize,
    bursts: usize,
    configured: u32,
    quota: u32,
    period_ms: u64,
}

/// A configuration that has the limits of some methods and nothing else.
#[derive(Debug, Default, Serialize)]
struct Overlay {
    methods: BTreeMap<String, OfMethod>,
}

#[derive(Debug, Serialize)]
struct OfMethod {
    /// `special` where the limit of its tier is among its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<&'static str>,
    limits: Vec<OfLimit>,
}

#[derive(Debug, Serialize)]
struct OfLimit {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    burst: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tolerates: Option<u32>,
    scope: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_from: Option<&'static str>,
}

/// Writes what was learnt as a configuration.
///
/// # Errors
/// If the proxy cannot be asked or the answer not written.
pub(super) fn show(
    config: &Config,
    place: &Place,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let base = place.url()?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (status, body) = runtime
        .block_on(async { Ask::new(&base).get("/learnt").await })
        .with_context(|| format!("cannot ask {base}; --admin URL names another"))?;
    if status != StatusCode::OK {
        bail!("{base}/learnt answers {status}: that is no slackwater, or an older one");
    }
    if json {
        out.write_all(&body)?;
        writeln!(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let page: LearntPage = serde_json::from_slice(&body)
        .with_context(|| format!("what {base}/learnt answers cannot be read"))?;
    if page.lessons.is_empty() {
        writeln!(out, "# Nothing has been learnt: Slack accepts what is configured.\n{{}}")?;
        return Ok(ExitCode::SUCCESS);
    }
    for lesson in &page.lessons {
        writeln!(out, "# {}", in_words(lesson))?;
    }
    let text = serde_yaml::to_string(&overlay(&page.lessons, &config.catalogue))?;
    out.write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Lets the proxy forget what it has learnt of a method.
///
/// # Errors
/// If the proxy cannot be asked.
pub(super) fn forget(
    method: &str,
    place: &Place,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    change::ask(place, "/forget", &json!({ "method": method }), out)
}

fn in_words(lesson: &Lesson) -> String {
    let Lesson { limit, method, buckets, bursts, configured, quota, .. } = lesson;
    let of = method.as_deref().map_or(String::new(), |method| format!(" of {method}"));
    let many = if *buckets == 1 { "1 bucket".to_owned() } else { format!("{buckets} buckets") };
    let also = if *bursts > 0 { "; Slack refuses bursts" } else { "" };
    format!("{limit}{of}: {quota} instead of {configured}, learnt by {many}{also}")
}

fn overlay(lessons: &[Lesson], catalogue: &Catalogue) -> Overlay {
    let mut overlay = Overlay::default();
    let mut names = BTreeSet::new();
    for lesson in lessons {
        if let Some(method) = &lesson.method {
            names.insert(method.clone());
        } else {
            // A limit that several methods share is one limit in all of them.
            let has = |method: &Method| method.limits.iter().any(|it| *it.name == *lesson.limit);
            let all = catalogue.methods().filter(|method| has(method));
            names.extend(all.map(|method| method.name.to_string()));
        }
    }
    for name in names {
        let method = catalogue.get(&name).unwrap_or_else(|| catalogue.unknown());
        let is_tiers = |limit: &Limit| *limit.name == *method.tier.as_str();
        let learnt = |limit: &Limit| {
            lessons.iter().find(|lesson| {
                let own = lesson.method.as_ref().is_none_or(|own| *own == name);
                own && *lesson.limit == *limit.name
            })
        };
        let is_special =
            method.limits.iter().any(|limit| is_tiers(limit) && learnt(limit).is_some());
        let own = method.limits.iter().filter(|limit| is_special || !is_tiers(limit));
        let limits = own.map(|limit| {
            // Other methods of the tier keep its limit.
            let renamed = is_tiers(limit).then(|| learnt_name(&name));
            OfLimit::new(limit, learnt(limit), renamed)
        });
        let limits = limits.collect();
        let tier = is_special.then_some("special");
        overlay.methods.insert(name, OfMethod { tier, limits });
    }
    overlay
}

/// A name of a limit for what was learnt of a method: `learnt_conversations_list`.
fn learnt_name(method: &str) -> String {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let own = method.chars().map(|c| c.to_ascii_lowercase()).map(|c| if fits(c) { c } else { '_' });
    "learnt_".chars().chain(own).take(64).collect()
}

// === impl OfLimit ===

impl OfLimit {
    fn new(limit: &Limit, lesson: Option<&Lesson>, renamed: Option<String>) -> Self {
        let name = renamed.unwrap_or_else(|| limit.name.to_string());
        let scope = limit.scope.iter().map(Dimension::as_str).collect();
        let mut new = Self {
            name,
            concurrency: None,
            limit: None,
            per: None,
            burst: None,
            tolerates: None,
            scope,
            age_from: None,
        };
        match limit.rule {
            Rule::Concurrency(most) => new.concurrency = Some(most.get()),
            Rule::Rate(rate) => {
                let quota = lesson.map_or(rate.limit.get(), |lesson| lesson.quota.max(1));
                let per = lesson.map_or(rate.per, |lesson| Duration::from_millis(lesson.period_ms));
                // A single call in a little more than a minute is written in seconds.
                let per =
                    if per == rate.per { per } else { Duration::from_secs(per.as_secs() + 1) };
                new.limit = Some(quota);
                new.per = Some(show_duration(per));
                new.burst = rate.burst.map(u32::from).filter(|burst| *burst < quota);
                new.tolerates = rate.tolerates.map(u32::from);
                new.age_from = Some(limit.age_from.as_str());
            }
            Rule::InOrder(_) | Rule::Open | Rule::Gate => {}
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use slack::AppKind;

    use super::*;

    fn lesson(limit: &str, method: Option<&str>, quota: u32, period_ms: u64) -> Lesson {
        let (limit, method) = (limit.to_owned(), method.map(str::to_owned));
        Lesson { limit, method, buckets: 1, bursts: 0, configured: 20, quota, period_ms }
    }

    /// Red when the tier's limit stays beside what was learnt, or when a limit that was not learnt is lost.
    #[test]
    fn what_was_learnt_is_a_configuration() {
        let catalogue = Catalogue::built_in(AppKind::Internal).unwrap();
        let post = catalogue.method("chat.postMessage");
        let shared = post.limits.iter().find(|limit| !limit.scope.contains(Dimension::Method));
        let shared = shared.unwrap();
        let lessons = [
            lesson("tier2", Some("conversations.list"), 12, 60_000),
            lesson("tier1", Some("admin.users.list"), 1, 85_714),
            lesson("tier2", Some("un.heard"), 30, 60_000),
            lesson(&shared.name, None, 7, 60_000),
        ];
        let text = serde_yaml::to_string(&overlay(&lessons, &catalogue)).unwrap();
        let config = config::check(&text, "learnt", |_| None).unwrap();
        let rates = |method: &str, name: &str| {
            let limits = config.catalogue.get(method).unwrap().limits.iter();
            let mut limits = limits.filter(|limit| *limit.name == *name);
            match (limits.next().map(|limit| limit.rule), limits.next()) {
                (Some(Rule::Rate(rate)), None) => (rate.limit.get(), rate.per.as_secs()),
                other => panic!("{other:?} of {method}"),
            }
        };
        assert_eq!(rates("conversations.list", "learnt_conversations_list"), (12, 60), "{text}");
        assert_eq!(rates("un.heard", "learnt_un_heard"), (30, 60));
        for method in catalogue.methods() {
            let of = config.catalogue.get(&method.name).unwrap();
            assert_eq!(of.limits.len(), method.limits.len(), "{}", method.name);
            if method.limits.iter().any(|limit| limit.name == shared.name) {
                assert_eq!(rates(&method.name, &shared.name).0, 7);
            }
        }
    }
}
