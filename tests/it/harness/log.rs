//! Everything that is logged by what runs in the thread of a test.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing::{Dispatch, Level, subscriber::DefaultGuard};
use tracing_subscriber::fmt::MakeWriter;

/// Everything that is logged while it is there, in text or as JSON.
pub(crate) struct Log {
    lines: Lines,
    _here: DefaultGuard,
    _another: Dispatch,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

// === impl Log ===

impl Log {
    /// All levels, as text.
    pub(crate) fn text() -> Self {
        let lines = Lines::default();
        let to = lines.clone();
        let make = move || {
            let lines = tracing_subscriber::fmt().with_max_level(Level::TRACE);
            Dispatch::new(lines.with_writer(to.clone()).finish())
        };
        Self::of(lines, make)
    }

    /// Warnings and errors, as JSON.
    pub(crate) fn warnings() -> Self {
        let lines = Lines::default();
        let to = lines.clone();
        let make = move || {
            let lines = tracing_subscriber::fmt().with_max_level(Level::WARN);
            Dispatch::new(lines.json().flatten_event(true).with_writer(to.clone()).finish())
        };
        Self::of(lines, make)
    }

    fn of(lines: Lines, make: impl Fn() -> Dispatch) -> Self {
        // While there is only one, tracing asks the thread that comes by an event first whether
        // anybody wants it, and the threads of other tests say no for all.
        let another = make();
        Self { lines, _here: tracing::dispatcher::set_default(&make()), _another: another }
    }

    /// All of it.
    pub(crate) fn all(&self) -> String {
        String::from_utf8_lossy(&self.lines.0.lock().unwrap()).into_owned()
    }

    /// The events since it was asked for them last.
    pub(crate) fn take(&self) -> Vec<serde_json::Value> {
        let text = std::mem::take(&mut *self.lines.0.lock().unwrap());
        let text = String::from_utf8(text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

// === impl Lines ===

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Lines {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}
