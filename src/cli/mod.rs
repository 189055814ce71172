//! The command line: what can be asked, and its way to the part that does it.

use clap::{Parser, Subcommand};

pub mod fake_slack;

/// Keeps any Slack bot within Slack's rate limits.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A Slack that limits like Slack, for tests and demos.
    FakeSlack(fake_slack::Args),
}

// === impl Cli ===

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    ///
    /// If it cannot be done.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::FakeSlack(args) => fake_slack::run(args).await,
        }
    }
}
