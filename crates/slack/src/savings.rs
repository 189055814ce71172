//! Which calls of a method need not be sent: what the catalogue and the operator say of it.

use std::sync::Arc;

use super::{OrderingArgument, Replaces};

/// Which calls of a method need not be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Savings {
    /// Which of its calls a newer one replaces, where one does.
    pub replaces: Option<Replaces>,
    /// Which remembered answers its calls make old.
    pub drops: Box<[Drops]>,
    /// Which edits are sent, where the operator says so of the method.
    pub edits: Option<Edits>,
    /// Whether equal reads share one answer, where the operator says so of the method.
    pub share_reads: Option<bool>,
}

/// Which edits of one thing are sent, while more than one of them waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edits {
    /// All of them, one after the other.
    #[default]
    All,
    /// The newest. It takes the place of the older ones.
    Latest,
}

/// Remembered answers of reads that a write makes old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drops {
    /// The reads; none if the answers of all are old.
    pub reads: Box<[Arc<str>]>,
    /// The argument of these reads that names what was changed. Without one, all their answers are old.
    pub read_by: Option<Arc<str>>,
    /// The argument of the write that names the same: alternatives, of which the first counts that the call
    /// has. Where it has none, all answers of these reads are old.
    pub write_by: Option<OrderingArgument>,
}

// === impl Edits ===

impl Edits {
    /// Both.
    pub const ALL: [Self; 2] = [Self::All, Self::Latest];

    /// The name in configuration, lanes and status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Latest => "latest",
        }
    }

    /// The one of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|edits| edits.as_str() == name)
    }
}
