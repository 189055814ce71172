//! What Slack would say: the bodies of accepted calls, close enough for its SDKs to read.

mod lists;

use serde_json::{Value, json};

use super::{Identity, arguments::Arguments};

/// The methods that a caller may use before it has a token.
const WITHOUT_TOKEN: [&str; 8] = [
    "api.test",
    "oauth.access",
    "oauth.token",
    "oauth.v2.access",
    "oauth.v2.exchange",
    "oauth.v2.user.access",
    "openid.connect.token",
    "tooling.tokens.rotate",
];

/// Whether the method needs no token.
pub(super) fn takes_no_token(method: &str) -> bool {
    WITHOUT_TOKEN.contains(&method)
}

/// The body of an accepted call. `ts` is the timestamp of the message that it would post; a list has
/// so many items.
pub(super) fn body(
    method: &str,
    identity: &Identity,
    arguments: &Arguments,
    ts: &str,
    items: usize,
) -> Value {
    if let Some(page) = lists::page(method, identity, arguments, items) {
        return page;
    }
    match method {
        "api.test" => api_test(arguments),
        "auth.test" => auth_test(identity),
        "bots.info" => bots_info(identity, arguments),
        "chat.postMessage" | "chat.update" => message(identity, arguments, ts),
        "conversations.history" | "conversations.replies" => json!({
            "ok": true, "messages": [], "has_more": false,
            "response_metadata": { "next_cursor": "" },
        }),
        "oauth.v2.access" => oauth_v2_access(arguments),
        "users.info" => users_info(identity, arguments),
        "views.open" | "views.push" | "views.publish" | "views.update" => view(identity, ts),
        _ => json!({ "ok": true }),
    }
}

fn api_test(arguments: &Arguments) -> Value {
    let echo = arguments.all().filter(|(key, _)| *key != "token");
    let args: serde_json::Map<_, _> =
        echo.map(|(key, value)| (key.to_owned(), value.into())).collect();
    match arguments.get("error") {
        Some(error) => json!({ "ok": false, "error": error, "args": args }),
        None => json!({ "ok": true, "args": args }),
    }
}

fn auth_test(identity: &Identity) -> Value {
    let mut body = json!({
        "ok": true,
        "url": format!("https://{}.slack.com/", identity.workspace.to_ascii_lowercase()),
        "team": format!("Workspace {}", identity.workspace),
        "user": if identity.bot { "bot" } else { "person" },
        "team_id": &*identity.workspace,
        "user_id": identity.user_id(),
        "is_enterprise_install": false,
    });
    // A person's token has none, and Slack leaves the member out.
    if let Some(bot_id) = identity.bot_id() {
        body["bot_id"] = bot_id.into();
    }
    body
}

fn bots_info(identity: &Identity, arguments: &Arguments) -> Value {
    let own = Identity { bot: true, ..identity.clone() }.bot_id();
    let asked = arguments.get("bot");
    if asked.is_some() && asked != own.as_deref() {
        return json!({ "ok": false, "error": "bot_not_found" });
    }
    json!({
        "ok": true,
        "bot": {
            "id": own, "deleted": false, "name": "bot", "app_id": &*identity.app,
            "user_id": identity.user_id(),
        },
    })
}

fn message(identity: &Identity, arguments: &Arguments, ts: &str) -> Value {
    let Some(channel) = arguments.get("channel") else {
        return json!({ "ok": false, "error": "channel_not_found" });
    };
    let text = arguments.get("text").unwrap_or_default();
    // An update names the message it changes.
    let ts = arguments.get("ts").unwrap_or(ts);
    let mut message = json!({
        "type": "message", "text": text, "ts": ts,
        "user": identity.user_id(), "team": &*identity.workspace,
    });
    if let Some(bot_id) = identity.bot_id() {
        message["bot_id"] = bot_id.into();
        message["app_id"] = (&*identity.app).into();
    }
    json!({ "ok": true, "channel": channel, "ts": ts, "text": text, "message": message })
}

/// The code names the workspace and the app as a token does: `<workspace>-<app>-<anything>`.
fn oauth_v2_access(arguments: &Arguments) -> Value {
    let token = format!("xoxb-{}", arguments.get("code").unwrap_or_default());
    match Identity::of_token(Some(&token)) {
        Ok(identity) if arguments.get("code").is_some() => json!({
            "ok": true, "access_token": token, "token_type": "bot", "scope": "chat:write",
            "bot_user_id": identity.user_id(), "app_id": &*identity.app,
            "team": { "id": &*identity.workspace, "name": format!("Workspace {}", identity.workspace) },
            "enterprise": null, "is_enterprise_install": false,
            "authed_user": { "id": identity.user_id() },
        }),
        _ => json!({ "ok": false, "error": "invalid_code" }),
    }
}

fn users_info(identity: &Identity, arguments: &Arguments) -> Value {
    let Some(user) = arguments.get("user") else {
        return json!({ "ok": false, "error": "user_not_found" });
    };
    json!({
        "ok": true,
        "user": {
            "id": user, "team_id": &*identity.workspace, "name": user.to_ascii_lowercase(),
            "real_name": format!("User {user}"), "deleted": false, "is_bot": false,
            "profile": { "real_name": format!("User {user}"), "display_name": user },
        },
    })
}

fn view(identity: &Identity, ts: &str) -> Value {
    json!({
        "ok": true,
        "view": {
            "id": format!("V{}", ts.replace('.', "")), "team_id": &*identity.workspace,
            "type": "modal", "hash": ts, "state": { "values": {} },
            "app_id": &*identity.app, "bot_id": identity.bot_id(),
        },
    })
}
