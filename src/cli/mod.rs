//! The command line: what can be asked, and its way to the part that does it.

mod change;
pub mod check;
pub mod completions;
pub mod limits;
pub mod man;
pub mod pause;
pub mod run;
pub mod shadow;
pub mod status;
pub mod thaw;

use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand};
#[cfg(feature = "tools")]
use {
    crate::{
        app::{self, StartError},
        state::OpenError,
    },
    config::Config,
    tokio_util::sync::CancellationToken,
    tools::proxy::{Addresses, LaunchError, Listening},
};

#[cfg(feature = "tools")]
macro_rules! examples {
    () => {
        "\
Examples:
  slackwater demo
  slackwater run --config slackwater.yaml
  slackwater status --watch
  slackwater export users.list --out users.ndjson
  slackwater plan --method conversations.close --count 4812
  slackwater drain closes.ndjson
"
    };
}
#[cfg(not(feature = "tools"))]
macro_rules! examples {
    () => {
        "\
Examples:
  slackwater run --config slackwater.yaml
  slackwater status --watch
"
    };
}

/// Keeps any Slack bot within Slack's rate limits.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = concat!(
        examples!(),
        "
Exit codes: 0 done, or yes; 1 no: problems found, method unknown, proxy not ready, calls failed;
2 it could not be done, or the arguments make no sense; 130 ended by Ctrl-C."
    )
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    #[cfg(feature = "tools")]
    Demo(tools::demo::Args),
    Check(check::Args),
    Status(status::Args),
    #[cfg(feature = "tools")]
    Plan(tools::plan::Args),
    #[cfg(feature = "tools")]
    Drain(Box<tools::drain::Args>),
    #[cfg(feature = "tools")]
    Export(Box<tools::export::Args>),
    Limits(limits::Args),
    Pause(pause::PauseArgs),
    Resume(pause::ResumeArgs),
    Thaw(thaw::Args),
    Shadow(shadow::Args),
    #[cfg(feature = "tools")]
    FakeSlack(tools::fake_slack::Args),
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
        match self.command.unwrap_or(Command::Run(self.run)) {
            Command::Run(args) => run::run(&args),
            #[cfg(feature = "tools")]
            Command::Demo(args) => tools::demo::run(&args, launch, out),
            #[cfg(feature = "tools")]
            Command::Plan(args) => tools::plan::run(&args, out),
            #[cfg(feature = "tools")]
            Command::Drain(args) => tools::drain::run(&args, launch, out),
            #[cfg(feature = "tools")]
            Command::Export(args) => tools::export::run(&args, launch, out),
            Command::Check(args) => check::run(&args, out),
            Command::Limits(args) => limits::run(&args, out),
            Command::Pause(args) => pause::pause(&args, out),
            Command::Resume(args) => pause::resume(&args, out),
            Command::Thaw(args) => thaw::run(&args, out),
            Command::Shadow(args) => shadow::run(&args, out),
            Command::Status(args) => status::run(&args, out),
            #[cfg(feature = "tools")]
            Command::FakeSlack(args) => tools::fake_slack::run(args),
            Command::Completions(args) => completions::run(&args, out),
            Command::Man(args) => man::run(&args, out),
        }
    }
}

/// Runs a proxy within this process, as `run` does, for a command that needs one.
#[cfg(feature = "tools")]
fn launch(config: Config, end: CancellationToken, listening: Listening) -> Result<(), LaunchError> {
    let ran = app::run_until(config, end, |app::Addresses { bots, operators }| {
        listening(Addresses { bots, operators });
    });
    ran.map_err(|error| match error {
        StartError::State(OpenError::InUse(path)) => LaunchError::StateInUse(path),
        error => LaunchError::Failed(error.into()),
    })
}

#[cfg(test)]
mod tests;
