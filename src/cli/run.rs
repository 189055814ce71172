//! `slackwater run`: the proxy.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use yaml::units;

use crate::{app, reload::Source, telemetry};

/// Run the proxy (what `slackwater` alone does too)
///
/// Without a configuration it listens on 127.0.0.1:8080, forwards `/api/` to
/// `https://slack.com/api/`, and shows its state on 127.0.0.1:9090. Ends on SIGTERM or SIGINT, when
/// held calls had their turn or `drain_timeout` has passed; on a second signal at once.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  slackwater run
  slackwater run --config slackwater.yaml
  slackwater run --config try.yaml --minute 6s"
)]
pub struct Args {
    /// The configuration; else what the variable `SLACKWATER_CONFIG` names; else the defaults
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// For tests: how long a minute lasts at the upstream, as in 6s. Every limit's period is
    /// scaled, and so are the time-outs of known clients (`slackwater limits --clients`), the holds
    /// that follow from them, the time between interim responses and that after which a dead token is
    /// asked about: give the client under test a
    /// time-out scaled alike. What the configuration, a lane or a header says is not, nor are
    /// pauses; to be used with `fake-slack --minute` only
    #[arg(long, value_name = "DURATION", value_parser = units::parse_some_duration)]
    pub minute: Option<Duration>,
}

/// Runs until told to stop.
///
/// # Errors
/// If the configuration has problems, or the proxy cannot start.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let source = Source { path: config::file_of(args.config.as_deref()), minute: args.minute };
    let config = source.load()?;
    // To the end: the last lines are its affair.
    let _logs = telemetry::init(&config.log)?;
    if let Some(minute) = args.minute {
        tracing::warn!(?minute, "limits are scaled: this is not for Slack");
    }
    app::run(config, source)?;
    Ok(ExitCode::SUCCESS)
}
