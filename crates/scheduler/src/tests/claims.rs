//! A call that needs several buckets has its turn, too, and holds up no more than it must.

use super::*;

/// Red when only the long window is looked at for the end of what a claim blocks.
#[test]
fn a_claim_lets_others_go_as_soon_as_the_window_of_bursts_has_another_slot() {
    let tier = in_bursts(&rate("tier", 6, 900, AgeFrom::Answer), 2);
    let order = in_order("in_order", 5_000);
    let mut model = Model::new();
    flood(&mut model, &[bucket(&order, "c")], 1, 1);
    for wait in [100, 0] {
        let number = flood(&mut model, &[bucket(&tier, "w")], 1, 1)[0];
        model.settle(number, Outcome::Answered);
        model.pass(millis(wait));
    }
    flood(&mut model, &[bucket(&tier, "w"), bucket(&order, "c")], 1, 1);
    model.pass(millis(221));
    let other = flood(&mut model, &[bucket(&tier, "w")], 2, 1)[0];
    assert!(model.held.contains_key(&other), "the one free slot is kept");
    model.pass(millis(99));
    assert!(model.in_flight.contains_key(&other), "there are two");
}

/// A limit of one call in so many milliseconds, the clock's grain included.
fn one_in(name: &str, millis: u64) -> BucketKey {
    bucket(&rate(name, 1, millis - 20, AgeFrom::Answer), "w")
}

/// A call that is answered at once.
fn spend(model: &mut Model, key: &BucketKey) {
    let number = flood(model, std::slice::from_ref(key), 1, 1)[0];
    model.settle(number, Outcome::Answered);
}

/// When a call went.
fn went(model: &Model, number: u64) -> Option<Duration> {
    let found = model.sent.iter().find(|(_, sent)| *sent == number);
    found.map(|(at, _)| at.since(Instant::ZERO))
}

/// Two limits of one slot: the first, of the longer period, has it free, and it is claimed for
/// a call that also needs the second, of which a call is in flight. Gives both calls.
fn claimed(model: &mut Model, keys: &[BucketKey; 2], wait: Duration) -> (u64, u64) {
    let blocking = flood(model, &keys[1..], 1, 1)[0];
    spend(model, &keys[0]);
    let claimer = model.arrive(keys, Class::Normal, 2, wait);
    model.pass(seconds(2));
    (claimer, blocking)
}

/// Red when what everything goes through is claimed, too: its next slot is for one call only.
#[test]
fn a_claim_in_one_workspace_is_no_hindrance_in_another() {
    let app = bucket(&open("app", &[Dimension::App]), "A");
    let through = |key: &BucketKey| [key.clone(), app.clone()];
    let (slow, busy) = (one_in("slow", 60_000), [one_in("a", 1000), one_in("b", 1000)]);
    let mut model = Model::new();
    flood(&mut model, &through(&slow), 1, 1);
    let spent = flood(&mut model, &through(&one_in("c", 1000)), 1, 1)[0];
    model.settle(spent, Outcome::Answered);
    flood(&mut model, &[slow, one_in("c", 1000), app.clone()], 2, 1);
    model.pass(seconds(2));
    flood(&mut model, &through(&busy[0]), 1, 50);
    model.pass_answering(millis(500));
    flood(&mut model, &through(&busy[1]), 1, 50);
    let both = flood(&mut model, &[busy.to_vec(), vec![app.clone()]].concat(), 2, 1)[0];
    model.pass_answering(seconds(5));
    assert!(went(&model, both).is_some());
}

/// Red without claims.
#[test]
fn a_call_that_needs_two_flooded_limits_is_served_within_a_few_slots() {
    let keys = [one_in("a", 1000), one_in("b", 1000)];
    let mut model = Model::new();
    flood(&mut model, &keys[..1], 1, 50);
    model.pass_answering(millis(500));
    flood(&mut model, &keys[1..], 1, 50);
    let both = flood(&mut model, &keys, 2, 1)[0];
    model.pass_answering(seconds(30));
    assert!(went(&model, both).is_some_and(|at| at <= seconds(4)), "{:?}", went(&model, both));
}

