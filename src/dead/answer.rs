//! An answer of Slack's that is given once more.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use slack::Dead;

use crate::call::response::ResponseBody;

/// What Slack answered, as far as it is not of one call only.
#[derive(Debug)]
pub struct Answer {
    /// What it says.
    pub reason: Dead,
    status: StatusCode,
    /// Its media type, and that pages of any origin may read it.
    headers: HeaderMap,
    /// Unpacked.
    body: Bytes,
}

/// A call is answered at once, as Slack answered one before.
#[derive(Clone, Debug, thiserror::Error)]
#[error("answered as Slack answered before: {}", .0.reason.as_str())]
pub struct FailedFast(pub Arc<Answer>);

/// The longest body that is kept. Slack's have fifty bytes.
const LONGEST: usize = 1 << 10;
/// What is kept of the headers.
const HEADERS: [HeaderName; 2] = [header::CONTENT_TYPE, header::ACCESS_CONTROL_ALLOW_ORIGIN];

const FAIL_FAST: HeaderName = HeaderName::from_static("slackwater-fail-fast");

// === impl Answer ===

impl Answer {
    /// That one; none if it is too long.
    pub(crate) fn new(
        reason: Dead,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Option<Self> {
        let kept = HEADERS.into_iter().filter_map(|name| {
            let value = headers.get(&name)?.clone();
            Some((name, value))
        });
        (body.len() <= LONGEST).then(|| Self {
            reason,
            status,
            headers: kept.collect(),
            body: Bytes::copy_from_slice(body),
        })
    }
}

// === impl FailedFast ===

impl FailedFast {
    /// The answer, marked as one that is given once more.
    pub(crate) fn response(&self) -> Response<ResponseBody> {
        let Answer { reason, status, headers, body } = &*self.0;
        let mut response = Response::new(ResponseBody::ours(body.clone()));
        *response.status_mut() = *status;
        response.headers_mut().clone_from(headers);
        response.headers_mut().insert(FAIL_FAST, HeaderValue::from_static(reason.as_str()));
        response
    }
}
