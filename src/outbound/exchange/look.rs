//! A look into a small answer, of which the caller still gets every byte.
//!
//! Slack refuses some calls with status 200 and says so in the body only. So a small body is
//! read before it goes on, unpacked where it is compressed. What is large, or does not come,
//! is handed on as it comes: nothing waits for it, and nothing of it is kept.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::call::{
    coding,
    response::{Begun, ResponseBody},
};

/// An answer's body after the look.
#[derive(Debug)]
pub(super) struct Looked {
    /// All of it, as it came.
    pub(super) body: ResponseBody,
    /// Its bytes, if they are all here.
    pub(super) whole: Option<Bytes>,
}

/// The largest body that is looked into, packed and unpacked. Slack's refusals have fifty bytes.
const LARGEST: usize = 4096;

/// How long a body that began may take before it is handed on as it comes.
const TIME: Duration = Duration::from_secs(1);

/// Reads a body that is small and comes soon. `idle` is how long the rest of another may keep
/// its reader waiting.
pub(super) async fn look(mut incoming: Incoming, idle: Duration) -> Looked {
    let mut begun = Begun::default();
    let read = tokio::time::timeout(TIME, read(&mut incoming, &mut begun)).await;
    if read.is_ok() {
        begun.idle_since = None;
    }
    begun.whole = read == Ok(true);
    let whole = begun.whole.then(|| begun.data());
    Looked { body: ResponseBody::begun(begun, incoming, idle), whole }
}

/// Whether a body may be small enough to be looked into.
pub(super) fn may_be_small(incoming: &Incoming) -> bool {
    !incoming.is_end_stream() && incoming.size_hint().lower() <= LARGEST as u64
}

/// The unpacked text of a body; none if it is large, or packed in a way that is not known.
pub(super) fn text<'b>(headers: &HeaderMap, body: &'b [u8]) -> Option<Cow<'b, [u8]>> {
    coding::unpacked(headers, body, LARGEST)
}

/// Reads to the end, or until it is known that the body is not small. What has been read is in
/// `begun` at every await.
async fn read(incoming: &mut Incoming, begun: &mut Begun) -> bool {
    while !incoming.is_end_stream() {
        begun.idle_since = Some(Instant::now());
        let Some(frame) = incoming.frame().await else { break };
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => begun.push(data),
            Ok(Err(trailers)) => {
                begun.then = Some(Ok(trailers));
                break;
            }
            Err(broken) => {
                begun.then = Some(Err(broken));
                return false;
            }
        }
        if begun.len() > LARGEST {
            return false;
        }
    }
    true
}
