//! Where a request goes: its path names one of the configured upstreams, or nothing.
//!
//! A request reaches a configured host or none: what goes out is built from the configured
//! URL and the rest of the path, and every form of request that could name another host, or
//! climb out of the configured path, is refused.

use std::{net::IpAddr, sync::Arc};

use config::{CallerName, Config, Kind, Upstream};
use http::{HeaderMap, Method, Request, Uri, Version, header, uri::PathAndQuery};
use tower::Layer;

use crate::{
    call::record::Record,
    inbound::{
        lane::{Lane, LaneError},
        path,
    },
    step::Step,
};

/// A request and where it goes. It cannot be printed: its path may be a webhook's secret.
pub struct Routed<B> {
    /// The request as it came.
    pub request: Request<B>,
    /// Which upstream its path names.
    pub upstream: Arc<Upstream>,
    /// The whole URL there.
    pub url: Uri,
    /// What the path and the headers say about the caller.
    pub lane: Lane,
    /// How its caller is called, where it has proved that.
    pub proved: Option<CallerName>,
    /// What is told of it in the end.
    pub record: Arc<Record>,
}

/// A request that has just come in. It cannot be printed: its path may be a webhook's secret.
pub struct Arriving<B> {
    /// The request as it came.
    pub request: Request<B>,
    /// How its caller is called, where it has proved that.
    pub proved: Option<CallerName>,
    /// What is told of it in the end.
    pub record: Arc<Record>,
}

/// A request that goes nowhere.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RouteError {
    /// No configured prefix matches.
    #[error("no upstream for this path; calls go to {prefixes}")]
    UnknownPath {
        /// What is configured.
        prefixes: String,
    },
    /// The path is that of a method, without what stands before it.
    #[error(
        "the base URL of the Slack client has to end with {prefix}, as in \
         http://HOST:PORT{prefix}: no upstream for this path; calls go to {prefixes}"
    )]
    NoPrefix {
        /// Where methods are called.
        prefix: Arc<str>,
        /// What is configured.
        prefixes: String,
    },
    /// CONNECT and the like.
    #[error("this is not a forward proxy: set the base URL of the Slack client, not HTTP_PROXY")]
    ForwardProxy,
    /// `.` or `..` in the path, in any disguise, an encoded slash, or what is no escape.
    #[error(
        "the path has a dot segment, an encoded slash, a backslash, a control character or a \
         broken escape"
    )]
    UnsafePath,
    /// No Host, or more than one (RFC 9112, 3.2).
    #[error("a request of HTTP/1.1 has one Host header, no more and no less")]
    Host,
    /// A path that makes no URL.
    #[error("the path and the upstream's URL make no valid URL")]
    InvalidUrl,
    /// Something is said about the caller that may not be.
    #[error(transparent)]
    Lane(#[from] LaneError),
}

/// Finds the upstream by the path's prefix.
#[derive(Clone, Debug)]
pub struct RouteLayer {
    ways: Ways,
}

/// Finds the upstream by the path's prefix.
#[derive(Debug)]
pub struct Route<S> {
    inner: S,
    ways: Ways,
}

/// Where requests can go.
#[derive(Clone, Debug)]
struct Ways {
    upstreams: Arc<[Arc<Upstream>]>,
    /// Knows methods.
    config: Arc<Config>,
}

// === impl RouteLayer ===

impl RouteLayer {
    /// Routes to the configured upstreams; the first that matches counts.
    pub fn new(config: &Arc<Config>) -> Self {
        let upstreams = config.upstreams.iter().cloned().map(Arc::new).collect();
        Self { ways: Ways { upstreams, config: Arc::clone(config) } }
    }
}

impl<S> Layer<S> for RouteLayer {
    type Service = Route<S>;

    fn layer(&self, inner: S) -> Route<S> {
        Route { inner, ways: self.ways.clone() }
    }
}

// === impl Route ===

impl<S, B> Step<Arriving<B>> for Route<S>
where
    S: Step<Routed<B>>,
    S::Error: From<RouteError>,
    B: Send,
{
    type Response = S::Response;
    type Error = S::Error;

    async fn call(
        &self,
        Arriving { request, proved, record }: Arriving<B>,
    ) -> Result<S::Response, S::Error> {
        let (verb, uri) = (request.method(), request.uri());
        let (upstream, url, lane) =
            self.ways.of(verb, request.version(), uri, request.headers())?;
        self.inner.call(Routed { request, upstream, url, lane, proved, record }).await
    }
}

