//! Lists, a page at a time: with cursors, and as the older methods have it, by the page's number.
//! <https://docs.slack.dev/apis/web-api/pagination>

use serde_json::{Value, json};

use crate::{Identity, arguments::Arguments};

/// A kind of conversation, by its name in the argument `types`.
const KINDS: [&str; 4] = ["public_channel", "private_channel", "mpim", "im"];
/// So many are on a page if nobody says it, and so many at most.
const USUAL: usize = 100;
const MOST: usize = 1_000;
/// What stands around the number of items before a cursor's page. Slack's end like this, too.
const CURSOR: (&str, &str) = ("next:", "=");

/// A page of the list that a method gives, which has so many items in all; none if it gives none.
pub(super) fn page(
    method: &str,
    identity: &Identity,
    arguments: &Arguments,
    items: usize,
) -> Option<Value> {
    Some(match method {
        "conversations.list" | "users.conversations" => conversations(identity, arguments, items),
        "conversations.members" => by_cursor("members", arguments, items, |n| user_id(n).into()),
        "files.list" => files(arguments, items),
        "users.list" => by_cursor("members", arguments, items, |n| user(identity, n)),
        _ => return None,
    })
}

/// The page after the cursor. Items are counted from 1.
fn by_cursor(
    key: &str,
    arguments: &Arguments,
    items: usize,
    item: impl Fn(usize) -> Value,
) -> Value {
    let limit = number(arguments, "limit").unwrap_or(USUAL).clamp(1, MOST);
    let before = arguments.get("cursor").map_or(Some(0), |cursor| {
        cursor.strip_prefix(CURSOR.0)?.strip_suffix(CURSOR.1)?.parse().ok()
    });
    let Some(from) = before.filter(|from| *from <= items) else {
        return json!({ "ok": false, "error": "invalid_cursor" });
    };
    let to = items.min(from + limit);
    let next = if to < items { format!("{}{to}{}", CURSOR.0, CURSOR.1) } else { String::new() };
    let page: Vec<Value> = (from + 1..=to).map(item).collect();
    json!({ "ok": true, key: page, "response_metadata": { "next_cursor": next } })
}

/// The conversations of the kinds asked for, in turns.
fn conversations(identity: &Identity, arguments: &Arguments, items: usize) -> Value {
    let asked = arguments.get("types").unwrap_or(KINDS[0]);
    let kinds: Vec<&str> = asked.split(',').map(str::trim).collect();
    if kinds.iter().any(|kind| !KINDS.contains(kind)) {
        return json!({ "ok": false, "error": "invalid_types" });
    }
    by_cursor("channels", arguments, items, |n| conversation(identity, kinds[n % kinds.len()], n))
}

fn conversation(identity: &Identity, kind: &str, n: usize) -> Value {
    // In milliseconds, a minute apart.
    let updated = 1_678_000_000_000_u64 + 60_000 * n as u64;
    // In seconds.
    let created = updated / 1000;
    match kind {
        "im" => json!({
            "id": format!("D{n:08}"), "is_im": true, "user": user_id(n), "updated": updated,
            "created": created, "context_team_id": &*identity.workspace,
        }),
        "mpim" => json!({
            "id": format!("G{n:08}"), "name": format!("mpdm-{n}"), "is_channel": false,
            "is_group": true, "is_im": false, "is_mpim": true, "is_private": true,
            "is_archived": false, "is_open": true, "is_member": true, "updated": updated,
            "created": created, "context_team_id": &*identity.workspace,
        }),
        kind => json!({
            "id": format!("C{n:08}"), "name": format!("channel-{n}"), "is_channel": true,
            "is_im": false, "is_mpim": false, "is_private": kind == "private_channel",
            "is_archived": false, "is_member": true, "num_members": 2, "updated": updated,
            "created": created, "context_team_id": &*identity.workspace,
        }),
    }
}

fn user_id(n: usize) -> String {
    format!("U{n:08}")
}

fn user(identity: &Identity, n: usize) -> Value {
    json!({
        "id": user_id(n), "team_id": &*identity.workspace, "name": format!("user-{n}"),
        "deleted": n.is_multiple_of(10), "is_bot": false,
        "profile": { "real_name": format!("User {n}"), "display_name": "" },
    })
}

/// By the number of the page: <https://docs.slack.dev/reference/methods/files.list>.
fn files(arguments: &Arguments, items: usize) -> Value {
    let count = number(arguments, "count").unwrap_or(USUAL).clamp(1, MOST);
    let page = number(arguments, "page").unwrap_or(1).max(1);
    let from = count.saturating_mul(page - 1).min(items);
    let files: Vec<Value> = (from + 1..=items.min(from.saturating_add(count)))
        .map(|n| json!({ "id": format!("F{n:08}"), "name": format!("file-{n}.txt"), "size": 100 }))
        .collect();
    let pages = items.div_ceil(count);
    json!({
        "ok": true, "files": files,
        "paging": { "count": count, "total": items, "page": page, "pages": pages },
    })
}

fn number(arguments: &Arguments, name: &str) -> Option<usize> {
    arguments.get(name)?.parse().ok()
}
