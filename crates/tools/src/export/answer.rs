//! What a page of a list says: its items, and where the next page is.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::request::Next;

/// A page.
#[derive(Debug)]
pub(super) struct ListPage<'a> {
    /// As Slack wrote them.
    pub(super) items: Vec<&'a RawValue>,
    /// The key under which they were.
    pub(super) key: String,
    /// None after the last page.
    pub(super) next: Option<Next>,
}

/// An answer that has no page in it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AnswerError {
    #[error("the answer is no JSON object")]
    Json,
    #[error("the answer has no list at its top, and export reads no other; it has: {0}")]
    NoList(String),
    #[error("the answer has more lists than one; choose with --items: {0}")]
    Lists(String),
    #[error("the answer has no {key}, the list that is exported; it has: {has}")]
    NoKey { key: String, has: String },
    #[error("{0} is no list in the answer; name one with --items")]
    NotList(String),
    #[error("the answer does not say where the next page is in a way that is known")]
    Next,
}

/// What is beside a list with cursors.
#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    next_cursor: Option<Cow<'a, str>>,
}

/// What is beside a list with numbered pages.
#[derive(Deserialize)]
struct Paging {
    page: u64,
    pages: u64,
}

/// The list of methods that have more than one, or that most exports are of, from their pages below
/// <https://docs.slack.dev/reference/methods>. Of the others it is the one that there is.
const KNOWN: [(&str, &str); 7] = [
    ("conversations.history", "messages"),
    ("conversations.list", "channels"),
    ("conversations.members", "members"),
    ("conversations.replies", "messages"),
    ("files.list", "files"),
    ("users.conversations", "channels"),
    ("users.list", "members"),
];

type Members<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

// === impl ListPage ===

impl<'a> ListPage<'a> {
    /// Reads the body of an answer to a method. The list has that key, or else one that is found.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub(super) fn read(
        method: &str,
        key: Option<&str>,
        body: &'a [u8],
    ) -> Result<Self, AnswerError> {
        let members: Members<'a> = serde_json::from_slice(body).map_err(|_| AnswerError::Json)?;
        let known = KNOWN.iter().find(|(name, _)| *name == method).map(|(_, key)| *key);
        let key = match key.or(known) {
            Some(key) => key.to_owned(),
            None => find(&members)?,
        };
        let Some(list) = members.get(&*key) else {
            return Err(AnswerError::NoKey { key, has: names(&members, |_| true) });
        };
        let Ok(items) = serde_json::from_str(list.get()) else {
            return Err(AnswerError::NotList(key));
        };
        Ok(Self { items, key, next: next(&members)? })
    }
}

/// The one list.
fn find(members: &Members<'_>) -> Result<String, AnswerError> {
    let mut lists = members.iter().filter(|(_, value)| is_list(value));
    match (lists.next(), lists.next()) {
        (Some((key, _)), None) => Ok(key.clone().into_owned()),
        (None, _) => Err(AnswerError::NoList(names(members, |_| true))),
        (Some(_), Some(_)) => Err(AnswerError::Lists(names(members, is_list))),
    }
}

