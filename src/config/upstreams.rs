//! `upstreams`: which paths go to which server.

use std::sync::Arc;

use http::{Uri, uri::Authority};

use super::{Kind, Upstream, keys::UNBUILT_KINDS};
use crate::{
    slack::read::missing,
    yaml::{Cursor, Form, Report},
};

/// The upstreams, if the file has any to say.
pub(super) fn read(root: Cursor<'_>, report: &mut Report) -> Option<Vec<Upstream>> {
    let at = root.get("upstreams").filter(|at| at.form() == Form::List)?;
    if at.items().next().is_none() {
        report.add(at, "is empty, so that no call goes anywhere; list one, or delete the key");
    }
    let mut prefixes: Vec<(Cursor<'_>, Arc<str>)> = Vec::new();
    let mut upstreams = Vec::new();
    for entry in at.items() {
        let prefix = match entry.get("prefix") {
            Some(it) => prefix(it, report).map(|prefix| (it, prefix)),
            None => missing(entry, "prefix", "/api/", report),
        };
        let url = match entry.get("url") {
            Some(it) => url(it, report),
            None => missing(entry, "url", "https://slack.com/api/", report),
        };
        let kind = match entry.get("kind") {
            Some(it) => kind(it, report),
            None => missing(entry, "kind", "web_api", report),
        };
        let Some((it, prefix)) = prefix else { continue };
        if let Some((before, _)) = prefixes.iter().find(|(_, taken)| prefix.starts_with(&**taken)) {
            let text = format!(
                "is never reached, since {} takes its paths; put the longer prefix first",
                before.path()
            );
            report.add(it, text);
        }
        prefixes.push((it, Arc::clone(&prefix)));
        if let (Some(url), Some(kind)) = (url, kind) {
            upstreams.push(Upstream { prefix, url, kind });
        }
    }
    Some(upstreams)
}

fn prefix(at: Cursor<'_>, report: &mut Report) -> Option<Arc<str>> {
    let prefix = at.text()?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    let wrong = if prefix.is_empty() {
        "is empty; write / for every path"
    } else if !prefix.starts_with('/') || !prefix.ends_with('/') {
        "does not begin and end with a slash; write it as in /api/"
    } else if prefix.starts_with("/@") {
        "begins with /@, which names a caller; choose another"
    } else if !prefix.chars().all(fits) {
        "holds a character that no prefix needs; write letters, digits, - _ . ~ and slashes"
    } else if prefix.contains("//") || prefix.contains("/./") || prefix.contains("/../") {
        "has an empty part or a part of dots; write it as in /api/"
    } else {
        return Some(Arc::from(prefix));
    };
    report.add(at, wrong);
    None
}

/// Messages do not repeat the URL: it may hold a password.
fn url(at: Cursor<'_>, report: &mut Report) -> Option<Uri> {
    let text = at.text()?;
    let uri: Uri = text.parse().unwrap_or_default();
    let authority = uri.authority();
    let port_is_bad = authority.is_some_and(has_bad_port);
    let wrong = if !matches!(uri.scheme_str(), Some("http" | "https")) {
        "is no http or https URL; write one as in https://slack.com/api/"
    } else if authority.is_some_and(|it| it.as_str().contains('@')) {
        "holds a user name or a password, which are not sent; delete them"
    } else if authority.is_none_or(|it| it.host().is_empty()) || port_is_bad {
        "has no host, or a bad port; write it as in https://slack.com/api/"
    } else if uri.query().is_some() || text.contains('#') {
        "has a query or a fragment, which would be lost; delete it"
    } else if !uri.path().ends_with('/') {
        "does not end with a slash; add one, since the prefix that it replaces has one"
    } else {
        return Some(uri);
    };
    report.add(at, wrong);
    None
}

/// Whether what stands after the host is no port.
pub(super) fn has_bad_port(authority: &Authority) -> bool {
    let text = authority.as_str();
    let text = text.rsplit_once(['@', ']']).map_or(text, |(_, after)| after);
    text.contains(':') && authority.port_u16().is_none()
}

fn kind(at: Cursor<'_>, report: &mut Report) -> Option<Kind> {
    if at.text().is_some_and(|kind| UNBUILT_KINDS.contains(&kind)) {
        let text = "limits of this kind of upstream are not built yet; write plain to forward its \
                    calls without limits";
        report.add(at, text);
        return None;
    }
    at.read_word(&Kind::ALL.map(|kind| (kind.as_str(), kind)), report)
}
