//! Logs: one line per event, as text or as JSON, to standard error.

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Log, LogFormat};

/// Sends events to standard error. Only the first call of a process has an effect.
pub fn init(log: &Log) {
    // Ours from the level up; of the libraries' only what is alarming.
    let filter = EnvFilter::new(format!("{},slackwater={}", Level::WARN, log.level));
    let colours = io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(colours).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    // A second subscriber is refused, which is what is wanted.
    let _ = match log.format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
}
