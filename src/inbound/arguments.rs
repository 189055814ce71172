//! The arguments of a call, wherever it carries them: query, form, JSON or multipart.

use std::{borrow::Cow, fmt};

use http::{HeaderMap, header};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

/// The most fields of a multipart form that are looked at.
const FIELDS: usize = 64;
/// The longest value of a multipart field that is read.
const VALUE: usize = 4096;

/// The values of the arguments that were asked for, in that order.
pub type Values<const N: usize> = [Option<String>; N];

/// Looks for arguments by name. The query is stronger than the body. A body that is not what
/// its content type says has no arguments; Slack will say what is wrong with it.
pub async fn find<const N: usize>(
    names: [&str; N],
    query: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Values<N> {
    let mut values = [const { None }; N];
    if let Some(query) = query {
        from_form(&names, query.as_bytes(), &mut values);
    }
    if body.is_empty() || values.iter().all(Option::is_some) {
        return values;
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    match kind {
        Some(kind) if is(kind, "application/json") => from_json(&names, body, &mut values),
        Some(kind) if is(kind, "multipart/form-data") => {
            from_multipart(&names, kind, body, &mut values).await;
        }
        // Slack takes a form for granted too.
        _ => from_form(&names, body, &mut values),
    }
    values
}

fn is(kind: &str, wanted: &str) -> bool {
    kind.get(..wanted.len()).is_some_and(|start| start.eq_ignore_ascii_case(wanted))
}

fn set(names: &[&str], values: &mut [Option<String>], name: &str, value: Cow<'_, str>) {
    let found = names.iter().position(|wanted| *wanted == name);
    if let Some(slot) = found.and_then(|at| values.get_mut(at))
        && slot.is_none()
        && !value.is_empty()
    {
        *slot = Some(value.into_owned());
    }
}

fn from_form(names: &[&str], form: &[u8], values: &mut [Option<String>]) {
    for (name, value) in form_urlencoded::parse(form) {
        set(names, values, &name, value);
    }
}

fn from_json(names: &[&str], body: &[u8], values: &mut [Option<String>]) {
    let mut json = serde_json::Deserializer::from_slice(body);
    // What was read before a mistake still counts: the body may be cut.
    let _ = json.deserialize_map(Wanted { names, values });
}

/// Reads the wanted members of a JSON object and skips the others.
struct Wanted<'w> {
    names: &'w [&'w str],
    values: &'w mut [Option<String>],
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if self.names.contains(&&*name) {
                if let serde_json::Value::String(value) = map.next_value()? {
                    set(self.names, self.values, &name, value.into());
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

async fn from_multipart(names: &[&str], kind: &str, body: &[u8], values: &mut [Option<String>]) {
    let Ok(boundary) = multer::parse_boundary(kind) else { return };
    let mut form = multer::Multipart::with_reader(body, boundary);
    for _ in 0..FIELDS {
        let Ok(Some(mut field)) = form.next_field().await else { return };
        let name = field.name().unwrap_or_default().to_owned();
        if !names.contains(&&*name) {
            continue;
        }
        let mut value = Vec::new();
        while let Ok(Some(chunk)) = field.chunk().await {
            value.extend_from_slice(&chunk);
            if value.len() > VALUE {
                break;
            }
        }
        set(names, values, &name, String::from_utf8_lossy(&value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn found(query: Option<&str>, kind: &str, body: &str) -> Values<2> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
        find(["token", "channel"], query, &headers, body.as_bytes()).await
    }

    fn both() -> Values<2> {
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

    #[tokio::test]
    async fn a_broken_body_has_the_arguments_before_the_break() {
        let json = r#"{"token":"xoxb-1","channel":"C 1","text":"cut"#;
        assert_eq!(found(None, "application/json", json).await, both());
        assert_eq!(found(None, "application/json", "[1]").await, [None, None]);
        assert_eq!(found(None, "multipart/form-data", "x").await, [None, None]);
    }

    #[tokio::test]
    async fn the_first_value_of_a_name_counts() {
        let query = Some("channel=C1");
        let [_, channel] = found(query, "application/json", r#"{"channel":"C2"}"#).await;
        assert_eq!(channel.as_deref(), Some("C1"));
    }
}
