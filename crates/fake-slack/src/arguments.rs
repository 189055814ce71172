//! What a call says: its arguments, from wherever they travel, and its token.

use bytes::Bytes;
use http::{HeaderMap, Uri, header};
use http_body_util::{BodyDataStream, Full};
use serde_json::Value;

/// The arguments of a call, in the order of the sources: query, then body.
#[derive(Clone, Debug, Default)]
pub(super) struct Arguments {
    named: Vec<(String, String)>,
    bearer: Option<String>,
}

// === impl Arguments ===

impl Arguments {
    /// Reads the query and a form, JSON or multipart body. What cannot be read is not there:
    /// Slack, too, answers a broken body as if the argument were missing.
    pub(super) async fn read(uri: &Uri, headers: &HeaderMap, body: Bytes) -> Self {
        let mut named = Vec::new();
        read_form(&mut named, uri.query().unwrap_or_default().as_bytes());
        let content_type = text(headers, header::CONTENT_TYPE).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        match media_type.to_ascii_lowercase().as_str() {
            "application/json" => read_json(&mut named, &body),
            "multipart/form-data" => read_multipart(&mut named, content_type, body).await,
            // Some clients send a form without saying so.
            "application/x-www-form-urlencoded" | "" => read_form(&mut named, &body),
            _ => {}
        }
        let bearer = text(headers, header::AUTHORIZATION)
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim().to_owned());
        Self { named, bearer }
    }

    /// The argument of that name, if it is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all().find(|(key, value)| *key == name && !value.is_empty()).map(|(_, value)| value)
    }

    /// The Authorization header's token.
    pub(super) fn bearer(&self) -> Option<&str> {
        self.bearer.as_deref()
    }

    /// The token: the Authorization header's, else the argument's.
    pub(super) fn token(&self) -> Option<&str> {
        self.bearer().or_else(|| self.get("token"))
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.named.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn read_form(named: &mut Vec<(String, String)>, form: &[u8]) {
    named.extend(form_urlencoded::parse(form).into_owned());
}

/// The members of an object; Slack does not take a token from there.
fn read_json(named: &mut Vec<(String, String)>, body: &[u8]) {
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else { return };
    named.extend(members.into_iter().filter(|(key, _)| key != "token").map(|(key, value)| {
        let value = match value {
            Value::String(text) => text,
            Value::Null => String::new(),
            other => other.to_string(),
        };
        (key, value)
    }));
}

/// The fields; files are passed over.
async fn read_multipart(named: &mut Vec<(String, String)>, content_type: &str, body: Bytes) {
    let Ok(boundary) = multer::parse_boundary(content_type) else { return };
    let mut form = multer::Multipart::new(BodyDataStream::new(Full::new(body)), boundary);
    while let Ok(Some(field)) = form.next_field().await {
        let Some(name) = field.name().filter(|_| field.file_name().is_none()) else { continue };
        let name = name.to_owned();
        let Ok(value) = field.text().await else { return };
        named.push((name, value));
    }
}

#[cfg(test)]
mod tests;
