//! `slackwater completions`: what a shell needs to complete our commands.

use std::{io::Write, process::ExitCode};

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Cli;

/// Write the completions of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  slackwater completions bash > ~/.local/share/bash-completion/completions/slackwater
  slackwater completions zsh > ~/.zfunc/_slackwater
  slackwater completions fish > ~/.config/fish/completions/slackwater.fish")]
pub struct Args {
    /// The shell
    pub shell: Shell,
}

/// Writes the shell's script.
///
/// # Errors
/// If it cannot be written.
pub fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "slackwater", &mut script);
    out.write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
