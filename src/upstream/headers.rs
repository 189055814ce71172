//! Which headers go on, in either direction.

use http::{HeaderMap, HeaderName, header};

/// Headers that concern one connection only (RFC 9110, 7.6.1), and two that only a proxy sees.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// What our own headers begin with.
const OWN: &str = "slackwater-";

/// Leaves what the upstream is to see: not the connection's headers, not ours, and not the
/// host and length, which the client writes anew.
pub fn forward_request(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    headers.remove(HeaderName::from_static("proxy-connection"));
    headers.remove(header::HOST);
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::EXPECT);
    remove_own(headers);
}

/// Leaves what the caller is to see: nobody but us speaks for us.
pub fn forward_response(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    remove_own(headers);
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

fn remove_own(headers: &mut HeaderMap) {
    let own: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(OWN)).cloned().collect();
    for name in own {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connections_headers_and_ours_stay_here() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-secret-hop"),
            ("x-secret-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("proxy-authorization", "Basic x"),
            ("host", "127.0.0.1:8080"),
            ("content-length", "5"),
            ("slackwater-class", "background"),
            ("slackwater-anything", "x"),
            ("authorization", "Bearer t"),
            ("content-type", "application/json"),
        ] {
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        forward_request(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "content-type"]);
    }
}
