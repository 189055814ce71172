//! `GET /fleet`: all replicas that share their limits, as each tells of itself.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{AdminState, answer};
use crate::store::{Degraded, Member};

pub(super) async fn fleet(State(state): State<AdminState>) -> Response {
    let Some(fleet) = &state.fleet else {
        return Json(json!({ "ok": true, "shared": false })).into_response();
    };
    let Some(replicas) = fleet.ask().await else {
        let text = "the shared store does not answer; ask each replica for its /status";
        return answer::refusal(StatusCode::SERVICE_UNAVAILABLE, "store_silent", text);
    };
    let sum = |of: fn(&Member) -> u64| replicas.iter().map(of).sum::<u64>();
    let (held, waiting) = (sum(|it| it.tells.held), sum(|it| it.tells.waiting));
    let page = json!({
        "ok": true, "shared": true, "held": held, "waiting": waiting, "replicas": replicas,
    });
    Json(page).into_response()
}

// === impl AdminState ===

impl AdminState {
    /// What is added to the answer to a change that the other replicas do not hear of yet.
    pub(super) fn unheard(&self) -> Option<String> {
        let shared = self.metrics.counters.shared.shown()?;
        (shared.state != Degraded::No).then(|| {
            "the shared store does not answer: so far it holds at this replica only, and the others are \
             told when the store is back"
                .to_owned()
        })
    }
}