/// Where the next page is. A method that knows cursors says so on its last page, too, with an empty
/// one or none; it may have the numbers as well.
fn next(members: &Members<'_>) -> Result<Option<Next>, AnswerError> {
    fn of<'a, T: Deserialize<'a>>(value: &&'a RawValue) -> Result<T, AnswerError> {
        serde_json::from_str(value.get()).map_err(|_| AnswerError::Next)
    }
    let metadata: Option<Metadata<'_>> = members.get("response_metadata").map(of).transpose()?;
    let cursor = match metadata.and_then(|it| it.next_cursor) {
        Some(cursor) => Some(cursor),
        // `admin.conversations.search` has it here.
        None => members.get("next_cursor").map(of::<Option<Cow<'_, str>>>).transpose()?.flatten(),
    };
    if let Some(cursor) = cursor {
        return Ok((!cursor.is_empty()).then(|| Next::Cursor(cursor.into_owned())));
    }
    let paging: Option<Paging> = members.get("paging").map(of).transpose()?;
    Ok(paging.filter(|it| it.page < it.pages).map(|it| Next::Page(it.page + 1)))
}

fn is_list(value: &RawValue) -> bool {
    value.get().starts_with('[')
}

/// The names of members, so that one can be chosen.
fn names(members: &Members<'_>, which: impl Fn(&RawValue) -> bool) -> String {
    let names = members.iter().filter(|(_, value)| which(value)).map(|(name, _)| &**name);
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        method: &str,
        key: Option<&str>,
        body: &str,
    ) -> Result<(Vec<String>, Option<Next>), String> {
        let answer =
            ListPage::read(method, key, body.as_bytes()).map_err(|error| error.to_string())?;
        let items = answer.items.iter().map(|item| item.get().to_owned()).collect();
        Ok((items, answer.next))
    }

    fn cursor(text: &str) -> Next {
        Next::Cursor(text.to_owned())
    }

    #[test]
    fn items_are_as_slack_wrote_them() {
        let body = r#"{"ok":true,"teams":[{"z":1.50,"a":"\u00e9"}, "U1"],"response_metadata":{"next_cursor":"dGVhbQ=="}}"#;
        let items = vec![r#"{"z":1.50,"a":"\u00e9"}"#.to_owned(), r#""U1""#.to_owned()];
        assert_eq!(read("auth.teams.list", None, body), Ok((items, Some(cursor("dGVhbQ==")))));
    }

    #[test]
    fn the_list_is_the_one_there_is_or_the_one_that_is_known_or_named() {
        let two = r#"{"ok":true,"messages":[1],"warnings":["x"]}"#;
        assert_eq!(read("conversations.history", None, two), Ok((vec!["1".to_owned()], None)));
        let error = read("a.b", None, two).unwrap_err();
        assert!(error.contains("--items: messages, warnings"), "{error}");
        assert_eq!(read("a.b", Some("warnings"), two).unwrap().0, [r#""x""#]);
        for (key, body, part) in [
            (None, r#"{"ok":true,"messages":{"matches":[]}}"#, "no list at its top"),
            (Some("x"), two, "no x, the list that is exported; it has: messages, ok, warnings"),
            (Some("ok"), two, "ok is no list"),
            (None, "[]", "no JSON object"),
            (None, "", "no JSON object"),
            (None, r#"{"a":[],"response_metadata":{"next_cursor":7}}"#, "the next page"),
        ] {
            let error = read("a.b", key, body).unwrap_err();
            assert!(error.contains(part), "{body}: {error}");
        }
    }

    #[test]
    fn the_next_page_is_said_in_each_of_slacks_ways() {
        for (rest, expected) in [
            (r#""response_metadata":{"next_cursor":"a=","warnings":[]}"#, Some(cursor("a="))),
            (r#""response_metadata":{"next_cursor":""}"#, None),
            (r#""response_metadata":{"next_cursor":null}"#, None),
            (r#""response_metadata":{}"#, None),
            (r#""next_cursor":"b""#, Some(cursor("b"))),
            (r#""next_cursor":"""#, None),
            (r#""paging":{"count":2,"total":5,"page":2,"pages":3}"#, Some(Next::Page(3))),
            (r#""paging":{"count":2,"total":5,"page":3,"pages":3}"#, None),
            (r#""paging":{"count":2,"total":0,"page":1,"pages":0}"#, None),
            // With a limit, `stars.list` goes by cursors, and has the numbers all the same.
            (r#""response_metadata":{"next_cursor":""},"paging":{"page":1,"pages":3}"#, None),
            (r#""x":1"#, None),
        ] {
            let body = format!(r#"{{"ok":true,"items":[],{rest}}}"#);
            assert_eq!(read("a.b", None, &body), Ok((vec![], expected)), "{rest}");
        }
    }
}
