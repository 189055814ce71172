//! `slackwater status`: who waits, and why, as the running proxy says.

mod fleet;
mod page;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use console::{Ask, NO, Place, Screen, status};
use http::StatusCode;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    time::sleep,
};
use yaml::units;

use self::page::Page;

/// Show who waits and why, as the running proxy says
///
/// Asks the operators' listener (`admin.listen`). Exits with 0, with 2 if nobody answers there or
/// what answers is no slackwater. With --ready: 0 if it takes calls, 1 if not.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  slackwater status
  slackwater status --watch
  slackwater status --ready --admin http://127.0.0.1:9090
  slackwater status --json | jq .totals"
)]
pub struct Args {
    #[command(flatten)]
    place: Place,

    /// Show it again and again, until Ctrl-C
    #[arg(long, conflicts_with_all = ["json", "ready"])]
    pub watch: bool,

    /// How long each page of --watch stands
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval, requires = "watch")]
    pub interval: Duration,

    /// Write the JSON as it came
    #[arg(long, conflicts_with = "ready")]
    pub json: bool,

    /// Only say whether it takes calls: ready, draining or unreachable. For health checks
    #[arg(long)]
    pub ready: bool,
}

/// Asks, and writes the answer.
///
/// # Errors
/// If there is no answer, or none that can be read or written.
pub fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let admin = args.place.url()?;
    let ask = Ask::new(&admin);
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if args.ready {
            return ready(&ask, out).await;
        }
        if args.watch {
            return watch(&ask, &admin, args.interval, out).await;
        }
        let text = status::fetch(&ask, &admin).await?;
        if args.json {
            out.write_all(&text)?;
            writeln!(out)?;
        } else {
            let page: Page = status::read(&text, &admin)?;
            let width = Screen::width();
            let mut lines = page.lines(&admin, width);
            lines.extend(fleet::lines(&ask, width).await);
            writeln!(out, "{}", lines.join("\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn interval(text: &str) -> Result<Duration, String> {
    match units::parse_duration(text) {
        Ok(interval) if interval < Duration::from_millis(100) => {
            Err("a page stands for 100ms at least".to_owned())
        }
        Ok(interval) => Ok(interval),
        Err(error) => Err(error.to_string()),
    }
}

async fn ready(ask: &Ask, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let (word, code) = match ask.get("/readyz").await {
        Ok((StatusCode::OK, body)) if &*body == b"ready\n" => ("ready", ExitCode::SUCCESS),
        Ok((StatusCode::SERVICE_UNAVAILABLE, _)) => ("draining", ExitCode::from(NO)),
        Ok((status, _)) => {
            writeln!(out, "not slackwater (it answers {status})")?;
            return Ok(ExitCode::from(NO));
        }
        Err(error) => {
            writeln!(out, "unreachable: {:#}", anyhow::Error::from(error))?;
            return Ok(ExitCode::from(NO));
        }
    };
    writeln!(out, "{word}")?;
    Ok(code)
}

/// One page after the other, until a signal. Where nobody answers it says so and asks again.
async fn watch(
    ask: &Ask,
    admin: &str,
    interval: Duration,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut screen = Screen::look();
    let showing = async {
        loop {
            let answer = status::fetch(ask, admin).await;
            let lines = match answer.and_then(|text| status::read::<Page>(&text, admin)) {
                Ok(page) => {
                    let width = Screen::width();
                    let mut lines = page.lines(admin, width);
                    lines.extend(fleet::lines(ask, width).await);
                    lines
                }
                Err(error) => vec![format!("error: {error:#}")],
            };
            match &mut screen {
                Some(screen) => screen.draw(out, &lines)?,
                None => plain(out, &lines)?,
            }
            sleep(interval).await;
        }
    };
    let shown: io::Result<()> = tokio::select! {
        shown = showing => shown,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    if screen.is_some() {
        Screen::end(out)?;
    }
    shown?;
    Ok(ExitCode::SUCCESS)
}

fn plain(out: &mut impl Write, lines: &[String]) -> io::Result<()> {
    writeln!(out, "{}\n", lines.join("\n"))?;
    out.flush()
}
