//! The command line: parse, run, exit code.

use clap::Parser;
use slackwater::cli::Cli;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    Cli::parse().run().await
}
