//! What the fake serves beside the Web API: the paths of hooks.slack.com and api.slack.com, and
//! what Slack says there.
//!
//! What a call counts as is read from its path by a table of its own, because the fake judges the
//! proxy's.

use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::{
    AuthError, Fault, Identity, LimitHit, Reply, arguments::Arguments, identity::fingerprint,
};

/// A call, before it has arrived.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// To whom it is.
    pub(super) host: Host,
    /// The method; beside the Web API what the catalogue calls it.
    pub(super) name: String,
    /// The last part of its path.
    last: String,
    /// What stands for its URL, where that is a secret.
    pub(super) url: Option<String>,
    /// What it says.
    pub(super) arguments: Arguments,
    /// What goes wrong with it.
    pub(super) fault: Option<Fault>,
}

/// To whom a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// The Web API.
    Api,
    /// hooks.slack.com: whoever knows the URL may call it.
    Hooks,
    /// The SCIM API.
    Scim,
    /// The Audit Logs API.
    Audit,
}

/// What stands for the URL of that path.
pub(super) fn url_name(path: &str) -> String {
    format!("url-{}", &fingerprint(path)[..12])
}

/// Paths of hooks.slack.com.
const HOOKS: [(&str, &str); 5] = [
    ("/services/", "webhook"),
    ("/workflows/", "trigger"),
    ("/triggers/", "trigger"),
    ("/actions/", "response_url"),
    ("/commands/", "response_url"),
];

/// Calls that Slack's page lists with a limit of their own: verb, resource, whether one is named.
/// <https://docs.slack.dev/reference/scim-api/rate-limits>
const SCIM: [(&str, &str, bool, &str); 10] = [
    ("GET", "Users", true, "scim.users.read"),
    ("POST", "Users", false, "scim.users.create"),
    ("PUT", "Users", true, "scim.users.update"),
    ("PATCH", "Users", true, "scim.users.update"),
    ("DELETE", "Users", true, "scim.users.delete"),
    ("GET", "Groups", true, "scim.groups.read"),
    ("POST", "Groups", false, "scim.groups.create"),
    ("PUT", "Groups", true, "scim.groups.update"),
    ("PATCH", "Groups", true, "scim.groups.update"),
    ("DELETE", "Groups", true, "scim.groups.delete"),
];

// === impl Asked ===

impl Asked {
    /// The call that a request with this verb and path is, if it is one.
    pub(super) fn of(verb: &Method, path: &str) -> Option<Self> {
        let (host, name) = find(verb.as_str(), path)?;
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        Some(Self {
            host,
            name,
            last: last.to_owned(),
            url: (host == Host::Hooks).then(|| url_name(path)),
            arguments: Arguments::default(),
            fault: None,
        })
    }

    /// Whose call it is, where it is not to the Web API.
    pub(super) fn identity(&self) -> Result<Identity, AuthError> {
        match self.host {
            Host::Api | Host::Hooks => Ok(Identity::new("", "")),
            Host::Scim | Host::Audit => Identity::of_token(self.arguments.bearer()),
        }
    }

    /// What an accepted call is answered, where it is not to the Web API.
    pub(super) fn answer(&self) -> Reply {
        match (self.host, &*self.name) {
            (Host::Hooks, "trigger") | (Host::Api, _) => Reply::ok(),
            (Host::Hooks, _) => Reply::text("ok"),
            (Host::Audit, _) => Reply::json(StatusCode::OK, &audit(&self.last)),
            (Host::Scim, name) if name.ends_with(".delete") => Reply::new(StatusCode::NO_CONTENT),
            (Host::Scim, name) if name.ends_with(".create") => {
                Reply::json(StatusCode::CREATED, &self.one("W00000001"))
            }
            (Host::Scim, "scim.read") => Reply::json(StatusCode::OK, &self.list()),
            (Host::Scim, _) => Reply::json(StatusCode::OK, &self.one(&self.last)),
        }
    }

    /// What a call is answered that may not be made.
    pub(super) fn failed(&self, error: &str) -> Reply {
        match self.host {
            Host::Api => Reply::error(error),
            Host::Hooks => {
                let plain = HeaderValue::from_static("text/plain; charset=utf-8");
                Reply { body: error.to_owned().into(), ..Reply::new(StatusCode::NOT_FOUND) }
                    .header(header::CONTENT_TYPE, plain)
            }
            Host::Audit => Reply::failed(StatusCode::UNAUTHORIZED, error),
            Host::Scim => {
                let errors = json!({ "Errors": { "description": error, "code": 401 } });
                Reply::json(StatusCode::UNAUTHORIZED, &errors)
            }
        }
    }

