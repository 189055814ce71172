//! What a refusal by Slack closes, and how that opens again.

use super::*;

#[test]
fn after_a_freeze_one_call_probes_and_then_twice_as_many_per_round_trip() {
    let tier = rate("tier", 20, 60_000, AgeFrom::Answer);
    let mut model = Model::new();
    let first = model.arrive(&[bucket(&tier, "w")], Class::Normal, 1, PATIENT);
    model.replay(first, seconds(30));
    for _ in 0..12 {
        model.arrive(&[bucket(&tier, "w")], Class::Normal, 1, PATIENT);
    }
    model.pass(millis(29_999));
    assert_eq!(model.in_flight.len(), 0);
    model.pass(millis(1));
    assert_eq!(model.in_flight.keys().copied().collect::<Vec<_>>(), [first], "the oldest probes");
    let mut flights = Vec::new();
    while !model.in_flight.is_empty() {
        flights.push(model.in_flight.len());
        model.pass(millis(50));
        for number in model.in_flight.keys().copied().collect::<Vec<_>>() {
            model.settle(number, Outcome::Answered);
        }
    }
    assert_eq!(flights, [1, 2, 4, 6]);
}

/// Red when a call that was sent before the freeze counts as a probe.
#[test]
fn calls_that_were_on_their_way_do_not_open_a_frozen_bucket() {
    let tier = rate("tier", 20, 60_000, AgeFrom::Answer);
    let mut model = Model::new();
    let flight: Vec<_> =
        (0..15).map(|_| model.arrive(&[bucket(&tier, "w")], Class::Normal, 1, PATIENT)).collect();
    model.refuse(flight[0], seconds(90));
    for number in flight {
        model.settle(number, Outcome::Answered);
    }
    for _ in 0..10 {
        model.arrive(&[bucket(&tier, "w")], Class::Normal, 1, PATIENT);
    }
    model.pass(seconds(90));
    assert_eq!(model.in_flight.len(), 1, "one call probes");
}

/// Posts of one caller to one channel go one at a time. Red when a replay gives its place
/// away while it waits.
#[test]
fn a_replayed_post_is_not_overtaken_by_another_method() {
    let post = rate("post", 10, 1000, AgeFrom::Answer);
    let ephemeral = rate("ephemeral", 10, 1000, AgeFrom::Answer);
    let order = in_order("in_order", 5_000);
    let mut model = Model::new();
    let posts = [bucket(&post, "w"), bucket(&order, "c")];
    let whispers = [bucket(&ephemeral, "w"), bucket(&order, "c")];
    let first = model.arrive(&posts, Class::Normal, 1, PATIENT);
    let second = model.arrive(&whispers, Class::Interactive, 1, PATIENT);
    model.replay(first, seconds(5));
    assert!(model.in_flight.is_empty(), "the second waits for the first's replay");
    model.pass(seconds(5));
    assert_eq!(model.in_flight.keys().copied().collect::<Vec<_>>(), [first]);
    model.settle(first, Outcome::Answered);
    assert_eq!(model.in_flight.keys().copied().collect::<Vec<_>>(), [second]);
    model.wind_up();
}

#[test]
fn the_fullest_bucket_is_the_one_that_freezes() {
    let method = rate("method", 20, 60_000, AgeFrom::Answer);
    let app = rate("app", 1, 1000, AgeFrom::Answer);
    let mut model = Model::new();
    let keys = [bucket(&method, "w"), bucket(&app, "a")];
    for _ in 0..3 {
        let number = model.arrive(&keys, Class::Normal, 1, PATIENT);
        model.settle(number, Outcome::Answered);
        model.pass(millis(1020));
    }
    let number = model.arrive(&keys, Class::Normal, 1, PATIENT);
    model.refuse(number, seconds(7));
    let frozen: Vec<_> = model
        .scheduler
        .buckets(model.now)
        .filter(|state| state.frozen_until.is_some())
        .map(|state| state.key.limit.name.to_string())
        .collect();
    assert_eq!(frozen, ["method"], "three of twenty were used, and none of one");
}
