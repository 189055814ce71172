//! The calls that failed, in a file that can be drained itself.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

use anyhow::Context as _;
use serde::Serialize;

use super::{call::BacklogCall, entry::EntryResult, input::Input, journal};
use crate::files::{beside, put};

/// A call, and why it failed.
#[derive(Serialize)]
struct Failed<'a> {
    #[serde(flatten)]
    call: &'a BacklogCall,
    error: &'a str,
}

/// Writes the calls of the input that failed by its journal. The file is whole or as it was.
///
/// # Errors
/// If something cannot be read or written.
pub(super) fn write(input: &Input, journal: &Path, path: &Path) -> anyhow::Result<()> {
    let unfinished = beside(path, ".part");
    let name = path.display();
    let file = File::create(&unfinished).with_context(|| format!("cannot write {name}"))?;
    let mut out = BufWriter::new(file);
    let (mut calls, mut past) = (input.calls()?, journal::past(journal, 0)?);
    while let Some(next) = calls.next()? {
        let Ok(call) = next else { continue };
        if let Some(entry) = past.result(call.line)?
            && entry.result == EntryResult::Failed
        {
            let error = entry.error.as_deref().unwrap_or("unknown");
            let line = serde_json::to_string(&Failed { call: &call, error })?;
            writeln!(out, "{line}").with_context(|| format!("cannot write {name}"))?;
        }
    }
    let finish = || -> io::Result<()> {
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        put(&file, &unfinished, path)
    };
    finish().with_context(|| format!("cannot write {name}"))
}
