//! Which clients have had clicks lately: calls of class interactive, for which somebody waits.
//!
//! A job and the clicks of a bot may share one client, and whatever stops that client stops the
//! clicks.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use foldhash::fast::RandomState;
use tokio::time::Instant;

/// A client within a bot: a hash of its caller and its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(pub u64);

/// The last click of each client. Clones share what they know.
#[derive(Clone, Debug, Default)]
pub struct Clicks {
    last: Arc<Mutex<HashMap<ClientId, Instant, RandomState>>>,
}

/// A click so long ago makes the next one likely.
const LATELY: Duration = Duration::from_secs(10 * 60);

/// So many clients are remembered.
const CLIENTS: usize = 4096;

// === impl Clicks ===

impl Clicks {
    /// A client has a click.
    pub fn click(&self, client: ClientId) {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= CLIENTS && !last.contains_key(&client) {
            let oldest = last.iter().min_by_key(|(_, at)| **at).map(|(client, _)| *client);
            if let Some(oldest) = oldest {
                last.remove(&oldest);
            }
        }
        last.insert(client, now);
    }

    /// Whether a client has had a click lately.
    pub fn lately(&self, client: ClientId) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let at = last.get(&client).copied();
        at.is_some_and(|at| Instant::now().saturating_duration_since(at) < LATELY)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    /// Red when a click is remembered for ever, or for a moment, or for another client.
    #[tokio::test(start_paused = true)]
    async fn a_click_counts_for_ten_minutes_and_for_its_client() {
        let clicks = Clicks::default();
        clicks.click(ClientId(1));
        advance(LATELY.saturating_sub(Duration::from_millis(1))).await;
        assert_eq!([1, 2].map(|client| clicks.lately(ClientId(client))), [true, false]);
        advance(Duration::from_millis(1)).await;
        assert!(!clicks.lately(ClientId(1)));
        clicks.click(ClientId(1));
        assert!(clicks.lately(ClientId(1)));
    }

    /// Red when every client has a place, and when the newest loses its own.
    #[tokio::test(start_paused = true)]
    async fn clients_without_end_take_bounded_memory() {
        let clicks = Clicks::default();
        for client in 0..10_000 {
            clicks.click(ClientId(client));
            advance(Duration::from_millis(1)).await;
        }
        assert_eq!(clicks.last.lock().unwrap().len(), CLIENTS);
        assert_eq!([9_999, 0].map(|client| clicks.lately(ClientId(client))), [true, false]);
    }
}
