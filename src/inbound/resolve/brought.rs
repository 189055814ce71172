//! A token as a call brings it, and the question about it as the call would ask.

use std::sync::Arc;

use bytes::Bytes;
use config::Upstream;
use http::{HeaderMap, HeaderValue, Method, header};
use slack::{TokenHash, needs_cookie};

use super::METHOD;
use crate::{
    call::{
        Head, headers,
        token::{bearer, has_cookie},
    },
    inbound::route::target,
};

/// What a call tells of the token that it brings.
#[derive(Clone, Copy)]
pub struct Brought<'c> {
    /// The token.
    pub token: &'c str,
    /// Its hash.
    pub hash: &'c TokenHash,
    /// The call's headers, as they came.
    pub headers: &'c HeaderMap,
    /// Where the call goes.
    pub upstream: &'c Arc<Upstream>,
}

// === impl Brought ===

impl Brought<'_> {
    /// Whether Slack can tell of it at all.
    pub(super) fn can_be_told_of(&self) -> bool {
        !needs_cookie(self.token) || has_cookie(self.headers)
    }

    /// Where and with what the call itself would ask, `upstream` being that of the call, or another.
    pub(super) fn head(&self, upstream: &Upstream) -> Option<Head> {
        let mut headers = HeaderMap::new();
        if upstream.prefix == self.upstream.prefix {
            headers.clone_from(self.headers);
            headers::forward_request(&mut headers);
            headers::about_nothing(&mut headers);
        } else if let Some(agent) = self.headers.get(header::USER_AGENT) {
            // The others are for a server that is not this one.
            headers.insert(header::USER_AGENT, agent.clone());
        }
        if self.is_in_header() {
            let mut bearer = HeaderValue::try_from(format!("Bearer {}", self.token)).ok()?;
            bearer.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, bearer);
        } else {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(header::CONTENT_TYPE, form);
        }
        let url = target(&upstream.url, METHOD, None)?;
        Some(Head { verb: Method::POST, url, headers })
    }

    /// The token as an argument, where the call has it as one.
    pub(super) fn form(&self) -> Bytes {
        if self.is_in_header() {
            return Bytes::new();
        }
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("token", self.token);
        form.finish().into()
    }

    fn is_in_header(&self) -> bool {
        bearer(self.headers).is_some()
    }
}
