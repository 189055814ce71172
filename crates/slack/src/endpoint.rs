//! What is called beside the Web API, and under which entry of the catalogue: an entry stands
//! for all calls that Slack counts alike.

use http::Method as Verb;

use super::Kind;

/// An entry of the catalogue that is no method of the Web API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// An incoming webhook.
    Webhook,
    /// A `response_url`.
    ResponseUrl,
    /// A trigger of a workflow.
    Trigger,
    /// What the SCIM API is asked, but for one user or group: lists, schemas.
    ScimRead,
    /// What the SCIM API is told, but of one user or group.
    ScimWrite,
    /// A call about one user or group of the SCIM API.
    Scim(Resource, Action),
    /// A read of the Audit Logs API, which has nothing else.
    Audit,
}

/// What the SCIM API keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// `/Users`.
    Users,
    /// `/Groups`.
    Groups,
}

/// What a call wants of one user or group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// GET of one.
    Read,
    /// POST.
    Create,
    /// PUT or PATCH of one.
    Update,
    /// DELETE of one.
    Delete,
}

// === impl Endpoint ===

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Webhook,
        Self::ResponseUrl,
        Self::Trigger,
        Self::ScimRead,
        Self::ScimWrite,
        Self::Scim(Resource::Users, Action::Read),
        Self::Scim(Resource::Users, Action::Create),
        Self::Scim(Resource::Users, Action::Update),
        Self::Scim(Resource::Users, Action::Delete),
        Self::Scim(Resource::Groups, Action::Read),
        Self::Scim(Resource::Groups, Action::Create),
        Self::Scim(Resource::Groups, Action::Update),
        Self::Scim(Resource::Groups, Action::Delete),
        Self::Audit,
    ];

    /// What a call to an upstream of this kind counts as; nothing where it is a method of the
    /// Web API, not limited, or no call. `path` is that of the whole URL.
    pub fn of(kind: Kind, verb: &Verb, path: &str) -> Option<Self> {
        match kind {
            _ if !is_call(verb) => None,
            Kind::WebApi | Kind::Plain => None,
            Kind::Webhook => Some(Self::Webhook),
            Kind::ResponseUrl => Some(Self::ResponseUrl),
            Kind::Trigger => Some(Self::Trigger),
            Kind::Scim => Some(Self::of_scim(verb, path)),
            Kind::Audit => Some(Self::Audit),
        }
    }

    /// <https://docs.slack.dev/reference/scim-api/rate-limits>: the endpoints that it lists count
    /// apart, for all versions of the API together.
    fn of_scim(verb: &Verb, path: &str) -> Self {
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        let resource = segments.find_map(|segment| match segment {
            _ if segment.eq_ignore_ascii_case("users") => Some(Resource::Users),
            _ if segment.eq_ignore_ascii_case("groups") => Some(Resource::Groups),
            _ => None,
        });
        let names_one = segments.next().is_some();
        let reads = is_read(verb);
        match (resource, verb.as_str()) {
            (Some(resource), _) if reads && names_one => Self::Scim(resource, Action::Read),
            (Some(resource), "POST") if !names_one => Self::Scim(resource, Action::Create),
            (Some(resource), "PUT" | "PATCH") => Self::Scim(resource, Action::Update),
            (Some(resource), "DELETE") => Self::Scim(resource, Action::Delete),
            _ if reads => Self::ScimRead,
            _ => Self::ScimWrite,
        }
    }

    /// The entry of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.as_str() == name)
    }

    /// The name in configuration, metrics and status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::ResponseUrl => "response_url",
            Self::Trigger => "trigger",
            Self::ScimRead => "scim.read",
            Self::ScimWrite => "scim.write",
            Self::Scim(Resource::Users, Action::Read) => "scim.users.read",
            Self::Scim(Resource::Users, Action::Create) => "scim.users.create",
            Self::Scim(Resource::Users, Action::Update) => "scim.users.update",
            Self::Scim(Resource::Users, Action::Delete) => "scim.users.delete",
            Self::Scim(Resource::Groups, Action::Read) => "scim.groups.read",
            Self::Scim(Resource::Groups, Action::Create) => "scim.groups.create",
            Self::Scim(Resource::Groups, Action::Update) => "scim.groups.update",
            Self::Scim(Resource::Groups, Action::Delete) => "scim.groups.delete",
            Self::Audit => "audit",
        }
    }

    /// To what kind of upstream calls of it go.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Webhook => Kind::Webhook,
            Self::ResponseUrl => Kind::ResponseUrl,
            Self::Trigger => Kind::Trigger,
            Self::ScimRead | Self::ScimWrite | Self::Scim(..) => Kind::Scim,
            Self::Audit => Kind::Audit,
        }
    }
}

