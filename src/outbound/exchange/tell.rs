//! What the log says of a refusal: a line for each bucket that it closes.

use std::time::Duration;

use limits::{Dimension, Limit, Rule};
use slack::reply::LONGEST_FREEZE;
use tokio::time::Instant;

use crate::{
    call::{Call, trace::Met},
    queue::{self, Closed, whole_seconds},
};

/// Tells of a call that Slack refused, asking for a pause.
pub(super) fn refused(call: &Call, refused: &queue::ReportedLimit, asked: Duration) {
    let ids = call.record.ids();
    for Closed { bucket, pause } in &refused.closed {
        let (from, pause, bucket) = (Instant::now(), *pause, bucket.clone());
        call.record.met(|| Met::Freeze { from, pause, bucket });
    }
    if let Some(Closed { bucket, pause }) =
        refused.closed.first().filter(|_| asked > LONGEST_FREEZE)
    {
        tracing::warn!(
            method = call.record.method(),
            limit = %bucket.limit.name,
            bucket = %bucket.values,
            asked_seconds = whole_seconds(asked),
            seconds = whole_seconds(*pause),
            cure = "wait: one call asks again then; or let calls go now with `slackwater thaw`",
            request_id = ids.request(),
            trace_id = ids.trace(),
            "Slack asks for a longer pause than is believed"
        );
    }
    for (n, Closed { bucket, pause }) in refused.closed.iter().enumerate() {
        tracing::info!(
            method = call.record.method(),
            caller = &*call.caller,
            limit = %bucket.limit.name,
            bucket = %bucket.values,
            seconds = whole_seconds(*pause),
            surprise = refused.surprise,
            request_id = ids.request(),
            trace_id = ids.trace(),
            "{}",
            if n == 0 { CULPRIT } else { widened(&bucket.limit) }
        );
    }
}

/// What the log says of the bucket that most likely refused a call.
const CULPRIT: &str = "Slack refused a call: its bucket is closed";

/// What the log says of a wider bucket that several refusals point to.
fn widened(limit: &Limit) -> &'static str {
    match limit.rule {
        Rule::Open if limit.scope.contains(Dimension::Workspace) => {
            "Slack refused several methods: the whole workspace waits"
        }
        Rule::Open => "Slack refused several workspaces: the whole app waits",
        Rule::Rate(_) | Rule::Concurrency(_) | Rule::InOrder(_) | Rule::Gate => {
            "Slack refused several of a method's channels or users: the whole method waits"
        }
    }
}

#[cfg(test)]
mod tests {
    use limits::{AgeFrom, Scope};

    use super::*;

    #[test]
    fn a_widened_freeze_is_logged_as_one() {
        let open = |scope: &[Dimension]| Limit {
            name: "x".into(),
            rule: Rule::Open,
            scope: Scope::of(scope),
            age_from: AgeFrom::Answer,
        };
        let workspace = open(&[Dimension::App, Dimension::Workspace]);
        assert_eq!(widened(&workspace), "Slack refused several methods: the whole workspace waits");
        let app = open(&[Dimension::App]);
        assert_eq!(widened(&app), "Slack refused several workspaces: the whole app waits");
    }
}
