//! Which headers go on, in either direction.

use std::iter;

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// What our own headers begin with.
pub const OWN: &str = "slackwater-";

/// Leaves what the upstream is to see: not the connection's headers, not ours, and not the
/// host and length, which the client writes anew, nor what only its first recipient can act on.
/// No answer is asked for in a coding that cannot be looked into.
pub fn forward_request(headers: &mut HeaderMap) {
    leave_out(headers, |name| {
        matches!(name, "host" | "content-length" | "expect") || concerns_one_connection(name)
    });
    accept_what_is_known(headers);
}

/// Leaves what says who asks, and nothing of what is asked: the body of another request, a condition,
/// a part, or an id.
pub fn about_nothing(headers: &mut HeaderMap) {
    leave_out(headers, |name| {
        name.starts_with("content-")
            || name.starts_with("if-")
            || matches!(name, "range" | "x-request-id")
    });
}

/// Leaves what the caller is to see: nobody but us speaks for us. A length beside a transfer coding
/// says nothing (RFC 9112, 6.3).
pub fn forward_response(headers: &mut HeaderMap) {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    leave_out(headers, concerns_one_connection);
}

/// Leaves the codings that are known of those that the caller takes. It has no say in others,
/// so it still takes whatever comes.
fn accept_what_is_known(headers: &mut HeaderMap) {
    let known = |coding: &&[u8]| {
        let name = coding.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let codings: [&[u8]; 4] = [b"gzip", b"x-gzip", b"deflate", b"identity"];
        codings.iter().any(|it| it.eq_ignore_ascii_case(name))
    };
    let values = headers.get_all(header::ACCEPT_ENCODING);
    let mut values = values.iter().map(|value| value.to_str().unwrap_or_default().as_bytes());
    let Some(first) = values.next() else { return };
    let mut left = Vec::with_capacity(first.len());
    let (mut asked, mut kept) = (0, 0);
    for coding in
        iter::once(first).chain(values).flat_map(|value| value.split(|byte| *byte == b','))
    {
        asked += 1;
        if known(&coding) {
            left.extend_from_slice(if kept > 0 { b", " } else { b"" });
            left.extend_from_slice(coding.trim_ascii());
            kept += 1;
        }
    }
    if kept == asked {
        return;
    }
    if kept == 0 {
        left.extend_from_slice(b"identity");
    }
    if let Ok(left) = HeaderValue::try_from(left) {
        headers.insert(header::ACCEPT_ENCODING, left);
    }
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

    /// Turned red by: a body that is cut at a length that is not its own.
    #[test]
    fn a_chunked_answer_has_no_length() {
        for (coding, left) in [(Some("chunked"), false), (None, true)] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_LENGTH, 3.into());
            if let Some(coding) = coding {
                headers.insert(header::TRANSFER_ENCODING, coding.parse().unwrap());
            }
            forward_response(&mut headers);
            assert_eq!(headers.contains_key(header::CONTENT_LENGTH), left);
        }
    }

    /// Turned red by: a coding that goes on though no look can be taken at what it packs.
    #[test]
    fn no_coding_is_asked_for_that_is_not_known() {
        for (asked, goes_on) in [
            ("gzip, deflate", "gzip, deflate"),
            ("br, gzip, deflate", "gzip, deflate"),
            ("gzip;q=1.0, zstd, identity; q=0.5, *;q=0", "gzip;q=1.0, identity; q=0.5"),
            ("GZIP", "GZIP"),
            ("br", "identity"),
            ("*", "identity"),
            ("", "identity"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, asked.parse().unwrap());
            forward_request(&mut headers);
            assert_eq!(headers[header::ACCEPT_ENCODING], goes_on, "{asked}");
        }
        let mut headers = HeaderMap::new();
        headers.append(header::ACCEPT_ENCODING, "br".parse().unwrap());
        headers.append(header::ACCEPT_ENCODING, "gzip".parse().unwrap());
        forward_request(&mut headers);
        assert_eq!(headers.get_all(header::ACCEPT_ENCODING).iter().collect::<Vec<_>>(), ["gzip"]);
        let mut headers = HeaderMap::new();
        forward_request(&mut headers);
        assert!(headers.is_empty(), "who names none gets none");
    }

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