/// Red when a claimed slot is kept at any time.
#[test]
fn a_limit_of_a_quick_period_is_not_held_up_by_one_of_a_slow_period() {
    let keys = [one_in("quick", 1000), one_in("slow", 30_000)];
    let mut model = Model::new();
    spend(&mut model, &keys[0]);
    flood(&mut model, &keys[..1], 1, 60);
    // It is in flight, so that the call that needs both stands in the quick one's line.
    flood(&mut model, &keys[1..], 1, 1);
    let both = flood(&mut model, &keys, 2, 1)[0];
    model.pass_answering(seconds(29));
    assert_eq!(model.sent.len(), 31, "one to the slow one, and thirty in thirty seconds");
    model.pass_answering(seconds(3));
    assert!(went(&model, both).is_some_and(|at| at <= seconds(31)), "{:?}", went(&model, both));
}

/// Red when a claim is for ever, and when any other displaces it.
#[test]
fn a_claim_gives_way_to_a_more_urgent_call_and_to_no_other() {
    for (class, gives_way) in [(Class::Interactive, true), (Class::Normal, false)] {
        let keys = [one_in("a", 2000), one_in("b", 1000)];
        let third = one_in("c", 5000);
        let mut model = Model::new();
        spend(&mut model, &third);
        let (claimer, blocking) = claimed(&mut model, &keys, PATIENT);
        let other = model.arrive(&[keys[1].clone(), third], class, 3, PATIENT);
        let alone = flood(&mut model, &keys[..1], 4, 1)[0];
        assert!(model.held.contains_key(&alone), "its slot is kept for the claimer");
        model.pass(seconds(5));
        assert_eq!(model.in_flight.contains_key(&alone), gives_way);
        model.settle(blocking, Outcome::Unsent);
        let next = if gives_way { other } else { claimer };
        assert!(model.in_flight.contains_key(&next), "{class:?}");
    }
}

/// The pause is shorter than the period of the slot that would be kept, or another would be
/// back in time. Red when a frozen bucket is claimed.
#[test]
fn no_slot_is_kept_for_a_call_that_waits_for_a_freeze() {
    for (before, after) in [(500, 1700), (2200, 0)] {
        let keys = [one_in("a", 2000), one_in("b", 1000)];
        let mut model = Model::new();
        flood(&mut model, &keys[1..], 1, 1);
        spend(&mut model, &keys[0]);
        flood(&mut model, &keys, 2, 1);
        model.pass(millis(before));
        let until = model.now + millis(1900);
        model.freeze(&keys[1], until);
        model.pass(millis(after));
        let alone = flood(&mut model, &keys[..1], 3, 1)[0];
        assert!(model.in_flight.contains_key(&alone), "frozen after {before} ms");
    }
}

/// Red when whoever leaves keeps its claims.
#[test]
fn a_claim_ends_with_its_call() {
    for cancels in [true, false] {
        let keys = [one_in("a", 2000), one_in("b", 1000)];
        let mut model = Model::new();
        let (claimer, _) = claimed(&mut model, &keys, seconds(3));
        let alone = flood(&mut model, &keys[..1], 3, 1)[0];
        assert!(model.held.contains_key(&alone));
        if cancels {
            model.cancel(claimer);
        } else {
            model.pass(seconds(2));
        }
        assert!(model.in_flight.contains_key(&alone), "cancelled: {cancels}");
    }
}

/// Red when a slot is also kept for a claimer that may not take it.
#[test]
fn a_claim_takes_no_slot_that_is_reserved_for_people() {
    let shared = bucket(&rate("shared", 2, 59_980, AgeFrom::Answer), "w");
    let keys = [shared, one_in("other", 5000)];
    let mut model = Model::new();
    model.pass(seconds(1000));
    let clicks = [0; 2].map(|_| model.arrive(&keys[..1], Class::Interactive, 9, PATIENT));
    spend(&mut model, &keys[1]);
    flood(&mut model, &keys, 1, 1);
    model.settle(clicks[0], Outcome::Unsent);
    model.settle(clicks[1], Outcome::Answered);
    model.pass(seconds(6));
    let click = model.arrive(&keys[..1], Class::Interactive, 9, PATIENT);
    assert!(model.in_flight.contains_key(&click));
}
