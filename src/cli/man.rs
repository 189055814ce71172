//! `slackwater man`: the manual pages, a file for each command.

use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::Cli;

/// Write the manual pages, as a package has them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  slackwater man ~/.local/share/man/man1")]
pub struct Args {
    /// The directory to write them to
    pub dir: PathBuf,
}

/// Writes a page for slackwater and one for each command, and says where.
///
/// # Errors
/// If the directory cannot be made or a page not written.
pub fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let dir = args.dir.display();
    std::fs::create_dir_all(&args.dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &args.dir))
        .with_context(|| format!("the manual pages cannot be written to {dir}"))?;
    writeln!(out, "the manual pages are in {dir}")?;
    Ok(ExitCode::SUCCESS)
}
