//! What becomes of an item: a line with it, a line with a call, or none.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Serialize;
use serde_json::value::RawValue;

use super::request::{CallOf, Request};

/// An item of which no call can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ShapeError {
    #[error("it has no field {0}, which --with asks for")]
    NoField(String),
    #[error("its field {0} is no text, number or truth value, so it can be no argument")]
    NoArgument(String),
    #[error("it cannot be written")]
    Write,
}

/// A line that a drain reads.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    method: &'a str,
    args: BTreeMap<&'a str, &'a RawValue>,
}

/// An item, looked into.
struct Item<'a> {
    all: &'a RawValue,
    fields: BTreeMap<Cow<'a, str>, &'a RawValue>,
}

/// The field that is the item itself.
const ITSELF: &str = ".";
/// The longest id that a drain takes, with its quotes.
const ID: usize = 258;

/// Appends the item's line; whether it has one.
///
/// # Errors
/// [`ShapeError`].
pub(super) fn line(
    item: &RawValue,
    request: &Request,
    to: &mut Vec<u8>,
) -> Result<bool, ShapeError> {
    if request.wheres.is_empty() && request.call.is_none() {
        as_it_is(item, to);
        return Ok(true);
    }
    let looked = Item::of(item);
    let holds = |(field, value): &(String, String)| looked.has(field, value);
    if !request.wheres.iter().all(holds) {
        return Ok(false);
    }
    match &request.call {
        Some(call) => looked.call(call, to)?,
        None => as_it_is(item, to),
    }
    Ok(true)
}

/// A line break in JSON stands between its tokens only, where a space does as well.
fn as_it_is(item: &RawValue, to: &mut Vec<u8>) {
    let bytes = item.get().bytes();
    to.extend(bytes.map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    to.push(b'\n');
}

// === impl Item ===

impl<'a> Item<'a> {
    fn of(all: &'a RawValue) -> Self {
        // What is no object has no fields.
        Self { all, fields: serde_json::from_str(all.get()).unwrap_or_default() }
    }

    fn field(&self, name: &str) -> Option<&'a RawValue> {
        if name == ITSELF { Some(self.all) } else { self.fields.get(name).copied() }
    }

    /// Whether the field, as text, is that.
    fn has(&self, field: &str, value: &str) -> bool {
        let Some(raw) = self.field(field) else { return false };
        match serde_json::from_str::<Cow<'_, str>>(raw.get()) {
            Ok(text) => text == value,
            Err(_) => raw.get() == value,
        }
    }

    fn call(&self, of: &CallOf, to: &mut Vec<u8>) -> Result<(), ShapeError> {
        let mut args = BTreeMap::new();
        for (name, field) in &of.with {
            let Some(value) = self.field(field) else {
                return Err(ShapeError::NoField(field.clone()));
            };
            if !is_scalar(value) {
                return Err(ShapeError::NoArgument(field.clone()));
            }
            args.insert(&**name, value);
        }
        let id = self.field("id").unwrap_or(self.all);
        let line = Line { id: Some(id).filter(|id| is_id(id)), method: &of.method, args };
        serde_json::to_writer(&mut *to, &line).map_err(|_| ShapeError::Write)?;
        to.push(b'\n');
        Ok(())
    }
}

fn is_scalar(value: &RawValue) -> bool {
    !value.get().starts_with(['{', '[', 'n'])
}

/// Whether a drain takes it: a number, or a text that is not long.
fn is_id(value: &RawValue) -> bool {
    let text = value.get();
    text.starts_with(|it: char| it == '"' || it == '-' || it.is_ascii_digit()) && text.len() <= ID
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(wheres: &[(&str, &str)], call: Option<(&str, &[(&str, &str)])>) -> Request {
        let pair = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        Request {
            method: "conversations.list".to_owned(),
            args: BTreeMap::new(),
            token_env: "T".to_owned(),
            items: None,
            wheres: wheres.iter().map(pair).collect(),
            call: call.map(|(method, with)| CallOf {
                method: method.to_owned(),
                with: with.iter().map(pair).collect(),
            }),
        }
    }

    fn shaped(item: &str, request: &Request) -> Result<String, ShapeError> {
        let item: &RawValue = serde_json::from_str(item).unwrap();
        let mut to = Vec::new();
        let kept = line(item, request, &mut to)?;
        assert_eq!(kept, !to.is_empty());
        Ok(String::from_utf8(to).unwrap())
    }

    #[test]
    fn an_item_is_one_line_as_it_came() {
        let item = "{\"b\": 1.0,\r\n \"a\":\"x\\ny\"}";
        let line = shaped(item, &request(&[], None)).unwrap();
        assert_eq!(line, "{\"b\": 1.0,   \"a\":\"x\\ny\"}\n");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&line), value(item));
    }

    #[test]
    fn all_conditions_hold_or_it_is_left_out() {
        let item = r#"{"is_mpim":true,"n":7,"name":"a\u0062","null":null}"#;
        for (wheres, kept) in [
            (&[("is_mpim", "true")][..], true),
            (&[("is_mpim", "false")], false),
            (&[("n", "7"), ("name", "ab"), ("null", "null")], true),
            (&[("n", "7"), ("name", "abc")], false),
            (&[("is_im", "false")], false),
        ] {
            let line = shaped(item, &request(wheres, None)).unwrap();
            assert_eq!(!line.is_empty(), kept, "{wheres:?}");
        }
    }

    #[test]
    fn an_item_becomes_a_call_that_a_drain_takes() {
        let close = request(&[], Some(("conversations.close", &[("channel", "id")])));
        assert_eq!(
            shaped(r#"{"name":"x","id":"G1"}"#, &close).unwrap(),
            "{\"id\":\"G1\",\"method\":\"conversations.close\",\"args\":{\"channel\":\"G1\"}}\n"
        );
        let kick = request(&[], Some(("users.info", &[("user", ".")])));
        assert_eq!(
            shaped(r#""U1""#, &kick).unwrap(),
            "{\"id\":\"U1\",\"method\":\"users.info\",\"args\":{\"user\":\"U1\"}}\n"
        );
        let delete = request(&[], Some(("chat.delete", &[("ts", "ts"), ("as_user", "mine")])));
        assert_eq!(
            shaped(r#"{"ts":"1.5","mine":true}"#, &delete).unwrap(),
            "{\"method\":\"chat.delete\",\"args\":{\"as_user\":true,\"ts\":\"1.5\"}}\n"
        );
    }

    #[test]
    fn an_item_without_the_field_is_an_error_and_not_a_call_without_it() {
        let close = request(&[], Some(("conversations.close", &[("channel", "id")])));
        let no_field = ShapeError::NoField("id".to_owned());
        assert_eq!(shaped(r#"{"ID":"G1"}"#, &close), Err(no_field.clone()));
        assert_eq!(shaped("7", &close), Err(no_field));
        for value in ["null", "[]", "{}"] {
            let item = format!("{{\"id\":{value}}}");
            assert_eq!(shaped(&item, &close), Err(ShapeError::NoArgument("id".to_owned())));
        }
    }
}
