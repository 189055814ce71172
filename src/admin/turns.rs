//! Pages that cost time are made one after another, and between two of them passes as much time as the
//! last one took: health is told meanwhile, and calls, which share the queue with them, go.

use std::{sync::Arc, time::Duration};

use axum::{
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};

use super::answer;

/// Whose turn it is. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    one: Arc<Semaphore>,
}

/// How long a page waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

// === impl Turns ===

impl Turns {
    pub(super) fn new() -> Self {
        Self { one: Arc::new(Semaphore::new(1)) }
    }

    /// The page that `make` makes, when it is its turn.
    pub(super) async fn page(&self, make: impl FnOnce() -> Response) -> Response {
        let Ok(Ok(turn)) = timeout(PATIENCE, self.one.acquire()).await else {
            let text = "too many others are looking: try again";
            return answer::refusal(StatusCode::SERVICE_UNAVAILABLE, "busy", text).into_response();
        };
        let began = Instant::now();
        let page = make();
        sleep(Instant::now().duration_since(began)).await;
        drop(turn);
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when a page that never gets its turn waits for ever.
    #[tokio::test(start_paused = true)]
    async fn a_page_waits_for_its_turn_so_long() {
        let turns = Turns::new();
        let page = || "page".into_response();
        assert_eq!(turns.page(page).await.status(), StatusCode::OK);
        let turn = turns.one.acquire().await;
        assert_eq!(turns.page(page).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(turn);
        assert_eq!(turns.page(page).await.status(), StatusCode::OK);
    }
}
