//! The account of what calls hold, against what they do hold.

use std::sync::{Arc, Mutex};

use super::{plan::Bounds, site::Site};
use crate::harness::{Proxy, ms};

/// What is known of the calls that are open, and what the proxy says it holds for them.
pub(super) struct Account {
    bounds: Bounds,
    /// How many bytes the body of each has that its client waits for.
    open: Arc<Mutex<Vec<usize>>>,
    wrong: Vec<String>,
}

/// A call that is open until this is dropped.
pub(super) struct Here {
    bytes: usize,
    open: Arc<Mutex<Vec<usize>>>,
}

/// More than headers and URL of these calls count with.
const HEAD: usize = 2_000;

/// More than the body of any of them has.
const LONGEST: usize = 5_000;

/// How many calls are in flight to Slack, also of clients that have gone.
fn in_flight(proxy: &Proxy) -> usize {
    let servers = proxy.status().in_flight;
    servers.iter().filter(|it| &*it.server == "*").map(|it| it.calls).sum()
}

// === impl Account ===

impl Account {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, open: Arc::default(), wrong: Vec::new() }
    }

    /// A call comes with so many bytes.
    pub(super) fn comes(&self, bytes: usize) -> Here {
        self.open.lock().unwrap().push(bytes);
        Here { bytes, open: Arc::clone(&self.open) }
    }

    /// Holds the account against the calls. Who has just gone may still be there at the first look.
    pub(super) async fn look(&mut self, site: &Site) {
        if self.wrong_with(site).is_none() {
            return;
        }
        tokio::time::sleep(ms(10)).await;
        self.wrong.extend(self.wrong_with(site));
    }

    fn wrong_with(&self, site: &Site) -> Option<String> {
        let proxy = site.proxy()?;
        let ((bytes, calls), held) = (proxy.memory.held(), proxy.admission.held());
        let mut open = self.open.lock().unwrap().clone();
        open.sort_unstable();
        let Bounds { bytes: most_bytes, calls: most_calls } = self.bounds;
        let says = |what: &str| {
            let counts = format!("{bytes} bytes, {calls} calls, {held} held");
            Some(format!("{what}: {counts}, {open:?} open"))
        };
        if bytes > most_bytes || calls > most_calls {
            return says("more is held than may be");
        }
        if calls < held {
            return says("held calls do not count");
        }
        // What was sent goes on without its client, with its body.
        let gone_on = if calls > open.len() { in_flight(&proxy) } else { 0 };
        if calls > open.len() + gone_on {
            return says("calls count that have ended");
        }
        // Which of them are held nobody says: no less than the shortest, no more than all.
        let least: usize = open.iter().take(held).sum();
        if bytes < least {
            return says("bytes of held calls do not count");
        }
        let most = open.iter().sum::<usize>() + gone_on * LONGEST + calls * HEAD;
        if bytes > most {
            return says("bytes count of nobody");
        }
        None
    }

    /// What was wrong with it.
    pub(super) fn wrong(&self) -> impl Iterator<Item = String> {
        self.wrong.iter().take(5).cloned()
    }
}

// === impl Here ===

impl Drop for Here {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap();
        if let Some(at) = open.iter().position(|bytes| *bytes == self.bytes) {
            open.swap_remove(at);
        }
    }
}
