//! `slackwater thaw`.

use std::{io::Write, process::ExitCode};

use console::Place;
use serde_json::{Value, json};

use super::change;

/// End a pause that Slack asked for, at the running proxy
///
/// Use it if the pause is a mistake, such as a Retry-After far too long. In each limit that opens one
/// call goes first; if Slack refuses it, the limit is closed again. Exits with 0, with 1 if the proxy
/// refuses, with 2 if it cannot be asked. The token of `admin.token`, if there is one, comes from the
/// variable `SLACKWATER_ADMIN_TOKEN`.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  slackwater thaw --workspace T0123456789
  slackwater thaw --bucket tier2:A012/T0123456789/conversations.list
  slackwater thaw --all"
)]
pub struct Args {
    #[command(flatten)]
    meant: Meant,

    #[command(flatten)]
    place: Place,
}

/// Which limits are meant.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Meant {
    /// All limits of a workspace, by its ID
    #[arg(long, value_name = "ID")]
    workspace: Option<String>,

    /// All limits that count a method
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,

    /// One limit at one key, as LIMIT:KEY; `slackwater status` shows both
    #[arg(long, value_name = "BUCKET")]
    bucket: Option<String>,

    /// All limits
    #[arg(long)]
    all: bool,
}

/// Thaws.
///
/// # Errors
/// If the proxy cannot be asked.
pub fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    change::ask(&args.place, "/thaw", &args.meant.as_json(), out)
}

// === impl Meant ===

impl Meant {
    fn as_json(&self) -> Value {
        match self {
            Self { workspace: Some(name), .. } => json!({ "workspace": name }),
            Self { method: Some(name), .. } => json!({ "method": name }),
            Self { bucket: Some(name), .. } => json!({ "bucket": name }),
            Self { all, .. } => json!({ "all": all }),
        }
    }
}
