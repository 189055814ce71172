//! What a command that takes long hears and shows: signals, and how far it is, as a page on a terminal
//! and as a line now and then elsewhere.

use std::{
    io::{self, Write},
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};

use console::Screen;

/// Hears signals and beats.
#[derive(Debug)]
pub(crate) struct Watch {
    screen: Option<Screen>,
    interrupt: Signal,
    terminate: Signal,
    ticks: Interval,
}

/// What is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Somebody wants it to stop: SIGINT or SIGTERM.
    Stop,
    /// It is time to show how far it is.
    Show,
}

/// How long a page stands on a terminal, and how long until the next line elsewhere.
const FRAME: Duration = Duration::from_millis(250);
const LINE: Duration = Duration::from_secs(10);

// === impl Watch ===

impl Watch {
    /// Hears from now on.
    ///
    /// # Errors
    /// If signals cannot be heard.
    pub(crate) fn new() -> io::Result<Self> {
        let screen = Screen::look();
        let every = if screen.is_some() { FRAME } else { LINE };
        let mut ticks = interval_at(Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { screen, interrupt, terminate: signal(SignalKind::terminate())?, ticks })
    }

    /// The next thing that is heard. Dropping the future loses none.
    pub(crate) async fn next(&mut self) -> Beat {
        tokio::select! {
            _ = self.interrupt.recv() => Beat::Stop,
            _ = self.terminate.recv() => Beat::Stop,
            _ = self.ticks.tick() => Beat::Show,
        }
    }

    /// Shows how far it is: the page on a terminal, else its last line.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn show(&mut self, out: &mut impl Write, page: &[String]) -> io::Result<()> {
        match (&mut self.screen, page.last()) {
            (Some(screen), _) => screen.draw(out, page),
            (None, Some(line)) => say(out, line),
            (None, None) => Ok(()),
        }
    }

    /// Says it at once where there is no page that will.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn say(&self, out: &mut impl Write, text: &str) -> io::Result<()> {
        if self.screen.is_some() { Ok(()) } else { say(out, text) }
    }

    /// Gives the terminal back; the last page stays.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn end(&self, out: &mut impl Write) -> io::Result<()> {
        if self.screen.is_some() { Screen::end(out) } else { Ok(()) }
    }
}

fn say(out: &mut impl Write, text: &str) -> io::Result<()> {
    writeln!(out, "{text}")?;
    out.flush()
}
