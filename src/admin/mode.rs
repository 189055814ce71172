//! `POST /mode`: keep limits, or only watch calls.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::json;
use slack::Mode;

use super::{
    AdminState,
    answer::{self, RequestError, Sent},
    pausing::method,
};
use crate::{pauses::Target, queue::Modes};

/// The modes that are on.
#[derive(Debug, Serialize)]
pub(super) struct ModePage {
    proxy: &'static str,
    /// What was said of methods while it runs.
    methods: BTreeMap<String, &'static str>,
}

pub(super) async fn switch(State(state): State<AdminState>, body: Sent) -> Response {
    answer::change(&body, |body| switched(&state, body))
}

fn switched(state: &AdminState, body: &[u8]) -> Result<Response, RequestError> {
    let object = answer::object(body, &["mode", "method"])?;
    let mode = answer::text(&object, "mode")?.and_then(Mode::parse);
    let mode = mode.ok_or_else(|| RequestError::request("mode is shadow or enforce".to_owned()))?;
    let target = match answer::text(&object, "method")? {
        Some(name) => Some(method(name, &state.live.config().catalogue, "switched")?),
        None => None,
    };
    let changed = state.admission.say_mode(mode, target.as_ref().map(Target::name));
    let what = target.map_or_else(|| "all calls".to_owned(), |target| format!("calls of {target}"));
    tracing::warn!(mode = mode.as_str(), %what, "the mode is switched");
    let message = match mode {
        Mode::Shadow => format!("{what} go at once; what would have been is counted"),
        Mode::Enforce => format!("{what} keep to their limits"),
    };
    let note = state.unheard().filter(|_| changed);
    let answer = json!({ "ok": true, "changed": changed, "message": message, "note": note });
    Ok(Json(answer).into_response())
}

// === impl ModePage ===

impl From<&Modes> for ModePage {
    fn from(modes: &Modes) -> Self {
        let methods = modes.methods().map(|(name, mode)| (name.to_string(), mode.as_str()));
        Self { proxy: modes.proxy().as_str(), methods: methods.collect() }
    }
}
