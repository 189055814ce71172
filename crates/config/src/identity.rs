//! `identity`: what the operator tells of tokens, and whether Slack is asked for the rest.
//!
//! A token's text is hashed as soon as it is read. No message repeats anything that could be one.

use std::sync::Arc;

use slack::{TokenHash, holds_token, read::missing};
use yaml::{Cursor, Report};

use super::{IdentityRules, KnownToken};

/// The longest id of an app or a workspace.
const MAX_ID: usize = 64;

/// What stands there, over what holds without it.
pub(super) fn read(
    root: Cursor<'_>,
    env: &dyn Fn(&str) -> Option<String>,
    report: &mut Report,
) -> IdentityRules {
    let mut rules = IdentityRules::default();
    let Some(at) = root.get("identity") else { return rules };
    if let Some(resolve) = at.get("resolve").and_then(|it| it.read_bool(report)) {
        rules.resolve = resolve;
    }
    rules.app = at.get("app").and_then(|it| id(it, "A0123456789", report));
    rules.tokens = tokens(at, env, report);
    rules
}

/// The tokens, in the file's order.
fn tokens(
    at: Cursor<'_>,
    env: &dyn Fn(&str) -> Option<String>,
    report: &mut Report,
) -> Vec<KnownToken> {
    let list = at.get("tokens");
    let mut tokens: Vec<KnownToken> = Vec::new();
    for entry in list.into_iter().flat_map(Cursor::items) {
        let token = match entry.get("token_env") {
            Some(it) => hash(it, env, report).map(|token| (it, token)),
            None => missing(entry, "token_env", "SLACK_BOT_TOKEN", report),
        };
        let app = match entry.get("app") {
            Some(it) => id(it, "A0123456789", report),
            None => missing(entry, "app", "A0123456789", report),
        };
        let workspace = match entry.get("workspace") {
            Some(it) => id(it, "T0123456789", report),
            None => missing(entry, "workspace", "T0123456789", report),
        };
        let org = entry.get("org").and_then(|it| id(it, "E0123456789", report));
        let (Some((it, token)), Some(app), Some(workspace)) = (token, app, workspace) else {
            continue;
        };
        if tokens.iter().any(|known| known.token == token) {
            report.add(it, "holds a token that an entry before it has too; delete one");
        }
        tokens.push(KnownToken {
            token,
            env: it.text().unwrap_or_default().into(),
            app,
            workspace,
            org,
        });
    }
    tokens
}

/// The hash of a token, without the white space that files of secrets tend to end with.
fn hash(
    at: Cursor<'_>,
    env: &dyn Fn(&str) -> Option<String>,
    report: &mut Report,
) -> Option<TokenHash> {
    let name = at.text()?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(fits) {
        let text = "is no name of an environment variable; name the one that holds the token, \
                    never the token";
        report.add(at, text);
        return None;
    }
    let token = env(name);
    let token = token.as_deref().map_or("", str::trim);
    if token.is_empty() {
        let text = "the environment variable it names is not set; set it to the token";
        report.add_absent(at, text);
        return None;
    }
    Some(TokenHash::of(token))
}

fn id(at: Cursor<'_>, example: &str, report: &mut Report) -> Option<Arc<str>> {
    let id = at.text()?;
    let fits = (1..=MAX_ID).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic());
    // It is a part of every bucket's name, which is shown.
    if !fits || holds_token(id) {
        report.add(at, format!("is no id; write one as Slack shows it, as in {example}"));
        return None;
    }
    Some(Arc::from(id))
}