// === impl Ways ===

impl Ways {
    fn of(
        &self,
        verb: &Method,
        version: Version,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(Arc<Upstream>, Uri, Lane), RouteError> {
        if verb == Method::CONNECT {
            return Err(RouteError::ForwardProxy);
        }
        if version == Version::HTTP_11 && headers.get_all(header::HOST).iter().count() != 1 {
            return Err(RouteError::Host);
        }
        // HTTP/2 always names the authority. In HTTP/1 a whole URL is what a client sends to a
        // forward proxy; only one that can mean nothing but this machine is let through.
        if let Some(host) = uri.host()
            && version < Version::HTTP_2
            && !is_this_machine(host)
        {
            return Err(RouteError::ForwardProxy);
        }
        if path::is_unsafe(uri.path()) {
            return Err(RouteError::UnsafePath);
        }
        let normal = path::normal(uri.path());
        let (lane, path) = Lane::split(&normal)?;
        let lane = lane.with_headers(headers)?;
        let found = self
            .upstreams
            .iter()
            .find_map(|upstream| Some((upstream, path.strip_prefix(&*upstream.prefix)?)));
        let Some((upstream, rest)) = found else { return Err(self.nowhere(path)) };
        let rest = match upstream.kind {
            // Nobody knows what its paths mean.
            Kind::Plain => path::as_sent(uri.path(), &upstream.prefix).unwrap_or(rest),
            Kind::WebApi => rest.trim_end_matches('/'),
            _ => rest,
        };
        let url = target(&upstream.url, rest, uri.query()).ok_or(RouteError::InvalidUrl)?;
        Ok((Arc::clone(upstream), url, lane))
    }

    /// What is wrong with a path that no prefix matches.
    fn nowhere(&self, path: &str) -> RouteError {
        let prefixes: Vec<_> = self.upstreams.iter().map(|upstream| &*upstream.prefix).collect();
        let prefixes = prefixes.join(", ");
        let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        // A base URL without its last slash leaves the two in one.
        let names = [name, name.strip_prefix("api").unwrap_or_default()];
        let is_method = names.iter().any(|name| self.config.catalogue.get(name).is_some());
        let api = self.upstreams.iter().find(|upstream| upstream.kind == Kind::WebApi);
        match api.filter(|_| is_method && name.contains('.')) {
            Some(api) => RouteError::NoPrefix { prefix: Arc::clone(&api.prefix), prefixes },
            None => RouteError::UnknownPath { prefixes },
        }
    }
}

/// What the path of a request had after the prefix, without the query: what its URL has after
/// the upstream's.
pub fn rest<'u>(url: &'u Uri, upstream: &Upstream) -> &'u str {
    url.path().get(upstream.url.path().len()..).unwrap_or_default()
}

fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The URL at an upstream.
pub(super) fn target(base: &Uri, rest: &str, query: Option<&str>) -> Option<Uri> {
    let base_path = base.path();
    let mut path = String::with_capacity(
        base_path.len() + rest.len() + query.map_or(0, |query| query.len() + 1),
    );
    path.push_str(base_path);
    path.push_str(rest);
    if let Some(query) = query {
        path.push('?');
        path.push_str(query);
    }
    let mut parts = http::uri::Parts::default();
    parts.scheme = base.scheme().cloned();
    parts.authority = base.authority().cloned();
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn routed(verb: &Method, uri: &str) -> Result<(String, String), RouteError> {
        by("", verb, uri)
    }

    fn by(file: &str, verb: &Method, uri: &str) -> Result<(String, String), RouteError> {
        let ways = RouteLayer::new(&Arc::new(config::check(file, "test", |_| None).unwrap())).ways;
        let uri: Uri = uri.parse().unwrap();
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("proxy"))]);
        ways.of(verb, Version::HTTP_11, &uri, &headers)
            .map(|(upstream, url, _)| (url.to_string(), rest(&url, &upstream).to_owned()))
    }

    #[test]
    fn the_prefix_is_replaced_and_the_query_kept() {
        let (url, rest) = routed(&Method::GET, "/@job/api/users.info?user=U1").unwrap();
        assert_eq!(url, "https://slack.com/api/users.info?user=U1");
        assert_eq!(rest, "users.info");
        assert!(routed(&Method::GET, "http://127.0.0.1:8080/api/auth.test").is_ok());
    }

    #[test]
    fn nothing_reaches_a_host_that_is_not_configured() {
        for uri in ["http://slack.com/api/auth.test", "http://10.0.0.1/api/auth.test"] {
            assert_eq!(routed(&Method::GET, uri), Err(RouteError::ForwardProxy), "{uri}");
        }
        let connect = routed(&Method::CONNECT, "slack.com:443");
        assert_eq!(connect, Err(RouteError::ForwardProxy));
        for uri in [
            "/api/../admin",
            "/api/%2e%2E/admin",
            "/api/.%2e/x",
            "/api/..;x/y",
            "/api/a%2fb",
            "/api/a%5cb",
            "/api/a%00",
            "/api/%252e%252e/x",
            "/api/a%",
        ] {
            assert_eq!(routed(&Method::GET, uri), Err(RouteError::UnsafePath), "{uri}");
        }
    }

    /// Turned red by: a prefix that is looked for in the path as it came.
    #[test]
    fn slashes_too_many_change_nothing() {
        for (path, url) in [
            ("/api//auth.test", "https://slack.com/api/auth.test"),
            ("//api/auth.test", "https://slack.com/api/auth.test"),
            ("///api///auth.test///?a=//b", "https://slack.com/api/auth.test?a=//b"),
            ("/%61pi/auth%2etest", "https://slack.com/api/auth.test"),
            ("//@job//api//auth.test/", "https://slack.com/api/auth.test"),
            ("/%40job//api/auth.test", "https://slack.com/api/auth.test"),
            ("//services//T1/B1/x", "https://hooks.slack.com/services/T1/B1/x"),
            // What a slash at the end of other paths means, their server says.
            ("/services/T1/B1/x/", "https://hooks.slack.com/services/T1/B1/x/"),
            ("/scim/v1/Users//U1", "https://api.slack.com/scim/v1/Users/U1"),
        ] {
            assert_eq!(routed(&Method::GET, path).unwrap().0, url, "{path}");
        }
    }

    /// Turned red by: the first prefix that matches what was sent, which would be the last of these.
    #[test]
    fn a_plain_path_goes_on_as_it_came_and_is_no_way_around_a_limit() {
        let file = "upstreams:
          - { prefix: /api/, url: 'https://slack.com/api/', kind: web_api }
          - { prefix: /, url: 'https://slack.com/', kind: plain }";
        for (path, url) in [
            ("//files//a%2Db//", "https://slack.com//files//a%2Db//"),
            ("/@job/files//%7ea/", "https://slack.com/files//%7ea/"),
            ("//@job//files", "https://slack.com//files"),
            ("//api//auth.test", "https://slack.com/api/auth.test"),
            ("/%61pi/auth.test", "https://slack.com/api/auth.test"),
        ] {
            assert_eq!(by(file, &Method::GET, path).unwrap().0, url, "{path}");
        }
    }

    #[test]
    fn a_method_without_its_prefix_is_told_from_any_other_path() {
        for path in [
            "/chat.postMessage",
            "/apichat.postMessage",
            "/@job/chat.postMessage/",
            "/slack/chat.postMessage",
            "//chat.postMessage",
        ] {
            let error = routed(&Method::POST, path).unwrap_err();
            assert!(matches!(error, RouteError::NoPrefix { .. }), "{path}: {error}");
            assert!(error.to_string().contains("http://HOST:PORT/api/"), "{error}");
        }
        for path in
            ["/favicon.ico", "/", "/api", "/@job/api", "/@job", "/webhook", "/x.y", "/apiaudit"]
        {
            let error = routed(&Method::POST, path).unwrap_err();
            assert!(matches!(error, RouteError::UnknownPath { .. }), "{path}: {error}");
        }
        let file = "upstreams: [{ prefix: /slack/, url: 'https://slack.com/api/', kind: web_api }]";
        let error = by(file, &Method::POST, "/api/chat.postMessage").unwrap_err().to_string();
        assert!(error.contains("http://HOST:PORT/slack/"), "{error}");
        let file = "upstreams: [{ prefix: /s/, url: 'https://hooks.slack.com/', kind: webhook }]";
        let error = by(file, &Method::POST, "/api/chat.postMessage").unwrap_err();
        assert!(matches!(error, RouteError::UnknownPath { .. }), "{error}");
    }

    #[test]
    fn an_unknown_path_names_the_prefixes() {
        let error = routed(&Method::GET, "/apis/auth.test").unwrap_err().to_string();
        assert!(error.contains("/api/"), "{error}");
    }
}
