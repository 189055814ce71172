//! `slackwater pause` and `slackwater resume`.

use std::{io::Write, process::ExitCode};

use console::Place;
use serde_json::{Value, json};

use super::change;

/// Hold the calls of a method, a caller or a workspace, at the running proxy
///
/// Calls that wait, and those that come, are held as long as their clients wait; calls on their way
/// are not touched. Exits with 0, with 1 if the proxy refuses, with 2 if it cannot be asked. The
/// token of `admin.token`, if there is one, comes from the variable `SLACKWATER_ADMIN_TOKEN`.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  slackwater pause --method conversations.close
  slackwater pause --caller cleanup --shed
  slackwater pause --workspace T0123456789"
)]
pub struct PauseArgs {
    #[command(flatten)]
    target: Target,

    /// Refuse its calls at once instead of holding them
    #[arg(long)]
    shed: bool,

    #[command(flatten)]
    place: Place,
}

/// Let them go again, in their old order, at the pace of their limits
///
/// Exits with 0, with 1 if the proxy refuses, with 2 if it cannot be asked.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  slackwater resume --method conversations.close
  slackwater resume --caller cleanup"
)]
pub struct ResumeArgs {
    #[command(flatten)]
    target: Target,

    #[command(flatten)]
    place: Place,
}

/// What it is about.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// A method of the catalogue, as in conversations.close; `other` is all that are not in it
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,

    /// A caller, by the name that metrics and /status show
    #[arg(long, value_name = "NAME")]
    caller: Option<String>,

    /// A workspace, by its ID
    #[arg(long, value_name = "ID")]
    workspace: Option<String>,
}

/// Pauses.
///
/// # Errors
/// If the proxy cannot be asked.
pub fn pause(args: &PauseArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let mut change = args.target.as_json();
    change["shed"] = args.shed.into();
    change::ask(&args.place, "/pause", &change, out)
}

/// Resumes.
///
/// # Errors
/// If the proxy cannot be asked.
pub fn resume(args: &ResumeArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    change::ask(&args.place, "/resume", &args.target.as_json(), out)
}

// === impl Target ===

impl Target {
    fn as_json(&self) -> Value {
        let Self { method, caller, workspace } = self;
        let all = [("method", method), ("caller", caller), ("workspace", workspace)];
        let named = all.into_iter().filter_map(|(kind, name)| Some((kind, name.as_ref()?)));
        named.fold(json!({}), |mut object, (kind, name)| {
            object[kind] = name.as_str().into();
            object
        })
    }
}
