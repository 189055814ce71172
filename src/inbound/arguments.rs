//! The arguments of a call, wherever it carries them: query, form, JSON or multipart.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use http::{HeaderMap, header};
use percent_encoding::percent_decode;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::{Value, value::RawValue};

/// The most fields of a multipart form that are looked at.
const FIELDS: usize = 64;
/// The longest value of a multipart field that is read.
const VALUE: usize = 4096;
/// The most arguments of a call of which all are known.
const ALL: usize = 256;

/// The arguments that were asked for, and their values.
#[derive(Debug, Default)]
pub struct Arguments<'n>(Vec<(&'n str, Option<String>)>);

/// Looks for arguments by name. The query is stronger than the body. A body that is not what
/// its content type says has no arguments; Slack will say what is wrong with it. Of members of a
/// JSON object with one name the last counts, as nearly every parser has it: Slack is to mean the
/// same value.
pub async fn find<'n>(
    names: &[&'n str],
    query: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Arguments<'n> {
    let mut wanted = Arguments::default();
    for &name in names {
        if !wanted.contains(name) {
            wanted.0.push((name, None));
        }
    }
    if let Some(query) = query {
        from_form(query.as_bytes(), &mut wanted);
    }
    if body.is_empty() || wanted.0.iter().all(|(_, value)| value.is_some()) {
        return wanted;
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    match kind {
        Some(kind) if is(kind, "application/json") => from_json(body, &mut wanted),
        Some(kind) if is(kind, "multipart/form-data") => {
            from_multipart(kind, body, &mut wanted).await;
        }
        // Slack takes a form for granted too.
        _ => from_form(body, &mut wanted),
    }
    wanted
}

/// Every argument of a call, in one form whatever form they came in; absent where that is not certain. Then two
/// calls with the same arguments ask the same.
///
/// A number and a truth value of JSON are as a form writes them, and a list or an object as it is written
/// there. An argument that is null has no value. It is not certain what a call asks that says a name
/// twice, or something in its URL and in JSON, whose body is no such thing as its content type says or has a
/// file in it, or that has more than [`ALL`] arguments.
#[derive(Clone, PartialEq, Eq)]
pub struct AllArguments(BTreeMap<String, Option<String>>);

/// Finds every argument of a call whose body is whole and not packed.
pub async fn all(query: Option<&str>, headers: &HeaderMap, body: &[u8]) -> Option<AllArguments> {
    let mut found = AllArguments(BTreeMap::new());
    let form = |text: &[u8], found: &mut AllArguments| {
        // A value that is no text would be another after it was read.
        if str::from_utf8(&percent_decode(text).collect::<Vec<u8>>()).is_err() {
            return None;
        }
        form_urlencoded::parse(text)
            .try_for_each(|(name, value)| found.add(&name, Some(value.into_owned())))
    };
    if let Some(query) = query {
        form(query.as_bytes(), &mut found)?;
    }
    if body.is_empty() {
        return Some(found);
    }
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    let kind = kinds.next().and_then(|kind| kind.to_str().ok());
    if kinds.next().is_some() {
        return None;
    }
    match kind {
        Some(kind) if is(kind, "application/json") => {
            if !found.0.is_empty() {
                return None;
            }
            let mut json = serde_json::Deserializer::from_slice(body);
            json.deserialize_map(AllMembers(&mut found)).ok()?;
            json.end().ok()?;
        }
        Some(kind) if is(kind, "multipart/form-data") => {
            let boundary = multer::parse_boundary(kind).ok()?;
            let mut form = multer::Multipart::with_reader(body, boundary);
            while let Some(field) = form.next_field().await.ok()? {
                let name = field.name().filter(|_| field.file_name().is_none())?.to_owned();
                if field.content_type().is_some_and(|kind| kind.type_() != "text") {
                    return None;
                }
                let value = field.bytes().await.ok()?;
                found.add(&name, Some(str::from_utf8(&value).ok()?.to_owned()))?;
            }
        }
        Some(kind) if !is(kind, "application/x-www-form-urlencoded") => return None,
        _ => form(body, &mut found)?,
    }
    Some(found)
}

/// Reads all members of a JSON object.
struct AllMembers<'f>(&'f mut AllArguments);

impl<'de> Visitor<'de> for AllMembers<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object whose names are all different")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let written = map.next_value::<&'de RawValue>()?.get();
            let value = match serde_json::from_str(written).map_err(Error::custom)? {
                Value::Null => None,
                Value::String(value) => Some(value),
                // As it is written, also a number that is longer than any that can be counted with.
                Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                    Some(written.to_owned())
                }
            };
            self.0.add(&name, value).ok_or_else(|| Error::custom("twice, or too many"))?;
        }
        Ok(())
    }
}

