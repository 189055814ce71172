//! The command line: what can be asked, and its way to the part that does it.

mod ask;
mod cap;
mod change;
pub mod check;
pub mod completions;
pub mod demo;
pub mod drain;
pub mod export;
pub mod fake_slack;
mod files;
pub mod limits;
pub mod man;
pub mod pause;
mod place;
pub mod plan;
pub mod run;
mod screen;
pub mod shadow;
pub mod status;
mod through;

use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand};

/// The exit code of an answer that is a no: a configuration with problems, an unknown method.
pub const NO: u8 = 1;

/// The exit code of what could not be done; of arguments that make no sense too.
pub const FAILED: u8 = 2;

/// The exit code of what Ctrl-C has ended, as shells have it.
const INTERRUPTED: u8 = 130;

/// Keeps any Slack bot within Slack's rate limits.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Examples:
  slackwater demo
  slackwater run --config slackwater.yaml
  slackwater status --watch
  slackwater export users.list --out users.ndjson
  slackwater plan --method conversations.close --count 4812
  slackwater drain closes.ndjson

Exit codes: 0 done, or yes; 1 no: problems found, method unknown, proxy not ready, calls failed;
2 it could not be done, or the arguments make no sense; 130 ended by Ctrl-C."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Demo(demo::Args),
    Check(check::Args),
    Status(status::Args),
    Plan(plan::Args),
    Drain(Box<drain::Args>),
    Export(Box<export::Args>),
    Limits(limits::Args),
    Pause(pause::PauseArgs),
    Resume(pause::ResumeArgs),
    Shadow(shadow::Args),
    FakeSlack(fake_slack::Args),
    Completions(completions::Args),
    Man(man::Args),
}

// === impl Cli ===

impl Cli {
    /// Does what was asked, and writes the answer.
    ///
    /// # Errors
    /// If it cannot be done, or the answer not written.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        match self.command.unwrap_or_else(|| Command::Run(run::Args::default())) {
            Command::Run(args) => run::run(&args),
            Command::Demo(args) => demo::run(&args, out),
            Command::Plan(args) => plan::run(&args, out),
            Command::Drain(args) => drain::run(&args, out),
            Command::Export(args) => export::run(&args, out),
            Command::Check(args) => check::run(&args, out),
            Command::Limits(args) => limits::run(&args, out),
            Command::Pause(args) => pause::pause(&args, out),
            Command::Resume(args) => pause::resume(&args, out),
            Command::Shadow(args) => shadow::run(&args, out),
            Command::Status(args) => status::run(&args, out),
            Command::FakeSlack(args) => fake_slack::run(args),
            Command::Completions(args) => completions::run(&args, out),
            Command::Man(args) => man::run(&args, out),
        }
    }
}

#[cfg(test)]
mod tests;
