//! An error of ours, said where those who asked look for it.

use bytes::Bytes;
use config::{Config, ShedAs};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::ext::ReasonPhrase;
use slack::RefusedAs;

use crate::call::response::ResponseBody;

/// Who asked, as far as an answer of ours depends on it.
pub(super) struct Asker {
    agent: Option<HeaderValue>,
    /// It is a web page.
    page: bool,
}

const ERROR: HeaderName = HeaderName::from_static("slackwater-error");

// === impl Asker ===

impl Asker {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let agent = headers.get(header::USER_AGENT).cloned();
        Self { agent, page: headers.contains_key(header::ORIGIN) }
    }

    /// Makes an answer of ours one that the asker sees.
    pub(super) fn fit(&self, response: &mut Response<ResponseBody>, config: &Config) {
        if self.repeats_in_silence(config) {
            say_at_once(response);
        }
        if self.page {
            let_pages_read(response.headers_mut());
        }
    }

    /// Whether it is one to which no status but 200 says anything, as far as its User-Agent tells, and
    /// the operator does not want otherwise.
    fn repeats_in_silence(&self, config: &Config) -> bool {
        let agent = self.agent.as_ref().and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        let client = config.client(agent, &HeaderMap::new());
        client.is_some_and(|client| client.stops_whole)
            && config.shed_as != ShedAs::Always(RefusedAs::Status429)
    }
}

/// An error of ours, wherever a client may look for it: several SDKs show nothing but the `error`, or the
/// status line, or `response_metadata.messages`.
pub(super) fn error_response(
    status: StatusCode,
    error: &'static str,
    message: &str,
) -> Response<ResponseBody> {
    let body = serde_json::json!({
        "ok": false,
        "error": error,
        "message": message,
        "response_metadata": { "messages": [format!("[ERROR] slackwater: {message}")] },
    });
    let mut response = json_response(status, body.to_string());
    response.headers_mut().insert(ERROR, HeaderValue::from_static(error));
    say_in_status(&mut response, error);
    response
}

/// Says more in the status line, where there is one: it is all that clients in Go show.
pub(super) fn say_in_status(response: &mut Response<ResponseBody>, more: &str) {
    let status = response.status().canonical_reason().unwrap_or_default();
    if let Ok(reason) = ReasonPhrase::try_from(format!("{status}: {more}")) {
        response.extensions_mut().insert(reason);
    }
}

/// Makes an error one of status 200, as Slack's own are, if it is the caller's mistake. A client that
/// takes every other status for an accident of the network would call again and again, and say nothing.
fn say_at_once(response: &mut Response<ResponseBody>) {
    let again = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    if response.status().is_client_error() && !again.contains(&response.status()) {
        *response.status_mut() = StatusCode::OK;
        response.extensions_mut().remove::<ReasonPhrase>();
    }
}

/// JSON of ours.
pub(super) fn json_response(status: StatusCode, body: impl Into<Bytes>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::ours(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Lets the page that asked read an answer of ours, as it may read every answer of Slack's Web API;
/// without that it learns only that something failed. There is nothing in it that is not for everybody.
fn let_pages_read(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let shown = HeaderValue::from_static("retry-after, slackwater-reason, slackwater-error");
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, shown);
}
