//! What is exported: which method with which arguments, and what becomes of its items.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use slack::{AppKind, Catalogue};

use super::args::Args;
use crate::through::is_method;

/// What is exported. An export goes on only if all of it is as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) args: BTreeMap<String, String>,
    pub(super) token_env: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) items: Option<String>,
    /// Only items whose field has that value.
    #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
    pub(super) wheres: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) call: Option<CallOf>,
}

/// The call that an item becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CallOf {
    pub(super) method: String,
    /// Its arguments, each with the field that it is.
    pub(super) with: BTreeMap<String, String>,
}

/// Where the next page is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Next {
    Cursor(String),
    /// By its number, from 1.
    Page(u64),
}

/// What cannot be exported.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestError {
    #[error("{0} is no name of a method, as in conversations.list")]
    Method(String),
    #[error("--call {0} is no name of a method, as in conversations.close")]
    CallOf(String),
    #[error("{0} does more than read, so it is not called for an export")]
    Writes(String),
    #[error("--{0} {1} is given twice")]
    Twice(&'static str, String),
    #[error("--arg {0}= is the export's own: it keeps where it is in {1}")]
    Own(String, &'static str),
    #[error("a token is no argument; name the variable that has it with --token-env")]
    Token,
}

/// So many items a page: <https://docs.slack.dev/apis/web-api/pagination> recommends 100 to 200.
const USUAL: u32 = 200;
/// Methods of which Slack gives fewer, from their pages below
/// <https://docs.slack.dev/reference/methods>.
const FEWER: [(&str, u32); 3] = [
    ("admin.analytics.messages.activity", 100),
    ("admin.conversations.search", 20),
    ("assistant.search.context", 20),
];
/// What an unlisted app is given of messages, and of which methods:
/// <https://docs.slack.dev/changelog/2025/05/29/rate-limit-changes-for-non-marketplace-apps>.
const UNLISTED: u32 = 15;
const MESSAGES: [&str; 2] = ["conversations.history", "conversations.replies"];
/// Methods that have pages by number only, and say their size with `count`.
const BY_NUMBER: [&str; 2] = ["files.list", "team.integrationLogs"];

// === impl Request ===

impl Request {
    /// What was typed, if it can be exported.
    ///
    /// # Errors
    /// [`RequestError`].
    pub(super) fn of(
        args: &Args,
        catalogue: &Catalogue,
        app: AppKind,
    ) -> Result<Self, RequestError> {
        let method = args.method.clone();
        if !is_method(&method) {
            return Err(RequestError::Method(method));
        }
        if catalogue.get(&method).is_some_and(|known| !known.reads) {
            return Err(RequestError::Writes(method));
        }
        let mut own = unique("arg", &args.args)?;
        if own.contains_key("token") {
            return Err(RequestError::Token);
        }
        for name in ["cursor", "page"] {
            if own.contains_key(name) {
                return Err(RequestError::Own(name.to_owned(), "FILE.cursor"));
            }
        }
        let size = if BY_NUMBER.contains(&&*method) { "count" } else { "limit" };
        own.entry(size.to_owned()).or_insert_with(|| page_size(&method, app).to_string());
        // Said to be nothing, it is left to Slack.
        own.retain(|_, value| !value.is_empty());
        let call = match &args.call {
            Some(method) if !is_method(method) => {
                return Err(RequestError::CallOf(method.clone()));
            }
            Some(method) => {
                let with = unique("with", &args.with)?;
                if with.contains_key("token") {
                    return Err(RequestError::Token);
                }
                Some(CallOf { method: method.clone(), with })
            }
            None => None,
        };
        Ok(Self {
            method,
            args: own,
            token_env: args.through.token_env.clone(),
            items: args.items.clone(),
            wheres: args.wheres.clone(),
            call,
        })
    }

    /// The arguments of the next page.
    pub(super) fn form(&self, next: Option<&Next>) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(&self.args);
        match next {
            Some(Next::Cursor(cursor)) => _ = form.append_pair("cursor", cursor),
            Some(Next::Page(page)) => _ = form.append_pair("page", &page.to_string()),
            None => {}
        }
        form.finish()
    }

    /// What another asks otherwise, in the words of the command line; none if it is the same.
    pub(super) fn differs(&self, other: &Self) -> Option<&'static str> {
        [
            ("METHOD", self.method == other.method),
            ("--arg", self.args == other.args),
            ("--token-env", self.token_env == other.token_env),
            ("--items", self.items == other.items),
            ("--where", self.wheres == other.wheres),
            ("--call and --with", self.call == other.call),
        ]
        .into_iter()
        .find_map(|(what, same)| (!same).then_some(what))
    }
}

