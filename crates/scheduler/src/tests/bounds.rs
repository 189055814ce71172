//! How many calls are held.

use super::{
    super::{RefusalReason, model::End},
    *,
};

#[test]
fn a_full_queue_refuses_and_says_which() {
    let tier = rate("tier", 1, 1000, AgeFrom::Answer);
    let mut model = Model::with_bounds(Bounds { per_bucket: 2, total: 3 });
    for _ in 0..4 {
        model.arrive(&[bucket(&tier, "a")], Class::Normal, 1, PATIENT);
    }
    assert_eq!(model.ended, [(4, End::Refused)], "one in flight, two held");
    for _ in 0..3 {
        model.arrive(&[bucket(&tier, "b")], Class::Normal, 1, PATIENT);
    }
    assert_eq!(model.ended, [(4, End::Refused), (7, End::Refused)], "three held in all");
}

/// Red when a caller's own bound is not looked at, and when calls count that have left.
#[test]
fn a_caller_has_no_more_calls_in_the_queue_than_it_may() {
    let tier = [bucket(&rate("tier", 1, 1000, AgeFrom::Answer), "w")];
    let mut model = Model::new();
    for _ in 0..5 {
        model.offer(&tier, |call| call.max_depth = Some(2));
    }
    assert_eq!(model.ended, [(4, End::Refused), (5, End::Refused)]);
    assert_eq!(model.refusals[&4].reason, RefusalReason::QueueFull);
    flood(&mut model, &tier, 2, 1);
    assert_eq!(model.held.len(), 3, "another caller is none of it");
    model.cancel(2);
    let again = model.offer(&tier, |call| call.max_depth = Some(2));
    assert!(model.held.contains_key(&again), "it has one left");
}

/// Red when the last tenth is like the rest.
#[test]
fn the_last_tenth_of_a_queue_is_for_who_has_less_than_its_share() {
    let wide = 1000;
    for bounds in [Bounds { per_bucket: 10, total: wide }, Bounds { per_bucket: wide, total: 10 }] {
        let tier = [bucket(&rate("tier", 1, 1000, AgeFrom::Answer), "w")];
        let mut model = Model::with_bounds(bounds);
        flood(&mut model, &tier, 1, 15);
        assert_eq!(model.held.len(), 9, "{bounds:?}: one caller has nine tenths at most");
        flood(&mut model, &tier, 2, 1);
        assert_eq!(model.held.len(), 10, "{bounds:?}: another one has the last");
        flood(&mut model, &tier, 3, 1);
        assert_eq!(model.held.len(), 10, "{bounds:?}: it is full");
    }
}

/// Red when it is for who has just its share, too.
#[test]
fn who_has_its_share_of_a_queue_has_nothing_of_the_last_tenth() {
    let tier = [bucket(&rate("tier", 1, 1000, AgeFrom::Answer), "w")];
    let mut model = Model::with_bounds(Bounds { per_bucket: 20, total: 1000 });
    flood(&mut model, &tier, 1, 13);
    flood(&mut model, &tier, 2, 6);
    assert_eq!(model.held.len(), 18, "nine tenths");
    flood(&mut model, &tier, 2, 1);
    assert_eq!(model.held.len(), 18, "a third of the queue is its share");
    flood(&mut model, &tier, 3, 9);
    assert_eq!(model.held.len(), 20);
}

/// Red when a replay is refused by a full queue.
#[test]
fn a_replayed_call_waits_even_where_the_queue_is_full() {
    let tier = [bucket(&rate("tier", 1, 1000, AgeFrom::Answer), "w")];
    let mut model = Model::with_bounds(Bounds { per_bucket: 1, total: 1 });
    let calls = flood(&mut model, &tier, 1, 2);
    model.replay(calls[0], seconds(5));
    assert_eq!(model.held.keys().copied().collect::<Vec<_>>(), calls);
    model.pass_answering(seconds(10));
    assert_eq!(sent(&model, 1), calls, "the older one first");
}
