//! A failure that several callers hear of: those of older edits hear what the newest one's caller hears.

use http::{Response, StatusCode};
use slack::reply;

use super::{Failure, upstream_failed};
use crate::{
    call::response::{ResponseBody, SlackRefused},
    causes::with_causes,
    edits::Again,
};

/// A newer edit that was to be sent instead failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("a newer edit of the same thing was to be sent instead: {text}")]
pub struct NewerFailed {
    pub(super) status: StatusCode,
    pub(super) error: &'static str,
    text: String,
}

// === impl Failure ===

impl Again for Failure {
    fn again(&self) -> Self {
        match self {
            Self::Shed(shed) => Self::Shed(shed.clone()),
            Self::Dead(answer) => Self::Dead(answer.clone()),
            Self::ClientEnded(ended) => Self::ClientEnded(*ended),
            Self::Newer(failed) => Self::Newer(failed.clone()),
            Self::Refused(SlackRefused(answer)) => {
                let mut response = Response::new(ResponseBody::ours(reply::RATE_LIMITED));
                *response.status_mut() = answer.status();
                response.headers_mut().clone_from(answer.headers());
                reply::reword(response.headers_mut());
                Self::Refused(SlackRefused(Box::new(response)))
            }
            Self::Upstream(error) => {
                let (status, name) = upstream_failed(error);
                Self::Newer(NewerFailed { status, error: name, text: with_causes(error) })
            }
            // These come before a call asks to go.
            Self::NotAllowed(_) | Self::Route(_) | Self::Method(_) | Self::Body(_) => {
                Self::not_told()
            }
        }
    }

    fn was_late(&self) -> bool {
        matches!(self, Self::Shed(shed) if shed.reason == crate::queue::ShedReason::Deadline)
    }

    fn not_told() -> Self {
        let (status, error) = (StatusCode::BAD_GATEWAY, "superseded");
        let text = "it may have been sent, and its answer is not known".to_owned();
        Self::Newer(NewerFailed { status, error, text })
    }
}
