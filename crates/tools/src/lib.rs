//! Commands for those who run bots, beside the proxy itself: work off a backlog, plan a job, export a
//! list, watch an incident, play Slack.
//!
//! They meet Slack through a proxy: one that runs, or [one](proxy) within this process, which the
//! binary launches.

mod cap;
pub mod demo;
pub mod drain;
pub mod export;
pub mod fake_slack;
mod files;
pub mod plan;
pub mod proxy;
mod through;
