//! A sidecar proxy that keeps any Slack bot within Slack's rate limits.
//!
//! # The life of a call
//!
//! The modules stand in the order in which a call meets them; `tests/it/tidy/` holds the floors that
//! they stand on.
//!
//! A bot connects to the [listener](inbound::listen). Its request runs through the [stack], outermost
//! first. It is [let in](inbound::access), [routed](inbound::route) by its path and
//! [classified](inbound::classify): which method, [whose](identity) token, which channel, how urgent,
//! how long its client waits. From then on it is a [call]. The [queue] asks the
//! [scheduler](scheduler::Scheduler): the call goes now, waits, or is shed. With its permit it goes
//! [out](outbound): an [exchange](outbound::exchange) with the [upstream](outbound::upstream) settles
//! the permit, or freezes a bucket because Slack refused the call, which is then
//! [sent again](outbound::retry). Whatever happens, the client gets a [response](respond).
//!
//! Beside this way are what the operator has [paused](pauses), the [clicks] of clients, the [state]
//! that outlives the process, the [metrics], the [traces], the operators' [listener](admin), a [reload] of the
//! [configuration](config) and the [logs](telemetry). The [app] builds all of it, and the [command
//! line](cli) starts it.

pub mod app;
pub mod stack;

pub mod shared;
pub mod step;

pub mod inbound;

pub mod call;
pub mod clicks;
pub mod dead;
pub mod identity;

pub mod pauses;
pub mod queue;
pub mod state;
pub mod store;

pub mod joint;

pub mod outbound;

pub mod edits;
pub mod reads;

pub mod traces;

pub mod respond;

pub mod admin;
pub mod cli;
pub mod metrics;
pub mod reload;
pub mod telemetry;

mod causes;
