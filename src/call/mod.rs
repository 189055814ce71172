//! A call: what was asked, what is sent of it, its answer, and what is recorded of it.

pub mod body;
pub mod client_end;
pub mod coding;
pub mod headers;
pub mod ids;
pub mod in_flight;
pub mod record;
pub mod refusing;
pub mod response;
pub mod several;
pub mod token;
pub mod trace;

use std::{fmt, sync::Arc, time::Duration};

use config::{CallerName, Upstream};
use http::{HeaderMap, Uri};
use limits::{Class, Weight};
use scheduler::{CallerId, PlaceId};
use slack::{Edits, TokenHash};
use tokio::time::Instant;

use self::{
    body::Body,
    client_end::ClientEnd,
    record::Record,
    several::{Content, Several},
};

/// One request from a caller, and all that was read of it.
#[derive(Debug)]
pub struct Call {
    /// What is sent, but for the body.
    pub head: Head,
    /// The body, and how often it can be sent.
    pub body: Body,
    /// Where it goes.
    pub upstream: Arc<Upstream>,
    /// The rules of its method; absent where calls are only forwarded.
    pub method: Option<Arc<slack::Method>>,
    /// Its token, where it has one that counts.
    pub token: Option<TokenHash>,
    /// How urgent it is.
    pub class: Class,
    /// What it is known by should it be sent away and return.
    pub place: PlaceId,
    /// The hash of its caller's name.
    pub caller_id: CallerId,
    /// How large its caller's part is.
    pub weight: Weight,
    /// How many calls of its caller are held at most.
    pub max_depth: Option<usize>,
    /// Whether the operator has switched its method or its caller off.
    pub disabled: bool,
    /// Whether it need be sent, where another one says the same.
    pub saves: Saves,
    /// What it changes, as calls of its caller that change the same say it, until it is asked for.
    pub ordering_key: Option<String>,
    /// Who sent it.
    pub caller: CallerName,
    /// When it was complete.
    pub arrived: Instant,
    /// Until when its client waits.
    pub deadline: Instant,
    /// The end of what its client says: then it is not held, and not sent again.
    pub client_end: ClientEnd,
    /// Whether it has been sent once more because its first attempt failed.
    pub repeated: bool,
    /// Whether it is sent on a connection of its own, because another one has failed it.
    pub own_connection: bool,
    /// How long it may be held once more, where its client comes back by itself. Zero where it is
    /// refused as soon as its deadline cannot be met.
    pub again: Duration,
    /// What is told of it in the end.
    pub record: Arc<Record>,
    /// What its clients have in common, where it serves several.
    pub several: Option<Arc<Several>>,
}

/// Which calls need not be sent, where another one says the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Saves {
    /// Whether the answer to an equal read that is held or under way is this one's, too.
    pub share_reads: bool,
    /// Which edits of one thing the caller wants to be sent.
    pub edits: Edits,
}

/// What is sent of a request, but for the body.
#[derive(Clone)]
pub struct Head {
    /// The HTTP method.
    pub verb: http::Method,
    /// The whole URL at the upstream.
    pub url: Uri,
    /// The headers that go on.
    pub headers: HeaderMap,
}

// === impl Call ===

impl Call {
    /// The same call for several clients, of whom none owns it: it does not end when one of them leaves.
    /// None if its body cannot be sent twice, or there is no memory for a second one.
    pub fn for_several(&self, several: &Arc<Several>) -> Option<Self> {
        let (class, deadline) = several.terms();
        Some(Self {
            head: self.head.clone(),
            body: self.body.copy()?,
            upstream: Arc::clone(&self.upstream),
            method: self.method.clone(),
            ordering_key: self.ordering_key.clone(),
            caller: self.caller.clone(),
            record: Arc::clone(&self.record),
            client_end: ClientEnd::default(),
            several: Some(Arc::clone(several)),
            class,
            deadline,
            ..*self
        })
    }

    /// Until when somebody waits for it. Others may have joined it since it asked to go.
    pub fn waited_for_until(&self) -> Instant {
        self.several.as_ref().map_or(self.deadline, |several| several.terms().1)
    }

    /// It asks to go, as urgently and as patiently as all of its clients.
    pub(crate) fn asks(&mut self) {
        if let Some(several) = &self.several {
            (self.class, self.deadline) = several.asks();
        }
    }

    /// It goes, and sends what its clients ask for by now.
    pub(crate) fn goes(&mut self) {
        let newer = self.several.as_ref().and_then(|several| several.goes());
        if let Some(Content { head, body, record }) = newer {
            (self.head, self.body, self.record) = (head, body, record);
        }
    }
}

// === impl Head ===

/// Without the URL's path and query: a webhook's path is its secret, a query may have a token.
impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut head = f.debug_struct("Head");
        head.field("verb", &self.verb).field("host", &self.url.host()).finish_non_exhaustive()
    }
}
