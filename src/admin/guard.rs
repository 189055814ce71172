//! Who may look, and who may change: keeps web pages that a browser shows away from the operators'
//! listener, and asks for the token before a change.
//!
//! A page of somebody else's can make a browser send requests here. By a name of its own that it
//! lets resolve to this address (DNS rebinding) it could even read the answers: so the name in the
//! request has to be one that nobody else can own. And it says in `Origin` whose page it is.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use config::Admin;

use super::answer;

/// Who may look and who may change.
#[derive(Clone, Debug)]
pub struct Guard {
    rules: Arc<Rules>,
}

#[derive(Debug)]
struct Rules {
    admin: Admin,
    /// Whether only this machine reaches the listener.
    is_local: bool,
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum AccessError {
    #[error(
        "the Host of the request is no IP address, not localhost, and not in admin.hosts; call \
         this address by its IP, or add the name there"
    )]
    Host,
    #[error("the request comes from a web page of another origin")]
    Origin,
    #[error("pages are for GET, changes for POST")]
    Verb,
    #[error("a change has the Content-Type application/json")]
    MediaType,
    #[error(
        "a change needs `Authorization: Bearer` with the token of admin.token; the command line \
         takes it from SLACKWATER_ADMIN_TOKEN"
    )]
    Token,
    #[error(
        "changes are refused: the admin listener is reached from other machines and has no token; \
         set admin.token"
    )]
    NoToken,
}

/// For machines that ask by whatever name: they tell nothing that is secret.
const OPEN_TO_ALL: [&str; 3] = ["/metrics", "/healthz", "/readyz"];

// === impl Guard ===

impl Guard {
    /// By the operator's rules, for a listener of which it is known whether only this machine
    /// reaches it.
    pub fn new(admin: &Admin, is_local: bool) -> Self {
        Self { rules: Arc::new(Rules { admin: admin.clone(), is_local }) }
    }
}

/// Lets a request in, or answers why not.
pub(super) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.rules.judge(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

// === impl Rules ===

impl Rules {
    fn judge<B>(&self, request: &axum::http::Request<B>) -> Result<(), AccessError> {
        if OPEN_TO_ALL.contains(&request.uri().path()) {
            return Ok(());
        }
        let headers = request.headers();
        let host = only(headers, &header::HOST).and_then(authority).ok_or(AccessError::Host)?;
        if !self.is_ours(&host) || request.uri().host().is_some_and(|named| named != host.host()) {
            return Err(AccessError::Host);
        }
        if headers.contains_key(header::ORIGIN) {
            let origin = only(headers, &header::ORIGIN).and_then(|origin| origin.split_once("://"));
            let origin =
                origin.and_then(|(_, origin)| authority(origin)).ok_or(AccessError::Origin)?;
            // A page at the address of another machine is somebody else's.
            if origin != host && !self.is_named(origin.host()) {
                return Err(AccessError::Origin);
            }
        }
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return Ok(());
        }
        if *request.method() != Method::POST {
            return Err(AccessError::Verb);
        }
        let media = only(headers, &header::CONTENT_TYPE).unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim();
        if !media.eq_ignore_ascii_case("application/json") {
            return Err(AccessError::MediaType);
        }
        let said = only(headers, &header::AUTHORIZATION).and_then(bearer);
        match &self.admin.token {
            Some(token) if said.is_some_and(|said| token.is(said)) => Ok(()),
            Some(_) => Err(AccessError::Token),
            None if self.is_local => Ok(()),
            None => Err(AccessError::NoToken),
        }
    }

    /// Whether nobody else can own that name.
    fn is_ours(&self, host: &Authority) -> bool {
        let name = host.host();
        let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        name.parse::<Ipv4Addr>().is_ok()
            || literal.is_some_and(|name| name.parse::<Ipv6Addr>().is_ok())
            || name.eq_ignore_ascii_case("localhost")
            || self.is_named(name)
    }

    fn is_named(&self, name: &str) -> bool {
        self.admin.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
    }
}

/// Whether only this machine reaches that address.
pub fn is_local(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// A header that is there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut all = headers.get_all(name).iter();
    let value = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(value)
}

fn authority(text: &str) -> Option<Authority> {
    text.parse().ok().filter(|name: &Authority| !name.as_str().contains('@'))
}

