//! The part of every limit that is a replica's, where several replicas share limits without a store.

use core::{num::NonZeroU32, time::Duration};

/// Which of how many replicas this one is, and how exactly their clocks agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    replicas: NonZeroU32,
    ordinal: u32,
    margin: Duration,
}

// === impl Split ===

impl Split {
    /// The margin where the operator says nothing.
    pub const MARGIN: Duration = Duration::from_millis(250);

    /// Replica `ordinal` of so many, counted from 0. `margin` is how far their clocks may be apart,
    /// together with the time that a call needs to be counted by the server. `None` if there is no
    /// such replica.
    pub fn new(replicas: NonZeroU32, ordinal: u32, margin: Duration) -> Option<Self> {
        (ordinal < replicas.get()).then_some(Self { replicas, ordinal, margin })
    }

    /// How many replicas there are.
    pub const fn replicas(self) -> NonZeroU32 {
        self.replicas
    }

    /// Which one this is, counted from 0.
    pub const fn ordinal(self) -> u32 {
        self.ordinal
    }

    /// How far the clocks may be apart, and how long a call takes to be counted.
    pub const fn margin(self) -> Duration {
        self.margin
    }
}
