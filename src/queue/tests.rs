//! Waiting, leaving and telling, with a clock that stands still.

use bytes::Bytes;
use std::{num::NonZeroU32, sync::Arc, time::Duration};

use config::{Kind, QueueBounds, Upstream};
use http::HeaderMap;
use limits::{AgeFrom, BucketKey, Class, Dimension, Limit, Rate, Rule, Scope, Share, Weight};
use scheduler::{BlockReason, CallerId, PlaceId};
use slack::Identity;
use tokio::time::{Instant, advance};

use super::{Admission, Attempt, Permit, QueueMetrics, QueueSnapshot, Shed, ShedReason, Turned};
use crate::{
    call::{
        Call, Head, Saves,
        body::{Body, Memory},
        client_end::ClientEnd,
        record::Record,
    },
    metrics::Registry,
    pauses::Target,
};

const MINUTE: Duration = Duration::from_secs(60);

fn metrics() -> QueueMetrics {
    QueueMetrics::register(&Registry::default()).unwrap()
}

fn admission() -> Admission {
    Admission::new(
        &QueueBounds::default(),
        Share::default(),
        config::Adaptive::default(),
        metrics(),
    )
}

/// A limit of one a minute.
fn one_a_minute() -> Attempt {
    let rate = Rate { limit: NonZeroU32::MIN, per: MINUTE, burst: None, tolerates: None };
    let limit = Limit {
        name: "tier1".into(),
        rule: Rule::Rate(rate),
        scope: Scope::of(&[Dimension::Workspace]),
        age_from: AgeFrom::Answer,
    };
    Attempt::First(vec![BucketKey { limit: Arc::new(limit), values: "T1".into() }])
}

fn call(patience: Duration) -> Call {
    Call {
        head: Head {
            verb: http::Method::POST,
            url: "http://slack.test/api/x".parse().unwrap(),
            headers: HeaderMap::new(),
        },
        body: Body::of(Bytes::new(), &Memory::new(0, 0)).unwrap(),
        upstream: Arc::new(Upstream {
            prefix: "/api/".into(),
            url: "http://slack.test/api/".parse().unwrap(),
            kind: Kind::WebApi,
        }),
        method: None,
        token: None,
        class: Class::Normal,
        place: PlaceId::of(1),
        caller_id: CallerId(1),
        weight: Weight::ONE,
        max_depth: None,
        disabled: false,
        saves: Saves::default(),
        ordering_key: None,
        caller: "test".try_into().unwrap(),
        arrived: Instant::now(),
        deadline: Instant::now() + patience,
        client_end: ClientEnd::default(),
        repeated: false,
        own_connection: false,
        again: Duration::ZERO,
        record: Arc::new(Record::default()),
        several: None,
    }
}

/// Waits in a task of its own until the call is held.
fn waits(
    admission: &Admission,
    patience: Duration,
) -> tokio_test::task::Spawn<impl Future<Output = Result<Permit, Shed>> + use<>> {
    let admission = admission.clone();
    let mut task = tokio_test::task::spawn(async move { acquire(&admission, patience).await });
    assert!(task.poll().is_pending(), "it is held");
    task
}

/// Waits for as long as the call may.
async fn acquire(admission: &Admission, patience: Duration) -> Result<Permit, Shed> {
    let call = call(patience);
    let shed = |turned| match turned {
        Turned::Shed(shed) => shed,
        Turned::Dead(_) => unreachable!("nothing is dead"),
        Turned::ClientEnded(_) => unreachable!("its client is here"),
    };
    admission.ask(&call, one_a_minute()).map_err(shed)?.permit(&call).await.map_err(shed)
}

async fn sent(admission: &Admission) -> Permit {
    let mut permit = acquire(admission, Duration::ZERO).await.unwrap();
    permit.sent();
    permit
}

