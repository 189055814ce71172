//! A sidecar proxy that keeps any Slack bot within Slack's rate limits.
//!
//! # The life of a call
//!
//! A bot connects to the [listener](listen). Its request runs through the [stack], outermost
//! first. It is [routed](call::route) by its path and [classified](call::classify): which
//! method, [whose](identity) token, which channel, how urgent, how patient. Then it is
//! [admitted](admission): the [scheduler] says whether it goes now, waits, or is shed. With its
//! permit it goes to the [upstream]; what comes back is [judged](outcome), which settles the
//! permit, and freezes a bucket when [Slack](slack) refused the call. A refused call is
//! [sent again](retry) when its turn comes. Whatever happens, the caller gets an
//! [answer](respond).
//!
//! Beside it stand the [state] that outlives the process, the [metrics], the [admin] listener, the [configuration](config), which is
//! [YAML](yaml), and a [Slack that limits](fake_slack) for tests. The [app] puts all of it
//! together, and the [command line](cli) starts it.

pub mod app;
pub mod cli;
pub mod reload;
pub mod stack;

pub mod inbound;

pub mod queue;

pub mod outbound;

pub mod respond;
pub mod shared;

pub mod call;
pub mod identity;
pub mod pauses;
pub mod state;
pub mod step;

pub mod admin;
pub mod metrics;
pub mod telemetry;

mod causes;
