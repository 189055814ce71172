//! What is to be planned, as it is typed.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use config::{CallerName, Config};
use console::place;
use limits::Class;
use yaml::units;

use crate::{cap::Cap, drain::work::AT_ONCE, through};

/// Say how long calls would take, what holds them back, and what they would cost without a proxy
///
/// Plays the calls through the proxy's own scheduler in a time of its own; nothing is sent. With --via
/// or --admin it asks the proxy that runs what waits there already. Exits with 0, with 1 if the calls
/// would never go, with 2 if it cannot be told.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  slackwater plan --method conversations.close --count 4812 --class background
  slackwater plan --method conversations.close --count 4812 --per-cycle 10 --every 30m
  slackwater plan --method chat.postMessage --count 900 --channels 1 --via http://127.0.0.1:8080
  slackwater plan --method users.info --count 20000 --workspaces 3 --json"
)]
pub struct Args {
    /// The method that is called, or what is beside the Web API, as in webhook
    #[arg(long)]
    pub method: String,

    /// How often
    #[arg(long, value_name = "CALLS", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub count: u64,

    /// How urgent: interactive, normal or background. Without it: as the configuration says of the
    /// caller and the method, else normal
    #[arg(long)]
    pub class: Option<Class>,

    /// Who calls, as the proxy is told
    #[arg(long, value_name = "NAME")]
    pub caller: Option<String>,

    #[command(flatten)]
    pub(super) cap: Cap,

    /// In so many workspaces in turn, each with limits of its own
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub workspaces: u32,

    /// For so many channels (users, URLs) of each workspace in turn. Without it: another one each
    /// time, but one URL
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub channels: Option<u64>,

    /// How many calls are under way at once, those that wait included; a drain has so many. None is
    /// sent away because too many are held, not even by the `max_depth` of its caller
    #[arg(long, value_name = "CALLS", default_value_t = AT_ONCE as u32, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub at_once: u32,

    /// How long an answer of Slack's takes
    #[arg(long, value_name = "DURATION", default_value = "200ms", value_parser = parse_trip)]
    pub round_trip: Duration,

    /// The configuration whose rules hold. Without it: the file in `SLACKWATER_CONFIG`, else the
    /// defaults
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The proxy that runs, where its bots connect to, as drain has it. Its operators' listener is
    /// where the configuration says
    #[arg(long, value_name = "URL", conflicts_with = "admin")]
    pub via: Option<String>,

    /// The proxy that runs, by its operators' listener
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,

    /// Write JSON
    #[arg(long)]
    pub json: bool,

    /// For tests: how long a minute lasts at the upstream, as `run` has it
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
    pub minute: Option<Duration>,
}

/// The shortest and the longest answer.
const TRIPS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(60);

// === impl Args ===

impl Args {
    /// The caller's name, if one is given, and sees that the method's is one. What is none is not
    /// repeated: it could be a token.
    ///
    /// # Errors
    /// If one is not.
    pub(super) fn caller(&self) -> anyhow::Result<Option<CallerName>> {
        if !through::is_method(&self.method) {
            bail!("--method is no name of a method, as in conversations.close");
        }
        let caller = self.caller.as_deref().map(CallerName::new).transpose();
        caller.context("--caller is no name of one")
    }

    /// The operators' listener of the proxy that is to be asked, if one is.
    ///
    /// # Errors
    /// If nobody knows where it is.
    pub(super) fn asked(&self, config: &Config) -> anyhow::Result<Option<String>> {
        if let Some(via) = &self.via {
            let base = through::base(via)?;
            let Some(admin) = place::of_bots_at(&base, config) else {
                bail!(
                    "--via {base}: the configuration has its proxy at {}; name that proxy's with \
                     --config, or its operators' listener with --admin URL",
                    config.listen
                );
            };
            return Ok(Some(admin));
        }
        self.admin.as_deref().map(place::base).transpose()
    }
}

fn parse_trip(text: &str) -> Result<Duration, String> {
    match units::parse_duration(text) {
        Ok(trip) if TRIPS.contains(&trip) => Ok(trip),
        Ok(_) => Err("is from 1ms to 1m".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
