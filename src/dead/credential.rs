//! With what a call proves that it may call: a token as it was sent, or a webhook's URL.

use std::{fmt, sync::Arc};

use http::header;
use slack::{Kind, TokenHash, shown};

use crate::call::{Call, token::bearer};

/// With what a call proves that it may call.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Credential {
    /// Where it counts: one host knows nothing of another's tokens.
    prefix: Arc<str>,
    secret: Secret,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Secret {
    /// A token, where it stood, and the cookies with it: a session's token is none without its cookie, and
    /// some methods take one in a header only.
    Token { token: TokenHash, in_header: bool, cookies: Option<TokenHash> },
    /// The hash of a webhook's path.
    Webhook(TokenHash),
}

// === impl Credential ===

impl Credential {
    /// That of a call; none where Slack says nothing of it: calls without a token, and URLs that are good
    /// for a few calls only.
    pub(crate) fn of(call: &Call) -> Option<Self> {
        call.method.as_ref()?;
        let secret = match call.upstream.kind {
            Kind::WebApi => {
                let headers = &call.head.headers;
                let cookie = headers.get(header::COOKIE);
                Secret::Token {
                    token: call.token?,
                    in_header: bearer(headers).is_some(),
                    cookies: cookie
                        .map(|cookie| TokenHash::of(&String::from_utf8_lossy(cookie.as_bytes()))),
                }
            }
            Kind::Webhook => {
                Secret::Webhook(TokenHash::of(call.head.url.path().trim_end_matches('/')))
            }
            _ => return None,
        };
        Some(Self { prefix: Arc::clone(&call.upstream.prefix), secret })
    }

    /// What it is.
    pub(super) fn kind(&self) -> &'static str {
        match self.secret {
            Secret::Token { .. } => "token",
            Secret::Webhook(_) => "webhook",
        }
    }

    /// What stands for it, as in the keys of buckets.
    pub(super) fn name(&self) -> Arc<str> {
        match &self.secret {
            Secret::Token { token, .. } => token.name(),
            Secret::Webhook(path) => shown("url-", path.as_bytes()).into(),
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}
