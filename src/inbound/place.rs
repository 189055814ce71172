//! What tells that a call which comes is one that was sent away: whose it is, and what it asks for.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use http::{HeaderMap, Method, header};
use scheduler::{CallerId, PlaceId};
use slack::TokenHash;

/// Whose call it is, and what it asks for.
pub(super) struct Asks<'c> {
    pub(super) caller: CallerId,
    pub(super) token: Option<&'c TokenHash>,
    pub(super) verb: &'c Method,
    /// The upstream's.
    pub(super) prefix: &'c str,
    /// The method, or what else its path has after the prefix.
    pub(super) path: &'c str,
    pub(super) query: Option<&'c str>,
    pub(super) headers: &'c HeaderMap,
    pub(super) body: &'c [u8],
}

/// So much of a body tells one call from another.
const TELLING: usize = 4096;

// === impl Asks ===

impl Asks<'_> {
    /// The place. Of two long bodies the beginning tells; what a client writes anew each time it sends
    /// does not.
    pub(super) fn place(&self, hasher: &RandomState) -> PlaceId {
        let Self { caller, token, verb, prefix, path, query, headers, body } = self;
        let mut hash = hasher.build_hasher();
        (caller, token, verb, prefix, path, body.len()).hash(&mut hash);
        for argument in query.unwrap_or_default().split('&').filter(|it| !is_of_a_browser(it)) {
            argument.hash(&mut hash);
        }
        let beginning = &body[..body.len().min(TELLING)];
        match boundary(headers) {
            Some(boundary) => hash_without(beginning, boundary.as_bytes(), &mut hash),
            None => beginning.hash(&mut hash),
        }
        PlaceId::of(hash.finish())
    }
}

/// Whether an argument is one that Slack's own pages add to every URL: ids and times of the request
/// (`_x_id`, `_x_version_ts`), and by what way it goes (`slack_route`).
fn is_of_a_browser(argument: &str) -> bool {
    argument.starts_with("_x_") || argument.starts_with("slack_route=")
}

/// What stands between the fields of a form, and is another each time.
fn boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    // Hardly any call has one.
    kind.get(..10).filter(|start| start.eq_ignore_ascii_case("multipart/"))?;
    multer::parse_boundary(kind).ok().filter(|boundary| !boundary.is_empty())
}

/// What is between the boundaries.
fn hash_without(mut body: &[u8], boundary: &[u8], hash: &mut impl Hasher) {
    while let Some(at) = body.windows(boundary.len()).position(|bytes| bytes == boundary) {
        body[..at].hash(hash);
        body = &body[at + boundary.len()..];
    }
    body.hash(hash);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(boundary: &str, text: &str) -> (String, String) {
        let field = |name: &str, value: &str| {
            format!(
                "--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
        };
        let body = format!("{}{}--{boundary}--\r\n", field("channel", "C1"), field("text", text));
        (format!("multipart/form-data; boundary={boundary}"), body)
    }

    /// Turned red by: the query as it came; the body as it came; either of them left out.
    #[test]
    fn what_a_client_writes_anew_tells_nothing() {
        let hasher = RandomState::new();
        let place = |query: Option<&str>, kind: &str, body: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
            let (verb, caller) = (&Method::POST, CallerId(1));
            let (prefix, path) = ("/api/", "chat.postMessage");
            let (headers, body) = (&headers, body.as_bytes());
            Asks { caller, token: None, verb, prefix, path, query, headers, body }.place(&hasher)
        };
        let json = "application/json";
        let one = place(Some("_x_id=a-1&slack_route=T1&channel=C1&_x_gantry=true"), json, "{}");
        assert_eq!(
            one,
            place(Some("_x_id=b-22&slack_route=T1&channel=C1&_x_gantry=true"), json, "{}")
        );
        assert_eq!(one, place(Some("channel=C1"), json, "{}"));
        assert_ne!(one, place(Some("channel=C2"), json, "{}"));
        assert_ne!(one, place(Some("channel=C1"), json, "{1"));
        assert_ne!(one, place(Some("channel=C1&x=_x_id"), json, "{}"));
        let multipart = |boundary: &str, text: &str| {
            let (kind, body) = form(boundary, text);
            place(None, &kind, &body)
        };
        assert_eq!(multipart("----b1", "hello"), multipart("----c2", "hello"));
        assert_ne!(multipart("----b1", "hello"), multipart("----b1", "hallo"));
        // What a form says it is and is not.
        let lies = |body: &str| place(None, "multipart/form-data", body);
        assert_ne!(lies("a"), lies("b"));
        let lies = |body: &str| place(None, "multipart/form-data; boundary=x", body);
        assert_ne!(lies("a"), lies("b"));
    }
}
