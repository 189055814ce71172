//! Slack's classes: of methods, and of the apps that call them.

use std::fmt;

/// Slack's class of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// 1+ a minute.
    Tier1,
    /// 20+ a minute.
    Tier2,
    /// 50+ a minute.
    Tier3,
    /// 100+ a minute.
    Tier4,
    /// Under rules of its own.
    Special,
    /// Under no tier, by configuration.
    None,
}

/// How an app is distributed, which decides some of its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AppKind {
    /// Built for the workspaces of one organization.
    #[default]
    Internal,
    /// Listed in Slack's Marketplace.
    Marketplace,
    /// Distributed commercially outside the Marketplace, created or newly installed after
    /// 2025-05-29: `conversations.history` and `conversations.replies` at 1 a minute.
    Unlisted,
}

// === impl Tier ===

impl Tier {
    /// All of them, the strictest first.
    pub const ALL: [Self; 6] =
        [Self::Tier1, Self::Tier2, Self::Tier3, Self::Tier4, Self::Special, Self::None];

    /// Those with a rate of their own.
    pub const RATED: [Self; 4] = [Self::Tier1, Self::Tier2, Self::Tier3, Self::Tier4];

    /// The name in configuration and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tier1 => "tier1",
            Self::Tier2 => "tier2",
            Self::Tier3 => "tier3",
            Self::Tier4 => "tier4",
            Self::Special => "special",
            Self::None => "none",
        }
    }

    /// The tier of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.as_str() == name)
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl AppKind ===

impl AppKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Internal, Self::Marketplace, Self::Unlisted];

    /// The name in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Marketplace => "marketplace",
            Self::Unlisted => "unlisted",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for AppKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
