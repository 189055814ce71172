//! Whose call it is: the app, the workspace and the organization behind a token.
//!
//! Limits count by app and workspace, never by a token's text. Where the operator has not said
//! what a token belongs to, its hash stands for both. A token's text is never kept.

pub mod token;

use std::{collections::HashMap, sync::Arc};

pub use self::token::TokenHash;
use crate::config::KnownToken;

/// Whom a call counts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The Slack app.
    pub app: Arc<str>,
    /// The workspace.
    pub workspace: Arc<str>,
    /// The Enterprise organization; the workspace where there is none.
    pub org: Arc<str>,
    /// The token, as the beginning of its SHA-256.
    pub token: Arc<str>,
}

/// The tokens whose app and workspace are known.
#[derive(Clone, Debug)]
pub struct Identities {
    known: Arc<HashMap<TokenHash, Arc<Identity>>>,
    nobody: Arc<Identity>,
}

// === impl Identity ===

impl Identity {
    /// One of which only this is known.
    fn only(name: Arc<str>) -> Self {
        let [app, workspace, org] = std::array::from_fn(|_| Arc::clone(&name));
        Self { app, workspace, org, token: name }
    }
}

// === impl Identities ===

impl Identities {
    /// These tokens are known.
    pub fn new(tokens: &[KnownToken]) -> Self {
        let identity = |known: &KnownToken| {
            Arc::new(Identity {
                app: Arc::clone(&known.app),
                workspace: Arc::clone(&known.workspace),
                org: Arc::clone(known.org.as_ref().unwrap_or(&known.workspace)),
                token: known.token.name(),
            })
        };
        let known = tokens.iter().map(|known| (known.token, identity(known))).collect();
        Self { known: Arc::new(known), nobody: Arc::new(Identity::only("none".into())) }
    }

    /// Whose token it is that has this hash. Calls without a token count for one app, `none`.
    pub fn of(&self, token: Option<&TokenHash>) -> Arc<Identity> {
        let Some(token) = token else { return Arc::clone(&self.nobody) };
        match self.known.get(token) {
            Some(identity) => Arc::clone(identity),
            None => Arc::new(Identity::only(token.name())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_token_has_its_app_and_an_unknown_one_its_hash() {
        let token = TokenHash::of("xoxb-known");
        let (app, workspace) = ("A1".into(), "T1".into());
        let identities = Identities::new(&[KnownToken { token, app, workspace, org: None }]);
        let known = identities.of(Some(&token));
        assert_eq!((&*known.app, &*known.workspace, &*known.org), ("A1", "T1", "T1"));
        let unknown = identities.of(Some(&TokenHash::of("xoxb-secret")));
        assert_eq!(unknown.app, unknown.workspace);
        assert!(!format!("{unknown:?}").contains("secret"));
        assert_eq!(&*identities.of(None).app, "none");
    }
}
