//! Where a request goes: its path names one of the configured upstreams, or nothing.
//!
//! A request reaches a configured host or none: what goes out is built from the configured
//! URL and the rest of the path, and every form of request that could name another host, or
//! climb out of the configured path, is refused.

use std::{net::IpAddr, sync::Arc};

use config::{CallerName, Upstream};
use http::{HeaderMap, Method, Request, Uri, Version, header, uri::PathAndQuery};
use tower::Layer;

use crate::{
    call::record::Record,
    inbound::lane::{Lane, LaneError},
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
    /// CONNECT and the like.
    #[error("this is not a forward proxy: set the base URL of the Slack client, not HTTP_PROXY")]
    ForwardProxy,
    /// `.` or `..` in the path, in any disguise, or an encoded slash.
    #[error("the path has a dot segment, an encoded slash, a backslash or a control character")]
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
    upstreams: Arc<[Arc<Upstream>]>,
}

/// Finds the upstream by the path's prefix.
#[derive(Debug)]
pub struct Route<S> {
    inner: S,
    upstreams: Arc<[Arc<Upstream>]>,
}

// === impl RouteLayer ===

impl RouteLayer {
    /// Routes to these; the first that matches counts.
    pub fn new(upstreams: &[Upstream]) -> Self {
        Self { upstreams: upstreams.iter().cloned().map(Arc::new).collect() }
    }
}

impl<S> Layer<S> for RouteLayer {
    type Service = Route<S>;

    fn layer(&self, inner: S) -> Route<S> {
        Route { inner, upstreams: Arc::clone(&self.upstreams) }
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
            route(&self.upstreams, verb, request.version(), uri, request.headers())?;
        self.inner.call(Routed { request, upstream, url, lane, proved, record }).await
    }
}

fn route(
    upstreams: &[Arc<Upstream>],
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
    let path = uri.path();
    if is_unsafe(path) {
        return Err(RouteError::UnsafePath);
    }
    let (lane, path) = Lane::split(path)?;
    let lane = lane.with_headers(headers)?;
    let found = upstreams
        .iter()
        .find_map(|upstream| path.strip_prefix(&*upstream.prefix).map(|rest| (upstream, rest)));
    let Some((upstream, rest)) = found else {
        let prefixes: Vec<_> = upstreams.iter().map(|upstream| &*upstream.prefix).collect();
        return Err(RouteError::UnknownPath { prefixes: prefixes.join(", ") });
    };
    let url = target(&upstream.url, rest, uri.query()).ok_or(RouteError::InvalidUrl)?;
    Ok((Arc::clone(upstream), url, lane))
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

/// Whether a path could mean another place to whoever reads it next.
fn is_unsafe(path: &str) -> bool {
    let encoded = |pair: &[u8]| -> bool {
        // Slash, backslash, NUL and the other control characters, and the percent sign
        // itself, which would make a second decoding find something else.
        matches!(
            pair,
            [b'2', b'f' | b'F' | b'5']
                | [b'5', b'c' | b'C']
                | [b'0' | b'1', _]
                | [b'7', b'f' | b'F']
        )
    };
    let bytes = path.as_bytes();
    let disguised = bytes.iter().enumerate().any(|(at, byte)| match byte {
        b'%' => bytes.get(at + 1..at + 3).is_none_or(encoded),
        b'\\' | 0..=0x1f | 0x7f => true,
        _ => false,
    });
    let dots = |segment: &str| {
        // Nearly every segment shows it by its first byte.
        if !segment.starts_with(['.', '%']) {
            return false;
        }
        let plain = segment.replace("%2e", ".").replace("%2E", ".");
        // A segment's parameters do not hide its dots.
        let plain = plain.split(';').next().unwrap_or_default();
        plain == "." || plain == ".."
    };
    disguised || path.split('/').any(dots)
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
    use config::Kind;
    use http::HeaderValue;

    use super::*;

    fn routed(verb: &Method, uri: &str) -> Result<(String, String), RouteError> {
        let upstreams = [Arc::new(Upstream {
            prefix: "/api/".into(),
            url: "https://slack.com/api/".parse().unwrap(),
            kind: Kind::WebApi,
        })];
        let uri: Uri = uri.parse().unwrap();
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("proxy"))]);
        route(&upstreams, verb, Version::HTTP_11, &uri, &headers)
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

    #[test]
    fn an_unknown_path_names_the_prefixes() {
        let error = routed(&Method::GET, "/apis/auth.test").unwrap_err().to_string();
        assert!(error.contains("/api/"), "{error}");
    }
}