/// Whether a request with that verb calls something. OPTIONS asks how one may call (RFC 9110, 9.3.7): a
/// browser does before it calls, without the token and the arguments
/// (<https://fetch.spec.whatwg.org/#cors-preflight-fetch>), and counts as none. Every other verb counts,
/// since Slack's Web API takes any for any method.
pub fn is_call(verb: &Verb) -> bool {
    *verb != Verb::OPTIONS
}

/// Whether a call with that verb changes nothing.
pub(super) fn is_read(verb: &Verb) -> bool {
    matches!(*verb, Verb::GET | Verb::HEAD)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scim(verb: &str, path: &str) -> &'static str {
        let verb = verb.parse().unwrap();
        Endpoint::of(Kind::Scim, &verb, path).map_or("", Endpoint::as_str)
    }

    /// The table of Slack's page, and what it does not list.
    #[test]
    fn scim_calls_count_as_slack_lists_them() {
        for (verb, path, name) in [
            ("GET", "/scim/v1/Users/U1", "scim.users.read"),
            ("POST", "/scim/v2/Users", "scim.users.create"),
            ("PUT", "/scim/v1/Users/U1", "scim.users.update"),
            ("PATCH", "/scim/v2/Users/U1", "scim.users.update"),
            ("DELETE", "/scim/v1/Users/U1", "scim.users.delete"),
            ("GET", "/scim/v1/Groups/S1", "scim.groups.read"),
            ("POST", "/scim/v1/Groups/", "scim.groups.create"),
            ("PUT", "/scim/v1/Groups/S1", "scim.groups.update"),
            ("PATCH", "/scim/v1/groups/S1", "scim.groups.update"),
            ("DELETE", "/scim/v1/Groups/S1", "scim.groups.delete"),
            ("GET", "/scim/v1/Users", "scim.read"),
            ("GET", "/scim/v1/Users/", "scim.read"),
            ("HEAD", "/scim/v1/Groups", "scim.read"),
            ("GET", "/scim/v1/ServiceProviderConfigs", "scim.read"),
            ("POST", "/scim/v2/Bulk", "scim.write"),
            ("POST", "/scim/v2/Users/U1", "scim.write"),
            ("BREW", "/scim/v2/Users/U1", "scim.write"),
            ("GET", "/", "scim.read"),
        ] {
            assert_eq!(scim(verb, path), name, "{verb} {path}");
        }
    }

    proptest! {
        /// Whatever is asked of SCIM by a call counts, as a read exactly if it is one, in each version of
        /// the API and under any prefix alike.
        #[test]
        fn every_scim_call_is_counted(
            verb in "GET|HEAD|POST|PUT|PATCH|DELETE|TRACE|[A-Z]{1,6}",
            rest in "(/(Users|Groups|[A-Za-z0-9%._-]{0,9})){0,4}/?",
        ) {
            let name = scim(&verb, &format!("/scim/v1{rest}"));
            prop_assert_eq!(name, scim(&verb, &format!("/scim/v2{rest}")));
            prop_assert_eq!(name, scim(&verb, &format!("/elsewhere{rest}//")));
            prop_assert_eq!(name.ends_with("read"), verb == "GET" || verb == "HEAD");
        }
    }

    #[test]
    fn every_entry_has_a_name_of_its_own_and_its_kind() {
        for endpoint in Endpoint::ALL {
            assert_eq!(Endpoint::named(endpoint.as_str()), Some(endpoint));
            let (verb, path) = (Verb::GET, "/x");
            assert!(Endpoint::of(endpoint.kind(), &verb, path).is_some(), "{endpoint:?}");
        }
        assert_eq!(Endpoint::named("auth.test"), None);
        for kind in [Kind::WebApi, Kind::Plain] {
            assert_eq!(Endpoint::of(kind, &Verb::GET, "/scim/v1/Users"), None);
        }
        for kind in Kind::ALL {
            assert_eq!(Endpoint::of(kind, &Verb::OPTIONS, "/scim/v1/Users"), None);
        }
    }
}
