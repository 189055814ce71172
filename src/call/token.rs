//! Where a request has its token, and the cookie without which some tokens are none.

use http::{HeaderMap, header};

/// The token of an `Authorization: Bearer` header.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case("bearer ") && !token.is_empty()).then_some(token)
}

/// Whether a request has the cookie `d` of a session with Slack, of whatever value.
pub fn has_cookie(headers: &HeaderMap) -> bool {
    // HTTP/2 may have each in a header of its own.
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = values.flat_map(|value| value.split(';'));
    cookies.any(|cookie| cookie.trim().strip_prefix("d=").is_some_and(|value| !value.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_a_cookie_of_that_name() {
        for (values, has) in [
            (&["d=xoxd-1"] as &[&str], true),
            (&["b=1; d=xoxd-1; d-s=2"], true),
            (&["b=1", "d=xoxd-1"], true),
            (&["d="], false),
            (&["d"], false),
            (&["d-s=1; xd=xoxd-1"], false),
            (&["x=d=xoxd-1"], false),
            (&[""], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::COOKIE, value.parse().unwrap());
            }
            assert_eq!(has_cookie(&headers), has, "{values:?}");
        }
    }

    #[test]
    fn only_a_bearer_header_has_a_token() {
        let mut headers = HeaderMap::new();
        for (value, token) in [
            ("Bearer xoxb-1", Some("xoxb-1")),
            ("bearer  xoxb-1 ", Some("xoxb-1")),
            ("Basic eDp5", None),
            ("Bearer ", None),
        ] {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            assert_eq!(bearer(&headers), token, "{value}");
        }
    }
}
