//! What an edit changes: those of the same thing may replace each other, if they say all of it anew.

use std::{fmt, sync::Arc};

use scheduler::CallerId;
use slack::{Edits, Sets, TokenHash};

use crate::{
    call::{
        Call,
        body::{Body, WHOLE},
        coding,
    },
    inbound::arguments,
    joint::{Hash, Hashing},
};

/// What an edit changes, as its caller and token see it: calls of others, and with other tokens, change other
/// things, whatever their arguments are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Thing {
    caller: CallerId,
    token: TokenHash,
    prefix: Arc<str>,
    ordering_key: String,
}

/// What an edit says.
#[derive(Clone)]
pub(super) struct Edit {
    sets: Sets,
    /// Its cookie, for one, and in which form it takes its answer.
    headers: Hash,
}

// === impl Thing ===

impl Thing {
    /// What a call with that ordering key changes; none if its token is not known.
    pub(super) fn of(call: &Call, ordering_key: String) -> Option<Self> {
        let (caller, prefix) = (call.caller_id, Arc::clone(&call.upstream.prefix));
        Some(Self { caller, token: call.token?, prefix, ordering_key })
    }
}

/// An argument may be anything.
impl fmt::Debug for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thing").field("token", &self.token).finish_non_exhaustive()
    }
}

// === impl Edit ===

impl Edit {
    /// What a call says; none if no newer one may replace it.
    pub(super) async fn of(call: &Call) -> Option<Self> {
        if call.saves.edits != Edits::Latest {
            return None;
        }
        let replaces = call.method.as_ref()?.saves.replaces.as_ref()?;
        let Body::Whole(body, _) = &call.body else { return None };
        let headers = &call.head.headers;
        let body = coding::unpacked(headers, body, WHOLE)?;
        let mut arguments = arguments::all(call.head.url.query(), headers, &body).await?;
        // The token is compared as what it is.
        arguments.take("token");
        let sets = replaces.sets(arguments.iter())?;
        let mut hash = Hashing::default();
        hash.add_headers(headers);
        Some(Self { sets, headers: hash.finish() })
    }

    /// Whether nothing of an older one is lost if it is not sent, and both take the same answer.
    pub(super) fn replaces(&self, older: &Self) -> bool {
        self.headers == older.headers && self.sets.cover(&older.sets)
    }
}

impl fmt::Debug for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edit").finish_non_exhaustive()
    }
}
