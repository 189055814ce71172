//! What a drain is asked to do.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::bail;

use super::{
    input::{Form, Input},
    pace::Pace,
};
use crate::{
    cap::Cap,
    files::beside,
    through::{self, is_method},
};

/// Work off a backlog of calls, slowly, and go on after any stop
///
/// Sends every call of a file through the proxy as class background and writes each result to a
/// journal; started again it goes on where it was. A call that was under way when the process was
/// killed is sent again. Calls for one channel go one at a time, in the order of the file. Ctrl-C
/// finishes what is under way. Exits with 0 if all is done, with 1 if calls failed or lines were
/// skipped, with 2 if it could not go on, with 130 after Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  slackwater drain closes.ndjson --via http://127.0.0.1:8080
  slackwater drain --csv dms.csv --method conversations.close --arg channel=id --dry-run
  slackwater drain closes.ndjson --per-cycle 10 --every 30m"
)]
pub struct Args {
    /// The calls, one a line: {"method": "conversations.close", "args": {"channel": "G1"}}; with
    /// "id", what the journal calls it, else the line's number, and with "`token_env`", if it is not
    /// made with the token of all
    #[arg(value_name = "FILE", required_unless_present = "csv", conflicts_with = "csv")]
    pub file: Option<PathBuf>,

    /// A table instead, with a call in each row and the columns' names in the first
    #[arg(long, value_name = "FILE", requires = "method", requires = "args")]
    pub csv: Option<PathBuf>,

    /// The method of all rows, or of the lines that name none
    #[arg(long)]
    pub method: Option<String>,

    /// Which argument is in which column. May be given more than once
    #[arg(long = "arg", value_name = "ARGUMENT=COLUMN", value_parser = parse_arg, requires = "csv")]
    pub args: Vec<(String, String)>,

    #[command(flatten)]
    pub(super) through: through::Route,

    /// Who calls, as the proxy is told
    #[arg(long, value_name = "NAME", default_value = "drain")]
    pub caller: String,

    #[command(flatten)]
    pub(super) cap: Cap,

    /// An error of Slack's that counts as done, as in `channel_not_found`. May be given more than once.
    /// Those that say that it is so already do by themselves
    #[arg(long, value_name = "ERROR")]
    pub done_on: Vec<String>,

    /// Where results are kept. Without it: the input's name with .journal
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,

    /// Where the calls that failed are written, to be drained again. Without it: the input's name
    /// with .failed
    #[arg(long, value_name = "FILE")]
    pub failed: Option<PathBuf>,

    /// What to do with lines that are no calls: stop before the first call, or skip them
    #[arg(long, value_name = "WHAT", default_value = "stop", value_parser = ["stop", "skip"])]
    pub on_bad_line: String,

    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

// === impl Args ===

impl Args {
    /// The input, as far as it can be told without reading it.
    ///
    /// # Errors
    /// If it is none.
    pub(super) fn input(&self) -> anyhow::Result<Input> {
        if let Some(method) = self.method.as_ref().filter(|it| !is_method(it)) {
            bail!("--method {method} is no name of one, as in conversations.close");
        }
        let (path, form) = match (&self.file, &self.csv, &self.method) {
            (Some(file), _, method) => (file, Form::Ndjson { method: method.clone() }),
            (None, Some(csv), Some(method)) => {
                (csv, Form::Csv { method: method.clone(), args: self.args.clone() })
            }
            (None, ..) => bail!("name a file of calls, or --csv with --method and --arg"),
        };
        if fs::metadata(path).is_ok_and(|it| !it.is_file()) {
            bail!(
                "{} is no file; it is read more than once, so a pipe will not do",
                path.display()
            );
        }
        Ok(Input { path: path.clone(), form })
    }

    /// Where results are kept.
    pub(super) fn journal_path(&self) -> PathBuf {
        self.beside(self.journal.as_ref(), ".journal")
    }

    /// Where failed calls go.
    pub(super) fn failed_path(&self) -> PathBuf {
        self.beside(self.failed.as_ref(), ".failed")
    }

    /// The path, or the input's with this end.
    fn beside(&self, path: Option<&PathBuf>, end: &str) -> PathBuf {
        let input = self.file.as_ref().or(self.csv.as_ref());
        path.cloned().unwrap_or_else(|| beside(input.map_or(Path::new(""), |it| it), end))
    }

    /// The cap, if there is one.
    pub(super) fn pace(&self) -> Option<Pace> {
        self.cap.get().map(|(most, every)| Pace::new(most, every))
    }
}

fn parse_arg(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((arg, column)) if !arg.is_empty() && !column.is_empty() => {
            Ok((arg.to_owned(), column.to_owned()))
        }
        _ => Err("is ARGUMENT=COLUMN, as in channel=id".to_owned()),
    }
}
