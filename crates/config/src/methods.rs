//! The operator's changes to the catalogue: `tiers`, `methods`, `unknown_method`.

use slack::{Draft, Endpoint, OTHER, Tier, read};
use yaml::{Cursor, Report, nearest};

/// Lays the operator's rules over those of the catalogue.
///
/// A method that the catalogue does not know needs a tier: a method that is new at Slack gets
/// one, while a misspelt one is found instead of changing nothing.
pub(super) fn change(root: Cursor<'_>, draft: &mut Draft, report: &mut Report) {
    if let Some(tiers) = root.get("tiers") {
        read::tier_rates(tiers, draft, report);
    }
    let unknown = root.get("unknown_method");
    if let Some(tier) = unknown.and_then(|it| read::unknown_method(it, report)) {
        draft.set_unknown(tier);
    }
    for (name, entry) in root.get("methods").into_iter().flat_map(Cursor::entries) {
        let rules = read::rules(entry, report);
        if Endpoint::named(name).is_some() {
            endpoint(entry, rules.tier, report);
        }
        if name == OTHER {
            let text = "stands for all methods that are not known; set unknown_method instead";
            report.add(entry, text);
        } else if !is_method_name(name) {
            report.add(entry, "is no name of a method; write one as in conversations.close");
        } else if entry.get("tier").is_some() || draft.knows(name) {
            draft.change(name, rules);
            saves(name, entry, draft, report);
        } else {
            let advice = match nearest(name, draft.names(), 1).first() {
                Some(near) => format!("is it {near}? For a method that is new, name its tier"),
                None => "for a method that is new, name its tier".to_owned(),
            };
            report.add(entry, format!("is no method of the catalogue; {advice}"));
        }
    }
}

/// What a method cannot save.
fn saves(name: &str, entry: Cursor<'_>, draft: &Draft, report: &mut Report) {
    if let Some(at) = entry.get("share_reads").filter(|at| at.text() == Some("true"))
        && !draft.reads(name)
    {
        report.add(at, "is only for methods that read; this one may change something");
    }
    if let Some(at) = entry.get("edits").filter(|at| at.text() == Some("latest"))
        && !draft.replaces(name)
    {
        let those: Vec<&str> = draft.names().filter(|name| draft.replaces(name)).collect();
        let text =
            format!("is only for methods whose calls replace what they name: {}", those.join(", "));
        report.add(at, text);
    }
}

/// What means nothing for a call that is none of the Web API: it has no arguments that are read,
/// and tiers count by app and method.
fn endpoint(entry: Cursor<'_>, tier: Option<Tier>, report: &mut Report) {
    for key in ["channel", "user", "in_order", "share_reads", "edits"] {
        if let Some(it) = entry.get(key) {
            report
                .add(it, "means nothing here: only calls of the Web API have arguments; delete it");
        }
    }
    if let Some(it) = entry.get("tier")
        && tier.is_some_and(|tier| Tier::RATED.contains(&tier))
    {
        report.add(it, "is for methods of the Web API; list `limits`, or write none for no limit");
    }
}

fn is_method_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    !name.is_empty() && name.len() <= 100 && name.chars().all(fits)
}
