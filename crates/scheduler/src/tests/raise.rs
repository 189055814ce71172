//! A held call that somebody joins.

use super::*;

/// One slot a second, taken now.
fn taken(model: &mut Model) -> BucketKey {
    let key = bucket(&rate("method", 1, 1000, AgeFrom::Answer), "w");
    let first = model.arrive(std::slice::from_ref(&key), Class::Normal, 9, PATIENT);
    model.settle(first, Outcome::Answered);
    key
}

/// Turned red by: a raised call that keeps its class, and one that is the last of its new one.
#[test]
fn a_raised_call_stands_where_it_would_had_it_come_in_its_new_class() {
    let mut model = Model::new();
    let key = [taken(&mut model)];
    let joined = model.arrive(&key, Class::Background, 1, PATIENT);
    let later = model.arrive(&key, Class::Interactive, 1, PATIENT);
    let normal = model.arrive(&key, Class::Normal, 1, PATIENT);
    model.raise(joined, Class::Interactive, model.now);
    model.pass_answering(seconds(10));
    assert_eq!(sent(&model, 1), [joined, later, normal]);
}

/// Turned red by: a class that is replaced instead of raised.
#[test]
fn nobody_makes_a_call_less_urgent_or_less_patient() {
    let mut model = Model::new();
    let key = [taken(&mut model)];
    let joined = model.arrive(&key, Class::Interactive, 1, PATIENT);
    let normal = model.arrive(&key, Class::Normal, 2, PATIENT);
    model.raise(joined, Class::Background, model.now);
    model.pass_answering(seconds(10));
    assert_eq!(sent(&model, 1), [joined, normal]);
}

/// Turned red by: a deadline that stays, and a timer of the one before that still rings.
#[test]
fn a_raised_call_waits_as_long_as_the_most_patient() {
    let mut model = Model::new();
    let key = [taken(&mut model)];
    let first = model.arrive(&key, Class::Normal, 1, millis(1100));
    let joined = model.arrive(&key, Class::Normal, 1, millis(2200));
    // The first goes and has no answer for long, so the other waits past its deadline.
    model.raise(joined, Class::Normal, model.now + seconds(30));
    model.pass(seconds(10));
    assert_eq!(sent(&model, 1), [first]);
    model.settle(first, Outcome::Answered);
    model.pass_answering(seconds(10));
    assert_eq!(sent(&model, 2), [joined]);
    assert!(model.refusals.is_empty());
}

/// Turned red by: a deadline that stays that of the first attempt.
#[test]
fn a_call_that_waits_again_waits_as_long_as_it_is_allowed() {
    for (allowed, refused) in [(None, 1), (Some(seconds(60)), 0)] {
        let mut model = Model::new();
        let key = bucket(&rate("method", 1, 1000, AgeFrom::Answer), "w");
        let call = model.arrive(std::slice::from_ref(&key), Class::Normal, 1, seconds(3));
        if let Some(allowed) = allowed {
            let deadline = model.now + allowed;
            model.allow_until(call, deadline);
            // It never comes nearer.
            model.allow_until(call, model.now);
        }
        model.replay(call, seconds(10));
        model.pass_answering(seconds(20));
        assert_eq!((model.refusals.len(), sent(&model, 0).len()), (refused, 2 - refused));
    }
}

/// Turned red by: a ticket that is not looked at.
#[test]
fn a_call_that_is_gone_is_not_raised() {
    let mut model = Model::new();
    let key = [taken(&mut model)];
    let gone = model.arrive(&key, Class::Background, 1, PATIENT);
    let (ticket, _) = model.held[&gone];
    model.cancel(gone);
    let other = model.arrive(&key, Class::Background, 1, PATIENT);
    model.scheduler.raise(model.now, ticket, Class::Interactive, Instant::FAR);
    model.pass_answering(seconds(3));
    assert_eq!(sent(&model, 1), [other]);
}
