//! Whose call it is, as the fake reads it from a token.

use std::{fmt::Write as _, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};

/// Whose call it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The app: `A…`.
    pub app: Arc<str>,
    /// The workspace: `T…`.
    pub workspace: Arc<str>,
    /// What stands for the token in the ledger: the first half of its SHA-256, in hexadecimal.
    pub token: Arc<str>,
    /// Whether a bot calls, and not a person's token.
    pub bot: bool,
}

/// Why a call is nobody's. The text is Slack's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// It has no token.
    #[error("not_authed")]
    NotAuthed,
    /// What it has is no token of Slack's.
    #[error("invalid_auth")]
    InvalidAuth,
}

// === impl Identity ===

impl Identity {
    /// A bot of an app in a workspace, with no token.
    pub fn new(app: &str, workspace: &str) -> Self {
        Self { app: app.into(), workspace: workspace.into(), token: "".into(), bot: true }
    }

    /// Reads a token. `xoxb-<workspace>-<app>-<anything>` says whose it is, with or without
    /// the letters `T` and `A`; any other token is one app's in one workspace, by its hash.
    ///
    /// # Errors
    ///
    /// If it is missing or begins like none of Slack's.
    pub fn of_token(token: Option<&str>) -> Result<Self, AuthError> {
        let token = token.filter(|token| !token.is_empty()).ok_or(AuthError::NotAuthed)?;
        if !["xox", "xapp-", "xwfp-"].iter().any(|prefix| token.starts_with(prefix)) {
            return Err(AuthError::InvalidAuth);
        }
        let fingerprint = fingerprint(token);
        let (workspace, app) =
            named(token).unwrap_or_else(|| (&fingerprint[..10], &fingerprint[10..20]));
        Ok(Self {
            app: with_letter('A', app),
            workspace: with_letter('T', workspace),
            bot: kind(token) == "xoxb",
            token: fingerprint.as_str().into(),
        })
    }

    /// The bot's or the person's user: a bot has one in each workspace, whatever its token.
    pub fn user_id(&self) -> String {
        if self.bot { self.id('U') } else { format!("U{}", short(&self.token)) }
    }

    /// The bot: one per app and workspace. None for a person's token.
    pub fn bot_id(&self) -> Option<String> {
        self.bot.then(|| self.id('B'))
    }

    fn id(&self, letter: char) -> String {
        format!("{letter}{}", short(&fingerprint(&format!("{} {}", self.app, self.workspace))))
    }
}

/// `xoxb` of `xoxb-…` and of the rotating `xoxe.xoxb-…`.
fn kind(token: &str) -> &str {
    let token = token.strip_prefix("xoxe.").unwrap_or(token);
    token.split_once('-').map_or(token, |(kind, _)| kind)
}

/// The workspace and the app that a token names.
fn named(token: &str) -> Option<(&str, &str)> {
    let mut parts = token.splitn(4, '-').skip(1);
    let (workspace, app, _rest) = (parts.next()?, parts.next()?, parts.next()?);
    let is_id = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    (kind(token).starts_with("xox") && is_id(workspace) && is_id(app)).then_some((workspace, app))
}

fn with_letter(letter: char, id: &str) -> Arc<str> {
    if id.starts_with(letter) { id.into() } else { format!("{letter}{id}").into() }
}

fn short(hash: &str) -> String {
    hash.chars().take(10).collect::<String>().to_ascii_uppercase()
}

/// The first half of the SHA-256, in hexadecimal: 32 digits.
pub(super) fn fingerprint(text: &str) -> String {
    let sha256 = digest(&SHA256, text.as_bytes());
    sha256.as_ref().iter().take(16).fold(String::new(), |mut hex, byte| {
        let _infallible = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(token: &str) -> Identity {
        Identity::of_token(Some(token)).unwrap()
    }

    #[test]
    fn a_token_says_whose_it_is() {
        for token in ["xoxb-1-2-x", "xoxb-T1-A2-x-y", "xoxp-1-2-", "xoxe.xoxb-1-2-x"] {
            let identity = of(token);
            assert_eq!((&*identity.workspace, &*identity.app), ("T1", "A2"), "{token}");
        }
        assert_eq!(of("xoxb-1-2-x").bot_id(), of("xoxe.xoxb-1-2-y").bot_id());
        assert_eq!(of("xoxb-1-2-x").user_id(), of("xoxb-1-2-y").user_id());
        assert_eq!(of("xoxp-1-2-x").bot_id(), None);
        assert_ne!(of("xoxp-1-2-x").user_id(), of("xoxp-1-2-y").user_id());
    }

    #[test]
    fn any_other_token_is_an_identity_of_its_own() {
        for token in ["xoxb-secret", "xoxb-1-2", "xoxb-1 -2-x", "xapp-1-A2-3-x", "xwfp-1-2-3"] {
            let identity = of(token);
            assert_eq!(identity, of(token));
            assert_ne!(&*identity.workspace, "T1", "{token}");
            assert_eq!((identity.workspace.len(), identity.app.len()), (11, 11), "{token}");
        }
        assert_ne!(of("xoxb-secret").app, of("xoxb-other").app);
    }

    #[test]
    fn what_is_no_token_is_nobody() {
        assert_eq!(Identity::of_token(None), Err(AuthError::NotAuthed));
        assert_eq!(Identity::of_token(Some("")), Err(AuthError::NotAuthed));
        assert_eq!(Identity::of_token(Some("sk-1")), Err(AuthError::InvalidAuth));
    }

    #[test]
    fn the_token_itself_is_not_kept() {
        assert!(!format!("{:?}", of("xoxb-1-2-hunter2")).contains("hunter2"));
    }
}
