//! In which form a call is told that it is refused, and when its client is to come back.

use std::time::Duration;

use slack::RefusedAs;

use crate::{
    call::{record::Record, refusing::SHORT},
    clicks::Clicks,
    queue::{Shed, ShedReason, whole_seconds},
};

/// What a shed call is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// In which form.
    pub(super) form: RefusedAs,
    /// In how many seconds to come back.
    pub(super) seconds: u64,
}

// === impl Told ===

impl Told {
    /// What a shed call is told.
    pub(super) fn of(shed: &Shed, record: &Record, clicks: &Clicks) -> Self {
        let away = away(shed, record);
        // Only the operator knows when it makes sense to ask again.
        let pause = Some(away).filter(|_| shed.reason != ShedReason::Disabled);
        let form = record.refusing().form(pause, |client| clicks.lately(client));
        // What is handed to its program is when the call could go.
        let pause = if form == RefusedAs::OkFalse { shed.retry_after } else { away };
        Self { form, seconds: whole_seconds(pause).max(1) }
    }
}

/// Whether the client of a shed call is back at once, to be held until its turn.
pub(super) fn is_back_at_once(shed: &Shed, record: &Record) -> bool {
    shed.reason == ShedReason::Deadline && !record.again().is_zero() && away(shed, record) <= SHORT
}

/// How long the client of a shed call stays away: if it comes back by itself to be held once more, only
/// until that is long enough.
fn away(shed: &Shed, record: &Record) -> Duration {
    let held_again = match shed.reason {
        ShedReason::Deadline => true,
        // Unless whatever is paused is refused at once.
        ShedReason::Paused => !record.wait().is_zero(),
        ShedReason::QueueFull
        | ShedReason::Memory
        | ShedReason::Disabled
        | ShedReason::InFlight
        | ShedReason::Draining
        | ShedReason::Upstream => false,
    };
    let again = if held_again { record.again() } else { Duration::ZERO };
    shed.retry_after.saturating_sub(again).max(SHORT)
}
