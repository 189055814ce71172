//! Answers of the operators' listener in JSON: what was done, or why it was not.

use axum::{
    Json,
    body::Bytes,
    extract::rejection::BytesRejection,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

/// What is wrong with what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestError {
    status: StatusCode,
    error: &'static str,
    message: String,
}

/// The body of a change, as far as it could be read.
pub(super) type Sent = Result<Bytes, BytesRejection>;

/// A refusal: `{"ok":false,"error":…,"message":…}`.
pub(super) fn refusal(status: StatusCode, error: &str, message: &str) -> Response {
    let body = json!({ "ok": false, "error": error, "message": message });
    (status, Json(body)).into_response()
}

/// The answer to a change, made of all of its body.
pub(super) fn change(
    sent: &Sent,
    make: impl FnOnce(&[u8]) -> Result<Response, RequestError>,
) -> Response {
    whole(sent).and_then(make).unwrap_or_else(RequestError::into_response)
}

fn whole(sent: &Sent) -> Result<&[u8], RequestError> {
    let error = match sent {
        Ok(body) => return Ok(body),
        Err(error) => error,
    };
    Err(match error.status() {
        status @ StatusCode::PAYLOAD_TOO_LARGE => RequestError {
            status,
            error: "too_large",
            message: format!("the body is longer than {} KiB", super::LONGEST >> 10),
        },
        _ => RequestError::request("the body cannot be read".to_owned()),
    })
}

/// The one object of a body, if it has these fields only.
pub(super) fn object(body: &[u8], fields: &[&str]) -> Result<Map<String, Value>, RequestError> {
    let example = "write a JSON object, as in {\"method\": \"chat.update\"}";
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        RequestError::request(format!("the body is no JSON ({error}); {example}"))
    })?;
    let Value::Object(object) = value else {
        return Err(RequestError::request(format!("the body is no object; {example}")));
    };
    match object.keys().find(|key| !fields.contains(&key.as_str())) {
        Some(key) => Err(RequestError::request(format!(
            "{key:?} is no field here; the fields are {}",
            fields.join(", ")
        ))),
        None => Ok(object),
    }
}

/// A field that is true or false; false without it.
pub(super) fn flag(object: &Map<String, Value>, field: &str) -> Result<bool, RequestError> {
    match object.get(field) {
        None => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(_) => Err(RequestError::request(format!("{field} is neither true nor false"))),
    }
}

/// A field with a text; none without it.
pub(super) fn text<'o>(
    object: &'o Map<String, Value>,
    field: &str,
) -> Result<Option<&'o str>, RequestError> {
    match object.get(field) {
        None => Ok(None),
        Some(Value::String(value)) => Ok(Some(value)),
        Some(_) => Err(RequestError::request(format!("{field} is no text"))),
    }
}

// === impl RequestError ===

impl RequestError {
    /// What was sent makes no sense.
    pub(super) fn request(message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error: "invalid_request", message }
    }

    /// It names something that there is not.
    pub(super) fn unknown(error: &'static str, message: String) -> Self {
        Self { status: StatusCode::NOT_FOUND, error, message }
    }

    /// It cannot be done as things stand.
    pub(super) fn conflict(error: &'static str, message: String) -> Self {
        Self { status: StatusCode::CONFLICT, error, message }
    }
}

impl IntoResponse for RequestError {
    fn into_response(self) -> Response {
        refusal(self.status, self.error, &self.message)
    }
}
