//! The limits change while calls wait.

use std::sync::Arc;

use limits::Limit;

use super::{
    super::{Policy, Scheduler, Share},
    *,
};

fn policy() -> Policy {
    let bounds = Bounds { per_bucket: 1000, total: 1000 };
    Policy { bounds, background: Share::default(), learning: crate::Learning::default() }
}

/// Sixty calls at once under `before`, each answered as soon as it goes; from `at` on `after` holds.
/// When each went, and how many of them before the change: what is due at that instant goes first.
fn changed(before: &Arc<Limit>, after: &Arc<Limit>, at: Duration) -> (Vec<Instant>, usize) {
    let mut model = Model::new();
    for _ in 0..60 {
        model.offer(&[bucket(before, "w")], |call| call.deadline = Instant::FAR);
    }
    model.pass_answering(at);
    let gone = model.sent.len();
    model.relimit(after);
    model.pass_answering(PATIENT * 2);
    assert_eq!(model.sent.len(), 60, "each went");
    (model.sent.into_iter().map(|(at, _)| at).collect(), gone)
}

fn after(went: &[Instant], at: u64) -> Vec<u64> {
    let seconds = |at: &Instant| u64::try_from(at.since(Instant::ZERO).as_millis()).unwrap() / 1000;
    went.iter().map(seconds).filter(|second| *second >= at).collect()
}

/// Red when a bucket forgets its slots.
#[test]
fn a_lower_quota_holds_from_the_change_on() {
    let (twenty, five) =
        (rate("x", 20, 60_000, AgeFrom::Answer), rate("x", 5, 60_000, AgeFrom::Answer));
    let (went, _) = changed(&twenty, &five, seconds(10));
    assert_eq!(after(&went, 1)[..11], [60, 60, 60, 60, 60, 120, 120, 120, 120, 120, 180]);
}

/// Red when a bucket is not looked at anew.
#[test]
fn a_higher_quota_lets_go_at_once() {
    let (twenty, more) =
        (rate("x", 20, 60_000, AgeFrom::Answer), rate("x", 30, 60_000, AgeFrom::Answer));
    let (went, _) = changed(&twenty, &more, seconds(10));
    assert_eq!(after(&went, 1)[..11], [10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 60]);
}

#[test]
fn a_shorter_period_counts_from_when_each_slot_began() {
    let (minute, quarter) =
        (rate("x", 20, 60_000, AgeFrom::Answer), rate("x", 20, 15_000, AgeFrom::Answer));
    let (went, _) = changed(&minute, &quarter, seconds(10));
    assert_eq!(after(&went, 1)[..21], [[15; 20].as_slice(), &[30]].concat());
}

/// Red when a bucket forgets that people are about.
#[test]
fn people_are_expected_under_the_new_limit_too() {
    let (twenty, ten) =
        (rate("x", 20, 59_980, AgeFrom::Answer), rate("x", 10, 59_980, AgeFrom::Answer));
    let mut model = Model::new();
    model.arrive(&[bucket(&twenty, "w")], Class::Interactive, 9, PATIENT);
    model.relimit(&ten);
    flood(&mut model, &[bucket(&ten, "w")], 1, 30);
    assert_eq!(model.in_flight.len(), 5, "half of the window, the click one of them");
}

/// Red when a bucket forgets what background calls have of it.
#[test]
fn background_has_no_more_than_its_share_of_the_new_limit() {
    let (eight, six) = (rate("x", 8, 980, AgeFrom::Answer), rate("x", 6, 980, AgeFrom::Answer));
    let mut model = Model::new();
    for _ in 0..10 {
        model.arrive(&[bucket(&eight, "w")], Class::Background, 1, PATIENT);
    }
    model.pass(millis(400));
    assert_eq!(model.in_flight.len(), 3, "one in a sixth of a second");
    model.relimit(&six);
    model.pass(seconds(5));
    assert_eq!(model.in_flight.len(), 4, "four and a half");
}

