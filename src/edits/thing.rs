//! What an edit changes: those of the same thing replace each other.

use std::{fmt, sync::Arc};

use http::header;
use scheduler::CallerId;
use slack::TokenHash;

use crate::call::Call;

/// What an edit changes, as its caller and token see it: calls of others, and with other tokens, change other
/// things, whatever their arguments are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Thing {
    caller: CallerId,
    token: TokenHash,
    /// A token of a browser counts only with its cookie.
    cookie: Option<TokenHash>,
    prefix: Arc<str>,
    ordering_key: Box<str>,
}

// === impl Thing ===

impl Thing {
    /// What a call with that ordering key changes; none if its token is not known.
    pub(super) fn of(call: &Call, ordering_key: Box<str>) -> Option<Self> {
        let cookie = call.head.headers.get(header::COOKIE);
        // What is no text is a cookie of no browser, and of nobody else.
        let cookie = cookie.map(|cookie| cookie.to_str()).transpose().ok()?;
        Some(Self {
            caller: call.caller_id,
            token: call.token?,
            cookie: cookie.map(TokenHash::of),
            prefix: Arc::clone(&call.upstream.prefix),
            ordering_key,
        })
    }
}

impl fmt::Debug for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Thing").field(&self.ordering_key).finish()
    }
}
