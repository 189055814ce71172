//! The kinds of calls that are counted, and what each may take.

use std::net::SocketAddr;

use crate::client::Request;

/// Calls of which one is as the other.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// How many the shorter run makes, and the longer one.
    pub(crate) calls: [u32; 2],
    /// What is called.
    method: Method,
    /// Whether each has a connection of its own.
    connects: bool,
    /// How many workspaces take turns.
    workspaces: u32,
    /// What the configuration has besides the addresses.
    pub(crate) limits: &'static str,
    pub(crate) keeps_state: bool,
    /// Whether a bare proxy serves the same.
    pub(crate) has_bare: bool,
    pub(crate) bound: Bound,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Info,
    Update,
    Post,
}

/// What a call may take at most in the short run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    AtMost(u64),
    /// It is not in the short run.
    None,
}

/// Every call takes a slot in a real window, and none waits.
const WIDE: &str = "tiers: { tier3: { limit: 1000000000, per: 1s } }\n";
/// The same, of windows that remember each workspace between two of its calls.
const LONG: &str = "tiers: { tier3: { limit: 1000000000, per: 1m } }\n";
/// The limits that Slack documents for a post, so wide that none waits.
const POSTS: &str = "\
methods:
  chat.postMessage:
    limits:
      - { name: bench_per_channel, limit: 900000000, per: 1s, scope: [app, workspace, channel], age_from: send, tolerates: 3 }
      - { name: bench_per_workspace, limit: 1000000000, per: 1m, scope: [app, workspace] }
";
/// Each call but the first waits for the slot of the one before.
const NARROW: &str = "tiers: { tier3: { limit: 1, per: 10ms } }\n";

const FORM: Kind = Kind {
    name: "form",
    calls: [1000, 4000],
    method: Method::Info,
    connects: false,
    workspaces: 1,
    limits: WIDE,
    keeps_state: false,
    has_bare: true,
    bound: Bound::AtMost(93_000),
};

/// A bound is about 8 % above what was counted last: other processors, compilers and libraries make a difference,
/// and what costs more than that is to be seen.
pub(crate) const KINDS: [Kind; 8] = [
    FORM,
    // The one of `side_by_side`.
    Kind { name: "update", method: Method::Update, bound: Bound::AtMost(107_500), ..FORM },
    Kind {
        name: "post",
        method: Method::Post,
        limits: POSTS,
        bound: Bound::AtMost(107_500),
        ..FORM
    },
    Kind {
        name: "a connection per call",
        calls: [500, 2000],
        connects: true,
        bound: Bound::AtMost(117_500),
        ..FORM
    },
    Kind {
        name: "state file",
        keeps_state: true,
        has_bare: false,
        bound: Bound::AtMost(108_000),
        ..FORM
    },
    Kind {
        name: "held and granted",
        calls: [200, 600],
        limits: NARROW,
        has_bare: false,
        bound: Bound::AtMost(115_500),
        ..FORM
    },
    Kind {
        name: "form, of 100 workspaces",
        workspaces: 100,
        limits: LONG,
        has_bare: false,
        bound: Bound::None,
        ..FORM
    },
    Kind {
        name: "form, of 10,000 workspaces",
        // All have called before it is counted.
        calls: [11_000, 31_000],
        workspaces: 10_000,
        limits: LONG,
        has_bare: false,
        bound: Bound::None,
        ..FORM
    },
];

// === impl Kind ===

impl Kind {
    pub(crate) fn connects(&self) -> bool {
        self.connects
    }

    /// The call with this number.
    pub(crate) fn request(&self, number: u32, target: SocketAddr) -> Vec<u8> {
        let token = format!("xoxb-bench-{:010}-not-a-token", number % self.workspaces);
        let (method, form) = match self.method {
            Method::Info => ("conversations.info", "channel=C0000000000"),
            Method::Update => (
                "chat.update",
                "channel=C0000000000&ts=1700000000.000100&text=Deploy+of+backend+to+production%3A+\
                 step+7+of+12+is+done%2C+2+minutes+left&as_user=true",
            ),
            Method::Post => (
                "chat.postMessage",
                "channel=C0000000000&text=Deploy+of+backend+to+production%3A+\
                 step+7+of+12+is+done%2C+2+minutes+left&as_user=true",
            ),
        };
        let connection = if self.connects { "close" } else { "keep-alive" };
        let request = Request { method, token: &token, form, connection, more: "" };
        request.bytes(target)
    }
}
