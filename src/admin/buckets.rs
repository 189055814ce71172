//! `GET /buckets`: finds buckets among many, by a part of their name and by how they stand.

use axum::{
    Json,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{
    AdminState, BucketStatus, answer::RequestError, snapshot::most_pressing_first, status,
    turns::Turns,
};

/// Which buckets are asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Filter {
    /// Each of these is in the limit's name, in the key, or in what people call those in it; in small
    /// letters.
    words: Vec<String>,
    stands: Option<Stands>,
}

/// How a bucket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    /// Slack asked for a pause, or calls try whether it is over.
    Shut,
    /// Every slot is taken.
    Full,
    /// Calls are held for it.
    Waiting,
}

#[derive(Debug, Serialize)]
struct Found {
    /// How many there are.
    found: usize,
    /// The most pressing of them.
    buckets: Vec<BucketStatus>,
}

/// So many are told of.
const MOST: usize = 100;
/// The longest text that is looked for.
const LONGEST: usize = 200;

pub(super) async fn buckets(
    State(turns): State<Turns>,
    State(state): State<AdminState>,
    RawQuery(query): RawQuery,
) -> Result<Response, RequestError> {
    let filter = Filter::read(query.as_deref().unwrap_or_default())?;
    let find = || {
        let mut buckets = status::buckets(&state.admission, &state.names.all());
        buckets.retain(|bucket| filter.is(bucket));
        most_pressing_first(&mut buckets);
        let found = buckets.len();
        buckets.truncate(MOST);
        Json(Found { found, buckets }).into_response()
    };
    Ok(turns.page(find).await)
}

// === impl Filter ===

impl Filter {
    fn read(query: &str) -> Result<Self, RequestError> {
        let mut filter = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match (&*name, &*value) {
                ("find", text) if text.len() <= LONGEST => {
                    filter.words =
                        text.to_lowercase().split_whitespace().map(str::to_owned).collect();
                }
                ("find", _) => {
                    return Err(RequestError::request(format!(
                        "find is longer than {LONGEST} bytes"
                    )));
                }
                ("stands", "any") => filter.stands = None,
                ("stands", "shut") => filter.stands = Some(Stands::Shut),
                ("stands", "full") => filter.stands = Some(Stands::Full),
                ("stands", "waiting") => filter.stands = Some(Stands::Waiting),
                ("stands", _) => {
                    let text = "stands is any, shut, full or waiting";
                    return Err(RequestError::request(text.to_owned()));
                }
                (name, _) => {
                    let name: String = name.chars().take(LONGEST).collect();
                    let text = format!("{name:?} is no parameter here; there are find and stands");
                    return Err(RequestError::request(text));
                }
            }
        }
        Ok(filter)
    }

    fn is(&self, bucket: &BucketStatus) -> bool {
        let stands = match self.stands {
            None => true,
            Some(Stands::Shut) => bucket.frozen_for_ms > 0 || bucket.probing,
            Some(Stands::Full) => bucket.is_full(),
            Some(Stands::Waiting) => bucket.waiting > 0,
        };
        if !stands || self.words.is_empty() {
            return stands;
        }
        let whose = bucket.whose.as_deref().unwrap_or_default();
        let name = format!("{}:{} {whose}", bucket.limit.name, bucket.key).to_lowercase();
        self.words.iter().all(|word| name.contains(word.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use slack::{AppKind, Catalogue};

    use super::*;

    fn bucket(key: &str, used: u32, waiting: u64, frozen_for_ms: u64) -> BucketStatus {
        let catalogue = Catalogue::built_in(AppKind::Internal).unwrap();
        BucketStatus {
            limit: Arc::clone(&catalogue.method("conversations.list").limits[0]),
            key: key.into(),
            whose: Some("helper in Acme".to_owned()),
            used,
            quota: Some(20),
            waiting,
            places: 0,
            frozen_for_ms,
            probing: false,
            learnt: None,
        }
    }

    fn finds(query: &str, bucket: &BucketStatus) -> bool {
        Filter::read(query).unwrap().is(bucket)
    }

    /// Red when words are looked for as one text, and when capitals count.
    #[test]
    fn every_word_is_in_the_name() {
        let bucket = bucket("A1/T0042/conversations.list", 3, 0, 0);
        for query in [
            "",
            "find=",
            "find=t0042",
            "find=TIER2+list",
            "find=tier2%3Aa1%2Ft00",
            "find=acme+t0042",
        ] {
            assert!(finds(query, &bucket), "{query}");
        }
        for query in ["find=T0043", "find=tier2+T0043", "find=tier3"] {
            assert!(!finds(query, &bucket), "{query}");
        }
    }

    #[test]
    fn buckets_are_found_by_how_they_stand() {
        let all = [bucket("a", 1, 0, 0), bucket("b", 20, 0, 0), bucket("c", 1, 2, 0), {
            let probing = true;
            BucketStatus { probing, ..bucket("d", 0, 0, 0) }
        }];
        let found = |stands| {
            let query = format!("stands={stands}");
            all.iter()
                .filter(|one| finds(&query, one))
                .map(|one| one.key.as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!(found("any"), ["a", "b", "c", "d"]);
        assert_eq!(found("full"), ["b"]);
        assert_eq!(found("waiting"), ["c"]);
        assert_eq!(found("shut"), ["d"]);
    }

    /// Red when a misspelt parameter finds everything.
    #[test]
    fn what_is_not_understood_is_said() {
        for query in ["fnid=a", "stands=frozen", &format!("find={}", "a".repeat(201))] {
            assert!(Filter::read(query).is_err(), "{query}");
        }
    }

    /// Red when the fullest hides what is shut, and when a wait does not count.
    #[test]
    fn what_presses_comes_first() {
        let mut all = [
            bucket("quiet", 1, 0, 0),
            bucket("full", 20, 0, 0),
            bucket("waited for", 5, 1, 0),
            bucket("shut", 0, 0, 1),
        ];
        most_pressing_first(&mut all);
        let keys = all.each_ref().map(|bucket| bucket.key.as_str());
        assert_eq!(keys, ["shut", "waited for", "full", "quiet"]);
    }
}
