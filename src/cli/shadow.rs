//! `slackwater shadow on|off`.

use std::{io::Write, process::ExitCode};

use console::Place;
use serde_json::json;

use super::change;

/// Let all calls go at once, and only count what would have been; or end that
///
/// Nothing is held or refused while it is on, and what is held goes: for when the proxy itself is in
/// the way. Exits with 0, with 1 if the proxy refuses, with 2 if it cannot be asked. The token of
/// `admin.token`, if there is one, comes from the variable `SLACKWATER_ADMIN_TOKEN`.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  slackwater shadow on
  slackwater shadow off --method chat.postMessage"
)]
pub struct Args {
    /// on or off
    switch: Switch,

    /// Only the calls of this method of the catalogue
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,

    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Switch {
    On,
    Off,
}

/// Switches.
///
/// # Errors
/// If the proxy cannot be asked.
pub fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let mode = match args.switch {
        Switch::On => "shadow",
        Switch::Off => "enforce",
    };
    let mut change = json!({ "mode": mode });
    if let Some(method) = &args.method {
        change["method"] = method.as_str().into();
    }
    change::ask(&args.place, "/mode", &change, out)
}
