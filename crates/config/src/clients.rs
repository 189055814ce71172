//! `clients`: what the operator knows of clients, before what the catalogue does.

use std::{sync::Arc, time::Duration};

use slack::{
    Client, ClientSigns,
    read::{keep_alive, missing, retries},
};
use yaml::{Cursor, Report, units::show_duration};

use super::{Glob, glob::read_glob};

/// What the operator says of a kind of client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRule {
    /// The User-Agent of its calls; that of a call without one is empty.
    pub user_agent: Glob,
    /// What it does.
    pub client: Client,
}

/// What a wait may be at most. Nobody waits longer for a call, and a slip of the unit would hold calls
/// that nobody wants any more.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The rules, in the file's order.
pub(super) fn read(root: Cursor<'_>, report: &mut Report) -> Vec<ClientRule> {
    let mut names: Vec<(Cursor<'_>, Arc<str>)> = Vec::new();
    let mut earlier: Vec<(Cursor<'_>, Glob)> = Vec::new();
    let mut rules = Vec::new();
    for entry in root.get("clients").into_iter().flat_map(Cursor::items) {
        let name = match entry.get("name") {
            Some(it) => it.read_text(report).map(|name| (it, name)),
            None => missing(entry, "name", "importer", report),
        };
        if let Some((it, name)) = &name
            && let Some((first, _)) = names.iter().find(|(_, taken)| taken == name)
        {
            let text = format!("is {} too; choose another, or delete one rule", first.path());
            report.add(*it, text);
        }
        let user_agent = match entry.get("user_agent") {
            Some(it) => read_glob(it, report),
            None => missing(entry, "user_agent", "\"importer/*\"", report),
        };
        let covered = |glob| earlier.iter().find(|(_, before): &&(_, Glob)| before.covers(glob));
        if let Some((before, _)) = user_agent.as_ref().and_then(covered) {
            let text = format!(
                "never counts, since {} before it matches the same calls; put the narrower rule \
                 first, or delete one",
                before.path()
            );
            report.add(entry, text);
        }
        let max_wait = match entry.get("max_wait") {
            Some(it) => it.read_period(report).and_then(|wait| bounded(it, wait, report)),
            None => missing(entry, "max_wait", "50s", report),
        };
        let kept = entry.get("keep_alive").and_then(|it| keep_alive(it, report));
        let stops_whole = entry.get("stops_whole").and_then(|it| it.read_bool(report));
        let retried = entry.get("retries").and_then(|it| retries(it, report));
        names.extend(name.clone());
        earlier.extend(user_agent.clone().map(|glob| (entry, glob)));
        if let (Some((_, name)), Some(user_agent), Some(max_wait)) = (name, user_agent, max_wait) {
            let client = Client {
                name,
                signs: ClientSigns {
                    user_agent: Some(user_agent.as_str().into()),
                    headers: Box::default(),
                },
                timeout: None,
                max_wait,
                keep_alive: kept.unwrap_or_default(),
                stops_whole: stops_whole.unwrap_or_default(),
                retries: retried.unwrap_or_default(),
                source: "the configuration".into(),
            };
            rules.push(ClientRule { user_agent, client });
        }
    }
    rules
}

/// A wait that is no slip.
pub(super) fn bounded(at: Cursor<'_>, wait: Duration, report: &mut Report) -> Option<Duration> {
    if wait > LONGEST {
        let longest = show_duration(LONGEST);
        report.add(at, format!("{} is too long; the longest is {longest}", at.quoted()));
        return None;
    }
    Some(wait)
}
