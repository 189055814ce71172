//! `reads`: which reads need not be sent, because another's answer is theirs.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use slack::{Catalogue, Kind};
use yaml::{Cursor, Form, Report, nearest};

/// Which reads need not be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Whether equal reads share one answer, where nothing else is said of a method or a caller.
    pub share: bool,
    /// Which answers are remembered; none without.
    pub cache: Option<ReadCache>,
}

/// Which answers of reads are remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadCache {
    /// For how long.
    pub max_age: Duration,
    /// Of which methods.
    pub methods: BTreeSet<Arc<str>>,
    /// How much memory they may take in all.
    pub bytes: usize,
}

/// Whose answers say nothing private, and are asked for most.
const METHODS: [&str; 4] = ["users.info", "bots.info", "team.info", "conversations.info"];
/// An answer that is older may be wrong for longer than anybody waits for it to be right.
const LONGEST: Duration = Duration::from_secs(3600);
/// One answer fits into less.
const LEAST: usize = 64 << 10;

// === impl ReadCache ===

impl Default for ReadCache {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(30),
            methods: METHODS.map(Arc::from).into(),
            bytes: 8 << 20,
        }
    }
}

/// What the file says of it.
pub(super) fn read(root: Cursor<'_>, catalogue: &Catalogue, report: &mut Report) -> Reads {
    let Some(at) = root.get("reads") else { return Reads::default() };
    Reads {
        share: at.get("share").and_then(|at| at.read_bool(report)).unwrap_or_default(),
        cache: at
            .get("cache")
            .filter(|at| at.form() == Form::Map)
            .map(|at| cache(at, catalogue, report)),
    }
}

fn cache(at: Cursor<'_>, catalogue: &Catalogue, report: &mut Report) -> ReadCache {
    let mut cache = ReadCache::default();
    if let Some(it) = at.get("for")
        && let Some(age) = it.read_period(report)
    {
        if age > LONGEST {
            report.add(it, "is longer than an answer may be remembered; write 1h or less");
        }
        cache.max_age = age;
    }
    if let Some(it) = at.get("bytes")
        && let Some(bytes) = it.read_size(report)
    {
        if bytes < LEAST {
            report.add(it, "is too little for an answer; write 64KiB or more");
        }
        cache.bytes = bytes;
    }
    if let Some(list) = at.get("methods") {
        cache.methods = list.items().filter_map(|it| method(it, catalogue, report)).collect();
        if list.items().next().is_none() {
            report.add(list, "names no method; name some, or delete `cache` to remember nothing");
        }
    }
    cache
}

fn method(at: Cursor<'_>, catalogue: &Catalogue, report: &mut Report) -> Option<Arc<str>> {
    let name = at.read_text(report)?;
    let reads = |name: &str| {
        catalogue.get(name).filter(|method| method.reads && method.kind == Kind::WebApi)
    };
    if let Some(method) = reads(&name) {
        return Some(Arc::clone(&method.name));
    }
    let known =
        catalogue.methods().map(|method| &*method.name).filter(|name| reads(name).is_some());
    let text = match (catalogue.get(&name), nearest(&name, known, 1).first()) {
        (Some(_), _) => "is no read of the Web API: it may change something".to_owned(),
        (None, Some(near)) => format!("is no method of the catalogue; is it {near}?"),
        (None, None) => "is no method of the catalogue".to_owned(),
    };
    report.add(at, text);
    None
}
