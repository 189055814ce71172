//! What Slack's answers tell of a token.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::TokenHash;

/// What is known of a token, or what one answer tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Facts {
    /// Its app.
    pub app: Option<Arc<str>>,
    /// Its bot, of which an app has one in each workspace. A person's token has none.
    pub bot: Option<Arc<str>>,
    /// Its workspace.
    pub workspace: Option<Arc<str>>,
    /// Its Enterprise organization.
    pub org: Option<Arc<str>>,
    /// It is one for all workspaces of its organization; each call names its own.
    pub org_wide: bool,
}

/// What people call a token's workspace and its user, for those who read pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Called {
    /// The workspace.
    pub workspace: Option<Arc<str>>,
    /// The bot, or the person.
    pub user: Option<Arc<str>>,
}

/// What an answer tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Whose the token of the call is.
    Caller(Facts, Called),
    /// Whose the tokens are that it brings.
    Tokens(Vec<(TokenHash, Facts)>),
    /// Of which app a bot of the caller's workspace is.
    Bot {
        /// The bot.
        bot: Arc<str>,
        /// Its app.
        app: Arc<str>,
    },
}

/// The longest id that is taken for one. Slack's have a dozen characters.
const MAX_ID: usize = 64;

/// Reads an answer of `method`. An answer that is not `ok`, or not as Slack's are, tells nothing.
pub fn read(method: &str, body: &[u8]) -> Option<Told> {
    match method {
        "auth.test" => {
            let answer: AuthTest<'_> = serde_json::from_slice(body).ok()?;
            let called = Called {
                workspace: answer.team.as_deref().map(Arc::from),
                user: answer.user.as_deref().map(Arc::from),
            };
            let facts = answer.ok.then(|| answer.facts()).flatten()?;
            Some(Told::Caller(facts, called))
        }
        "oauth.v2.access" => {
            let answer: Access<'_> = serde_json::from_slice(body).ok()?;
            answer.ok.then(|| Told::Tokens(answer.tokens()))
        }
        "bots.info" => {
            let BotsInfo { ok, bot } = serde_json::from_slice(body).ok()?;
            let Bot { id: bot, app_id: app } = bot.filter(|_| ok)?;
            Some(Told::Bot { bot: id(bot)?, app: id(app)? })
        }
        _ => None,
    }
}

/// <https://docs.slack.dev/reference/methods/auth.test>. An app-level token has an `app_id` and no
/// workspace, as in
/// <https://github.com/slackapi/java-slack-sdk/blob/main/json-logs/samples/api/auth.test.json>.
#[derive(Deserialize)]
struct AuthTest<'a> {
    ok: bool,
    #[serde(borrow, default)]
    team: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    user: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    app_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    team_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    bot_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    enterprise_id: Option<Cow<'a, str>>,
    #[serde(default)]
    is_enterprise_install: Option<bool>,
}

/// <https://docs.slack.dev/reference/methods/oauth.v2.access>
#[derive(Deserialize)]
struct Access<'a> {
    ok: bool,
    #[serde(borrow, default, rename = "access_token")]
    token: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    app_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    team: Option<Named<'a>>,
    #[serde(borrow, default)]
    enterprise: Option<Named<'a>>,
    #[serde(default)]
    is_enterprise_install: Option<bool>,
    #[serde(borrow, default)]
    authed_user: Option<User<'a>>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct User<'a> {
    #[serde(borrow, default, rename = "access_token")]
    token: Option<Cow<'a, str>>,
}

/// <https://docs.slack.dev/reference/methods/bots.info>
#[derive(Deserialize)]
struct BotsInfo<'a> {
    ok: bool,
    #[serde(borrow, default)]
    bot: Option<Bot<'a>>,
}

#[derive(Deserialize)]
struct Bot<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    app_id: Option<Cow<'a, str>>,
}

// === impl Facts ===

impl Facts {
    /// Both together; the newer count more.
    #[must_use]
    pub fn with(self, newer: Self) -> Self {
        Self {
            app: newer.app.or(self.app),
            bot: newer.bot.or(self.bot),
            workspace: newer.workspace.or(self.workspace),
            org: newer.org.or(self.org),
            org_wide: newer.org_wide || self.org_wide,
        }
    }
}

// === impl AuthTest ===

impl AuthTest<'_> {
    fn facts(self) -> Option<Facts> {
        let app = id(self.app_id);
        let workspace = id(self.team_id);
        let org = id(self.enterprise_id);
        let known = workspace.is_some() || org.is_some() || app.is_some();
        known.then_some(Facts {
            app,
            bot: id(self.bot_id),
            workspace,
            org,
            org_wide: self.is_enterprise_install.unwrap_or(false),
        })
    }
}

// === impl Access ===

