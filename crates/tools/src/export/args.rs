//! What an export is asked to do.

use std::path::PathBuf;

use crate::through;

/// Write down a list of Slack's, page by page, and go on after any stop
///
/// Calls a method that gives its list in pages (conversations.list, users.list,
/// conversations.history and their like) through the proxy as class background, and appends each
/// item to a file, one a line, as Slack gave it. Where it is stands in a file beside it; started
/// again it goes on there, after a crash, too, and no item is lost or there twice. With --call each
/// item becomes a call that `slackwater drain` works off. Ctrl-C finishes the page that is under
/// way. Exits with 0 if all of it is there, with 2 if it could not go on, with 130 after Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  slackwater export users.list --out users.ndjson
  slackwater export conversations.history --arg channel=C1 --out c1.ndjson
  slackwater export conversations.list --call conversations.close --with channel=id --out c.ndjson"
)]
pub struct Args {
    /// A method that gives a list in pages, with cursors, or the older way by the page's number
    pub method: String,

    /// Where the items go. Beside it, with .cursor at the end of its name, stands where the export is
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// An argument of the method, as in types=mpim,im. May be given more than once. A page has 200
    /// items if nothing says `limit=`, as Slack recommends
    #[arg(long = "arg", value_name = "NAME=VALUE", value_parser = parse_pair)]
    pub args: Vec<(String, String)>,

    /// The key of the list in the answer. Without it: the one list that there is
    #[arg(long, value_name = "KEY")]
    pub items: Option<String>,

    /// Only items with this value at the top, as in `is_mpim=true`. May be given more than once; all
    /// must hold. An item without the field is left out
    #[arg(long = "where", value_name = "FIELD=VALUE", value_parser = parse_where)]
    pub wheres: Vec<(String, String)>,

    /// Write a call of this method for each item, for `slackwater drain`, instead of the item
    #[arg(long, value_name = "METHOD", requires = "with")]
    pub call: Option<String>,

    /// An argument of that call, and the item's field that it is; the field . is the item itself. May
    /// be given more than once
    #[arg(long, value_name = "ARGUMENT=FIELD", value_parser = parse_pair, requires = "call")]
    pub with: Vec<(String, String)>,

    /// Begin anew: what is in the file goes
    #[arg(long)]
    pub again: bool,

    #[command(flatten)]
    pub(super) through: through::Route,

    /// Who calls, as the proxy is told
    #[arg(long, value_name = "NAME", default_value = "export")]
    pub caller: String,
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("is NAME=VALUE, as in channel=id".to_owned()),
    }
}

fn parse_where(text: &str) -> Result<(String, String), String> {
    let compares = |name: &str| name.ends_with(['<', '>', '!', '~']);
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !compares(name) => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("is FIELD=VALUE, as in is_mpim=true; for other conditions export everything and \
                  use jq"
            .to_owned()),
    }
}
