//! Whose call it is: the app and the workspace behind a token.
//!
//! Limits count by app and workspace, never by a token's text. Where the operator has not said
//! what a token belongs to, its hash stands for both. A token's text is never kept.

use std::{collections::HashMap, sync::Arc};

use aws_lc_rs::digest::{self, Digest};
use http::{HeaderMap, header};

use crate::config::KnownToken;

/// The app and the workspace that a call counts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The Slack app.
    pub app: Arc<str>,
    /// The workspace.
    pub workspace: Arc<str>,
    /// The token, as the beginning of its SHA-256.
    pub token: Arc<str>,
}

/// The tokens whose app and workspace are known.
#[derive(Clone, Debug)]
pub struct Identities {
    known: Arc<HashMap<[u8; 32], Identity>>,
    nobody: Identity,
}

/// Bytes of a token's hash that stand for it.
const SHOWN: usize = 6;

// === impl Identities ===

impl Identities {
    /// These tokens are known.
    pub fn new(tokens: &[KnownToken]) -> Self {
        let identity = |token: &KnownToken| Identity {
            app: Arc::clone(&token.app),
            workspace: Arc::clone(&token.workspace),
            token: short(&token.sha256),
        };
        let known = tokens.iter().map(|token| (token.sha256, identity(token))).collect();
        let none: Arc<str> = "none".into();
        let nobody = Identity { app: Arc::clone(&none), workspace: Arc::clone(&none), token: none };
        Self { known: Arc::new(known), nobody }
    }

    /// Whose token it is that has this hash. Calls without a token count for one app, `none`.
    pub fn of(&self, hash: Option<&Digest>) -> Identity {
        let Some(hash) = hash else { return self.nobody.clone() };
        if let Some(identity) = self.known.get(hash.as_ref()) {
            return identity.clone();
        }
        let token = short(hash.as_ref());
        Identity { app: Arc::clone(&token), workspace: Arc::clone(&token), token }
    }
}

/// The token of an `Authorization: Bearer` header.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// A token's SHA-256, which is all that is kept of it.
pub fn hash(token: &str) -> Digest {
    digest::digest(&digest::SHA256, token.as_bytes())
}

fn short(hash: &[u8]) -> Arc<str> {
    let mut text = String::with_capacity(6 + 2 * SHOWN);
    text.push_str("token-");
    push_hex(&mut text, hash.get(..SHOWN).unwrap_or(hash));
    text.into()
}

/// Appends bytes in hexadecimal. Every call needs it, and the formatter is slow at it.
pub(crate) fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 0xf)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_token_has_its_app_and_an_unknown_one_its_hash() {
        let identities = Identities::new(&[KnownToken {
            sha256: hash("xoxb-known").as_ref().try_into().unwrap(),
            app: "A1".into(),
            workspace: "T1".into(),
        }]);
        let known = identities.of(Some(&hash("xoxb-known")));
        assert_eq!((&*known.app, &*known.workspace), ("A1", "T1"));
        let unknown = identities.of(Some(&hash("xoxb-secret")));
        assert_eq!(unknown.app, unknown.workspace);
        assert!(!format!("{unknown:?}").contains("secret"));
        assert_eq!(&*identities.of(None).app, "none");
    }

    #[test]
    fn only_a_bearer_header_has_a_token() {
        let mut headers = HeaderMap::new();
        for (value, token) in [
            ("Bearer xoxb-1", Some("xoxb-1")),
            ("bearer  xoxb-1 ", Some("xoxb-1")),
            ("Basic eDp5", None),
            ("Bearer ", None),
        ] {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            assert_eq!(bearer(&headers), token, "{value}");
        }
    }
}
