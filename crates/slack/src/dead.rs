//! What Slack's answers say of a token or a webhook that is good for nothing any more.

use http::StatusCode;

use super::reply;

/// Why a token or a webhook is good for nothing any more.
///
/// Of a token: the errors that every method lists (<https://docs.slack.dev/reference/methods/auth.test>).
/// An expired token never comes back: its refresh gives a token with another text
/// (<https://docs.slack.dev/authentication/using-token-rotation>).
///
/// Of a webhook: the words of
/// <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors>, and the
/// statuses that say the same in HTTP (RFC 9110, 15.5.5 and 15.5.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dead {
    /// The token is none, or may not be used from here; or not with this method, or not in this place of
    /// a request.
    InvalidAuth,
    /// Its user or its workspace is deleted.
    AccountInactive,
    /// It was revoked, or its app removed.
    TokenRevoked,
    /// Its time is over.
    TokenExpired,
    /// The webhook was removed or disabled.
    NoService,
    /// The app has no webhooks any more.
    NoActiveHooks,
    /// Its workspace is gone or disabled.
    NoTeam,
    /// The secret in its path is none.
    InvalidToken,
    /// Nothing is there, in other words.
    NotFound,
    /// Nothing is there any more, in other words.
    Gone,
}

/// What an answer says of the token or the webhook of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It is good.
    Alive,
    /// It is good for nothing.
    Dead(Dead),
    /// Nothing.
    Unknown,
}

/// What Slack refuses for the sake of a message and not of its webhook: a webhook of the old kind may name
/// the channel in each message (<https://docs.slack.dev/legacy/legacy-custom-integrations/legacy-custom-integrations-incoming-webhooks>).
const OF_A_MESSAGE: [&str; 4] =
    ["channel_not_found", "channel_is_archived", "user_not_found", "action_prohibited"];

// === impl Dead ===

impl Dead {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::InvalidAuth,
        Self::AccountInactive,
        Self::TokenRevoked,
        Self::TokenExpired,
        Self::NoService,
        Self::NoActiveHooks,
        Self::NoTeam,
        Self::InvalidToken,
        Self::NotFound,
        Self::Gone,
    ];

    /// The name in headers, metrics and status: Slack's own, where it has one.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidAuth => "invalid_auth",
            Self::AccountInactive => "account_inactive",
            Self::TokenRevoked => "token_revoked",
            Self::TokenExpired => "token_expired",
            Self::NoService => "no_service",
            Self::NoActiveHooks => "no_active_hooks",
            Self::NoTeam => "no_team",
            Self::InvalidToken => "invalid_token",
            Self::NotFound => "not_found",
            Self::Gone => "gone",
        }
    }

    /// Whether it may be true of one method only, and of others not. A good app-level token gets
    /// `invalid_auth` of `apps.connections.open` if it stands in the form
    /// (<https://github.com/slackapi/python-slack-sdk/issues/1877>), and of other methods
    /// if they want another kind of token.
    pub const fn may_be_of_one_method(self) -> bool {
        matches!(self, Self::InvalidAuth)
    }
}

// === impl Life ===

impl Life {
    /// What the answer of a method of the Web API says of the call's token; `text` is its whole body, where
    /// that was looked into. What is larger than that is no refusal.
    pub fn of_token(status: StatusCode, text: Option<&[u8]>) -> Self {
        if !status.is_success() {
            return Self::Unknown;
        }
        let Some(text) = text else { return Self::Alive };
        let Some(error) = reply::error(text) else { return Self::Alive };
        match &*error {
            "invalid_auth" => Self::Dead(Dead::InvalidAuth),
            "account_inactive" => Self::Dead(Dead::AccountInactive),
            "token_revoked" => Self::Dead(Dead::TokenRevoked),
            "token_expired" => Self::Dead(Dead::TokenExpired),
            // The server may have failed before it looked at the token.
            "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout" => {
                Self::Unknown
            }
            // Whatever else Slack has to say, it says to somebody whom it knows.
            _ => Self::Alive,
        }
    }

