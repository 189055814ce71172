//! What a call is known by in other programs' logs: its request id, and the trace that it is part of.
//!
//! Both go on to Slack and are told in the log. What a caller sends may be anything, so only what
//! is short and holds no token is shown.

use http::{HeaderMap, HeaderName, HeaderValue};
use slack::holds_token;

/// What a call is known by.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    request: Option<HeaderValue>,
    traceparent: Option<HeaderValue>,
}

/// The span that a call is part of already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub trace: [u8; 16],
    /// The span in it.
    pub span: [u8; 8],
    /// Whether the caller keeps the trace.
    pub sampled: bool,
}

/// The header with the id of a request. No standard has it; programs agree on it.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The header with the trace ([Trace Context](https://www.w3.org/TR/trace-context/)).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The longest request id that is shown, in bytes.
const LONGEST: usize = 128;

// === impl Ids ===

impl Ids {
    /// Those in the headers of a request.
    pub fn of(headers: &HeaderMap) -> Self {
        let header = |name| headers.get(name).cloned();
        Self { request: header(REQUEST_ID), traceparent: header(TRACEPARENT) }
    }

    /// The request id, where it may be shown.
    pub fn request(&self) -> Option<&str> {
        let id = self.request.as_ref()?.to_str().ok()?;
        (!id.is_empty() && id.len() <= LONGEST && !holds_token(id)).then_some(id)
    }

    /// The id of the trace, 32 hexadecimal digits.
    pub fn trace(&self) -> Option<&str> {
        self.parts().map(|(trace, ..)| trace)
    }

    /// The span that the call is part of, if it is.
    pub fn parent(&self) -> Option<Parent> {
        let (trace, span, flags) = self.parts()?;
        let flags = flags.get(..2).and_then(|flags| u8::from_str_radix(flags, 16).ok())?;
        let trace = u128::from_str_radix(trace, 16).ok()?.to_be_bytes();
        let span = u64::from_str_radix(span, 16).ok()?.to_be_bytes();
        Some(Parent { trace, span, sampled: flags & 1 == 1 })
    }

    /// The ids of the trace and the span, and what follows them.
    fn parts(&self) -> Option<(&str, &str, &str)> {
        let text = self.traceparent.as_ref()?.to_str().ok()?;
        let mut parts = text.splitn(4, '-');
        let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
        let flags = parts.next()?;
        let is = |part: &str, digits: usize| {
            part.len() == digits && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_id = |part: &str, digits| is(part, digits) && part.bytes().any(|b| b != b'0');
        let is_one = is(version, 2) && version != "ff" && is_id(trace, 32) && is_id(span, 16);
        is_one.then_some((trace, span, flags))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(name: HeaderName, value: &str) -> Ids {
        Ids::of(&HeaderMap::from_iter([(name, value.parse().unwrap())]))
    }

    #[test]
    fn an_id_is_shown_unless_it_is_long_or_holds_a_token() {
        let longest = "x".repeat(LONGEST);
        for (id, shown) in [
            ("mine-1", true),
            ("", false),
            (&longest, true),
            (&*format!("{longest}x"), false),
            ("Bearer xoxb-1-2", false),
            ("\u{e9}", false),
        ] {
            assert_eq!(ids(REQUEST_ID, id).request(), shown.then_some(id), "{id}");
        }
        assert_eq!(Ids::default().request(), None);
    }

    /// The first is the example of the standard.
    #[test]
    fn a_trace_is_told_if_it_is_one() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        for (parent, told) in [
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
            ("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", true),
            ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
            ("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false),
            ("00-00000000000000000000000000000000-b7ad6b7169203331-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", false),
            ("00-xoxb-1-2", false),
        ] {
            let ids = ids(TRACEPARENT, parent);
            assert_eq!(ids.trace(), told.then_some(trace), "{parent}");
        }
    }
}
