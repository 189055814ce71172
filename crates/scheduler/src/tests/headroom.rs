//! What a call is told of its limits.

use std::slice;

use super::*;

/// Of a minute's three and a second's one the second is the tighter while it is taken; then the
/// minute is. Limits on calls in flight have nothing to tell.
#[test]
fn a_call_is_told_of_its_tightest_bucket() {
    let minute = rate("minute", 3, 60_000, AgeFrom::Answer);
    let second = rate("second", 2, 1000, AgeFrom::Answer);
    let order = at_once("in_order", 1);
    let keys = [bucket(&order, "1"), bucket(&second, "a"), bucket(&minute, "w")];
    let mut model = Model::new();
    let mut seen = Vec::new();
    for pause in [0, 2, 0] {
        model.pass(seconds(pause));
        let number = model.arrive(&keys, Class::Normal, 1, PATIENT);
        let headroom = model.scheduler.headroom(model.now, &model.in_flight[&number].0).unwrap();
        let more_in = headroom.more_at.since(model.now).as_millis();
        seen.push((headroom.bucket.to_string(), headroom.left, more_in));
        model.settle(number, Outcome::Answered);
    }
    let told = |bucket: &str, left, more_in| (bucket.to_owned(), left, more_in);
    assert_eq!(
        seen,
        [told("second:a", 1, 1_020), told("minute:w", 1, 58_020), told("minute:w", 0, 58_020)]
    );
    let alone = model.arrive(&[bucket(&order, "2")], Class::Normal, 1, PATIENT);
    assert_eq!(model.scheduler.headroom(model.now, &model.in_flight[&alone].0), None);
}

/// Red when calls are compared, and not parts of a limit.
#[test]
fn the_tightest_bucket_is_the_one_with_the_least_part_left() {
    let narrow = bucket(&rate("narrow", 4, 60_000, AgeFrom::Answer), "c");
    let wide = bucket(&rate("wide", 12, 60_000, AgeFrom::Answer), "w");
    let mut model = Model::new();
    flood(&mut model, slice::from_ref(&wide), 1, 3);
    let number = model.arrive(&[narrow, wide], Class::Normal, 1, PATIENT);
    let headroom = model.scheduler.headroom(model.now, &model.in_flight[&number].0).unwrap();
    assert_eq!((headroom.bucket.to_string(), headroom.left), ("wide:w".to_owned(), 8));
}

#[test]
fn a_frozen_bucket_has_nothing_left_until_it_opens() {
    let tier = rate("tier", 20, 60_000, AgeFrom::Answer);
    let mut model = Model::new();
    let number = model.arrive(&[bucket(&tier, "w")], Class::Normal, 1, PATIENT);
    model.refuse(number, seconds(7));
    let headroom = model.scheduler.headroom(model.now, &model.in_flight[&number].0).unwrap();
    assert_eq!((headroom.left, headroom.more_at), (0, model.now + seconds(7)));
}
