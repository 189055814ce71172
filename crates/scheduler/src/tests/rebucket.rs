//! Held calls count against other buckets: a pause, its end, other limits.

use super::{super::RefusalReason, *};

/// Three callers' calls wait in one bucket, are paused, and the pause ends.
fn paused_and_resumed(model: &mut Model, key: &BucketKey) -> Vec<u64> {
    let gate = bucket(&gate("paused"), "x");
    let mut waiting: Vec<_> = model.held.keys().copied().collect();
    let both = [key.clone(), gate];
    model.rebucket(waiting.iter().map(|number| (*number, both.to_vec())).collect());
    let before = sent(model, 0).len();
    model.pass_answering(seconds(200));
    assert_eq!(sent(model, 0).len(), before, "paused");
    // In whatever order they are named.
    waiting.reverse();
    model.rebucket(waiting.iter().map(|number| (*number, vec![key.clone()])).collect());
    waiting.reverse();
    waiting
}

/// Red when calls change one after the other, each going at once if it may; and when a call gets
/// another age.
#[test]
fn after_a_pause_calls_go_in_their_old_order_at_the_pace_of_their_limit() {
    let tier = rate("tier", 1, 60_000, AgeFrom::Answer);
    let key = bucket(&tier, "w");
    let mut model = Model::new();
    flood(&mut model, std::slice::from_ref(&key), 1, 6);
    let waiting = paused_and_resumed(&mut model, &key);
    let later = model.arrive(&[key], Class::Normal, 1, PATIENT);
    model.pass_answering(seconds(59));
    assert_eq!(sent(&model, 1), waiting[..1], "one at once");
    model.pass_answering(seconds(600));
    assert_eq!(sent(&model, 1), [&waiting[..], &[later]].concat());
    model.wind_up();
}

/// Red when a line is left by all before one of them stands in it again, which forgets turns.
#[test]
fn callers_take_turns_after_a_pause_as_before() {
    let tier = rate("tier", 1, 1000, AgeFrom::Answer);
    let key = bucket(&tier, "w");
    let keys = std::slice::from_ref(&key);
    let mut model = Model::new();
    let [first, second, third] =
        [(1, 3), (2, 2), (3, 1)].map(|(caller, calls)| flood(&mut model, keys, caller, calls));
    model.pass_answering(millis(1_500));
    assert_eq!(sent(&model, 0), [first[0], second[0]]);
    paused_and_resumed(&mut model, &key);
    model.pass_answering(seconds(60));
    assert_eq!(sent(&model, 2)[0], third[0], "the others have had a turn");
    model.wind_up();
}

/// Red when the forecast counts the gate, and when a paused call is told that its limit is full.
#[test]
fn a_paused_call_waits_till_its_deadline_and_is_told_why() {
    let tier = rate("tier", 1, 1000, AgeFrom::Answer);
    let mut model = Model::new();
    let keys = [bucket(&tier, "w"), bucket(&gate("paused"), "x")];
    let call = model.offer(&keys, |call| {
        call.deadline = Instant::ZERO + seconds(5);
        call.place = Some(PlaceId::of(1));
    });
    model.pass(millis(4_999));
    assert_eq!(model.held.len(), 1);
    model.pass(millis(1));
    assert_eq!(model.refusals[&call].reason, RefusalReason::Paused);
    assert_eq!(model.refusals[&call].bucket, keys[1]);
    assert_eq!(model.scheduler.places(), 0, "nobody knows when to come back");
    model.wind_up();
}

/// Red when a call that changes its buckets keeps its claims.
#[test]
fn a_paused_call_keeps_no_slot_from_others() {
    let tier = rate("tier", 1, 1000, AgeFrom::Answer);
    let app = rate("app", 1, 1000, AgeFrom::Answer);
    let (tier, app) = (bucket(&tier, "w"), bucket(&app, "w"));
    let mut model = Model::new();
    let first = flood(&mut model, &[tier.clone(), app.clone()], 1, 1);
    let paused = model.arrive(&[tier.clone(), app.clone()], Class::Interactive, 2, PATIENT);
    let others = flood(&mut model, std::slice::from_ref(&tier), 3, 5);
    model.rebucket(vec![(paused, vec![tier, app, bucket(&gate("paused"), "x")])]);
    model.settle(first[0], Outcome::Answered);
    model.pass_answering(seconds(30));
    assert_eq!(sent(&model, 1), others);
}

/// A post that Slack refused keeps its turn among the posts of its channel while its other limits
/// are replaced. Red when the kept slot is given back, and when a second one is taken.
#[test]
fn a_replayed_post_keeps_its_turn_under_other_limits() {
    let order = bucket(&in_order("order", 5_000), "c");
    let [old, new] = ["old", "new"].map(|name| bucket(&rate(name, 9, 1000, AgeFrom::Answer), "w"));
    let shut = bucket(&rate("shut", 1, 1000, AgeFrom::Answer), "w");
    let mut model = Model::new();
    let post = model.arrive(&[old.clone(), order.clone()], Class::Normal, 1, PATIENT);
    let next = model.arrive(&[old, order.clone()], Class::Normal, 1, PATIENT);
    model.replay(post, seconds(5));
    model.freeze(&shut, model.now + seconds(3));
    let other = vec![new, order.clone()];
    model.rebucket(vec![(next, other), (post, vec![shut, order])]);
    model.pass(millis(2_999));
    assert!(sent(&model, 1).is_empty(), "the next waits for the replay");
    model.pass(millis(1));
    assert_eq!(sent(&model, 1), [post]);
    model.settle(post, Outcome::Answered);
    assert_eq!(sent(&model, 2), [next]);
    model.wind_up();
}

#[test]
fn a_call_without_any_limit_left_goes_at_once() {
    let tier = bucket(&rate("tier", 1, 1000, AgeFrom::Answer), "w");
    let mut model = Model::new();
    let calls = flood(&mut model, &[tier], 1, 3);
    model.rebucket(vec![(calls[2], Vec::new())]);
    assert_eq!(sent(&model, 1), [calls[2]]);
    let (gone, _) = &model.in_flight[&calls[0]];
    assert_eq!(model.scheduler.headroom(model.now, gone).unwrap().left, 0);
    model.wind_up();
}
