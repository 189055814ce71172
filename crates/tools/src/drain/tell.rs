//! What is said before the first call: what is wrong with the input, and what would be done.

use std::io::Write;

use anyhow::Context as _;
use config::Config;

use super::{
    Args,
    backlog::{Backlog, Tally},
    input::Input,
    journal, outlook,
    send::Tokens,
    survey::Survey,
};
use crate::through::unknown;

/// Says what is wrong with the input; whether it can be drained all the same.
pub(super) fn report(
    args: &Args,
    input: &Input,
    survey: &Survey,
    config: &Config,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let path = &input.path;
    for bad in &survey.shown {
        writeln!(out, "{}:{}: {}", path.display(), bad.line, bad.why)?;
    }
    let more = survey.bad.saturating_sub(survey.shown.len() as u64);
    if more > 0 {
        writeln!(out, "and {more} more such lines")?;
    }
    for warning in survey.methods.keys().filter_map(|name| unknown(name, &config.catalogue)) {
        writeln!(out, "warning: {warning}")?;
    }
    if survey.bad > 0 && args.on_bad_line == "stop" {
        let bad = survey.bad;
        let lines = if bad == 1 { "1 line is".to_owned() } else { format!("{bad} lines are") };
        writeln!(
            out,
            "error: {lines} not valid, so nothing was sent; correct the input, or use --on-bad-line skip"
        )?;
        return Ok(false);
    }
    if survey.calls == 0 {
        anyhow::bail!("{} has no calls", path.display());
    }
    Ok(true)
}

/// Says what would be done.
pub(super) fn rehearse(
    args: &Args,
    input: &Input,
    survey: &Survey,
    tokens: &anyhow::Result<Tokens>,
    config: &Config,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    writeln!(out, "{} calls:", survey.calls)?;
    for (method, calls) in &survey.methods {
        writeln!(out, "{calls:>8}  {method}")?;
    }
    let journal = args.journal_path();
    if journal.exists() {
        let mut backlog = Backlog::new(input.calls()?, journal::past(&journal, 0)?);
        let mut tally = Tally::default();
        // What comes after the first without a result is nearly all without one.
        let first = backlog.next(&mut tally).context("it would not go on")?;
        let name = journal.display();
        match first {
            Some(call) => writeln!(out, "By {name} it would go on with line {}.", call.line)?,
            None => writeln!(out, "By {name} all of them have their result.")?,
        }
    }
    for line in outlook::lines(args, input, survey, config)? {
        writeln!(out, "{line}")?;
    }
    if let Err(error) = tokens {
        writeln!(out, "Before that: {error}.")?;
    }
    writeln!(out, "The first of them, of which nothing was sent:")?;
    for call in &survey.first {
        writeln!(out, "  line {}: {} {}", call.line, call.method, call.form())?;
    }
    Ok(())
}