    /// What the answer to a message for a webhook says of it.
    pub fn of_webhook(status: StatusCode, text: Option<&[u8]>) -> Self {
        if status.is_success() {
            return Self::Alive;
        }
        let word = text.and_then(|text| str::from_utf8(text).ok()).map(str::trim);
        match (status, word) {
            (StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE, Some(word)) => {
                match word {
                    "no_service" | "no_service_id" => Self::Dead(Dead::NoService),
                    "no_active_hooks" => Self::Dead(Dead::NoActiveHooks),
                    "no_team" | "team_disabled" => Self::Dead(Dead::NoTeam),
                    "invalid_token" => Self::Dead(Dead::InvalidToken),
                    _ if OF_A_MESSAGE.contains(&word) => Self::Unknown,
                    _ if status == StatusCode::NOT_FOUND => Self::Dead(Dead::NotFound),
                    _ if status == StatusCode::GONE => Self::Dead(Dead::Gone),
                    _ => Self::Unknown,
                }
            }
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Life {
        Life::of_token(StatusCode::OK, Some(text.as_bytes()))
    }

    #[test]
    fn a_token_is_dead_by_slacks_word_only() {
        for (error, dead) in [
            ("invalid_auth", Dead::InvalidAuth),
            ("account_inactive", Dead::AccountInactive),
            ("token_revoked", Dead::TokenRevoked),
            ("token_expired", Dead::TokenExpired),
        ] {
            assert_eq!(token(&format!(r#"{{"ok":false,"error":"{error}"}}"#)), Life::Dead(dead));
            assert_eq!(token(&format!(r#"{{"ok":true,"error":"{error}"}}"#)), Life::Alive);
            assert_eq!(dead.as_str(), error);
        }
        for (text, life) in [
            (r#"{"ok":true}"#, Life::Alive),
            (r#"{"ok":false,"error":"channel_not_found"}"#, Life::Alive),
            (r#"{"ok":false,"error":"missing_scope"}"#, Life::Alive),
            (r#"{"ok":false,"error":"internal_error"}"#, Life::Unknown),
            ("invalid_auth", Life::Alive),
            ("", Life::Alive),
        ] {
            assert_eq!(token(text), life, "{text}");
        }
        let dead: &[u8] = br#"{"ok":false,"error":"invalid_auth"}"#;
        assert_eq!(Life::of_token(StatusCode::OK, None), Life::Alive, "a long list");
        for status in [StatusCode::BAD_GATEWAY, StatusCode::NOT_FOUND] {
            assert_eq!(Life::of_token(status, Some(dead)), Life::Unknown);
        }
    }

    #[test]
    fn a_webhook_is_dead_if_that_is_not_for_a_messages_sake() {
        let of = |status: u16, text: &str| {
            Life::of_webhook(StatusCode::from_u16(status).unwrap(), Some(text.as_bytes()))
        };
        for (status, text, life) in [
            (200, "ok", Life::Alive),
            (404, "no_service", Life::Dead(Dead::NoService)),
            (404, "no_service_id\n", Life::Dead(Dead::NoService)),
            (404, "no_active_hooks", Life::Dead(Dead::NoActiveHooks)),
            (404, "no_team", Life::Dead(Dead::NoTeam)),
            (403, "team_disabled", Life::Dead(Dead::NoTeam)),
            (403, "invalid_token", Life::Dead(Dead::InvalidToken)),
            (404, "<html>", Life::Dead(Dead::NotFound)),
            (410, "", Life::Dead(Dead::Gone)),
            (404, "channel_not_found", Life::Unknown),
            (410, "channel_is_archived", Life::Unknown),
            (403, "action_prohibited", Life::Unknown),
            (403, "<html>", Life::Unknown),
            (400, "invalid_payload", Life::Unknown),
            (400, "no_service", Life::Unknown),
            (500, "no_service", Life::Unknown),
        ] {
            assert_eq!(of(status, text), life, "{status} {text}");
        }
        assert_eq!(Life::of_webhook(StatusCode::NOT_FOUND, None), Life::Unknown, "it is not kept");
    }

    #[test]
    fn reasons_have_names_of_their_own() {
        let names: std::collections::HashSet<_> = Dead::ALL.iter().map(|it| it.as_str()).collect();
        assert_eq!(names.len(), Dead::ALL.len());
    }
}
