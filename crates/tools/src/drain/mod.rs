//! `slackwater drain`: works off a backlog of calls, slowly, and never forgets where it was.

mod already;
mod args;
mod backlog;
mod call;
mod entry;
mod failed;
mod input;
mod journal;
mod outlook;
pub(super) mod pace;
pub(super) mod page;
mod send;
mod survey;
mod tell;
pub(super) mod work;

use std::{io::Write, process::ExitCode, sync::Arc};

use anyhow::bail;
use config::load;
use console::{FAILED, INTERRUPTED, NO};
use tokio::{runtime, sync::mpsc};

pub use self::args::Args;
use self::{
    backlog::{Backlog, Tally},
    call::BacklogCall,
    journal::Journal,
    pace::Pace,
    send::{Sender, Tokens},
    survey::Survey,
    work::{End, Work},
};
use crate::{
    proxy::Launch,
    through::{self, Means, Way, token},
};

/// So many notes wait to be shown; more are no news.
const NOTES: usize = 16;

/// Works it off.
///
/// # Errors
/// If it cannot be begun or not go on.
pub fn run(args: &Args, launch: Launch, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let config = load(args.through.config.as_deref())?;
    let input = args.input()?;
    let (journal, failed) = (args.journal_path(), args.failed_path());
    if [&journal, &failed].into_iter().any(|path| *path == input.path) || journal == failed {
        bail!("the input, the journal and the failed calls need a file each");
    }
    let via = args.through.via.as_deref().map(through::base).transpose()?;
    let survey = Survey::of(&input)?;
    if !tell::report(args, &input, &survey, &config, out)? {
        return Ok(ExitCode::from(FAILED));
    }
    let tokens = tokens(args, &survey);
    if args.dry_run {
        tell::rehearse(args, &input, &survey, &tokens, &config, out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let tokens = tokens?;
    let kept = Journal::open(&journal, &survey.fingerprint)?;
    if kept.mended > 0 {
        let (bytes, name) = (kept.mended, journal.display());
        writeln!(out, "{name}: its last line had broken off ({bytes} bytes) and was taken away")?;
    }
    let mut pace = args.pace();
    let keeps = pace.as_ref().map_or(0, Pace::most);
    let mut backlog = Backlog::new(input.calls()?, kept.past(keeps)?);
    let mut tally = Tally::default();
    let first = backlog.next(&mut tally)?;
    if tally.over() > 0 {
        writeln!(out, "{} of {} calls have their result already", tally.over(), survey.calls)?;
    }
    let mut end = End::Finished;
    if let Some(first) = first {
        if let Some(pace) = &mut pace {
            backlog.sent().for_each(|at| pace.sent(at));
        }
        let begun = Begun { backlog, tally, kept, pace, tokens };
        (end, tally) = begun.work(args, Means { via, config, launch }, survey.calls, first, out)?;
    }
    writeln!(out, "{}", page::summary(&tally, survey.calls, survey.bad))?;
    if tally.failed > 0 {
        failed::write(&input, &journal, &failed)?;
        let name = failed.display();
        writeln!(out, "The failed calls are in {name}; it can be drained, too.")?;
    }
    Ok(match end {
        End::Finished if tally.failed + survey.bad == 0 => ExitCode::SUCCESS,
        End::Finished => ExitCode::from(NO),
        End::Stopped => {
            writeln!(out, "Stopped. The same command goes on from here.")?;
            ExitCode::from(INTERRUPTED)
        }
        End::Ended(why) => {
            out.flush()?;
            bail!("{why}. The same command goes on from here when it is mended");
        }
    })
}

/// What stands before the first call.
struct Begun {
    backlog: Backlog,
    tally: Tally,
    kept: Journal,
    pace: Option<Pace>,
    tokens: Tokens,
}

// === impl Begun ===

impl Begun {
    fn work(
        self,
        args: &Args,
        means: Means,
        calls: u64,
        first: BacklogCall,
        out: &mut impl Write,
    ) -> anyhow::Result<(End, Tally)> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let catalogue = Arc::clone(&means.config.catalogue);
            let way = Way::open(means, out).await?;
            let (tell, notes) = mpsc::channel(NOTES);
            let sender = Sender {
                through: through::Sender::new(&way.base, "drain", &args.caller, tell)?,
                tokens: self.tokens,
                token_env: args.through.token_env.clone(),
                done_on: args.done_on.clone(),
                catalogue,
            };
            sender.through.probe().await?;
            out.flush()?;
            let mut work = Work {
                backlog: Some(self.backlog),
                tally: self.tally,
                journal: self.kept,
                sender: Arc::new(sender),
                pace: self.pace,
                notes,
                calls,
            };
            let end = work.run(first, out).await;
            way.close()?;
            Ok((end?, work.tally))
        })
    }
}

/// The headers with the tokens, from the environment.
///
/// # Errors
/// All that are missing.
fn tokens(args: &Args, survey: &Survey) -> anyhow::Result<Tokens> {
    let mut tokens = Tokens::new();
    let mut wrong = Vec::new();
    let named = survey.variables.iter().map(|(name, line)| (name, Some(*line)));
    let all =
        survey.default_token.then_some((&args.through.token_env, None)).into_iter().chain(named);
    for (name, line) in all {
        match (token(name), line) {
            (Some(header), None) => _ = tokens.insert(None, header),
            (Some(header), Some(_)) => _ = tokens.insert(Some(name.clone()), header),
            (None, None) => wrong.push(format!("{name} (or name another with --token-env)")),
            (None, Some(line)) => wrong.push(format!("{name} (of line {line})")),
        }
    }
    if wrong.is_empty() {
        return Ok(tokens);
    }
    bail!("no token: set {}", wrong.join(", "))
}
