//! A limit as a document states it: how many, per how long, counted per what.

use alloc::sync::Arc;
use core::{fmt, num::NonZeroU32, time::Duration};

/// A rule, "N per period P, counted per these dimensions".
///
/// One limit at one value of its dimensions is a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What people call it: `tier2`, `close_app_wide`.
    pub name: Arc<str>,
    /// What it counts.
    pub rule: Rule,
    /// Per what it counts.
    pub scope: Scope,
    /// From when a call's slot counts as spent.
    pub age_from: AgeFrom,
}

/// What a limit counts: calls over a time, or calls at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// At most so many calls in any period.
    Rate(Rate),
    /// At most so many calls in flight.
    Concurrency(NonZeroU32),
    /// One call in flight, so that calls arrive in their order. One that has no answer after so
    /// long no longer holds up the next.
    InOrder(Duration),
    /// Any number of calls, until refusals show that it is shut: a workspace, an app.
    Open,
    /// No call, as long as it is there: what the operator has paused.
    Gate,
}

/// At most `limit` calls in any period of `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls per period.
    pub limit: NonZeroU32,
    /// The sliding period.
    pub per: Duration,
    /// A second, shorter window for servers that refuse bursts: `burst` calls per
    /// `per * burst / limit`. Below `limit`.
    pub burst: Option<NonZeroU32>,
    /// The documentation allows short bursts of so many calls. It permits
    /// [`AgeFrom::Send`] and never admits more.
    pub tolerates: Option<NonZeroU32>,
}

/// From when the slot that a call took starts to age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AgeFrom {
    /// From the arrival of the answer's headers: the server counted the call somewhere
    /// before, so a period after the answer it has certainly forgotten it.
    #[default]
    Answer,
    /// From the send. Only for limits that tolerate short bursts.
    Send,
}

/// A property of a call that a limit may count by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Dimension {
    /// The Enterprise organization.
    Org,
    /// The Slack app.
    App,
    /// The workspace (team).
    Workspace,
    /// The token, by its hash.
    Token,
    /// The Web API method.
    Method,
    /// The channel that the call names.
    Channel,
    /// The user that the call names.
    User,
    /// The URL's path, for webhooks.
    Url,
    /// What stands for that which the call changes, of calls that go in order.
    OrderingKey,
    /// Who sent the call.
    Caller,
}

/// A set of dimensions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Scope(u16);

// === impl Limit ===

impl Limit {
    /// Whether its slots outlive the process. Those of calls in order do not: the calls have ended
    /// with it.
    pub fn is_remembered(&self) -> bool {
        matches!(self.rule, Rule::Rate(_) | Rule::Concurrency(_))
    }
}

// === impl AgeFrom ===

impl AgeFrom {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Answer, Self::Send];

    /// The name in configuration and status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Send => "send",
        }
    }
}

// === impl Dimension ===

impl Dimension {
    /// All of them, widest first.
    pub const ALL: [Self; 10] = [
        Self::Org,
        Self::App,
        Self::Workspace,
        Self::Token,
        Self::Method,
        Self::Channel,
        Self::User,
        Self::Url,
        Self::OrderingKey,
        Self::Caller,
    ];

    /// The name in configuration and status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::App => "app",
            Self::Workspace => "workspace",
            Self::Token => "token",
            Self::Method => "method",
            Self::Channel => "channel",
            Self::User => "user",
            Self::Url => "url",
            Self::OrderingKey => "ordering_key",
            Self::Caller => "caller",
        }
    }

    /// The dimension of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.as_str() == name)
    }
}

// === impl Scope ===

impl Scope {
    /// The set of these dimensions.
    pub const fn of(dimensions: &[Dimension]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < dimensions.len() {
            bits |= 1 << dimensions[i] as u8;
            i += 1;
        }
        Self(bits)
    }

    /// Whether the limit counts by this dimension.
    pub const fn contains(self, dimension: Dimension) -> bool {
        self.0 & (1 << dimension as u8) != 0
    }

    /// Those of its dimensions that an identity is made of. They are the widest, so their values
    /// stand in front.
    #[must_use]
    pub const fn identity(self) -> Self {
        self.and(Self::of(&[Dimension::Org, Dimension::App, Dimension::Workspace]))
    }

    /// The dimensions that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The dimensions in it, widest first.
    pub fn iter(self) -> impl Iterator<Item = Dimension> {
        Dimension::ALL.into_iter().filter(move |dimension| self.contains(*dimension))
    }

    /// How many dimensions it has: the more, the narrower.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether the limit counts everything together.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(Dimension::as_str)).finish()
    }
}
