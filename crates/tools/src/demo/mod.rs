//! `slackwater demo`: an incident twice at the same time, straight and through the proxy.

mod bots;
mod page;
mod score;
mod stage;

use std::{io::Write, process::ExitCode, time::Duration};

use console::{INTERRUPTED, NO, Screen};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};

use self::{page::View, stage::Stage};
use crate::proxy::Launch;

/// Watch an incident with and without slackwater, side by side, in half a minute
///
/// Starts two fake Slacks, and a proxy before one of them, within this process and on loopback. No
/// token is needed. On a terminal it is a page, elsewhere lines; `NO_COLOR=1` takes the colours out.
/// Exits with 0 if all went as it should through the proxy, with 1 if not, with 130 after Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  slackwater demo
  slackwater demo | cat"
)]
pub struct Args;

/// What is typed next, without the program's name, and what it does.
pub const NEXT: [(&str, &str); 3] = [
    ("run", "the proxy, for your bot"),
    ("status --watch", "who waits, and why"),
    ("limits conversations.close", "what Slack allows"),
];

/// How long it takes at most, whatever happens.
const LONGEST: Duration = Duration::from_secs(50);
/// How long a page stands.
const FRAME: Duration = Duration::from_millis(200);

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    TooLong,
    Interrupted,
}

/// Plays it, shows it, and says what came of it.
///
/// # Errors
/// If it cannot be started, or nothing be written.
pub fn run(_: &Args, launch: Launch, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play(launch, out))
}

async fn play(launch: Launch, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    writeln!(out, "{}", page::opening())?;
    out.flush()?;
    // Whoever drew on a terminal gives it back, however it ends.
    let mut screen = Screen::look().filter(|_| {
        let (columns, lines) = Screen::size();
        columns >= page::WIDTH && lines > page::HEIGHT
    });
    let stage = Stage::open(launch).await?;
    let by = Instant::now() + LONGEST;
    let showing = async {
        tokio::select! {
            shown = timeout_at(by, show(&stage, screen.as_mut(), out)) => match shown {
                Ok(shown) => shown.map(|()| End::Done),
                Err(_) => Ok(End::TooLong),
            },
            _ = interrupt.recv() => Ok(End::Interrupted),
            _ = terminate.recv() => Ok(End::Interrupted),
        }
    };
    let shown = showing.await;
    let last = stage.view().await;
    let closed = stage.close().await;
    let end = shown?;
    match screen {
        Some(mut screen) => {
            screen.draw(out, &last.page(screen.colours))?;
            Screen::end(out)?;
        }
        None => writeln!(out, "\n{}", last.page(false).join("\n"))?,
    }
    closed?;
    writeln!(out, "\n{}", last.closing())?;
    if end != End::Interrupted {
        next(out)?;
    }
    Ok(match end {
        End::Done if last.is_clean() => ExitCode::SUCCESS,
        End::Done | End::TooLong => ExitCode::from(NO),
        End::Interrupted => ExitCode::from(INTERRUPTED),
    })
}

/// Shows both sides until the one with the proxy is done.
async fn show(
    stage: &Stage,
    mut screen: Option<&mut Screen>,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let frame = if screen.is_some() { FRAME } else { Duration::from_secs(1) };
    let mut ticks = interval(frame);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let view = stage.view().await;
        if let Some(screen) = &mut screen {
            screen.draw(out, &view.page(screen.colours))?;
        } else {
            writeln!(out, "{}", view.lines().join("\n"))?;
            out.flush()?;
        }
        if view.is_done() {
            return Ok(());
        }
    }
}

/// The commands that come next, under the name by which this one was called.
fn next(out: &mut impl Write) -> anyhow::Result<()> {
    let name = std::env::args().next().unwrap_or_else(|| "slackwater".to_owned());
    writeln!(out, "What to type next:")?;
    for (command, what) in NEXT {
        writeln!(out, "  {name} {command:26}  {what}")?;
    }
    Ok(())
}

// === impl View ===

impl View {
    /// Whether the proxy kept its word.
    fn is_clean(&self) -> bool {
        let counts = &self.through.counts;
        counts.finished.is_some()
            && counts.job_refused + counts.people_refused + counts.failed == 0
            && self.through.shut == 0
    }
}