// === impl AllArguments ===

impl AllArguments {
    /// Every name with its value, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// The value of an argument, if the call has it and it is not null.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_deref()
    }

    /// Without an argument of that name, which is returned.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).flatten()
    }

    fn add(&mut self, name: &str, value: Option<String>) -> Option<()> {
        let is_new = self.0.insert(name.to_owned(), value).is_none();
        (is_new && self.0.len() <= ALL).then_some(())
    }
}

/// Neither names nor values: one may be a token.
impl fmt::Debug for AllArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AllArguments").field(&self.0.len()).finish()
    }
}

// === impl Arguments ===

impl Arguments<'_> {
    /// The value of an argument, if the call has it and it was asked for.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(wanted, _)| *wanted == name).and_then(|(_, value)| value.as_deref())
    }

    fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|(wanted, _)| *wanted == name)
    }

    fn set(&mut self, name: &str, value: Cow<'_, str>) {
        if let Some((_, slot)) = self.0.iter_mut().find(|(wanted, _)| *wanted == name)
            && slot.is_none()
            && !value.is_empty()
        {
            *slot = Some(value.into_owned());
        }
    }
}

fn is(kind: &str, wanted: &str) -> bool {
    kind.get(..wanted.len()).is_some_and(|start| start.eq_ignore_ascii_case(wanted))
}

fn from_form(form: &[u8], wanted: &mut Arguments<'_>) {
    for field in form.split(|byte| *byte == b'&') {
        if may_be_wanted(field, wanted) {
            form_urlencoded::parse(field).for_each(|(name, value)| wanted.set(&name, value));
        }
    }
}

/// Whether a field of a form has the name of an argument that is looked for. Most have not, and a long text need
/// not be decoded to know that. A name that has an escape in it may be any.
fn may_be_wanted(field: &[u8], wanted: &Arguments<'_>) -> bool {
    let name = field.split(|byte| *byte == b'=').next().unwrap_or_default();
    let open = wanted.0.iter().filter(|(_, value)| value.is_none());
    name.iter().any(|byte| matches!(byte, b'%' | b'+'))
        || open.map(|(wanted, _)| wanted).any(|wanted| wanted.as_bytes() == name)
}

fn from_json(body: &[u8], wanted: &mut Arguments<'_>) {
    let open = wanted.0.iter_mut().filter(|(_, value)| value.is_none());
    let open = open.map(|(name, value)| (*name, value)).collect();
    // Bytes that are no text spoil their own value only, as they would where nobody asks for it.
    let text = String::from_utf8_lossy(body);
    let mut json = serde_json::Deserializer::from_str(&text);
    // What was read before a mistake still counts: the body may be cut.
    let _ = json.deserialize_map(Members(open));
}

/// Reads the members of a JSON object that have a place here, and skips the others.
struct Members<'w, 'n>(Vec<(&'n str, &'w mut Option<String>)>);