impl Access<'_> {
    fn tokens(self) -> Vec<(TokenHash, Facts)> {
        let facts = Facts {
            app: id(self.app_id),
            bot: None,
            workspace: self.team.and_then(|team| id(team.id)),
            org: self.enterprise.and_then(|enterprise| id(enterprise.id)),
            org_wide: self.is_enterprise_install.unwrap_or(false),
        };
        if facts.workspace.is_none() && facts.org.is_none() {
            return Vec::new();
        }
        [self.token, self.authed_user.and_then(|user| user.token)]
            .into_iter()
            .flatten()
            .filter(|token| !token.is_empty())
            .map(|token| (TokenHash::of(&token), facts.clone()))
            .collect()
    }
}

/// An id, if it can be one: it becomes a part of keys and labels.
fn id(text: Option<Cow<'_, str>>) -> Option<Arc<str>> {
    text.filter(|text| is_id(text)).map(|text| text.as_ref().into())
}

/// Whether the text can be an id of Slack's.
pub fn is_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_test_tells_bot_workspace_and_organization() {
        let body = br#"{"ok":true,"url":"https://x.slack.com/","team":"X","user":"bot",
            "team_id":"T1","user_id":"U1","bot_id":"B1","enterprise_id":"E1",
            "is_enterprise_install":false}"#;
        let facts = Facts {
            bot: Some("B1".into()),
            workspace: Some("T1".into()),
            org: Some("E1".into()),
            ..Facts::default()
        };
        let called = Called { workspace: Some("X".into()), user: Some("bot".into()) };
        assert_eq!(read("auth.test", body), Some(Told::Caller(facts, called)));
        let app = read("auth.test", br#"{"ok":true,"app_name":"X","app_id":"A1"}"#);
        let facts = Facts { app: Some("A1".into()), ..Facts::default() };
        assert_eq!(app, Some(Told::Caller(facts, Called::default())));
        let person = read("auth.test", br#"{"ok":true,"team_id":"T1","bot_id":null}"#);
        let facts = Facts { workspace: Some("T1".into()), ..Facts::default() };
        assert_eq!(person, Some(Told::Caller(facts, Called::default())));
    }

    #[test]
    fn an_installation_tells_whose_its_tokens_are() {
        let body = br#"{"ok":true,"access_token":"xoxb-1","token_type":"bot","bot_user_id":"U0",
            "app_id":"A1","team":{"name":"X","id":"T1"},"enterprise":null,
            "authed_user":{"id":"U1","access_token":"xoxp-1","token_type":"user"}}"#;
        let facts =
            Facts { app: Some("A1".into()), workspace: Some("T1".into()), ..Facts::default() };
        let tokens =
            vec![(TokenHash::of("xoxb-1"), facts.clone()), (TokenHash::of("xoxp-1"), facts)];
        assert_eq!(read("oauth.v2.access", body), Some(Told::Tokens(tokens)));
        let whole = br#"{"ok":true,"access_token":"xoxb-2","app_id":"A1","team":null,
            "enterprise":{"id":"E1"},"is_enterprise_install":true,"authed_user":{"id":"U1"}}"#;
        let facts = Facts {
            app: Some("A1".into()),
            org: Some("E1".into()),
            org_wide: true,
            ..Facts::default()
        };
        let tokens = vec![(TokenHash::of("xoxb-2"), facts)];
        assert_eq!(read("oauth.v2.access", whole), Some(Told::Tokens(tokens)));
    }

    #[test]
    fn bots_info_tells_the_app_of_a_bot() {
        let body = br#"{"ok":true,"bot":{"id":"B1","app_id":"A1","name":"x"}}"#;
        let told = Told::Bot { bot: "B1".into(), app: "A1".into() };
        assert_eq!(read("bots.info", body), Some(told));
    }

    #[test]
    fn whatever_is_no_answer_of_slacks_tells_nothing() {
        for (method, body) in [
            ("auth.test", r#"{"ok":false,"error":"invalid_auth"}"#),
            ("auth.test", r#"{"ok":true}"#),
            ("auth.test", r#"{"ok":true,"team_id":"T 1"}"#),
            ("auth.test", "ok"),
            ("auth.test", ""),
            ("oauth.v2.access", r#"{"ok":false,"error":"invalid_code"}"#),
            ("bots.info", r#"{"ok":true}"#),
            ("users.info", r#"{"ok":true,"team_id":"T1"}"#),
        ] {
            assert_eq!(read(method, body.as_bytes()), None, "{method} {body}");
        }
        let nothing = read("oauth.v2.access", br#"{"ok":true,"access_token":"xoxb-1"}"#);
        assert_eq!(nothing, Some(Told::Tokens(Vec::new())));
    }
}
