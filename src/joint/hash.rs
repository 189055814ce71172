//! What calls have in common, as a hash: nobody finds two texts with one SHA-256.

use aws_lc_rs::digest::{Context, SHA256};
use http::HeaderMap;

/// The hash of a text.
pub type Hash = [u8; 32];

/// A text that is hashed. Each part is preceded by its length, so that no two lists of parts are one text.
pub struct Hashing(Context);

/// Headers that say nothing of what is asked, or say it in another form. All others matter, that with the
/// token among them.
const IRRELEVANT: &[&str] = &[
    "user-agent",
    // Which form the arguments are in. They are compared as what they say.
    "content-type",
    // It says what may answer, and nothing to Slack.
    "cache-control",
    "pragma",
    // Ids of requests and traces, which are others each time.
    "x-request-id",
    "x-correlation-id",
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "uber-trace-id",
    "sentry-trace",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "x-datadog-tags",
    "x-datadog-origin",
    "newrelic",
    "elastic-apm-traceparent",
];

// === impl Hashing ===

impl Default for Hashing {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Hashing {
    /// The next part.
    pub fn add(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// The headers that matter, by name; several of one name in their order.
    pub fn add_headers(&mut self, headers: &HeaderMap) {
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

    /// The hash of all parts.
    pub fn finish(self) -> Hash {
        let mut hash = Hash::default();
        // SHA-256 is as long as that.
        hash.iter_mut().zip(self.0.finish().as_ref()).for_each(|(to, from)| *to = *from);
        hash
    }
}
