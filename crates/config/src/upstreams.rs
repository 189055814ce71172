//! `upstreams` and `govslack`: which paths go to which server.

use std::sync::Arc;

use http::{Uri, uri::Authority};
use slack::read::missing;
use yaml::{Cursor, Form, Report};

use super::{Kind, Upstream};

/// Which of Slack's two clouds the default upstreams are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slack {
    /// slack.com.
    Public,
    /// slack-gov.com: <https://docs.slack.dev/govslack>.
    Gov,
}

type Entry = (&'static str, &'static str, Kind);

macro_rules! defaults {
    ($web:literal, $hooks:literal, $api:literal) => {
        [
            ("/api/", concat!("https://", $web, "/api/"), Kind::WebApi),
            ("/services/", concat!("https://", $hooks, "/services/"), Kind::Webhook),
            ("/workflows/", concat!("https://", $hooks, "/workflows/"), Kind::Trigger),
            ("/triggers/", concat!("https://", $hooks, "/triggers/"), Kind::Trigger),
            ("/actions/", concat!("https://", $hooks, "/actions/"), Kind::ResponseUrl),
            ("/commands/", concat!("https://", $hooks, "/commands/"), Kind::ResponseUrl),
            ("/scim/", concat!("https://", $api, "/scim/"), Kind::Scim),
            ("/audit/", concat!("https://", $api, "/audit/"), Kind::Audit),
        ]
    };
}

/// Each prefix is the path that Slack has there: bots replace the scheme and the host only.
const PUBLIC: [Entry; 8] = defaults!("slack.com", "hooks.slack.com", "api.slack.com");
const GOV: [Entry; 8] = defaults!("slack-gov.com", "hooks.slack-gov.com", "api.slack-gov.com");

/// Where calls go if the file does not say.
pub(super) fn defaults(slack: Slack) -> Vec<Upstream> {
    let table = match slack {
        Slack::Public => PUBLIC,
        Slack::Gov => GOV,
    };
    let upstream = |(prefix, url, kind): Entry| Upstream {
        prefix: Arc::from(prefix),
        url: Uri::from_static(url),
        kind,
    };
    table.into_iter().map(upstream).collect()
}

/// The upstreams, if the file has any to say.
pub(super) fn read(root: Cursor<'_>, report: &mut Report) -> Option<Vec<Upstream>> {
    let gov = root.get("govslack").and_then(|at| Some((at, at.read_bool(report)?)));
    let gov = gov.filter(|(_, gov)| *gov).map(|(at, _)| at);
    let Some(at) = root.get("upstreams").filter(|at| at.form() == Form::List) else {
        return gov.map(|_| defaults(Slack::Gov));
    };
    if let Some(gov) = gov {
        let text = "stands for the default upstreams, and `upstreams` replaces them; delete this \
                    key and write slack-gov.com into the URLs, or delete `upstreams`";
        report.add(gov, text);
    }
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
            Some(it) => it.read_word(&Kind::ALL.map(|kind| (kind.as_str(), kind)), report),
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
