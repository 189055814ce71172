//! What buckets have learnt of their limits, together for each limit and method: `GET /learnt`, the
//! metrics and the page show it, and `POST /forget` ends it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use limits::{BucketKey, Dimension};
use serde::Serialize;
use serde_json::json;
use slack::{Catalogue, OTHER};

use super::{
    AdminState, BucketStatus,
    answer::{self, RequestError, Sent},
    pausing::method,
    status,
};

/// What the buckets of one limit have learnt, and of one method where the limit counts by methods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct LessonStatus {
    pub(super) limit: Arc<str>,
    pub(super) method: Option<String>,
    /// How many buckets keep to something else than what is configured.
    pub(super) buckets: usize,
    /// Of these, how many keep to less, and of how many Slack refuses bursts.
    pub(super) lower: usize,
    pub(super) bursts: usize,
    pub(super) configured: u32,
    /// What they keep to: the one in the middle, the lower one of two, and its period.
    pub(super) quota: u32,
    pub(super) period_ms: u64,
    /// The lowest of them.
    pub(super) lowest: u32,
    /// The lowest quota that was refused last and has not been accepted since.
    pub(super) refused: Option<u32>,
    /// How long ago the last lesson of any of them was.
    pub(super) ago_ms: Option<u64>,
    /// Whether so many have learnt the same that the configuration is wrong.
    pub(super) several: bool,
}

#[derive(Debug, Serialize)]
struct LearntPage {
    /// Whose page it is.
    slackwater: &'static str,
    lessons: Vec<LessonStatus>,
}

/// Where so many buckets have learnt a lower quota, the limit is lower for all.
pub(super) const SEVERAL: usize = 4;

/// `GET /learnt`.
pub(super) async fn learnt(State(state): State<AdminState>) -> Response {
    let buckets = status::buckets(&state.admission, &state.names.all());
    let lessons = lessons(&buckets);
    Json(LearntPage { slackwater: env!("CARGO_PKG_VERSION"), lessons }).into_response()
}

/// `POST /forget`.
pub(super) async fn forget(State(state): State<AdminState>, body: Sent) -> Response {
    answer::change(&body, |body| forgotten(&state, body))
}

fn forgotten(state: &AdminState, body: &[u8]) -> Result<Response, RequestError> {
    let object = answer::object(body, &["method"])?;
    let name = answer::text(&object, "method")?;
    let name = name.ok_or_else(|| RequestError::request("name a method".to_owned()))?;
    let config = state.live.config();
    let catalogue = &config.catalogue;
    let target = method(name, catalogue, "told")?;
    let gone = state.admission.forget_learnt(|bucket| is_of(bucket, target.name(), catalogue));
    tracing::info!(method = %target.name(), buckets = gone, "learnt limits are forgotten");
    let message = match gone {
        0 => format!("nothing was learnt of the limits of {}", target.name()),
        1 => format!("what 1 bucket of {} had learnt is forgotten", target.name()),
        n => format!("what {n} buckets of {} had learnt is forgotten", target.name()),
    };
    Ok(Json(json!({ "ok": true, "changed": gone > 0, "message": message })).into_response())
}

/// Whether calls of the method count in that bucket; `other` is every method that is not known.
fn is_of(bucket: &BucketKey, method: &str, catalogue: &Catalogue) -> bool {
    match bucket.values.get(bucket.limit.scope, Dimension::Method) {
        Some(own) if method == OTHER => catalogue.get(own).is_none(),
        Some(own) => own == method,
        None => {
            let entry = catalogue.get(method).unwrap_or_else(|| catalogue.unknown());
            entry.limits.iter().any(|limit| limit.name == bucket.limit.name)
        }
    }
}

/// What has been learnt, by limit and method.
pub(super) fn lessons(buckets: &[BucketStatus]) -> Vec<LessonStatus> {
    let mut all = BTreeMap::<(Arc<str>, Option<&str>), Vec<&status::LearntStatus>>::new();
    for bucket in buckets {
        if let Some(learnt) = bucket.learnt.as_ref().filter(|learnt| learnt.is_other()) {
            let limit = Arc::clone(&bucket.limit.name);
            all.entry((limit, bucket.method())).or_default().push(learnt);
        }
    }
    all.into_iter()
        .filter_map(|((limit, method), all)| LessonStatus::of(limit, method, all))
        .collect()
}

// === impl LessonStatus ===