impl<'de> Visitor<'de> for Members<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if let Some((_, slot)) = self.0.iter_mut().find(|(wanted, _)| *wanted == name) {
                // A value that is no value, as half of a surrogate is none, hides none that follow.
                let value = map.next_value::<&'de RawValue>()?.get();
                **slot = match serde_json::from_str(value) {
                    Ok(Value::String(value)) => Some(value).filter(|it| !it.is_empty()),
                    // A form would have the same digits.
                    Ok(Value::Number(value)) => Some(value.to_string()),
                    _ => None,
                };
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

async fn from_multipart(kind: &str, body: &[u8], wanted: &mut Arguments<'_>) {
    let Ok(boundary) = multer::parse_boundary(kind) else { return };
    let mut form = multer::Multipart::with_reader(body, boundary);
    for _ in 0..FIELDS {
        let Ok(Some(mut field)) = form.next_field().await else { return };
        let name = field.name().unwrap_or_default().to_owned();
        if !wanted.contains(&name) {
            continue;
        }
        let mut value = Vec::new();
        while let Ok(Some(chunk)) = field.chunk().await {
            value.extend_from_slice(&chunk);
            if value.len() > VALUE {
                break;
            }
        }
        wanted.set(&name, String::from_utf8_lossy(&value));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn found(query: Option<&str>, kind: &str, body: &str) -> [Option<String>; 2] {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
        let names = ["token", "channel", "token"];
        let found = find(&names, query, &headers, body.as_bytes()).await;
        ["token", "channel"].map(|name| found.get(name).map(str::to_owned))
    }

    fn both() -> [Option<String>; 2] {
        [Some("xoxb-1".to_owned()), Some("C 1".to_owned())]
    }

    #[tokio::test]
    async fn arguments_are_found_wherever_they_are() {
        let form = "application/x-www-form-urlencoded";
        assert_eq!(found(Some("token=xoxb-1&channel=C+1"), form, "").await, both());
        assert_eq!(found(None, form, "channel=C%201&token=xoxb-1").await, both());
        let json = r#"{"blocks":[{"channel":"no"}],"channel":"C 1","x":null,"token":"xoxb-1"}"#;
        assert_eq!(found(None, "application/json; charset=utf-8", json).await, both());
        let multipart = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\
             \r\nchannel=no\r\n--b\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nxoxb-1\
             \r\n--b\r\nContent-Disposition: form-data; name=\"channel\"\r\n\r\nC 1\r\n--b--\r\n";
        assert_eq!(found(None, "multipart/form-data; boundary=b", multipart).await, both());
    }

    /// Red when a name is compared as it is written, when an empty value is one, and when a later value replaces
    /// the first.
    #[tokio::test]
    async fn a_form_may_write_a_name_in_any_way() {
        let form = "application/x-www-form-urlencoded";
        for (body, channel) in [
            ("text=a&channel=C1", Some("C1")),
            ("ch%61nnel=C1", Some("C1")),
            ("channel=&&channel=C1&channel=C2", Some("C1")),
            ("channel=%43%31", Some("C1")),
            ("channel=a=b", Some("a=b")),
            ("channel", None),
            ("channel+=C1", None),
            ("text=channel=C1", None),
            ("channels=C1&chan=C2", None),
        ] {
            let [_, found] = found(None, form, body).await;
            assert_eq!(found.as_deref(), channel, "{body}");
        }
    }

    proptest! {
        /// Red when a field is left out that would have been read.
        #[test]
        fn a_form_is_read_as_if_all_of_it_were_decoded(
            form in "([abt%+=&]|%61|%62|\u{fffd}|é){0,24}", ends in any::<bool>(),
        ) {
            let mut form = form.into_bytes();
            if ends {
                form.push(0xff);
            }
            let none = || Arguments(["a", "b", "ab", "a b"].map(|name| (name, None)).to_vec());
            let (mut wanted, mut all) = (none(), none());
            from_form(&form, &mut wanted);
            for (name, value) in form_urlencoded::parse(&form) {
                all.set(&name, value);
            }
            assert_eq!(wanted.0, all.0);
        }
    }

    /// Red when only texts are read.
    #[tokio::test]
    async fn a_number_is_a_value_too() {
        let [_, channel] = found(None, "application/json", r#"{"channel":17.5}"#).await;
        assert_eq!(channel.as_deref(), Some("17.5"));
        let [_, channel] = found(None, "application/json", r#"{"channel":["C1"]}"#).await;
        assert_eq!(channel, None);
    }

    #[tokio::test]
    async fn a_broken_body_has_the_arguments_before_the_break() {
        let json = r#"{"token":"xoxb-1","channel":"C 1","text":"cut"#;
        assert_eq!(found(None, "application/json", json).await, both());
        assert_eq!(found(None, "application/json", "[1]").await, [None, None]);
        assert_eq!(found(None, "multipart/form-data", "x").await, [None, None]);
    }

    #[tokio::test]
    async fn a_number_is_its_digits_and_nothing_else_is_a_value() {
        let json = r#"{"token":17,"channel":4}"#;
        let digits = [Some("17".to_owned()), Some("4".to_owned())];
        assert_eq!(found(None, "application/json", json).await, digits);
        let json = r#"{"token":{"a":"b"},"channel":["C1"]}"#;
        assert_eq!(found(None, "application/json", json).await, [None, None]);
        assert_eq!(
            found(None, "application/json", r#"{"token":null,"channel":true}"#).await,
            [None, None]
        );
    }

    async fn every(query: Option<&str>, kind: &str, body: &str) -> Option<AllArguments> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
        all(query, &headers, body.as_bytes()).await
    }

    /// Red when one form is another call than the next.
    #[tokio::test]
    async fn the_same_arguments_are_the_same_in_every_form() {
        let (form, json) = ("application/x-www-form-urlencoded", "application/json; charset=utf-8");
        let multipart = "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\ntrue\r\n--b\r\n\
             Content-Disposition: form-data; name=\"channel\"\r\n\r\nC 1\r\n--b\r\nContent-Disposition: \
             form-data; name=\"limit\"\r\n\r\n200\r\n--b--\r\n";
        let one = every(Some("channel=C+1&limit=200&x=true"), form, "").await.unwrap();
        for (query, kind, body) in [
            (None, form, "limit=200&x=true&channel=C%201"),
            (Some("x=true"), form, "limit=200&channel=C+1"),
            (None, json, r#"{"x":true,"channel":"C 1","limit":200}"#),
            (None, json, r#"{ "channel" : "C\u00201" , "x":"true", "limit": "200" }"#),
            (None, "multipart/form-data; boundary=b", multipart),
        ] {
            assert_eq!(every(query, kind, body).await.as_ref(), Some(&one), "{query:?} {body}");
        }
    }

    /// Red when a part of what a call asks is left out.
    #[tokio::test]
    async fn other_arguments_are_others() {
        let (form, json) = ("application/x-www-form-urlencoded", "application/json");
        let mut seen = Vec::new();
        for (kind, body) in [
            (form, "channel=C1"),
            (form, "channel=C2"),
            (form, "channel=c1"),
            (form, "channel=C1&limit=1"),
            (form, "channel=C1&limit="),
            (form, "limit=C1&channel=1"),
            (form, "channel=C1%26limit=1"),
            (json, r#"{"channel":null}"#),
            (json, r#"{"channel":["C1"]}"#),
            (json, r#"{"channel":1.0}"#),
            (json, r#"{"channel":1}"#),
            (json, "{}"),
        ] {
            let found = every(None, kind, body).await.unwrap_or_else(|| panic!("{body}"));
            assert!(!seen.contains(&found), "{body}");
            seen.push(found);
        }
    }

    /// Red when one of two values is taken for the one that counts.
    #[tokio::test]
    async fn what_is_not_certain_is_not_known() {
        let (form, json) = ("application/x-www-form-urlencoded", "application/json");
        let file = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\nx\r\n--b--\r\n";
        let many = (0..=ALL).map(|i| format!("a{i}=1")).collect::<Vec<_>>().join("&");
        for (query, kind, body) in [
            (None, form, "a=1&a=1"),
            (Some("a=1"), json, r#"{"a":1}"#),
            (Some("a=1"), json, r#"{"b":1}"#),
            (Some("a=1&a=2"), form, ""),
            (None, json, r#"{"a":1,"\u0061":1}"#),
            (None, json, r#"{"a":1"#),
            (None, json, r#"{"a":1} x"#),
            (None, json, "[1]"),
            (None, json, r#"{"a":"\ud800"}"#),
            (None, form, "a=%ff"),
            (None, "text/plain", "a=1"),
            (None, "multipart/form-data", "x"),
            (None, "multipart/form-data; boundary=b", "--b\r\n"),
            (None, "multipart/form-data; boundary=b", file),
            (None, form, &many),
        ] {
            assert_eq!(every(query, kind, body).await, None, "{query:?} {body}");
        }
    }

    #[tokio::test]
    async fn the_first_value_of_a_name_counts() {
        let query = Some("channel=C1");
        let [_, channel] = found(query, "application/json", r#"{"channel":"C2"}"#).await;
        assert_eq!(channel.as_deref(), Some("C1"));
    }

    /// Red when the first counts, which another parser overwrites; when a value that is none leaves
    /// the one before; and when the body is stronger than the query.
    #[tokio::test]
    async fn the_last_member_of_a_name_counts() {
        let json = "application/json";
        for (body, channel) in [
            (r#"{"channel":"C1","channel":"C2"}"#, Some("C2")),
            (r#"{"channel":"C1","token":"x","channel":"C2","channel":3}"#, Some("3")),
            (r#"{"channel":"C1","channel":null}"#, None),
            (r#"{"channel":"C1","channel":""}"#, None),
            (r#"{"channel":["C1"],"channel":"C2"}"#, Some("C2")),
            // An escape is another spelling of the same name.
            (r#"{"channel":"C1","\u0063hannel":"C2"}"#, Some("C2")),
            (r#"{"channel":"C1","channel":"C2","x":"#, Some("C2")),
        ] {
            let [_, found] = found(None, json, body).await;
            assert_eq!(found.as_deref(), channel, "{body}");
        }
        let [_, found] =
            found(Some("channel=C0"), json, r#"{"channel":"C1","channel":"C2"}"#).await;
        assert_eq!(found.as_deref(), Some("C0"));
    }
}
