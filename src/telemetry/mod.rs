//! Logs: one line per event, as text or as JSON, to standard error by way of a [queue](lines). A bug is an
//! event too.

mod lines;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, IsTerminal},
    panic::{self, PanicHookInfo},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use config::{Log, LogFormat};
use prometheus::IntCounter;
use tracing::Level;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use self::lines::Lines;
use crate::metrics::Registry;

/// Dropped at the end of the program, it waits for the last lines to be written, for a second at most.
#[derive(Debug)]
#[must_use]
pub struct Logs {
    lines: Lines,
}

/// What is counted of the log.
#[derive(Clone, Debug)]
pub struct LogMetrics {
    dropped: IntCounter,
}

/// How long the last lines may take to be written.
const PATIENCE: Duration = Duration::from_secs(1);
/// Lines that were dropped. A process has one standard error and one subscriber.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Sends events to standard error. Only the first call of a process has an effect.
///
/// # Errors
/// If there can be no thread that writes them.
pub fn init(log: &Log) -> io::Result<Logs> {
    // Ours from the level up; of the libraries' only what is alarming.
    let filter = EnvFilter::new(format!("{},slackwater={}", Level::WARN, log.level));
    let colours = io::stderr().is_terminal();
    let lines = Lines::to(io::stderr(), &DROPPED, |lines| {
        tracing::warn!(
            lines,
            "lines of the log were dropped: standard error did not take them in time"
        );
    })?;
    let logs = Logs { lines: lines.clone() };
    let lines = fmt::layer().with_writer(lines).with_ansi(colours).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    // A second subscriber is refused, which is what is wanted.
    let _ = match log.format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    panic::set_hook(Box::new(tell_of_bug));
    Ok(logs)
}

/// Instead of some lines of the standard library's own, which no reader of JSON expects. Where it
/// was called from is told if `RUST_BACKTRACE` asks for it.
fn tell_of_bug(bug: &PanicHookInfo<'_>) {
    let payload = bug.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let called_from = Backtrace::capture();
    let called_from = (called_from.status() == BacktraceStatus::Captured).then_some(called_from);
    tracing::error!(
        at = bug.location().map(tracing::field::display),
        bug = text.unwrap_or("no words"),
        called_from = called_from.map(tracing::field::display),
        "a bug in slackwater: please report it"
    );
}

// === impl Logs ===

impl Drop for Logs {
    fn drop(&mut self) {
        self.lines.flush(PATIENCE);
    }
}

// === impl LogMetrics ===

impl LogMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            dropped: registry.counter(
                "slackwater_log_lines_dropped_total",
                "Lines of the log that standard error did not take in time.",
            )?,
        })
    }

    /// Brings the counter up to date. To be said before each look.
    pub(crate) fn look(&self) {
        self.dropped.inc_by(DROPPED.load(Ordering::Relaxed).saturating_sub(self.dropped.get()));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        thread,
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Red with the standard library's words.
    #[test]
    fn a_bug_is_one_line_of_json() {
        let lines = Lines::default();
        let to = lines.clone();
        let subscriber = fmt().json().flatten_event(true).with_writer(move || to.clone()).finish();
        let before = panic::take_hook();
        panic::set_hook(Box::new(tell_of_bug));
        let bug = thread::spawn(|| {
            tracing::subscriber::with_default(subscriber, || -> () {
                panic::panic_any("something\nwith two lines")
            });
        });
        assert!(bug.join().is_err());
        panic::set_hook(before);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["bug"], "something\nwith two lines");
        assert!(line["at"].as_str().unwrap().contains("telemetry"), "{line}");
    }
}
