//! What is laid around the steps that are measured: a stopwatch, or a name that callgrind finds.

use std::time::Duration;

/// Measures work.
pub(crate) trait Meter {
    /// Does work that counts.
    fn around<T>(&mut self, work: impl FnOnce() -> T) -> T;

    /// Does work that counts if it is of the step that is measured.
    fn around_if<T>(&mut self, counts: bool, work: impl FnOnce() -> T) -> T {
        if counts { self.around(work) } else { work() }
    }
}

/// Measures how long work takes.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    pub(crate) took: Duration,
}

/// Lets callgrind see which work counts: it collects within [`counted`].
pub(crate) struct Counter;

/// What the name of [`counted`] is like for callgrind.
pub(crate) const COUNTED: &str = "*meter::counted*";

// === impl Stopwatch ===

impl Meter for Stopwatch {
    fn around<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = clock();
        let done = work();
        self.took += start.elapsed();
        done
    }
}

// === impl Counter ===

impl Meter for Counter {
    fn around<T>(&mut self, work: impl FnOnce() -> T) -> T {
        counted(work)
    }
}

#[inline(never)]
fn counted<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[expect(clippy::disallowed_types, reason = "what is measured is real time")]
fn clock() -> std::time::Instant {
    std::time::Instant::now()
}
