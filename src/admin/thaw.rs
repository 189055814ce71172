//! `POST /thaw`: lets calls go although Slack asked for a pause.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use limits::{BucketKey, Dimension};
use serde_json::{Map, Value, json};
use slack::Catalogue;

use super::{
    AdminState,
    answer::{self, RequestError, Sent},
    pausing,
};
use crate::pauses::Target;

/// Which buckets are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meant {
    All,
    /// All of a workspace, itself too.
    Workspace(String),
    /// All that count by that method.
    Method(String),
    /// That one, as `limit:key`.
    Bucket(String),
}

/// What they are named by.
const KINDS: [&str; 4] = ["workspace", "method", "bucket", "all"];

pub(super) async fn thaw(State(state): State<AdminState>, body: Sent) -> Response {
    answer::change(&body, |body| thawed(&state, body))
}

fn thawed(state: &AdminState, body: &[u8]) -> Result<Response, RequestError> {
    let object = answer::object(body, &KINDS)?;
    let meant = Meant::read(&object, &state.live.config().catalogue)?;
    let thawed = state.admission.thaw(|key| meant.is(key));
    for key in &thawed {
        tracing::warn!(limit = %key.limit.name, bucket = %key.values, "a pause of Slack's is ended");
    }
    let message = match thawed.len() {
        0 => "Slack has asked for no pause of it".to_owned(),
        1 => "1 limit is open again: one call tries it first".to_owned(),
        many => format!("{many} limits are open again: in each of them one call tries first"),
    };
    let answer = json!({
        "ok": true, "changed": !thawed.is_empty(), "thawed": thawed.len(), "message": message,
        "note": state.unheard().filter(|_| !thawed.is_empty()),
    });
    Ok(Json(answer).into_response())
}

// === impl Meant ===

impl Meant {
    fn read(object: &Map<String, Value>, catalogue: &Catalogue) -> Result<Self, RequestError> {
        let mut named = Vec::new();
        if let Some(name) = answer::text(object, "workspace")? {
            named.push(Self::Workspace(name.to_owned()));
        }
        if let Some(name) = answer::text(object, "method")? {
            let Target::Method(name) = pausing::method(name, catalogue, "limited")? else {
                return Err(RequestError::request("method is none".to_owned()));
            };
            named.push(Self::Method(name.to_string()));
        }
        if let Some(name) = answer::text(object, "bucket")? {
            named.push(Self::Bucket(name.to_owned()));
        }
        if answer::flag(object, "all")? {
            named.push(Self::All);
        }
        match <[Self; 1]>::try_from(named) {
            Ok([meant]) => Ok(meant),
            Err(_) => Err(RequestError::request(format!("name one of {}", KINDS.join(", ")))),
        }
    }

    fn is(&self, key: &BucketKey) -> bool {
        match self {
            Self::All => true,
            Self::Workspace(name) => key.value(Dimension::Workspace) == Some(name.as_str()),
            Self::Method(name) => key.value(Dimension::Method) == Some(name.as_str()),
            Self::Bucket(name) => name.split_once(':').is_some_and(|(limit, values)| {
                *key.limit.name == *limit && key.values.as_str() == values
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use slack::AppKind;

    use super::*;

    /// Red when a bucket of another workspace or method is meant, too.
    #[test]
    fn what_is_named_is_meant_and_nothing_else() {
        let catalogue = Catalogue::built_in(AppKind::Internal).unwrap();
        let limit = &catalogue.method("users.list").limits[0];
        let key = BucketKey { limit: Arc::clone(limit), values: "A1/T1/users.list".into() };
        let read = |text: &str| {
            let object = serde_json::from_str(text).unwrap();
            Meant::read(&object, &catalogue)
        };
        for meant in [
            r#"{"all":true}"#,
            r#"{"workspace":"T1"}"#,
            r#"{"method":"users.list"}"#,
            r#"{"bucket":"tier2:A1/T1/users.list"}"#,
        ] {
            assert!(read(meant).unwrap().is(&key), "{meant}");
        }
        for other in [
            r#"{"workspace":"A1"}"#,
            r#"{"method":"users.info"}"#,
            r#"{"bucket":"tier3:A1/T1/users.list"}"#,
            r#"{"bucket":"A1/T1/users.list"}"#,
        ] {
            assert!(!read(other).unwrap().is(&key), "{other}");
        }
        for wrong in [
            "{}",
            r#"{"all":false}"#,
            r#"{"all":true,"workspace":"T1"}"#,
            r#"{"method":"users.lits"}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
