//! `POST /pause` and `/resume`.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use config::CallerName;
use serde_json::{Map, Value, json};
use slack::{Catalogue, OTHER, holds_token};
use yaml::nearest;

use super::{
    AdminState,
    answer::{self, RequestError, Sent},
};
use crate::{
    pauses::{Began, Target},
    state::unix_millis,
};

/// How many names are offered for one that is not known.
const OFFERED: usize = 3;
/// The longest name of a workspace that is taken.
const LONGEST: usize = 64;

pub(super) async fn pause(State(state): State<AdminState>, body: Sent) -> Response {
    answer::change(&body, |body| began(&state, body))
}

pub(super) async fn resume(State(state): State<AdminState>, body: Sent) -> Response {
    answer::change(&body, |body| ended(&state, body))
}

fn began(state: &AdminState, body: &[u8]) -> Result<Response, RequestError> {
    let object = answer::object(body, &["method", "caller", "workspace", "shed"])?;
    let target = target(&object, &state.live.config().catalogue)?;
    let shed = answer::flag(&object, "shed")?;
    let began = state.admission.pause(&target, unix_millis(), shed);
    let began =
        began.map_err(|error| RequestError::conflict("too_many_pauses", error.to_string()))?;
    tracing::info!(kind = target.kind(), name = %target.name(), shed, ?began, "pause");
    let waiting = state.admission.waiting_for(&target);
    let does = if shed { "are shed" } else { "wait" };
    let message = match began {
        Began::New | Began::Changed => format!("{target} is paused: its calls {does}"),
        Began::Already => format!("{target} is paused already: its calls {does}"),
    };
    let changed = began != Began::Already;
    let note = (began == Began::New).then(|| unseen(state, &target)).flatten();
    let notes: Vec<_> = [note, state.unheard().filter(|_| changed)].into_iter().flatten().collect();
    let note = (!notes.is_empty()).then(|| notes.join("; "));
    let answer = json!({
        "ok": true, "changed": changed, "waiting": waiting, "message": message, "note": note,
    });
    Ok(Json(answer).into_response())
}

fn ended(state: &AdminState, body: &[u8]) -> Result<Response, RequestError> {
    let object = answer::object(body, &["method", "caller", "workspace"])?;
    let target = target(&object, &state.live.config().catalogue)?;
    let waiting = state.admission.waiting_for(&target);
    let was = state.admission.resume(&target);
    tracing::info!(kind = target.kind(), name = %target.name(), was = was.is_some(), "resume");
    let message = match was {
        Some(_) => format!("{target} is no longer paused"),
        None => format!("{target} was not paused"),
    };
    let note = state.unheard().filter(|_| was.is_some());
    let answer = json!({
        "ok": true, "changed": was.is_some(), "waiting": waiting, "message": message, "note": note,
    });
    Ok(Json(answer).into_response())
}

/// The one thing that a request is about.
fn target(object: &Map<String, Value>, catalogue: &Catalogue) -> Result<Target, RequestError> {
    let mut named = Vec::new();
    for kind in Target::KINDS {
        named.extend(answer::text(object, kind)?.map(|name| (kind, name)));
    }
    let [(kind, name)] = named[..] else {
        let text = format!("name one of {}", Target::KINDS.join(", "));
        return Err(RequestError::request(text));
    };
    if holds_token(name) {
        let text = format!("the {kind} looks like a token; a token is never named here");
        return Err(RequestError::request(text));
    }
    let known = match kind {
        "method" => return method(name, catalogue, "paused"),
        "caller" => CallerName::new(name).is_ok(),
        _ => {
            !name.is_empty()
                && name.len() <= LONGEST
                && name.bytes().all(|byte| byte.is_ascii_graphic())
        }
    };
    let target = Target::of(kind, name).filter(|_| known);
    target.ok_or_else(|| {
        RequestError::request(format!(
            "{name:?} is no name of a {kind}; write 1 to 64 printable characters"
        ))
    })
}

/// A method's name is known beforehand: a misspelt one would change nothing.
/// `done` is what is done to it.
pub(super) fn method(
    name: &str,
    catalogue: &Catalogue,
    done: &str,
) -> Result<Target, RequestError> {
    if catalogue.get(name).is_some() || name == OTHER {
        return Ok(Target::Method(name.into()));
    }
    let near = nearest(name, catalogue.methods().map(|method| &*method.name), OFFERED);
    let like = match near.as_slice() {
        [] => String::new(),
        near => format!("; like it: {}", near.join(", ")),
    };
    let text = format!(
        "{:?} is not in the catalogue{like}; all methods that are not are {done} as `{OTHER}`",
        name.chars().take(100).collect::<String>()
    );
    Err(RequestError::unknown("unknown_method", text))
}

/// What is said of a caller or a workspace of which nothing is known. It may come yet.
fn unseen(state: &AdminState, target: &Target) -> Option<String> {
    let seen = match target {
        Target::Method(_) => true,
        Target::Caller(name) => state.metrics.counters.answers.knows_caller(name),
        Target::Workspace(name) => state.metrics.counters.answers.knows_workspace(name),
    };
    (!seen).then(|| {
        format!("{target} has not been seen lately; if that is its name, it waits when it comes")
    })
}
