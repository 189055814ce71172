//! What happened in a run, for the measures.

use std::{rc::Rc, time::Duration};

use limits::BucketKey;
use scheduler::Instant;

/// Everything that a measure looks at.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// In the order of sending.
    pub(super) sends: Vec<Send>,
    /// In the order in which the calls were first made.
    pub(super) calls: Vec<Made>,
    pub(super) freezes: Vec<Frozen>,
    /// The buckets that were met; elsewhere they are indices into this.
    pub(super) buckets: Vec<BucketKey>,
}

/// A call that was sent, once for each time.
#[derive(Clone, Debug)]
pub(super) struct Send {
    /// Index of the call that was made.
    pub(super) call: usize,
    /// Index of its caller.
    pub(super) member: usize,
    pub(super) at: Instant,
    pub(super) buckets: Rc<[usize]>,
    /// When the server counted or refused it.
    pub(super) landed: Option<Instant>,
    pub(super) judged: Judged,
    /// Its answer never came.
    pub(super) lost: bool,
}

/// What the server made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    NotYet,
    Accepted,
    /// A limit that the proxy knows was broken.
    Violation,
    /// Refused for what the proxy cannot know.
    Refused,
}

/// A call that a client made, however often it came back with it.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// Index of its caller.
    pub(super) member: usize,
    pub(super) at: Instant,
    /// How often it was brought to the proxy.
    pub(super) attempts: u32,
    /// How often it was shed.
    pub(super) sheds: u32,
    /// The longest time after which it was told to come back when it was shed.
    pub(super) told: Duration,
    /// When it was sent, the last time.
    pub(super) sent: Option<Instant>,
    pub(super) end: Option<(Instant, End)>,
}

/// How a call ended for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Answered,
    /// The client left.
    HungUp,
    /// No answer came.
    TimedOut,
    /// It was shed or refused, and the client gave it up.
    GivenUp,
}

/// A bucket was closed.
#[derive(Clone, Debug)]
pub(super) struct Frozen {
    /// Index of the bucket.
    pub(super) bucket: usize,
    pub(super) at: Instant,
    pub(super) until: Instant,
}
