//! What a replica hears of what others have learnt, and what it makes of that.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use config::{Adaptive, QueueBounds};
use limits::{BucketKey, Share};
use redis::Value;
use scheduler::Epoch;
use slack::{AppKind, Catalogue};
use tokio::time::Instant;

use super::super::{
    Sharing,
    freezes::Freezes,
    keys::{self, Keys},
};
use crate::{
    metrics::Registry,
    queue::{Admission, QueueMetrics},
};

/// Ten calls a minute of twenty.
const RECORD: &str = "1,20,60000000,10,60000000,0,0,0,4,1,0,0,0,4,8,0,1,0,0,0,0,0";

/// A replica that has heard the store, whose version was four.
fn heard() -> (Freezes, Admission, String) {
    let queue = QueueMetrics::register(&Registry::default()).unwrap();
    let (bounds, share) = (QueueBounds::default(), Share::default());
    let admission = Admission::new(&bounds, share, Adaptive::default(), queue);
    let (flight, lease) = (Duration::from_mins(1), Duration::from_secs(30));
    let replicas = NonZeroU32::new(3);
    admission.share(Sharing { shard: keys::shared, replicas, flight, lease });
    let catalogue = Catalogue::built_in(AppKind::Internal).unwrap();
    admission.know_limits(&catalogue);
    let tier = catalogue.limits().find(|limit| &*limit.name == "tier2").unwrap();
    let key = BucketKey { limit: Arc::clone(tier), values: "A1/T1/conversations.list".into() };
    let (now, time_out) = (Instant::now(), Duration::from_millis(250));
    let mut freezes = Freezes::new(admission.clone(), "r1".into(), (60_000, 3_000), time_out, now);
    freezes.connects(now);
    assert!(freezes.act(now, 1, (&Keys::new("sw"), "run"), Epoch(9)).is_some());
    let list = || Value::Array(Vec::new());
    let epoch = Value::BulkString(b"7".to_vec());
    let answer = vec![epoch, Value::Int(4), list(), list(), Value::Nil, list(), Value::Nil];
    assert!(freezes.hear(1, Value::Array(answer)));
    (freezes, admission, keys::name(&key))
}

/// How many buckets had learnt something; now none has.
fn learnt(admission: &Admission) -> usize {
    admission.forget_learnt(|_| true)
}

/// Red when a message that was overtaken brings back what was forgotten, and when one of another epoch counts.
#[test]
fn a_lesson_is_heard_once() {
    let (mut freezes, admission, name) = heard();
    let mut hears = |epoch: u64, version: u64, record: &str| {
        let told = format!("learnt r2 {epoch} {version} 1700000000000 {record} {name}");
        assert!(freezes.hear_push(&told));
        learnt(&admission)
    };
    assert_eq!(hears(7, 5, RECORD), 1);
    assert_eq!(hears(7, 5, RECORD), 0, "it was heard before");
    assert_eq!(hears(7, 4, RECORD), 0, "it is older than the answer");
    assert_eq!(hears(6, 6, RECORD), 0, "it is of another epoch");
    assert_eq!(hears(7, 6, "-"), 0);
    assert_eq!(hears(7, 7, "2,20,1"), 0, "it makes no sense");
    // One between them was lost.
    assert_eq!(hears(7, 9, RECORD), 1);
}