impl LessonStatus {
    fn of(
        limit: Arc<str>,
        method: Option<&str>,
        mut all: Vec<&status::LearntStatus>,
    ) -> Option<Self> {
        all.sort_by_key(|learnt| learnt.quota);
        let middle = all.get(all.len().checked_sub(1)? / 2)?;
        let lower = all.iter().filter(|learnt| learnt.is_lower()).count();
        Some(Self {
            limit,
            method: method.map(str::to_owned),
            buckets: all.len(),
            lower,
            bursts: all.iter().filter(|learnt| learnt.bursts).count(),
            configured: middle.configured,
            quota: middle.quota,
            period_ms: middle.period_ms,
            lowest: all.first()?.quota,
            refused: all.iter().filter_map(|learnt| learnt.refused).min(),
            ago_ms: all.iter().filter_map(|learnt| learnt.ago_ms).min(),
            several: lower >= SEVERAL,
        })
    }
}

#[cfg(test)]
mod tests {
    use slack::AppKind;

    use super::{super::status::LearntStatus, *};

    fn bucket(of: &str, key: &str, quota: u32) -> BucketStatus {
        let catalogue = Catalogue::built_in(AppKind::Internal).unwrap();
        let learnt = LearntStatus {
            quota,
            configured: 20,
            period_ms: 60_000,
            configured_period_ms: 60_000,
            refused: Some(quota + 1),
            spacing_ms: 0,
            bursts: false,
            ago_ms: Some(u64::from(quota) * 1000),
            why: "fewer_calls",
        };
        BucketStatus {
            limit: Arc::clone(&catalogue.method(of).limits[0]),
            key: key.into(),
            whose: None,
            used: 0,
            quota: Some(quota),
            waiting: 0,
            places: 0,
            frozen_for_ms: 0,
            probing: false,
            learnt: Some(learnt),
        }
    }

    /// Red when methods are counted together, or when a bucket that keeps to what is configured counts.
    #[test]
    fn what_buckets_of_a_limit_have_learnt_is_told_together() {
        let list = "conversations.list";
        let buckets = [
            bucket(list, "A1/T1/conversations.list", 12),
            bucket(list, "A1/T2/conversations.list", 8),
            bucket(list, "A1/T3/conversations.list", 20),
            bucket(list, "A1/T4/conversations.list", 9),
            bucket("users.list", "A1/T1/users.list", 5),
        ];
        let all = lessons(&buckets);
        let told = all.iter().map(|it| (it.method.as_deref(), it.buckets, it.quota, it.lowest));
        let expected = [(Some(list), 3, 9, 8), (Some("users.list"), 1, 5, 5)];
        assert_eq!(told.collect::<Vec<_>>(), expected);
        let LessonStatus { refused, ago_ms, several, .. } = all[0];
        assert_eq!((refused, ago_ms, several), (Some(9), Some(8000), false));
    }

    /// Red when three are several, or four are not.
    #[test]
    fn many_that_have_learnt_the_same_are_several() {
        let list = "conversations.list";
        let of = |n| bucket(list, &format!("A1/T{n}/{list}"), 10);
        let all: Vec<_> = (0..4).map(of).collect();
        assert!(!lessons(&all[..3])[0].several);
        assert!(lessons(&all)[0].several);
    }

    #[test]
    fn a_bucket_is_of_the_methods_that_count_in_it() {
        let catalogue = Catalogue::built_in(AppKind::Internal).unwrap();
        let key = |bucket: BucketStatus| BucketKey { limit: bucket.limit, values: bucket.key };
        let own = key(bucket("conversations.list", "A1/T1/conversations.list", 1));
        assert!(is_of(&own, "conversations.list", &catalogue));
        assert!(!is_of(&own, "users.list", &catalogue));
        assert!(!is_of(&own, OTHER, &catalogue));
        let other = key(bucket("conversations.list", "A1/T1/un.heard", 1));
        assert!(is_of(&other, OTHER, &catalogue));
        let post = catalogue.method("chat.postMessage");
        let shared = post.limits.iter().find(|limit| !limit.scope.contains(Dimension::Method));
        let shared = BucketKey { limit: Arc::clone(shared.unwrap()), values: "A1/T1".into() };
        assert!(is_of(&shared, "chat.postMessage", &catalogue));
        assert!(!is_of(&shared, "users.list", &catalogue));
    }
}
