//! What the judge says of a call: let through, or refused and why.

use std::{fmt, num::NonZeroU64, sync::Arc};

use serde::Serialize;

use super::call::Key;

/// What the judge says.
#[derive(Debug)]
#[must_use]
pub enum Decision {
    /// The call counts. The flight goes back with [`Judge::land`](super::Judge::land) when the answer is sent.
    Accept(Flight),
    /// The call is refused.
    Refuse(LimitHit),
}

/// A call under way, as limits on calls at once see it. It cannot be copied, so it lands once.
#[derive(Debug)]
pub struct Flight {
    /// Which reset of the judge it took off after.
    pub(super) era: u64,
    pub(super) keys: Vec<Key>,
}

/// Which limit refused a call, and when to come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LimitHit {
    /// The limit's name.
    pub limit: Arc<str>,
    /// The values it counts by: `app=A1 workspace=T1 method=conversations.list`.
    pub key: Arc<str>,
    /// How many calls counted at that instant.
    pub used: u32,
    /// How many may.
    pub n: u32,
    /// What about the limit refused the call.
    pub cause: Cause,
    /// The `Retry-After`, in seconds. None if too many calls are under way: Slack answers 200
    /// then and does not say when.
    pub retry_after: Option<NonZeroU64>,
}

/// What about a limit refused a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its window is full.
    Window,
    /// An earlier call was refused, and its `Retry-After` has not passed.
    Penalty,
    /// Too many calls are under way.
    Concurrency,
}

// === impl LimitHit ===

impl LimitHit {
    /// The status of the answer.
    pub const fn status(&self) -> u16 {
        if self.retry_after.is_some() { 429 } else { 200 }
    }
}

// === impl Cause ===

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Window => "window",
            Self::Penalty => "penalty",
            Self::Concurrency => "concurrency",
        })
    }
}
