//! A hard cap, as it is typed: so many calls in a time.

use std::time::Duration;

use yaml::units;

/// At most so many calls in a time.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Cap {
    /// At most so many calls in the time of --every, whatever Slack allows. A drain keeps to it over
    /// restarts, too
    #[arg(
        long,
        value_name = "CALLS",
        requires = "every",
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    per_cycle: Option<u32>,

    /// The time of --per-cycle, as in 30m
    #[arg(long, value_name = "DURATION", requires = "per_cycle", value_parser = parse_every)]
    every: Option<Duration>,
}

// === impl Cap ===

impl Cap {
    /// How many calls, and in which time; none without a cap.
    pub(crate) fn get(self) -> Option<(u32, Duration)> {
        self.per_cycle.zip(self.every)
    }
}

fn parse_every(text: &str) -> Result<Duration, String> {
    match units::parse_duration(text) {
        Ok(Duration::ZERO) => Err("is longer than nothing".to_owned()),
        Ok(every) => Ok(every),
        Err(error) => Err(error.to_string()),
    }
}
