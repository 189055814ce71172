//! An answer that is given more than once.

use std::{borrow::Cow, fmt, sync::OnceLock};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use serde::Deserialize;

use crate::call::{
    body::{Reservation, WHOLE},
    coding,
    response::ResponseBody,
};

/// An answer that is given more than once: each time with all the bytes that Slack sent.
#[derive(Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, packed as it came.
    pub body: Bytes,
    /// What it says, for the first who asks: it may be long.
    said: OnceLock<Option<bool>>,
}

/// What an answer of the Web API says of its call.
#[derive(Deserialize)]
struct Said<'a> {
    ok: bool,
    #[serde(borrow, default)]
    error: Option<Cow<'a, str>>,
}

/// What is so small needs no room: others hold as much of an answer without asking.
const SMALL: usize = 4096;

/// Errors that are the server's own, or of the moment, and say nothing of what was asked: the "common errors" on
/// the page of each method.
const OWN_ERRORS: [&str; 6] = [
    "fatal_error",
    "internal_error",
    "ratelimited",
    "request_timeout",
    "service_unavailable",
    "team_added_to_org",
];

/// The bytes of a body, in the account of those who hold them.
struct Held {
    bytes: Bytes,
    _account: Reservation,
}

// === impl Answer ===

impl Answer {
    /// Reads an answer to its end. Its body is in that account until the last one is gone who has a part of it.
    ///
    /// # Errors
    /// If it is larger than [`WHOLE`] or than there is room for, or breaks off. What was read of it comes once
    /// more.
    pub async fn read(
        response: Response<ResponseBody>,
        mut account: Reservation,
    ) -> Result<Self, Box<Response<ResponseBody>>> {
        let (parts, body) = response.into_parts();
        let mut body = Box::pin(body);
        let (mut first, mut more) = (Bytes::new(), BytesMut::new());
        let is_large = |read: usize, body: &ResponseBody| {
            let rest = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
            read.saturating_add(rest) > WHOLE
        };
        let mut broken = None;
        let mut whole = !is_large(0, &body);
        while whole && !body.is_end_stream() {
            match body.frame().await {
                None => break,
                Some(Ok(frame)) => {
                    // Slack has no trailers.
                    let Ok(data) = frame.into_data() else { continue };
                    let has_room = account.takes(data.len());
                    // Most answers come in one piece, which needs no copy.
                    if first.is_empty() && more.is_empty() {
                        first = data;
                    } else {
                        more.extend_from_slice(&std::mem::take(&mut first));
                        more.extend_from_slice(&data);
                    }
                    let read = first.len() + more.len();
                    whole = (has_room || read <= SMALL) && !is_large(read, &body);
                }
                Some(Err(error)) => {
                    (whole, broken) = (false, Some(error));
                }
            }
        }
        let bytes = if more.is_empty() { first } else { more.freeze() };
        if whole {
            let body = Bytes::from_owner(Held { bytes, _account: account });
            let said = OnceLock::new();
            return Ok(Self { status: parts.status, headers: parts.headers, body, said });
        }
        let body = ResponseBody::resumed(body, bytes, broken);
        Err(Box::new(Response::from_parts(parts, body)))
    }

    /// One that says that.
    #[cfg(test)]
    pub(crate) fn of(body: &'static str) -> Self {
        let (status, headers) = (StatusCode::OK, HeaderMap::new());
        Self { status, headers, body: Bytes::from_static(body.as_bytes()), said: OnceLock::new() }
    }

    /// It, for the client whose call was sent.
    pub fn response(&self) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::ours(self.body.clone()));
        *response.status_mut() = self.status;
        response.headers_mut().clone_from(&self.headers);
        response
    }

    /// It, for another client, who is told where it comes from. A cookie is meant for one.
    pub fn for_others(&self, from: &'static str) -> Response<ResponseBody> {
        let mut response = self.response();
        let headers = response.headers_mut();
        headers.remove(header::SET_COOKIE);
        headers.insert(FROM, HeaderValue::from_static(from));
        response
    }

    /// It, to be kept for longer than its call: a copy, which takes no more than its size, in another account.
    #[must_use]
    pub fn to_keep(&self) -> Self {
        Self { body: Bytes::copy_from_slice(&self.body), ..self.clone() }
    }

    /// Whether it says that all is well; nothing if it says nothing of what was asked.
    pub fn says_ok(&self) -> Option<bool> {
        *self.said.get_or_init(|| {
            if !self.status.is_success() {
                return None;
            }
            let text = coding::unpacked(&self.headers, &self.body, 8 * WHOLE)?;
            let Said { ok, error } = serde_json::from_slice(&text).ok()?;
            let is_own = error.is_some_and(|error| OWN_ERRORS.contains(&&*error));
            (!is_own).then_some(ok)
        })
    }

    /// How many bytes it takes in memory, about: its headers take twice what they are.
    pub fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        self.body.len() + 2 * headers.sum::<usize>()
    }
}

/// Never what Slack said.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

// === impl Held ===

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Where an answer comes from that was not fetched for its client.
const FROM: http::HeaderName = http::HeaderName::from_static("slackwater-from");
