//! A sidecar proxy that keeps any Slack bot within Slack's rate limits.

pub mod cli;
pub mod config;
pub mod fake_slack;
pub mod scheduler;
pub mod slack;
