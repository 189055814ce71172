//! A call that is answered without being sent: why, and when it makes sense to come back.

use std::time::Duration;

use limits::BucketKey;

use crate::{call::client_end::ClientEnded, dead::FailedFast};

/// A call that is not held, or no longer: it is answered without being sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shed {
    /// Why.
    pub reason: ShedReason,
    /// Which bucket stands in its way, where one does.
    pub bucket: Option<BucketKey>,
    /// When it makes sense to come back.
    pub retry_after: Duration,
}

/// A call that does not go.
#[derive(Clone, Debug)]
pub enum Turned {
    /// It is shed.
    Shed(Shed),
    /// It is answered as Slack answered before.
    Dead(FailedFast),
    /// Its client may have left.
    ClientEnded(ClientEnded),
}

/// Why a call is shed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShedReason {
    /// It would wait, or has waited, longer than its client does.
    Deadline,
    /// As many calls are held as may be.
    QueueFull,
    /// As many bytes are held as may be, or as may be of its caller and class.
    Memory,
    /// The operator has paused what it is part of.
    Paused,
    /// The operator has switched its method or its caller off.
    Disabled,
    /// As many calls are in flight to its server, or in all, as may be.
    InFlight,
    /// The proxy is shutting down.
    Draining,
    /// Slack refused it, and it cannot be sent again.
    Upstream,
}

/// When a call is to come back for what the operator has paused or switched off: when that ends, nobody
/// knows.
const COME_BACK: Duration = Duration::from_secs(30);

/// The same for one that found as many calls in flight as may be. Each of them ends soon.
const COME_SOON: Duration = Duration::from_secs(5);

// === impl Shed ===

impl Shed {
    /// The scheduler does not hold it, or no longer.
    pub(super) fn refused(refusal: &scheduler::Refusal, now: scheduler::Instant) -> Self {
        let at_least = match refusal.reason {
            scheduler::RefusalReason::Paused => COME_BACK,
            scheduler::RefusalReason::InFlight => COME_SOON,
            scheduler::RefusalReason::Deadline | scheduler::RefusalReason::QueueFull => {
                Duration::ZERO
            }
        };
        Self {
            reason: match refusal.reason {
                scheduler::RefusalReason::Deadline => ShedReason::Deadline,
                scheduler::RefusalReason::QueueFull => ShedReason::QueueFull,
                scheduler::RefusalReason::Paused => ShedReason::Paused,
                scheduler::RefusalReason::InFlight => ShedReason::InFlight,
            },
            bucket: Some(refusal.bucket.clone()),
            retry_after: refusal.retry_at.since(now).max(at_least),
        }
    }

    /// There is no room for it because of its bytes.
    pub(super) fn of_memory(self) -> Self {
        match self.reason {
            ShedReason::QueueFull => Self { reason: ShedReason::Memory, ..self },
            _ => self,
        }
    }

    /// Something that the call is part of is paused, and this bucket stands for it.
    pub(super) fn paused(bucket: BucketKey) -> Self {
        Self { reason: ShedReason::Paused, bucket: Some(bucket), retry_after: COME_BACK }
    }

    /// Its method or its caller is switched off.
    pub(super) fn disabled() -> Self {
        Self { reason: ShedReason::Disabled, bucket: None, retry_after: COME_BACK }
    }

    /// Slack refused it, and it is not sent again.
    pub(super) fn upstream() -> Self {
        let retry_after = Duration::from_secs(1);
        Self { reason: ShedReason::Upstream, bucket: None, retry_after }
    }

    /// Its client's time is up, and the call that it shares goes on for others. It stands in the line of that
    /// bucket.
    pub(super) fn late(bucket: Option<BucketKey>, retry_after: Duration) -> Self {
        Self { reason: ShedReason::Deadline, bucket, retry_after }
    }

    /// The proxy is shutting down.
    pub(super) fn draining() -> Self {
        Self { reason: ShedReason::Draining, bucket: None, retry_after: Duration::from_secs(1) }
    }

    /// The whole seconds to say: never too early, never none.
    pub fn retry_after_seconds(&self) -> u64 {
        whole_seconds(self.retry_after).max(1)
    }
}

// === impl Turned ===

impl From<Shed> for Turned {
    fn from(shed: Shed) -> Self {
        Self::Shed(shed)
    }
}

impl From<ClientEnded> for Turned {
    fn from(ended: ClientEnded) -> Self {
        Self::ClientEnded(ended)
    }
}

// === impl ShedReason ===

impl ShedReason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Deadline,
        Self::QueueFull,
        Self::Memory,
        Self::Paused,
        Self::Disabled,
        Self::InFlight,
        Self::Draining,
        Self::Upstream,
    ];

    /// Those for which a call that is only watched would have been shed.
    pub(crate) const WATCHED: [Self; 4] =
        [Self::Deadline, Self::QueueFull, Self::Paused, Self::Disabled];

    /// The name in headers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => scheduler::RefusalReason::Deadline.as_str(),
            Self::QueueFull => scheduler::RefusalReason::QueueFull.as_str(),
            Self::Memory => "memory",
            Self::Paused => scheduler::RefusalReason::Paused.as_str(),
            Self::Disabled => "disabled",
            Self::InFlight => scheduler::RefusalReason::InFlight.as_str(),
            Self::Draining => "draining",
            Self::Upstream => "upstream",
        }
    }
}

/// A time in whole seconds, for those who are to wait for it: never less.
pub fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}