fn bearer(text: &str) -> Option<&str> {
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

// === impl AccessError ===

impl IntoResponse for AccessError {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::Host => (StatusCode::FORBIDDEN, "foreign_host"),
            Self::Origin => (StatusCode::FORBIDDEN, "foreign_origin"),
            Self::Verb => (StatusCode::METHOD_NOT_ALLOWED, "wrong_verb"),
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json"),
            Self::Token => (StatusCode::UNAUTHORIZED, "token_needed"),
            Self::NoToken => (StatusCode::FORBIDDEN, "no_token_configured"),
        };
        let mut refusal = answer::refusal(status, error, &self.to_string());
        if self == Self::Verb {
            // RFC 9110, 15.5.6.
            let allow = HeaderValue::from_static("GET, HEAD, POST");
            refusal.headers_mut().insert(header::ALLOW, allow);
        }
        refusal
    }
}

#[cfg(test)]
mod tests {
    use config::Secret;

    use super::*;

    fn rules(token: Option<&str>, is_local: bool) -> Rules {
        let admin = Admin {
            listen: ([127, 0, 0, 1], 9090).into(),
            token: token.map(Secret::of),
            hosts: vec!["ops.example".into()],
        };
        Rules { admin, is_local }
    }

    fn judge(
        rules: &Rules,
        verb: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<(), AccessError> {
        let mut request = axum::http::Request::builder().method(verb).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        rules.judge(&request.body(()).unwrap())
    }

    /// Red when the Host is not looked at, and when a port or brackets are part of the name.
    #[test]
    fn only_names_that_nobody_else_can_own_are_answered() {
        let rules = rules(None, true);
        for host in
            ["127.0.0.1:9090", "[::1]:9090", "localhost", "LOCALHOST:1", "Ops.Example", "10.1.2.3"]
        {
            assert_eq!(judge(&rules, "GET", "/status", &[("host", host)]), Ok(()), "{host}");
        }
        for host in
            ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "a@127.0.0.1"]
        {
            assert_eq!(
                judge(&rules, "GET", "/status", &[("host", host)]),
                Err(AccessError::Host),
                "{host}"
            );
            assert_eq!(judge(&rules, "GET", "/metrics", &[("host", host)]), Ok(()));
        }
        let both = [("host", "127.0.0.1"), ("host", "evil.example")];
        assert_eq!(judge(&rules, "GET", "/status", &both), Err(AccessError::Host));
        assert_eq!(judge(&rules, "GET", "/status", &[]), Err(AccessError::Host));
    }

    /// Red when every IP address is as good as ours.
    #[test]
    fn a_page_of_another_origin_is_refused() {
        let rules = rules(None, true);
        let from = |origin| {
            judge(&rules, "GET", "/status", &[("host", "127.0.0.1:9090"), ("origin", origin)])
        };
        for origin in ["http://127.0.0.1:9090", "https://ops.example"] {
            assert_eq!(from(origin), Ok(()), "{origin}");
        }
        for origin in
            ["null", "http://evil.example", "http://127.0.0.1:80", "http://10.1.2.3:9090", "x"]
        {
            assert_eq!(from(origin), Err(AccessError::Origin), "{origin}");
        }
    }

    /// Red when what is wrong with such a request is said to be its Content-Type.
    #[test]
    fn a_verb_that_nothing_has_is_the_mistake() {
        let rules = rules(Some("0123456789abcdef"), false);
        for verb in ["DELETE", "PUT", "PATCH", "OPTIONS", "TRACE"] {
            let by = |host| judge(&rules, verb, "/status", &[("host", host)]);
            assert_eq!(by("127.0.0.1"), Err(AccessError::Verb), "{verb}");
            assert_eq!(by("evil.example"), Err(AccessError::Host), "{verb}");
        }
    }

    /// Red when a form may change something, when a token that is set is not asked for, and when
    /// none is needed beyond this machine.
    #[test]
    fn a_change_needs_json_and_the_token() {
        let post = |rules: &Rules, media: &str, token: Option<&str>| {
            let mut headers = vec![("host", "10.1.2.3"), ("content-type", media)];
            headers.extend(token.map(|token| ("authorization", token)));
            judge(rules, "POST", "/pause", &headers)
        };
        let json = "application/json; charset=utf-8";
        assert_eq!(
            post(&rules(None, true), "application/x-www-form-urlencoded", None),
            Err(AccessError::MediaType)
        );
        assert_eq!(post(&rules(None, true), json, None), Ok(()));
        assert_eq!(post(&rules(None, false), json, Some("Bearer x")), Err(AccessError::NoToken));
        let set = rules(Some("0123456789abcdef"), true);
        assert_eq!(post(&set, json, Some("bearer 0123456789abcdef")), Ok(()));
        for wrong in
            [None, Some("Bearer 0123456789abcdeX"), Some("Bearer "), Some("0123456789abcdef")]
        {
            assert_eq!(post(&set, json, wrong), Err(AccessError::Token), "{wrong:?}");
        }
    }
}
