//! What holds whatever happens, and the order in plain cases.

use std::time::Duration;

use proptest::prelude::*;

use super::{
    Bounds, BucketKey, Class, Instant, Outcome,
    model::{End, Judge, at_once, bucket, rate},
};
use crate::slack::AgeFrom;

const PATIENT: Duration = Duration::from_secs(3600);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What can happen to a scheduler.
#[derive(Clone, Debug)]
enum Step {
    Arrive { buckets: Vec<usize>, class: Class, caller: u64, wait_ms: u64, place: Option<u64> },
    Settle { which: usize, outcome: Outcome },
    Replay { which: usize, retry_after: Duration },
    Cancel { which: usize },
    Freeze { bucket: usize, ms: u64 },
    Pass { ms: u64 },
}

/// A few buckets of every kind, so that random calls meet in them.
fn buckets() -> Vec<BucketKey> {
    let method = rate("method", 3, 600, AgeFrom::Answer);
    let app = rate("app", 5, 1000, AgeFrom::Answer);
    let channel = rate("channel", 1, 100, AgeFrom::Send);
    let order = at_once("in_order", 1, AgeFrom::Send);
    let bookmarks = at_once("bookmarks", 2, AgeFrom::Answer);
    vec![
        bucket(&method, "a"),
        bucket(&method, "b"),
        bucket(&app, "a"),
        bucket(&channel, "1"),
        bucket(&channel, "2"),
        bucket(&order, "1"),
        bucket(&bookmarks, "w"),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let class = prop::sample::select(Class::ALL.to_vec());
    let set = prop::collection::btree_set(0..7_usize, 1..4);
    let outcome = prop_oneof![
        6 => Just(Outcome::Answered),
        1 => Just(Outcome::Unsent),
        1 => Just(Outcome::Lost),
        1 => Just(Outcome::Refused),
    ];
    prop_oneof![
        8 => (set, class, 0..3_u64, 0..20_000_u64, prop::option::of(0..4_u64)).prop_map(
            |(buckets, class, caller, wait_ms, place)| {
                let buckets = buckets.into_iter().collect();
                Step::Arrive { buckets, class, caller, wait_ms, place }
            },
        ),
        6 => (any::<usize>(), outcome).prop_map(|(which, outcome)| Step::Settle { which, outcome }),
        1 => (any::<usize>(), 1..3000_u64).prop_map(|(which, ms)| {
            Step::Replay { which, retry_after: Duration::from_millis(ms) }
        }),
        1 => any::<usize>().prop_map(|which| Step::Cancel { which }),
        1 => (0..5_usize, 1..2000_u64).prop_map(|(bucket, ms)| Step::Freeze { bucket, ms }),
        6 => (0..500_u64).prop_map(|ms| Step::Pass { ms }),
    ]
}

fn take(judge: &mut Judge, all: &[BucketKey], step: Step) {
    let pick = |count: usize, which: usize| (count > 0).then(|| which % count.max(1));
    match step {
        Step::Arrive { buckets, class, caller, wait_ms, place } => {
            let buckets: Vec<_> = buckets.into_iter().map(|i| all[i].clone()).collect();
            let wait = Duration::from_millis(wait_ms);
            judge.arrive_with(&buckets, class, caller, wait, place);
        }
        Step::Settle { which, outcome } => {
            if let Some(nth) = pick(judge.in_flight.len(), which) {
                let number = *judge.in_flight.keys().nth(nth).unwrap();
                if outcome == Outcome::Refused {
                    judge.refuse(number, Duration::from_millis(700));
                }
                judge.settle(number, outcome);
            }
        }
        Step::Replay { which, retry_after } => {
            if let Some(nth) = pick(judge.in_flight.len(), which) {
                let number = *judge.in_flight.keys().nth(nth).unwrap();
                judge.replay(number, retry_after);
            }
        }
        Step::Cancel { which } => {
            if let Some(nth) = pick(judge.held.len(), which) {
                let number = *judge.held.keys().nth(nth).unwrap();
                judge.cancel(number);
            }
        }
        Step::Freeze { bucket, ms } => {
            judge.freeze(&all[bucket], judge.now + Duration::from_millis(ms));
        }
        Step::Pass { ms } => judge.pass(Duration::from_millis(ms)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    /// No bucket ever grants more than N in any period, nobody waits for nothing, nobody is
    /// overtaken in its own line, each call ends exactly once, and nothing is left behind.
    ///
    /// Red with each of: slots that age from the send; slots refunded when the client hangs
    /// up after the send; a cell that is not moved on when another bucket blocks it; a
    /// replay that queues at the end.
    #[test]
    fn whatever_happens_the_limits_hold(steps in prop::collection::vec(step(), 1..120)) {
        let all = buckets();
        let mut judge = Judge::new();
        for step in steps {
            take(&mut judge, &all, step);
        }
        judge.wind_up();
    }
}

#[test]
fn a_bucket_with_room_sends_at_once_and_then_at_the_pace_of_its_window() {
    let tier = rate("tier", 20, 60_000, AgeFrom::Answer);
    let mut judge = Judge::new();
    for _ in 0..45 {
        judge.arrive(&[bucket(&tier, "w")], Class::Normal, 1, PATIENT);
    }
    let mut sent = Vec::new();
    for _ in 0..150 {
        sent.push(judge.in_flight.len());
        for number in judge.in_flight.keys().copied().collect::<Vec<_>>() {
            judge.settle(number, Outcome::Answered);
        }
        judge.pass(seconds(1));
    }
    let bursts: Vec<_> = sent.into_iter().enumerate().filter(|(_, sent)| *sent > 0).collect();
    assert_eq!(bursts, [(0, 20), (61, 20), (122, 5)]);
    judge.wind_up();
}

/// Red with: first in, first out.
#[test]
fn one_call_does_not_wait_behind_ten_thousand_of_another_caller() {
    let tier = rate("tier", 1, 1000, AgeFrom::Answer);
    let mut judge = Judge::new();
    for _ in 0..1000 {
        judge.arrive(&[bucket(&tier, "w")], Class::Normal, 1, PATIENT);
    }
    let one = judge.arrive(&[bucket(&tier, "w")], Class::Normal, 2, PATIENT);
    let mut order = Vec::new();
    while order.len() < 3 {
        let number = *judge.in_flight.keys().next().unwrap();
        order.push(number);
        judge.settle(number, Outcome::Answered);
        judge.pass(Duration::from_millis(1020));
    }
    assert_eq!(order, [1, one, 2]);
}

/// Red with: a turn charged only in the bucket where the call stood.
#[test]
fn a_turn_taken_from_one_line_counts_in_the_others() {
    let workspace = rate("workspace", 1, 1000, AgeFrom::Answer);
    let channel = rate("channel", 1, 10_000, AgeFrom::Answer);
    let (both, one) = ([bucket(&workspace, "w"), bucket(&channel, "c")], [bucket(&workspace, "w")]);
    let mut judge = Judge::new();
    for (keys, caller) in [(&both[..], 1), (&one[..], 2)] {
        let number = judge.arrive(keys, Class::Normal, caller, PATIENT);
        judge.settle(number, Outcome::Answered);
        judge.pass(seconds(2));
    }
    let from_channel = judge.arrive(&both, Class::Normal, 1, PATIENT);
    judge.pass(seconds(7));
    assert!(judge.in_flight.contains_key(&from_channel));
    judge.arrive(&one, Class::Normal, 1, PATIENT);
    let next = judge.arrive(&one, Class::Normal, 2, PATIENT);
    judge.settle(from_channel, Outcome::Answered);
    judge.pass(seconds(2));
    assert_eq!(judge.in_flight.keys().copied().collect::<Vec<_>>(), [next]);
}

/// Red with: first in, first out.
#[test]
fn thirty_channels_do_not_buy_thirty_turns() {
    let shared = rate("workspace", 2, 1000, AgeFrom::Answer);
    let channel = rate("channel", 1, 1, AgeFrom::Send);
    let mut judge = Judge::new();
    let mut sent = [0_u32; 3];
    for round in 0..60 {
        for name in 0..30 {
            let keys = [bucket(&shared, "w"), bucket(&channel, &format!("c{name}"))];
            if round % 5 == 0 {
                judge.arrive(&keys, Class::Normal, 1, PATIENT);
            }
        }
        let keys = [bucket(&shared, "w"), bucket(&channel, "one")];
        judge.arrive(&keys, Class::Normal, 2, PATIENT);
        judge.arrive(&keys, Class::Normal, 2, PATIENT);
        for number in judge.in_flight.keys().copied().collect::<Vec<_>>() {
            sent[usize::try_from(judge.in_flight[&number].1.caller).unwrap()] += 1;
            judge.settle(number, Outcome::Answered);
        }
        judge.pass(Duration::from_millis(1020));
    }
    assert!(sent[1].abs_diff(sent[2]) <= 4, "{sent:?}");
}

#[test]
fn a_busy_channel_holds_up_no_other() {
    let workspace = rate("workspace", 100, 60_000, AgeFrom::Answer);
    let channel = rate("channel", 1, 1000, AgeFrom::Answer);
    let mut judge = Judge::new();
    for _ in 0..50 {
        let keys = [bucket(&workspace, "w"), bucket(&channel, "busy")];
        judge.arrive(&keys, Class::Interactive, 1, PATIENT);
    }
    let keys = [bucket(&workspace, "w"), bucket(&channel, "quiet")];
    let quiet = judge.arrive(&keys, Class::Background, 1, PATIENT);
    assert!(judge.in_flight.contains_key(&quiet));
}

/// Of ten grants one is background's and two are normal's. Red without floors.
#[test]
fn a_flood_of_urgent_calls_starves_nobody() {
    let tier = rate("tier", 1, 1000, AgeFrom::Answer);
    let mut judge = Judge::new();
    for class in Class::ALL {
        for _ in 0..200 {
            judge.arrive(&[bucket(&tier, "w")], class, 1, PATIENT);
        }
    }
    let mut classes = Vec::new();
    for _ in 0..200 {
        let number = *judge.in_flight.keys().next().unwrap();
        classes.push(judge.in_flight[&number].1.class);
        judge.settle(number, Outcome::Answered);
        judge.pass(Duration::from_millis(1020));
    }
    for ten in classes[1..].windows(10) {
        let count = |class| ten.iter().filter(|other| **other == class).count();
        assert!(count(Class::Background) >= 1, "{ten:?}");
        assert!(count(Class::Normal) >= 2, "{ten:?}");
        assert!(count(Class::Interactive) >= 6, "{ten:?}");
    }
}

#[test]
fn after_a_freeze_one_call_probes_and_then_twice_as_many_per_round_trip() {
    let tier = rate("tier", 20, 60_000, AgeFrom::Answer);
    let mut judge = Judge::new();
    let first = judge.arrive(&[bucket(&tier, "w")], Class::Normal, 1, PATIENT);
    judge.replay(first, seconds(30));
    for _ in 0..12 {
        judge.arrive(&[bucket(&tier, "w")], Class::Normal, 1, PATIENT);
    }
    judge.pass(Duration::from_millis(29_999));
    assert_eq!(judge.in_flight.len(), 0);
    judge.pass(Duration::from_millis(1));
    assert_eq!(judge.in_flight.keys().copied().collect::<Vec<_>>(), [first], "the oldest probes");
    let mut flights = Vec::new();
    while !judge.in_flight.is_empty() {
        flights.push(judge.in_flight.len());
        judge.pass(Duration::from_millis(50));
        for number in judge.in_flight.keys().copied().collect::<Vec<_>>() {
            judge.settle(number, Outcome::Answered);
        }
    }
    assert_eq!(flights, [1, 2, 4, 6]);
}

/// Red when a call that was sent before the freeze counts as a probe.
#[test]
fn calls_that_were_on_their_way_do_not_open_a_frozen_bucket() {
    let tier = rate("tier", 20, 60_000, AgeFrom::Answer);
    let mut judge = Judge::new();
    let flight: Vec<_> =
        (0..15).map(|_| judge.arrive(&[bucket(&tier, "w")], Class::Normal, 1, PATIENT)).collect();
    judge.refuse(flight[0], seconds(90));
    for number in flight {
        judge.settle(number, Outcome::Answered);
    }
    for _ in 0..10 {
        judge.arrive(&[bucket(&tier, "w")], Class::Normal, 1, PATIENT);
    }
    judge.pass(seconds(90));
    assert_eq!(judge.in_flight.len(), 1, "one call probes");
}

/// Posts of one caller to one channel go one at a time. Red when a replay gives its place
/// away while it waits.
#[test]
fn a_replayed_post_is_not_overtaken_by_another_method() {
    let post = rate("post", 10, 1000, AgeFrom::Answer);
    let ephemeral = rate("ephemeral", 10, 1000, AgeFrom::Answer);
    let order = at_once("in_order", 1, AgeFrom::Send);
    let mut judge = Judge::new();
    let posts = [bucket(&post, "w"), bucket(&order, "c")];
    let whispers = [bucket(&ephemeral, "w"), bucket(&order, "c")];
    let first = judge.arrive(&posts, Class::Normal, 1, PATIENT);
    let second = judge.arrive(&whispers, Class::Interactive, 1, PATIENT);
    judge.replay(first, seconds(5));
    assert!(judge.in_flight.is_empty(), "the second waits for the first's replay");
    judge.pass(seconds(5));
    assert_eq!(judge.in_flight.keys().copied().collect::<Vec<_>>(), [first]);
    judge.settle(first, Outcome::Answered);
    assert_eq!(judge.in_flight.keys().copied().collect::<Vec<_>>(), [second]);
    judge.wind_up();
}

#[test]
fn the_fullest_bucket_is_the_one_that_freezes() {
    let method = rate("method", 20, 60_000, AgeFrom::Answer);
    let app = rate("app", 1, 1000, AgeFrom::Answer);
    let mut judge = Judge::new();
    let keys = [bucket(&method, "w"), bucket(&app, "a")];
    for _ in 0..3 {
        let number = judge.arrive(&keys, Class::Normal, 1, PATIENT);
        judge.settle(number, Outcome::Answered);
        judge.pass(Duration::from_millis(1020));
    }
    let number = judge.arrive(&keys, Class::Normal, 1, PATIENT);
    judge.refuse(number, seconds(7));
    let frozen: Vec<_> = judge
        .scheduler
        .buckets(judge.now)
        .filter(|state| state.frozen_until.is_some())
        .map(|state| state.key.limit.name.to_string())
        .collect();
    assert_eq!(frozen, ["method"], "three of twenty were used, and none of one");
}

#[test]
fn who_would_wait_too_long_is_told_at_once_when_to_come_back() {
    let tier = rate("tier", 2, 60_000, AgeFrom::Answer);
    let mut judge = Judge::new();
    for _ in 0..2 {
        let number = judge.arrive(&[bucket(&tier, "w")], Class::Normal, 1, seconds(8));
        judge.settle(number, Outcome::Answered);
    }
    judge.arrive(&[bucket(&tier, "w")], Class::Normal, 1, seconds(8));
    assert_eq!(judge.ended.last(), Some(&(3, End::Refused)));
    let held = judge.arrive(&[bucket(&tier, "w")], Class::Normal, 1, seconds(61));
    assert!(judge.held.contains_key(&held));
    judge.freeze(&bucket(&tier, "w"), Instant::ZERO + seconds(300));
    judge.pass(seconds(61));
    assert_eq!(judge.ended.last(), Some(&(held, End::Expired)));
}

#[test]
fn a_full_queue_refuses_and_says_which() {
    let tier = rate("tier", 1, 1000, AgeFrom::Answer);
    let mut judge = Judge::with_bounds(Bounds { per_bucket: 2, total: 3 });
    for _ in 0..4 {
        judge.arrive(&[bucket(&tier, "a")], Class::Normal, 1, PATIENT);
    }
    assert_eq!(judge.ended, [(4, End::Refused)], "one in flight, two held");
    for _ in 0..3 {
        judge.arrive(&[bucket(&tier, "b")], Class::Normal, 1, PATIENT);
    }
    assert_eq!(judge.ended, [(4, End::Refused), (7, End::Refused)], "three held in all");
}

/// Of a minute's three and a second's one the second is the tighter while it is taken; then the
/// minute is. Limits on calls in flight have nothing to tell.
#[test]
fn a_call_is_told_of_its_tightest_bucket() {
    let minute = rate("minute", 3, 60_000, AgeFrom::Answer);
    let second = rate("second", 2, 1000, AgeFrom::Answer);
    let order = at_once("in_order", 1, AgeFrom::Answer);
    let keys = [bucket(&order, "1"), bucket(&second, "a"), bucket(&minute, "w")];
    let mut judge = Judge::new();
    let mut seen = Vec::new();
    for pause in [0, 2, 0] {
        judge.pass(seconds(pause));
        let number = judge.arrive(&keys, Class::Normal, 1, PATIENT);
        let standing = judge.scheduler.standing(judge.now, &judge.in_flight[&number].0).unwrap();
        let more_in = standing.more_at.since(judge.now).as_millis();
        seen.push((standing.bucket.to_string(), standing.left, more_in));
        judge.settle(number, Outcome::Answered);
    }
    let told = |bucket: &str, left, more_in| (bucket.to_owned(), left, more_in);
    assert_eq!(
        seen,
        [told("second:a", 1, 1_020), told("minute:w", 1, 58_020), told("minute:w", 0, 58_020)]
    );
    let alone = judge.arrive(&[bucket(&order, "2")], Class::Normal, 1, PATIENT);
    assert_eq!(judge.scheduler.standing(judge.now, &judge.in_flight[&alone].0), None);
}

#[test]
fn a_frozen_bucket_has_nothing_left_until_it_opens() {
    let tier = rate("tier", 20, 60_000, AgeFrom::Answer);
    let mut judge = Judge::new();
    let number = judge.arrive(&[bucket(&tier, "w")], Class::Normal, 1, PATIENT);
    judge.refuse(number, seconds(7));
    let standing = judge.scheduler.standing(judge.now, &judge.in_flight[&number].0).unwrap();
    assert_eq!((standing.left, standing.more_at), (0, judge.now + seconds(7)));
}
