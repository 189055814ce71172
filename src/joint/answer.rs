//! An answer that is given more than once.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;

use crate::call::{body::WHOLE, response::ResponseBody};

/// An answer that is given more than once: each time with all the bytes that Slack sent.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, packed as it came.
    pub body: Bytes,
}

// === impl Answer ===

impl Answer {
    /// Reads an answer to its end.
    ///
    /// # Errors
    /// If it is larger than [`WHOLE`], or breaks off. What was read of it comes once more.
    pub async fn read(
        response: Response<ResponseBody>,
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
                    // Most answers come in one piece, which needs no copy.
                    if first.is_empty() && more.is_empty() {
                        first = data;
                    } else {
                        more.extend_from_slice(&std::mem::take(&mut first));
                        more.extend_from_slice(&data);
                    }
                    whole = !is_large(first.len() + more.len(), &body);
                }
                Some(Err(error)) => {
                    (whole, broken) = (false, Some(error));
                }
            }
        }
        let read = if more.is_empty() { first } else { more.freeze() };
        if whole {
            return Ok(Self { status: parts.status, headers: parts.headers, body: read });
        }
        let body = ResponseBody::resumed(body, read, broken);
        Err(Box::new(Response::from_parts(parts, body)))
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

    /// How many bytes it takes in memory, about: its headers take twice what they are.
    pub fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        self.body.len() + 2 * headers.sum::<usize>()
    }
}

/// Where an answer comes from that was not fetched for its client.
const FROM: http::HeaderName = http::HeaderName::from_static("slackwater-from");
