//! `slackwater export`: writes down a list of Slack's, page by page, and never forgets where it was.

mod answer;
mod args;
mod output;
mod page;
mod request;
mod shape;
mod walk;

use std::{io::Write, process::ExitCode};

use anyhow::bail;
use config::load;
use console::INTERRUPTED;
use tokio::{runtime, sync::mpsc};

pub use self::args::Args;
use self::{
    output::Output,
    request::Request,
    walk::{End, Walk},
};
use crate::{
    proxy::Launch,
    through::{self, Means, Sender, Way, token, unknown},
};

/// So many notes wait to be shown; more are no news.
const NOTES: usize = 16;

/// Exports it.
///
/// # Errors
/// If it cannot be begun or not go on.
pub fn run(args: &Args, launch: Launch, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let config = load(args.through.config.as_deref())?;
    let request = Request::of(args, &config.catalogue, config.app)?;
    let via = args.through.via.as_deref().map(through::base).transpose()?;
    let called = request.call.as_ref().map(|call| &call.method);
    for method in [Some(&request.method), called].into_iter().flatten() {
        if let Some(warning) = unknown(method, &config.catalogue) {
            writeln!(out, "warning: {warning}")?;
        }
    }
    let output = Output::open(&args.out, &request, args.again)?;
    let name = args.out.display();
    if output.state.finished {
        let amount = page::amount(&output.state);
        writeln!(out, "{name} is finished already: {amount}; --again begins anew")?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(token) = token(&request.token_env) else {
        let name = &request.token_env;
        bail!("no token: set {name} (or name another with --token-env)");
    };
    if output.mended > 0 {
        let bytes = output.mended;
        writeln!(out, "{name}: {bytes} bytes of a page that was not finished were taken away")?;
    }
    if output.state.pages > 0 {
        writeln!(out, "{name} goes on after {}", page::amount(&output.state))?;
    }
    let (end, output) = work(args, Means { via, config, launch }, output, token, out)?;
    let amount = page::amount(&output.state);
    match end {
        End::Finished => {
            writeln!(out, "{amount}: all of it is in {name}")?;
            if request.call.is_some() {
                writeln!(out, "Each line is a call; slackwater drain {name} works them off.")?;
            }
            Ok(ExitCode::SUCCESS)
        }
        End::Stopped => {
            writeln!(out, "{amount}. Stopped. The same command goes on from here.")?;
            Ok(ExitCode::from(INTERRUPTED))
        }
        End::Ended(why) => {
            writeln!(out, "{amount}")?;
            out.flush()?;
            bail!("{why}")
        }
    }
}

fn work(
    args: &Args,
    means: Means,
    output: Output,
    token: http::HeaderValue,
    out: &mut impl Write,
) -> anyhow::Result<(End, Output)> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let way = Way::open(means, out).await?;
        let (tell, notes) = mpsc::channel(NOTES);
        let sender = Sender::new(&way.base, "export", &args.caller, tell)?;
        sender.probe().await?;
        out.flush()?;
        let mut walk = Walk { output: Some(output), sender, token, notes };
        let end = walk.run(out).await;
        way.close()?;
        let Some(output) = walk.output else { bail!("the file was lost while it was written") };
        Ok((end?, output))
    })
}
