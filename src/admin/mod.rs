//! What operators see: metrics, health, readiness and the state of the queues; and what they change
//! while it runs.
//!
//! Served by a thread of its own, so that looking costs no call anything.

mod answer;
mod buckets;
mod events;
mod fleet;
mod gauges;
mod guard;
mod history;
mod lessons;
mod listen;
mod metrics;
mod mode;
mod page;
mod pausing;
mod snapshot;
mod status;
mod sums;
mod thaw;
mod turns;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRef, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Serialize;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::task::TaskTracker;

use self::{
    events::Events,
    metrics::CONTENT_TYPE,
    mode::ModePage,
    status::{BusyStatus, LeftOut, ReloadStatus, ReplicaStatus, SharedStatus},
    sums::Sums,
    turns::Turns,
};
pub use self::{
    guard::{Guard, is_local},
    metrics::Metrics,
    status::{
        BucketStatus, ById, DeadStatus, Held, InFlightStatus, PauseStatus, QueueStatus, Status,
    },
};
use crate::{identity::Names, queue::Admission, reload::Live, respond::Top, store::Fleet};

/// What the operators' pages are made of and change.
#[derive(Clone, Debug)]
pub struct AdminState {
    /// Where calls wait.
    pub admission: Admission,
    /// What people call workspaces and bots.
    pub names: Names,
    /// What is counted.
    pub metrics: Metrics,
    /// Where bots connect to.
    pub listen: SocketAddr,
    /// The configuration of now, and what became of the last reload.
    pub live: Live,
    /// Whether calls are welcome.
    pub ready: Arc<AtomicBool>,
    /// The connections of clients.
    pub connections: TaskTracker,
    /// Whom it shares its limits with, if it does.
    pub fleet: Option<Fleet>,
    /// Who may look, and who may change.
    pub guard: Guard,
}

/// What handlers extract their state from.
#[derive(Clone, Debug)]
struct RouterState {
    admin: AdminState,
    events: Events,
    turns: Turns,
}

/// The longest body of a change.
const LONGEST: usize = 16 << 10;
/// How long a request may take to arrive, from its head on, and to be answered.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize)]
struct StatusPage {
    /// Whose page it is.
    slackwater: &'static str,
    queues: Vec<QueueStatus>,
    buckets: Vec<BucketStatus>,
    left_out: LeftOut,
    in_flight: Vec<InFlightStatus>,
    mode: ModePage,
    paused: Vec<PauseStatus>,
    dead: Vec<DeadStatus>,
    top: TopPage,
    totals: Totals,
    /// Which replica it is, if it has a part of each limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    replica: Option<ReplicaStatus>,
    /// How the store stands that replicas share, if they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    shared: Option<SharedStatus>,
    /// What became of the last reload of the configuration, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    reload: Option<ReloadStatus>,
}

/// Who calls most, and who has most calls held.
#[derive(Debug, Serialize)]
struct TopPage {
    callers: Vec<BusyStatus>,
    workspaces: Vec<BusyStatus>,
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

/// Serves operators on `most` connections at once, until it is dropped: then every watcher of the live
/// page is sent away, too.
pub async fn serve(listener: TcpListener, state: AdminState, most: usize) {
    let (events, turns) = (Events::new(), Turns::new());
    let router = router(RouterState { admin: state.clone(), events: events.clone(), turns });
    tokio::select! {
        () = listen::serve(listener, router, most) => {}
        () = events.keep(&state) => {}
    }
}

fn router(state: RouterState) -> Router {
    let guard = state.admin.guard.clone();
    page::routes()
        .route("/metrics", get(metrics_page))
        .route("/status", get(status_page))
        .route(events::PATH, get(events::events))
        .route("/buckets", get(buckets::buckets))
        .route("/learnt", get(lessons::learnt))
        .route("/fleet", get(fleet::fleet))
        .route("/forget", post(lessons::forget))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready_page))
        .route("/pause", post(pausing::pause))
        .route("/resume", post(pausing::resume))
        .route("/thaw", post(thaw::thaw))
        .route("/mode", post(mode::switch))
        .fallback(unknown_page)
        .method_not_allowed_fallback(wrong_verb)
        .layer(DefaultBodyLimit::max(LONGEST))
        .layer(middleware::from_fn_with_state(guard, guard::check))
        // A body may come slowly, or never.
        .layer(middleware::from_fn(in_time))
        // Outermost: refusals are answers, too.
        .layer(middleware::map_response(page::strict))
        .with_state(state)
}

