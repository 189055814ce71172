//! How long a call may be held: as long as its client waits, and no longer.

use std::time::Duration;

use config::Queue;
use slack::{Client, Method};

/// How long a call may be held: what the call says itself, else what is known of its client,
/// else the default; never longer than its method makes sense or the operator allows.
pub fn patience(
    said: Option<Duration>,
    client: Option<&Client>,
    method: Option<&Method>,
    queue: &Queue,
) -> Duration {
    let wait = said.or(client.map(|client| client.max_wait)).unwrap_or(queue.max_wait);
    let sensible = method.and_then(|method| method.max_wait).unwrap_or(queue.max_hold);
    wait.min(sensible).min(queue.max_hold)
}
