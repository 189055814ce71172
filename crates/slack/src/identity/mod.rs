//! Whom a call counts for: the app, the workspace and the organization behind its token.

mod facts;

use std::sync::Arc;

pub use self::facts::{Called, Facts, Told, is_id, read};

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
    /// The token is one for all workspaces of its organization: a call's `team_id` names its own.
    pub org_wide: bool,
}

// === impl Identity ===

impl Identity {
    /// One of which only this is known.
    pub fn only(name: Arc<str>) -> Self {
        let [app, workspace, org] = std::array::from_fn(|_| Arc::clone(&name));
        Self { app, workspace, org, token: name, org_wide: false }
    }

    /// Its app, unless only its token is known.
    pub fn known_app(&self) -> Option<&Arc<str>> {
        (self.app != self.token).then_some(&self.app)
    }

    /// The same in that workspace.
    #[must_use]
    pub fn within(&self, workspace: &str) -> Self {
        Self { workspace: workspace.into(), ..self.clone() }
    }
}