/// Red when calls that are on their way lose their slots with the change, or a period after it.
#[test]
fn calls_on_their_way_have_their_slots_of_the_new_limit() {
    let second = rate("x", 2, 1_000, AgeFrom::Answer);
    let two_seconds = rate("x", 2, 2_000, AgeFrom::Answer);
    let mut model = Model::new();
    let calls = flood(&mut model, &[bucket(&second, "w")], 1, 3);
    model.relimit(&two_seconds);
    model.pass(seconds(60));
    assert_eq!(model.held.len(), 1, "none is answered");
    model.settle(calls[0], Outcome::Answered);
    model.pass(seconds(2));
    assert_eq!(model.held.len(), 1);
    model.pass(millis(20));
    assert_eq!(sent(&model, 2), calls[2..], "two seconds after the answer");
}

/// Red when their slots are free at once.
#[test]
fn calls_on_their_way_have_a_period_where_slots_age_from_the_send_now() {
    let from_answer = rate("x", 2, 1_000, AgeFrom::Answer);
    let from_send = rate("x", 2, 2_000, AgeFrom::Send);
    let mut model = Model::new();
    let calls = flood(&mut model, &[bucket(&from_answer, "w")], 1, 3);
    model.relimit(&from_send);
    model.pass(seconds(2));
    assert_eq!(model.held.len(), 1);
    model.pass(millis(20));
    assert_eq!(sent(&model, 2), calls[2..]);
}

/// A call that was on its way to the queue still names the old limit, after all its buckets are
/// gone.
///
/// Red when a new bucket has the limit that the call names.
#[test]
fn who_names_the_old_limit_is_under_the_new_one() {
    let old = rate("x", 20, 60_000, AgeFrom::Answer);
    let mut scheduler = Scheduler::new(policy());
    let new = rate("x", 5, 60_000, AgeFrom::Answer);
    scheduler.relimit(Instant::ZERO, policy(), [&new].into_iter());
    scheduler.freeze(Instant::ZERO, bucket(&old, "w"), Instant::ZERO);
    assert_eq!(scheduler.buckets(Instant::ZERO).next().map(|bucket| bucket.quota), Some(5));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Whatever changes, no period holds more than the new quota, but for what went before.
    #[test]
    fn no_new_window_is_overrun(
        quotas in (1..30_u32, 1..30_u32),
        period in 1_000..60_000_u64,
        part in 1..=10_u64,
        from_send in any::<(bool, bool)>(),
        at in 0..100_000_u64,
    ) {
        let ages = |send| if send { AgeFrom::Send } else { AgeFrom::Answer };
        let shorter = period * part / 10;
        let before = rate("x", quotas.0, period, ages(from_send.0));
        let after = rate("x", quotas.1, shorter, ages(from_send.1));
        let (went, old) = changed(&before, &after, millis(at));
        for (n, end) in went.iter().enumerate().skip(old) {
            let within = went[..=n].iter().filter(|one| **one + millis(shorter) > *end).count();
            prop_assert!(within <= quotas.1 as usize, "{within} at {end:?}");
        }
    }
}

/// Red when the slot of a call on its way has two ends, or none.
#[test]
fn calls_in_order_stay_in_order() {
    let order = [bucket(&in_order("in_order", 5_000), "c")];
    let mut model = Model::new();
    let [first, second, third] = flood(&mut model, &order, 1, 3)[..] else { panic!("three") };
    let bounds = Bounds { per_bucket: 1_000, total: 1_000 };
    let policy = Policy {
        bounds,
        background: Share::new(0.5).unwrap(),
        learning: crate::Learning::default(),
    };
    model.scheduler.relimit(model.now, policy, [].into_iter());
    model.pass(millis(4_999));
    assert_eq!(sent(&model, 0), [first]);
    model.pass(millis(1));
    assert_eq!(sent(&model, 1), [second]);
    model.settle(second, Outcome::Answered);
    assert_eq!(sent(&model, 2), [third]);
}
