//! What operators see: metrics, health, readiness and the state of the queues; and what they change
//! while it runs.
//!
//! Served by a thread of its own, so that looking costs no call anything.

mod answer;
mod guard;
mod mode;
mod pausing;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Serialize;

pub use self::guard::{Guard, is_local};
use self::mode::ModePage;
use crate::{
    admission::{Admission, BucketStatus, Held, PauseStatus, QueueStatus},
    metrics::{CONTENT_TYPE, Metrics, Sums, Top},
    reload::{Live, Reload},
};

/// What the pages show.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Where calls wait.
    pub admission: Admission,
    /// What is counted.
    pub metrics: Metrics,
    /// The configuration of now, and what became of the last reload.
    pub live: Live,
    /// Whether calls are welcome.
    pub ready: Arc<AtomicBool>,
    /// Who may look, and who may change.
    pub guard: Guard,
}

/// The longest body of a change.
const LONGEST: usize = 16 << 10;

#[derive(Debug, Serialize)]
struct StatusPage {
    /// Whose page it is.
    slackwater: &'static str,
    queues: Vec<QueueStatus>,
    buckets: Vec<BucketStatus>,
    mode: ModePage,
    paused: Vec<PauseStatus>,
    top: TopPage,
    totals: Totals,
    /// What became of the last reload of the configuration, if there was one.
    reload: Option<Reload>,
}

/// Who calls most, and who has most calls held.
#[derive(Debug, Serialize)]
struct TopPage {
    #[serde(flatten)]
    busiest: Top,
    held_callers: Vec<Held>,
    held_workspaces: Vec<Held>,
}

#[derive(Debug, Serialize)]
struct Totals {
    /// Calls held.
    held: usize,
    /// Places kept for calls that were sent away.
    places: usize,
    /// Buckets that are alive.
    buckets: usize,
    /// Buckets that are closed.
    frozen: usize,
    /// Whether calls are welcome.
    ready: bool,
    #[serde(flatten)]
    since_start: Sums,
}

/// The pages of the admin listener.
pub fn router(shown: Shown) -> Router {
    Router::new()
        .route("/metrics", get(metrics_page))
        .route("/status", get(status_page))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready_page))
        .route("/pause", post(pausing::pause))
        .route("/resume", post(pausing::resume))
        .route("/mode", post(mode::switch))
        .fallback(unknown_page)
        .method_not_allowed_fallback(wrong_verb)
        .layer(DefaultBodyLimit::max(LONGEST))
        .layer(middleware::from_fn_with_state(shown.guard.clone(), guard::check))
        .with_state(shown)
}

async fn metrics_page(State(shown): State<Shown>) -> Response {
    let Shown { admission, metrics, live, ready, .. } = &shown;
    let config = live.config();
    metrics.health(ready.load(Ordering::Relaxed), &admission.modes(), &config.catalogue);
    match metrics.text(&admission.status(), &config.catalogue) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn status_page(State(shown): State<Shown>) -> Response {
    let status = shown.admission.status();
    let totals = Totals {
        held: status.queues.iter().map(|queue| queue.depth).sum(),
        places: status.places,
        buckets: status.buckets.len(),
        frozen: status.buckets.iter().filter(|bucket| bucket.frozen_for_ms > 0).count(),
        ready: shown.ready.load(Ordering::Relaxed),
        since_start: shown.metrics.sums(),
    };
    let page = StatusPage {
        slackwater: env!("CARGO_PKG_VERSION"),
        queues: status.queues,
        buckets: status.buckets,
        mode: ModePage::from(&shown.admission.modes()),
        paused: status.paused,
        top: TopPage {
            busiest: shown.metrics.top(),
            held_callers: first(status.callers),
            held_workspaces: first(status.workspaces),
        },
        totals,
        reload: shown.live.last(),
    };
    Json(page).into_response()
}

/// So many are shown, as of the busiest.
fn first(mut held: Vec<Held>) -> Vec<Held> {
    held.truncate(50);
    held
}

async fn ready_page(State(shown): State<Shown>) -> Response {
    if shown.ready.load(Ordering::Relaxed) {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response()
    }
}

async fn unknown_page() -> Response {
    let pages = "no such page; there are /metrics, /status, /healthz and /readyz, and /pause, \
                 /resume and /mode to POST to\n";
    (StatusCode::NOT_FOUND, pages).into_response()
}

async fn wrong_verb() -> Response {
    let text = "pages are for GET, changes for POST\n";
    (StatusCode::METHOD_NOT_ALLOWED, text).into_response()
}
