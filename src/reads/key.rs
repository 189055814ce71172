//! When two reads are equal.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use http::{HeaderMap, Method, header};
use slack::Kind;

use crate::{
    call::{Call, body::Body},
    inbound::arguments::{self, AllArguments},
};

/// What equal reads have in common, as a hash: the token, with all else that says who asks, and what is
/// asked. Nobody finds another text with the same hash, so nobody gets another one's answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ReadKey([u8; 32]);

/// Headers that say nothing of what is asked, or say it in another form. All others matter, that with the
/// token among them.
const IRRELEVANT: &[&str] = &[
    "user-agent",
    // Which form the arguments are in. They are compared as what they say.
    "content-type",
    // It says what may answer, and nothing to Slack.
    "cache-control",
    "pragma",
    "x-request-id",
    "traceparent",
    "tracestate",
    "baggage",
    "x-b3-traceid",
];

// === impl ReadKey ===

impl ReadKey {
    /// That of a call, and its arguments; none if it is not certain what it asks, or it may do something.
    pub(super) async fn of(call: &Call) -> Option<(Self, AllArguments)> {
        let method = call.method.as_ref().filter(|method| method.reads)?;
        let Body::Whole(body, _) = &call.body else { return None };
        let head = &call.head;
        let is_read = call.upstream.kind == Kind::WebApi
            && (head.verb == Method::GET || head.verb == Method::POST)
            && !head.headers.contains_key(header::CONTENT_ENCODING);
        if !is_read {
            return None;
        }
        let arguments = arguments::all(head.url.query(), &head.headers, body).await?;
        let mut text = Text::new();
        text.add(call.upstream.prefix.as_bytes());
        text.add(method.name.as_bytes());
        text.add_headers(&head.headers);
        for (name, value) in arguments.iter() {
            text.add(name.as_bytes());
            // What is null is nothing that a text could be.
            text.add(if value.is_some() { b"=" } else { b"" });
            text.add(value.unwrap_or_default().as_bytes());
        }
        Some((text.key(), arguments))
    }
}

/// Never the bytes: they are as good as a question whether somebody has asked that.
impl fmt::Debug for ReadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadKey").finish_non_exhaustive()
    }
}

/// A text that is hashed. Each part is preceded by its length, so that no two lists of parts are one text.
struct Text(Context);

// === impl Text ===

impl Text {
    fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    fn add(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// By name; several of one name in their order.
    fn add_headers(&mut self, headers: &HeaderMap) {
        let matters = |name: &str| !IRRELEVANT.contains(&name);
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let mut headers: Vec<_> = headers.filter(|(name, _)| matters(name)).collect();
        headers.sort_by_key(|(name, _)| *name);
        self.add(&(headers.len() as u64).to_le_bytes());
        for (name, value) in headers {
            self.add(name.as_bytes());
            self.add(value);
        }
    }

    fn key(self) -> ReadKey {
        let mut key = [0; 32];
        // SHA-256 is as long as that.
        key.iter_mut().zip(self.0.finish().as_ref()).for_each(|(to, from)| *to = *from);
        ReadKey(key)
    }
}
