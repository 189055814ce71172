//! What a traced call has met on its way, in the order in which it ended: made into spans when the call is
//! answered. One that is not traced keeps nothing.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use http::StatusCode;
use limits::BucketKey;
use tokio::time::Instant;

use super::ids::Parent;

/// What a traced call has met.
#[derive(Debug)]
pub struct Trace {
    /// The trace, and the span in it, that the call is part of already.
    pub parent: Option<Parent>,
    /// The trace's id, which is the parent's if there is one.
    pub id: [u8; 16],
    /// When it came.
    pub begun: Instant,
    /// The same by the wall clock.
    pub clock: SystemTime,
    met: Mutex<Vec<Met>>,
}

/// Something that a call met.
#[derive(Clone, Debug)]
pub enum Met {
    /// It waited.
    Wait {
        /// Since when.
        from: Instant,
        /// Till when.
        to: Instant,
        /// For what.
        what: WaitedFor,
        /// In which bucket's line it stood at first, and why it did not go.
        bucket: Option<(BucketKey, &'static str)>,
    },
    /// It was sent.
    Attempt {
        /// When.
        from: Instant,
        /// When the headers of the answer came, or it failed.
        to: Instant,
        /// To which host, and port.
        server: Option<(Box<str>, u16)>,
        /// The answer's status, or what failed.
        outcome: Result<StatusCode, &'static str>,
    },
    /// Slack refused it, and a bucket froze.
    Freeze {
        /// When.
        from: Instant,
        /// For how long.
        pause: Duration,
        /// Which.
        bucket: BucketKey,
    },
}

/// For what a call waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitedFor {
    /// A slot.
    Queue,
    /// Whose its token is.
    Identity,
    /// A host that is down.
    Host,
    /// A moment after an error of the server's own.
    Breath,
    /// The slot of a call that it has joined.
    Joint,
}

/// So much of one call is kept. A call is sent ten times at most, and waits as often.
const MOST: usize = 64;

/// A wait that is shorter is none: nobody would see it.
const SEEN: Duration = Duration::from_millis(1);

// === impl Trace ===

impl Trace {
    /// That of a call that comes now.
    pub fn new(id: [u8; 16], parent: Option<Parent>) -> Self {
        let (begun, clock) = (Instant::now(), SystemTime::now());
        Self { parent, id, begun, clock, met: Mutex::default() }
    }

    /// The call met that.
    pub(super) fn add(&self, met: Met) {
        if let Met::Wait { from, to, .. } = &met
            && to.saturating_duration_since(*from) < SEEN
        {
            return;
        }
        let mut all = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < MOST {
            all.push(met);
        }
    }

    /// All that it met. Nobody asks twice.
    pub fn take(&self) -> Vec<Met> {
        std::mem::take(&mut *self.met.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A moment of the call by the wall clock, in nanoseconds of Unix time.
    pub fn nanos(&self, at: Instant) -> u64 {
        let since = self.clock.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at = since + at.saturating_duration_since(self.begun);
        u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)
    }
}

// === impl WaitedFor ===

impl WaitedFor {
    /// The name in a span.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Identity => "identity",
            Self::Host => "host",
            Self::Breath => "breath",
            Self::Joint => "joint",
        }
    }
}
