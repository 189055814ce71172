//! Which headers go on, in either direction.

use http::{HeaderMap, HeaderName, header};

/// What our own headers begin with.
pub const OWN: &str = "slackwater-";

/// Leaves what the upstream is to see: not the connection's headers, not ours, and not the
/// host and length, which the client writes anew, nor what only its first recipient can act on.
pub fn forward_request(headers: &mut HeaderMap) {
    leave_out(headers, |name| {
        concerns_one_connection(name) || matches!(name, "host" | "content-length" | "expect")
    });
}

/// Leaves what the caller is to see: nobody but us speaks for us.
pub fn forward_response(headers: &mut HeaderMap) {
    leave_out(headers, concerns_one_connection);
}

/// Headers that concern one connection only (RFC 9110, 7.6.1), and three that only a proxy sees.
fn concerns_one_connection(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    ) || name.starts_with(OWN)
}

/// Removes what stays here, and what `Connection` names. Looks at every header there is instead
/// of for every header there could be, which are more.
fn leave_out(headers: &mut HeaderMap, stays_here: impl Fn(&str) -> bool) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        // What nearly every request says, and no header's name.
        .filter(|named| !named.eq_ignore_ascii_case("keep-alive"))
        .filter_map(|named| named.parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    let leaving: Vec<HeaderName> =
        headers.keys().filter(|name| stays_here(name.as_str())).cloned().collect();
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