fn page_size(method: &str, app: AppKind) -> u32 {
    if app == AppKind::Unlisted && MESSAGES.contains(&method) {
        return UNLISTED;
    }
    FEWER.iter().find(|(name, _)| *name == method).map_or(USUAL, |(_, most)| *most)
}

fn unique(
    option: &'static str,
    pairs: &[(String, String)],
) -> Result<BTreeMap<String, String>, RequestError> {
    let mut all = BTreeMap::new();
    for (name, value) in pairs {
        if all.insert(name.clone(), value.clone()).is_some() {
            return Err(RequestError::Twice(option, name.clone()));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn of(line: &str, app: AppKind) -> Result<Request, RequestError> {
        let words = ["export", "--out", "x"].into_iter().chain(line.split_whitespace());
        let line = Line::try_parse_from(words).unwrap();
        Request::of(&line.args, &Catalogue::built_in(app).unwrap(), app)
    }

    fn form(line: &str, app: AppKind) -> String {
        of(line, app).unwrap().form(None)
    }

    #[test]
    fn a_page_has_as_many_items_as_slack_recommends_unless_it_gives_fewer() {
        let internal = AppKind::Internal;
        assert_eq!(form("users.list", internal), "limit=200");
        assert_eq!(form("users.list --arg limit=5", internal), "limit=5");
        assert_eq!(form("users.list --arg limit=", internal), "");
        assert_eq!(form("files.list --arg types=images", internal), "count=200&types=images");
        assert_eq!(form("admin.conversations.search", internal), "limit=20");
        let history = "conversations.history --arg channel=C1";
        assert_eq!(form(history, internal), "channel=C1&limit=200");
        assert_eq!(form(history, AppKind::Unlisted), "channel=C1&limit=15");
    }

    #[test]
    fn a_cursor_is_sent_as_it_came() {
        let request = of("users.list", AppKind::Internal).unwrap();
        let cursor = Next::Cursor("dXNlcjpVMEc5V0ZYTlo=".to_owned());
        assert_eq!(request.form(Some(&cursor)), "limit=200&cursor=dXNlcjpVMEc5V0ZYTlo%3D");
        assert_eq!(request.form(Some(&Next::Page(3))), "limit=200&page=3");
    }

    #[test]
    fn what_cannot_be_exported_is_said() {
        for (line, part) in [
            ("../users", "no name of a method"),
            ("conversations.close", "more than read"),
            ("users.list --arg a=1 --arg a=2", "--arg a is given twice"),
            ("users.list --arg cursor=x", "the export's own"),
            ("users.list --arg token=xoxb-1", "--token-env"),
            ("users.list --call a/b --with a=id", "--call a/b"),
            ("users.list --call a.b --with token=id", "--token-env"),
        ] {
            let error = of(line, AppKind::Internal).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("xoxb"), "{line}: {error}");
        }
        // What the catalogue does not know may read.
        assert!(of("new.list", AppKind::Internal).is_ok());
    }

    #[test]
    fn a_condition_is_an_equality() {
        for condition in ["updated<1", "updated<=1", "a!=b", "a", "=b"] {
            let words = ["export", "users.list", "--out", "x", "--where", condition];
            let error = Line::try_parse_from(words).unwrap_err().to_string();
            assert!(error.contains("is_mpim=true") && error.contains("jq"), "{error}");
        }
    }

    #[test]
    fn another_request_is_told_by_what_differs() {
        let request = |line| of(line, AppKind::Internal).unwrap();
        let one = request("users.list --where deleted=false");
        assert_eq!(one.differs(&one.clone()), None);
        for (other, what) in [
            ("conversations.list --where deleted=false", "METHOD"),
            ("users.list --where deleted=false --arg limit=9", "--arg"),
            ("users.list --where deleted=false --token-env T", "--token-env"),
            ("users.list --where deleted=false --items members", "--items"),
            ("users.list", "--where"),
            ("users.list --where deleted=false --call a.b --with a=id", "--call and --with"),
        ] {
            assert_eq!(one.differs(&request(other)), Some(what), "{other}");
        }
    }
}
