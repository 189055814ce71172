//! Calls that are sent more than once.

use super::*;

/// Between two attempts a call holds up nobody, and is first again after that.
///
/// Turned red by: slots that are kept; an age that is not.
#[test]
fn a_call_between_two_attempts_has_no_slot_and_keeps_its_age() {
    let tier = rate("tier", 1, 1000, AgeFrom::Answer);
    let key = [bucket(&tier, "w")];
    let mut model = Model::new();
    let first = model.arrive(&key, Class::Normal, 1, PATIENT);
    let others = [0; 2].map(|_| model.arrive(&key, Class::Normal, 1, PATIENT));
    model.end_attempt(first, Outcome::Unsent);
    assert!(model.in_flight.contains_key(&others[0]), "its slot is free");
    model.again(first, Outcome::Unsent);
    model.settle(others[0], Outcome::Answered);
    model.pass(millis(1020));
    assert!(model.in_flight.contains_key(&first) && model.held.contains_key(&others[1]));
    model.wind_up();
}

/// Turned red by: a turn among posts that is given up.
#[test]
fn a_post_that_was_not_sent_keeps_its_turn() {
    let post = rate("post", 10, 1000, AgeFrom::Answer);
    let order = in_order("in_order", 1_000);
    let keys = [bucket(&post, "w"), bucket(&order, "c")];
    for (outcome, keeps) in [(Outcome::Unsent, true), (Outcome::Lost, false)] {
        let mut model = Model::new();
        let first = model.arrive(&keys, Class::Normal, 1, PATIENT);
        let second = model.arrive(&keys, Class::Normal, 1, PATIENT);
        model.end_attempt(first, outcome);
        model.pass(seconds(5));
        assert_eq!(model.held.contains_key(&second), keeps, "{outcome:?}");
        // Whoever goes meanwhile gives it up.
        model.settle(first, outcome);
        assert!(model.in_flight.contains_key(&second));
        model.wind_up();
    }
}

/// A lost attempt counts beside the one after it.
///
/// Turned red by: an attempt whose slot is given back, or taken over.
#[test]
fn each_attempt_that_may_have_been_counted_has_a_slot() {
    let tier = rate("tier", 2, 1000, AgeFrom::Answer);
    let key = [bucket(&tier, "w")];
    let mut model = Model::new();
    let first = model.arrive(&key, Class::Normal, 1, PATIENT);
    model.again(first, Outcome::Lost);
    let other = model.arrive(&key, Class::Normal, 2, PATIENT);
    assert!(model.in_flight.contains_key(&first) && model.held.contains_key(&other));
    model.settle(first, Outcome::Answered);
    model.pass(millis(1020));
    assert!(model.in_flight.contains_key(&other));
    model.wind_up();
}

/// Turned red by: names of what a call needs that nobody changes.
#[test]
fn a_call_between_two_attempts_is_renamed() {
    let tier = rate("tier", 1, 1000, AgeFrom::Answer);
    let mut all = [bucket(&tier, "a"), bucket(&tier, "b")];
    let mut model = Model::new();
    let first = model.arrive(&all[..1], Class::Normal, 1, PATIENT);
    model.end_attempt(first, Outcome::Unsent);
    // Nobody else remembers the bucket.
    model.pass(seconds(100));
    model.rename(&mut all, &[Dimension::Workspace], "a", "b");
    let other = model.arrive(&all[1..], Class::Normal, 1, PATIENT);
    model.again(first, Outcome::Unsent);
    assert!(model.held.contains_key(&first), "the two are under one limit");
    model.settle(other, Outcome::Answered);
    model.wind_up();
}