    /// What a refused call is answered.
    pub(super) fn refused(&self, refusal: &LimitHit) -> Reply {
        match (self.host, refusal.retry_after) {
            (Host::Hooks, Some(seconds)) => {
                let seconds = seconds.get();
                // Slack writes the members in this order.
                let body =
                    format!(r#"{{"retry_after":{seconds},"ok":false,"error":"rate_limited"}}"#);
                let json = HeaderValue::from_static("application/json; charset=utf-8");
                Reply { body: body.into(), ..Reply::new(StatusCode::TOO_MANY_REQUESTS) }
                    .header(header::CONTENT_TYPE, json)
                    .header(header::RETRY_AFTER, seconds.into())
            }
            _ => Reply::refused(refusal),
        }
    }

    /// A list of one user or group.
    fn list(&self) -> Value {
        json!({
            "totalResults": 1, "itemsPerPage": 1, "startIndex": 1,
            "schemas": ["urn:scim:schemas:core:1.0"],
            "Resources": [self.one("W00000001")],
        })
    }

    /// A user or group as it was sent, and what Slack adds.
    fn one(&self, id: &str) -> Value {
        let said =
            |name, otherwise: &str| Value::from(self.arguments.get(name).unwrap_or(otherwise));
        json!({
            "schemas": ["urn:scim:schemas:core:1.0"], "id": id, "active": true,
            "userName": said("userName", "somebody"), "displayName": said("displayName", "Somebody"),
        })
    }
}

fn find(verb: &str, path: &str) -> Option<(Host, String)> {
    if let Some(method) = path.strip_prefix("/api/").map(|rest| rest.trim_end_matches('/')) {
        return (!method.is_empty()).then(|| (Host::Api, method.to_owned()));
    }
    for (prefix, name) in HOOKS {
        if path.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()) {
            return Some((Host::Hooks, name.to_owned()));
        }
    }
    if path.starts_with("/audit/v1/") {
        return Some((Host::Audit, "audit".to_owned()));
    }
    let mut parts = path.strip_prefix("/scim/")?.split('/').skip(1).filter(|part| !part.is_empty());
    let (resource, one) = (parts.next().unwrap_or_default(), parts.next().is_some());
    let listed = SCIM.iter().find(|known| (known.0, known.1, known.2) == (verb, resource, one));
    let other = if verb == "GET" { "scim.read" } else { "scim.write" };
    Some((Host::Scim, listed.map_or(other, |known| known.3).to_owned()))
}

fn audit(what: &str) -> Value {
    match what {
        "schemas" => json!({ "schemas": [{ "type": "user", "workspace": {} }] }),
        "actions" => json!({ "actions": { "user": ["user_login", "user_logout"] } }),
        _ => json!({
            "entries": [{
                "id": "0123a45b-6c7d-8900-e12f-3456789gh0i1", "date_create": 1_521_214_343,
                "action": "user_login",
                "actor": { "type": "user", "user": { "id": "W123AB456", "name": "Somebody" } },
                "entity": { "type": "user", "user": { "id": "W123AB456", "name": "Somebody" } },
                "context": { "ua": "", "ip_address": "192.0.2.1" },
            }],
            "response_metadata": { "next_cursor": "" },
        }),
    }
}

#[cfg(test)]
mod tests {
    use slack::{Endpoint, Kind};

    use super::*;

    /// The fake and the proxy read paths by tables of their own, and agree on all that a client
    /// sends.
    #[test]
    fn the_fakes_table_and_the_proxys_agree() {
        for (path, kind) in [
            ("/services/T1/B1/x", Kind::Webhook),
            ("/workflows/T1/A1/1/x", Kind::Trigger),
            ("/triggers/T1/1/x", Kind::Trigger),
            ("/actions/T1/1/x", Kind::ResponseUrl),
            ("/commands/T1/1/x", Kind::ResponseUrl),
            ("/audit/v1/logs", Kind::Audit),
            ("/scim/v1/Users", Kind::Scim),
            ("/scim/v2/Users/W1", Kind::Scim),
            ("/scim/v1/Groups", Kind::Scim),
            ("/scim/v1/Groups/S1", Kind::Scim),
            ("/scim/v1/ServiceProviderConfigs", Kind::Scim),
        ] {
            for verb in [Method::GET, Method::POST, Method::PATCH, Method::PUT, Method::DELETE] {
                let endpoint = Endpoint::of(kind, &verb, path).unwrap().as_str();
                let asked = Asked::of(&verb, path).unwrap();
                // Nobody changes all users at once; which of two limits refuses it is no matter.
                if !(endpoint.contains('.') && asked.name == "scim.write") {
                    assert_eq!(asked.name, endpoint, "{verb} {path}");
                }
            }
        }
        for path in ["/", "/api/", "/services/", "/ledger", "/scim", "/audit/"] {
            assert!(Asked::of(&Method::GET, path).is_none(), "{path}");
        }
    }
}
