//! A Slack that limits like Slack, for tests, demos and other people's CI.
//!
//! It shares nothing with the scheduler, because it judges it: the facts about the limits are
//! common to both, the counting is not. Inside out:
//!
//! - `window` counts one rate in one shape, `judge` applies a call's limits and the penalties;
//!   both are pure and told the time.
//! - `state` adds the ledger, scripted replies, faults and Slack's bodies, still pure.
//! - `service` puts it behind HTTP and lets time pass; `server` accepts connections, from a
//!   socket or from pipes in memory, so that a test runs under tokio's paused clock.

mod answers;
mod arguments;
mod call;
mod decision;
mod faults;
mod hosts;
mod identity;
mod judge;
mod ledger;
mod options;
mod random;
mod reply;
mod rules;
mod server;
mod service;
mod state;
mod window;

use std::{
    convert::Infallible,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

pub use call::Call;
pub use decision::{Cause, Decision, Flight, LimitHit};
pub use faults::{Fault, FaultRule};
pub use identity::{AuthError, Identity};
pub use judge::Judge;
pub use ledger::{Entry, Ledger, MethodTotals, RecordedAs, Totals, Violation};
pub use options::{Latency, OptionError, Options, Penalty, Shape};
pub use reply::Reply;
pub use rules::Rules;
pub use server::Accept;
use state::State;

/// The body of every answer.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A Slack that limits like Slack. Clones are the same one.
#[derive(Clone, Debug)]
pub struct FakeSlack {
    shared: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    started: Instant,
    /// The same instant for people: messages and the ledger name it.
    started_unix: Duration,
    state: Mutex<State>,
    tasks: TaskTracker,
}

// === impl FakeSlack ===

impl FakeSlack {
    /// Starts now, with nothing counted.
    pub fn new(options: Options) -> Self {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let state = Mutex::new(State::new(&options));
        let shared = Inner {
            options,
            started: Instant::now(),
            started_unix: unix.unwrap_or_default(),
            state,
            tasks: TaskTracker::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Judges a call that arrives at `now`, a time since the start, and writes it down: all of
    /// the fake but HTTP, scripts and latency. Needs no runtime.
    pub fn handle(&self, now: Duration, call: &Call) -> Decision {
        self.state().handle(now, call)
    }

    /// The answer of an accepted call has been sent.
    pub fn land(&self, flight: Flight) {
        self.state().judge.land(flight);
    }

    /// Answers the next calls of a method with these, one each, before anything is judged.
    /// They are written down and count against no limit.
    pub fn script(&self, method: &str, replies: impl IntoIterator<Item = Reply>) {
        self.state().script(method, replies);
    }

    /// Something goes wrong with the next so many calls of a method. Whether it is noted: there
    /// may be a thousand such orders at a time.
    pub fn fault(&self, method: &str, fault: Fault, calls: NonZeroU32) -> bool {
        self.state().faults.add(method, fault, calls)
    }

    /// The ledger as it is now.
    pub fn ledger(&self) -> Ledger {
        self.state().ledger.clone()
    }

    /// What all calls come to so far.
    pub fn totals(&self) -> Totals {
        self.state().ledger.totals.clone()
    }

    /// Empties the ledger; what has been counted still counts.
    pub fn reset_ledger(&self) {
        self.state().ledger = Ledger::new(self.shared.options.ledger);
    }

    /// Empties the ledger and forgets all that has been counted. Scripts stay.
    pub fn reset(&self) {
        self.reset_ledger();
        self.state().judge.reset();
    }

    /// How it behaves.
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// The time since the start.
    fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.shared.started)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
