//! Which headers go on, in either direction.

use http::{HeaderMap, HeaderName, header};

/// Headers that concern one connection only (RFC 9110, 7.6.1), and three that only a proxy sees.
static HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// What our client writes anew, and what only its first recipient can act on.
static REQUESTS: [HeaderName; 3] = [header::HOST, header::CONTENT_LENGTH, header::EXPECT];

/// What our own headers begin with.
const OWN: &str = "slackwater-";

/// Leaves what the upstream is to see: not the connection's headers, not ours, and not the
/// host and length, which the client writes anew.
pub fn forward_request(headers: &mut HeaderMap) {
    leave_out(headers, &REQUESTS);
}

/// Leaves what the caller is to see: nobody but us speaks for us.
pub fn forward_response(headers: &mut HeaderMap) {
    leave_out(headers, &[]);
}

/// Removes what stays here, and `more`. Looks at every header there is instead of for every
/// header there could be, which are more.
fn leave_out(headers: &mut HeaderMap, more: &[HeaderName]) {
    let named: Vec<&str> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .collect();
    let stays_here = |name: &&HeaderName| {
        let text = name.as_str();
        HOP_BY_HOP.contains(name)
            || more.contains(name)
            || text.starts_with(OWN)
            || named.iter().any(|named| named.eq_ignore_ascii_case(text))
    };
    let leaving: Vec<HeaderName> = headers.keys().filter(stays_here).cloned().collect();
    for name in leaving {
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