/// Answers in time, or says that it cannot.
async fn in_time(request: Request, next: Next) -> Response {
    timeout(PATIENCE, next.run(request)).await.unwrap_or_else(|_| {
        let text = "the request took too long to arrive";
        answer::refusal(StatusCode::REQUEST_TIMEOUT, "too_slow", text)
    })
}

async fn metrics_page(State(turns): State<Turns>, State(state): State<AdminState>) -> Response {
    turns.page(|| metrics_now(&state)).await
}

fn metrics_now(state: &AdminState) -> Response {
    let AdminState { admission, metrics, live, ready, connections, .. } = state;
    let config = live.config();
    let (ready, connections) = (ready.load(Ordering::Relaxed), connections.len());
    metrics.health(ready, connections, &admission.modes(), &config.catalogue);
    match metrics.text(&Status::of(admission, &ById::new()), &config.catalogue) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn status_page(State(turns): State<Turns>, State(state): State<AdminState>) -> Response {
    turns.page(|| status_now(&state)).await
}

fn status_now(state: &AdminState) -> Response {
    let status = Status::of(&state.admission, &state.names.all());
    let totals = Totals::of(state, &status);
    let (status, left_out) = status.bounded();
    let Top { callers, workspaces } = state.metrics.counters.answers.top();
    let split = state.live.config().shared.as_ref().and_then(config::Shared::split);
    let page = StatusPage {
        slackwater: env!("CARGO_PKG_VERSION"),
        queues: status.queues,
        buckets: status.buckets,
        left_out,
        in_flight: status.in_flight,
        mode: ModePage::from(&state.admission.modes()),
        paused: status.paused,
        dead: status.dead,
        top: TopPage {
            callers: callers.into_iter().map(BusyStatus::from).collect(),
            workspaces: workspaces.into_iter().map(BusyStatus::from).collect(),
            held_callers: first(status.callers),
            held_workspaces: first(status.workspaces),
        },
        totals,
        replica: split.map(ReplicaStatus::from),
        shared: state.metrics.counters.shared.shown().map(SharedStatus::from),
        reload: state.live.last().map(ReloadStatus::from),
    };
    Json(page).into_response()
}

/// So many are shown, as of the busiest.
fn first(mut held: Vec<Held>) -> Vec<Held> {
    held.truncate(50);
    held
}

async fn ready_page(State(state): State<AdminState>) -> Response {
    if state.ready.load(Ordering::Relaxed) {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response()
    }
}

async fn unknown_page() -> Response {
    let pages = "no such page; there are / for a browser, /status, /buckets, /learnt, /fleet, /events, \
                 /metrics, /healthz and /readyz, and /pause, /resume, /thaw, /mode and /forget to POST to";
    answer::refusal(StatusCode::NOT_FOUND, "unknown_page", pages)
}

async fn wrong_verb() -> Response {
    let text = "pages are for GET, changes for POST";
    answer::refusal(StatusCode::METHOD_NOT_ALLOWED, "wrong_verb", text)
}

// === impl RouterState ===

impl FromRef<RouterState> for AdminState {
    fn from_ref(state: &RouterState) -> Self {
        state.admin.clone()
    }
}

impl FromRef<RouterState> for Events {
    fn from_ref(state: &RouterState) -> Self {
        state.events.clone()
    }
}

impl FromRef<RouterState> for Turns {
    fn from_ref(state: &RouterState) -> Self {
        state.turns.clone()
    }
}

// === impl Totals ===

impl Totals {
    fn of(state: &AdminState, status: &Status) -> Self {
        Self {
            held: status.queues.iter().map(|queue| queue.depth).sum(),
            places: status.places,
            buckets: status.buckets.len(),
            frozen: status.buckets.iter().filter(|bucket| bucket.frozen_for_ms > 0).count(),
            ready: state.ready.load(Ordering::Relaxed),
            since_start: state.metrics.sums(),
        }
    }
}