/// Red when waiters are found by a number that is used again.
#[tokio::test(start_paused = true)]
async fn who_comes_as_another_expires_is_not_told_the_others_verdict() {
    let admission = admission();
    let permit = sent(&admission).await;
    let mut first = waits(&admission, 2 * MINUTE);
    advance(2 * MINUTE).await;
    // The first has kept its place, and the second is the same call again.
    let mut second = waits(&admission, 4 * MINUTE);
    let verdict = tokio_test::assert_ready!(first.poll());
    assert_eq!(verdict.unwrap_err().reason, ShedReason::Deadline);
    drop(permit);
    assert!(second.poll().is_pending());
    assert_eq!(admission.held(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_costs_no_slot() {
    let admission = admission();
    let permit = sent(&admission).await;
    let waiting = waits(&admission, 3 * MINUTE);
    assert_eq!(admission.held(), 1);
    drop(waiting);
    assert_eq!(admission.held(), 0);
    permit.answered();
    advance(MINUTE + Duration::from_millis(20)).await;
    let _permit = sent(&admission).await;
}

/// Red when the verdict goes down with whoever did not hear it.
#[tokio::test(start_paused = true)]
async fn who_leaves_in_the_moment_of_the_grant_hands_it_on() {
    let admission = admission();
    let mut permit = sent(&admission).await;
    let first = waits(&admission, 3 * MINUTE);
    let mut second = waits(&admission, 3 * MINUTE);
    permit.was_not_sent();
    drop(permit);
    drop(first);
    assert!(tokio_test::assert_ready!(second.poll()).is_ok());
}

/// Red when a permit that was sent and dropped gives its slot back.
#[tokio::test(start_paused = true)]
async fn a_call_that_was_sent_and_forgotten_still_counts() {
    let admission = admission();
    drop(sent(&admission).await);
    advance(MINUTE + Duration::from_secs(1)).await;
    let shed = acquire(&admission, Duration::from_secs(8)).await.unwrap_err();
    assert_eq!(shed.reason, ShedReason::Deadline);
    // A minute for the answer that may still come, and the period from there.
    assert_eq!(shed.retry_after_seconds(), 60);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_found_under_another_name_too() {
    let admission = admission();
    let mut permit = sent(&admission).await;
    let mut waiting = waits(&admission, 3 * MINUTE);
    let of = |workspace: &str| Identity::only("A1".into()).within(workspace);
    admission.move_identity(&of("T1"), &of("T2"));
    assert_eq!(admission.snapshot().buckets[0].key.values.as_str(), "T2");
    permit.was_not_sent();
    drop(permit);
    assert!(tokio_test::assert_ready!(waiting.poll()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_closed_queue_tells_all_that_wait() {
    let admission = admission();
    let _permit = sent(&admission).await;
    let mut waiting = waits(&admission, 3 * MINUTE);
    admission.close();
    let verdict = tokio_test::assert_ready!(waiting.poll());
    assert_eq!(verdict.unwrap_err().reason, ShedReason::Draining);
    let late = acquire(&admission, 3 * MINUTE).await;
    assert_eq!(late.unwrap_err().reason, ShedReason::Draining);
    assert_eq!(admission.held(), 0);
}

/// Red when waiters are found by a number that is used again: here for a grant.
#[tokio::test(start_paused = true)]
async fn who_comes_as_another_is_granted_does_not_get_the_others_permit() {
    let admission = admission();
    sent(&admission).await.answered();
    let mut first = waits(&admission, 3 * MINUTE);
    advance(MINUTE + Duration::from_secs(1)).await;
    // The arrival is what makes the queue look at the clock: there is no timer here.
    let mut second = waits(&admission, 3 * MINUTE);
    let permit = tokio_test::assert_ready!(first.poll()).unwrap();
    assert!(second.poll().is_pending());
    drop(permit);
    assert!(tokio_test::assert_ready!(second.poll()).is_ok());
}

/// Of a caller's calls the one that has waited longest is told of, also when it came last into
/// the queue; queues in which nobody waits any more are gone.
#[tokio::test(start_paused = true)]
async fn a_queue_tells_of_its_oldest_call() {
    let admission = admission();
    sent(&admission).await.answered();
    advance(Duration::from_secs(1)).await;
    let first = waits(&admission, 3 * MINUTE);
    advance(Duration::from_secs(2)).await;
    let second = waits(&admission, 3 * MINUTE);
    let seen = || {
        let snapshot = admission.snapshot();
        let queue = snapshot.queues.first().map(|queue| (queue.depth, queue.oldest_wait.as_secs()));
        (queue, snapshot.buckets[0].waiting)
    };
    assert_eq!(seen(), (Some((2, 2)), 2));
    drop(first);
    assert_eq!(seen(), (Some((1, 0)), 1));
    let QueueSnapshot { now, queues, .. } = admission.snapshot();
    let (bucket, block) = queues[0].waits_for.clone().unwrap();
    assert_eq!((bucket.to_string().as_str(), block.reason), ("tier1:T1", BlockReason::Full));
    assert_eq!(block.until.map(|at| at.since(now)), Some(Duration::from_millis(57_020)));
    drop(second);
    assert_eq!(seen(), (None, 0));
}

/// Red when another bucket's calls are taken for those that wait for the end of a pause.
#[tokio::test(start_paused = true)]
async fn what_is_asked_for_alone_is_what_the_whole_tells() {
    let admission = admission();
    let target = Target::Caller("test".try_into().unwrap());
    let _permit = sent(&admission).await;
    let _before = waits(&admission, 3 * MINUTE);
    assert_eq!(admission.waiting_for(&target), 0);
    admission.pause(&target, 0, false).unwrap();
    let _after = waits(&admission, 3 * MINUTE);
    let (now, buckets) = admission.buckets();
    let snapshot = admission.snapshot();
    assert_eq!((now, &buckets), (snapshot.now, &snapshot.buckets));
    let gate = buckets.iter().find(|bucket| bucket.key == target.gate()).unwrap();
    assert_eq!((gate.waiting, admission.waiting_for(&target)), (2, 2));
    admission.resume(&target);
    assert_eq!(admission.waiting_for(&target), 0);
}

/// Every call needs the lock that a look at the queue holds.
#[tokio::test(start_paused = true)]
#[ignore = "measures time: run it alone, in release"]
#[expect(clippy::disallowed_types, reason = "it measures what the machine takes")]
async fn a_look_at_a_hundred_thousand_calls_is_short() {
    const CALLS: usize = 100_000;
    let bounds =
        QueueBounds { max_depth: 2 * CALLS, max_total: 2 * CALLS, ..QueueBounds::default() };
    let admission =
        Admission::new(&bounds, Share::default(), config::Adaptive::default(), metrics());
    let _permit = sent(&admission).await;
    let _held: Vec<_> = (0..CALLS).map(|_| waits(&admission, 4 * 100_000 * MINUTE)).collect();
    let mut times: Vec<_> = (0..20)
        .map(|_| {
            let before = std::time::Instant::now();
            assert_eq!(admission.snapshot().queues[0].depth, CALLS);
            before.elapsed()
        })
        .collect();
    times.sort_unstable();
    assert!(times[10] < Duration::from_millis(5), "{times:?}");
}
