//! When two reads are equal.

use std::fmt;

use http::{Method, header};
use slack::Kind;

use crate::{
    call::{Call, body::Body},
    inbound::arguments::{self, AllArguments},
    joint::{Hash, Hashing},
};

/// What equal reads have in common, as a hash: the token, with all else that says who asks, and what is
/// asked. Nobody finds another text with the same hash, so nobody gets another one's answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ReadKey(Hash);

/// In which words a read is asked: its arguments as they are written. An error may be about these.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Words(Hash);

/// What a read is known by.
pub(super) struct Known {
    pub(super) key: ReadKey,
    pub(super) words: Words,
    pub(super) arguments: AllArguments,
}

// === impl Known ===

impl Known {
    /// What a call is known by; none if it is not certain what it asks, or it may do something.
    pub(super) async fn of(call: &Call) -> Option<Self> {
        let method = call.method.as_ref().filter(|method| method.reads)?;
        let Body::Whole(body, _) = &call.body else { return None };
        let head = &call.head;
        let may_be_read = call.upstream.kind == Kind::WebApi
            && (head.verb == Method::POST || head.verb == Method::GET && body.is_empty())
            && !head.headers.contains_key(header::CONTENT_ENCODING);
        if !may_be_read {
            return None;
        }
        let arguments = arguments::all(head.url.query(), &head.headers, body).await?;
        let mut text = Hashing::default();
        text.add(call.upstream.prefix.as_bytes());
        text.add(method.name.as_bytes());
        text.add_headers(&head.headers);
        for (name, value) in arguments.iter() {
            text.add(name.as_bytes());
            // What is null is nothing that a text could be.
            text.add(if value.is_some() { b"=" } else { b"" });
            text.add(value.unwrap_or_default().as_bytes());
        }
        let mut words = Hashing::default();
        words.add(head.verb.as_str().as_bytes());
        words.add(head.url.query().unwrap_or_default().as_bytes());
        words.add(head.headers.get(header::CONTENT_TYPE).map_or(b"", |kind| kind.as_bytes()));
        words.add(body);
        Some(Self { key: ReadKey(text.finish()), words: Words(words.finish()), arguments })
    }
}

// === impl ReadKey ===

#[cfg(test)]
impl ReadKey {
    /// One of many.
    pub(super) fn numbered(number: u64) -> Self {
        let mut text = Hashing::default();
        text.add(&number.to_le_bytes());
        Self(text.finish())
    }
}

/// Never the bytes: they are as good as a question whether somebody has asked that.
impl fmt::Debug for ReadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadKey").finish_non_exhaustive()
    }
}

// === impl Words ===

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Words").finish_non_exhaustive()
    }
}
