//! What a slot counts, and for how long.

use super::*;

#[test]
fn a_bucket_with_free_slots_sends_at_once_and_then_at_the_pace_of_its_window() {
    let tier = rate("tier", 20, 60_000, AgeFrom::Answer);
    let mut model = Model::new();
    for _ in 0..45 {
        model.arrive(&[bucket(&tier, "w")], Class::Normal, 1, PATIENT);
    }
    let mut sent = Vec::new();
    for _ in 0..150 {
        sent.push(model.in_flight.len());
        for number in model.in_flight.keys().copied().collect::<Vec<_>>() {
            model.settle(number, Outcome::Answered);
        }
        model.pass(seconds(1));
    }
    let bursts: Vec<_> = sent.into_iter().enumerate().filter(|(_, sent)| *sent > 0).collect();
    assert_eq!(bursts, [(0, 20), (61, 20), (122, 5)]);
    model.wind_up();
}

/// Red when a call takes what is free while it waits for the rest.
#[test]
fn a_call_that_waits_for_one_limit_takes_no_slot_of_another() {
    let tier = bucket(&rate("tier", 2, 60_000, AgeFrom::Answer), "w");
    let full = bucket(&at_once("full", 1), "w");
    let mut model = Model::new();
    flood(&mut model, std::slice::from_ref(&full), 1, 1);
    let waits = flood(&mut model, &[tier.clone(), full], 1, 1)[0];
    let others = flood(&mut model, &[tier], 2, 2);
    assert_eq!(sent(&model, 1), others);
    assert!(model.held.contains_key(&waits));
}

/// Red when the second window is not looked at, or has the whole period.
#[test]
fn a_limit_that_refuses_bursts_is_kept_in_a_second_shorter_window() {
    let tier = [bucket(&in_bursts(&rate("tier", 6, 900, AgeFrom::Answer), 2), "w")];
    let mut model = Model::new();
    flood(&mut model, &tier, 1, 8);
    model.pass_answering(seconds(5));
    let times = model.sent.iter().map(|(at, _)| at.since(Instant::ZERO));
    let wanted = [0, 0, 320, 320, 640, 640, 960, 960].map(millis);
    assert_eq!(times.collect::<Vec<_>>(), wanted);
}

/// Its answer may still be on the way, and Slack still at work. Red when a lost call's slot
/// ends at once.
#[test]
fn a_lost_call_counts_as_in_flight_for_another_minute() {
    let bookmarks = [bucket(&at_once("bookmarks", 1), "w")];
    let mut model = Model::new();
    let lost = flood(&mut model, &bookmarks, 1, 1)[0];
    let next = flood(&mut model, &bookmarks, 1, 1)[0];
    model.settle(lost, Outcome::Lost);
    model.pass(millis(59_999));
    assert!(model.held.contains_key(&next));
    model.pass(millis(1));
    assert!(model.in_flight.contains_key(&next));
}

/// Posts of one caller wait for each other, and for a lost one no longer than for its end.
/// Red when a lost call's slot is kept everywhere.
#[test]
fn a_lost_post_does_not_hold_up_the_next() {
    let order = [bucket(&in_order("in_order", 5_000), "c")];
    let mut model = Model::new();
    let lost = flood(&mut model, &order, 1, 1)[0];
    let next = flood(&mut model, &order, 1, 1)[0];
    model.settle(lost, Outcome::Lost);
    assert!(model.in_flight.contains_key(&next));
}

/// Red when a slot is kept until its answer comes, and where nobody looks when it is given up.
#[test]
fn a_post_without_an_answer_holds_up_the_next_for_a_few_seconds() {
    let order = [bucket(&in_order("in_order", 5_000), "c")];
    let mut model = Model::new();
    let slow = flood(&mut model, &order, 1, 1)[0];
    let [second, third] = flood(&mut model, &order, 1, 2)[..] else { panic!("two") };
    model.pass(millis(4_999));
    assert_eq!(sent(&model, 0), [slow]);
    model.pass(millis(1));
    assert_eq!(sent(&model, 1), [second]);
    // The answer of the one that was given up is no reason for the third to go.
    model.settle(slow, Outcome::Answered);
    assert!(model.held.contains_key(&third));
    model.settle(second, Outcome::Answered);
    assert_eq!(sent(&model, 2), [third]);
    model.settle(third, Outcome::Answered);
    model.wind_up();
}

/// Red when a call that waits for its next attempt is given up, and when it is not after that.
#[test]
fn a_post_that_waits_to_be_sent_again_is_not_given_up() {
    let order = bucket(&in_order("in_order", 5_000), "c");
    let posts = [bucket(&rate("post", 10, 1_000, AgeFrom::Answer), "w"), order.clone()];
    let mut model = Model::new();
    let refused = flood(&mut model, &posts, 1, 1)[0];
    let other = flood(&mut model, &[order], 1, 1)[0];
    model.pass(seconds(3));
    model.replay(refused, seconds(30));
    model.pass(seconds(30));
    assert_eq!(sent(&model, 1), [refused]);
    model.pass(millis(4_999));
    assert!(model.held.contains_key(&other));
    model.pass(millis(1));
    assert_eq!(sent(&model, 2), [other]);
}

/// Red when it takes the slot of the one after it, and when it waits behind all others.
#[test]
fn a_post_that_was_given_up_and_is_refused_goes_before_all_that_wait() {
    let order = bucket(&in_order("in_order", 5_000), "c");
    let posts = [bucket(&rate("post", 10, 1_000, AgeFrom::Answer), "w"), order];
    let mut model = Model::new();
    let slow = flood(&mut model, &posts, 1, 1)[0];
    let [second, third] = flood(&mut model, &posts, 1, 2)[..] else { panic!("two") };
    model.pass(seconds(6));
    model.replay(slow, seconds(1));
    model.pass(seconds(2));
    assert_eq!(sent(&model, 0), [slow, second]);
    model.settle(second, Outcome::Answered);
    assert_eq!(sent(&model, 2), [slow]);
    model.settle(slow, Outcome::Answered);
    // After the surprise, posts are kept apart.
    model.pass(millis(200));
    assert_eq!(sent(&model, 3), [third]);
}

/// Where no other has gone meanwhile, there is no order to lose.
#[test]
fn a_post_that_was_given_up_for_nobody_keeps_its_place() {
    let order = bucket(&in_order("in_order", 5_000), "c");
    let posts = [bucket(&rate("post", 10, 1_000, AgeFrom::Answer), "w"), order.clone()];
    let mut model = Model::new();
    let slow = flood(&mut model, &posts, 1, 1)[0];
    model.pass(seconds(6));
    model.replay(slow, seconds(10));
    let next = flood(&mut model, &[order], 1, 1)[0];
    model.pass(seconds(10));
    assert_eq!(sent(&model, 1), [slow]);
    model.settle(slow, Outcome::Answered);
    assert_eq!(sent(&model, 2), [next]);
}

/// Red when a call that waits for another limit stands in no line, when classes count in one, and
/// where nobody looks when the first has left.
#[test]
fn in_an_order_the_oldest_goes_first_for_whatever_it_waits() {
    let order = bucket(&in_order("in_order", 5_000), "c");
    let [update, delete] = ["update", "delete"].map(|name| {
        let tier = bucket(&rate(name, 1, 980, AgeFrom::Answer), "w");
        [tier, order.clone()]
    });
    let mut model = Model::new();
    let first = model.arrive(&update, Class::Normal, 1, PATIENT);
    model.settle(first, Outcome::Answered);
    let second = model.arrive(&update, Class::Background, 1, PATIENT);
    let third = model.arrive(&delete, Class::Interactive, 1, PATIENT);
    let leaves = model.arrive(&update, Class::Normal, 1, millis(1_500));
    let last = model.arrive(std::slice::from_ref(&order), Class::Interactive, 1, PATIENT);
    assert_eq!(sent(&model, 1), []);
    model.pass(seconds(1));
    assert_eq!(sent(&model, 1), [second]);
    model.settle(second, Outcome::Answered);
    assert_eq!(sent(&model, 2), [third]);
    model.settle(third, Outcome::Answered);
    assert!(model.held.contains_key(&leaves) && model.held.contains_key(&last));
    model.pass(millis(500));
    assert_eq!(sent(&model, 3), [last]);
    model.settle(last, Outcome::Answered);
    model.wind_up();
}

/// Red when a call keeps slots of its limit free while an older one is before it in an order.
#[test]
fn who_waits_in_a_line_claims_nothing() {
    let order = bucket(&in_order("in_order", 5_000), "c");
    let tier = bucket(&rate("tier", 1, 980, AgeFrom::Answer), "w");
    let frozen = bucket(&rate("frozen", 9, 980, AgeFrom::Answer), "w");
    let mut model = Model::new();
    model.freeze(&frozen, model.now + seconds(10));
    model.arrive(&[frozen, order.clone()], Class::Normal, 1, PATIENT);
    let full = flood(&mut model, std::slice::from_ref(&tier), 2, 1)[0];
    let behind = model.arrive(&[tier.clone(), order], Class::Interactive, 1, PATIENT);
    let other = flood(&mut model, &[tier], 2, 1)[0];
    model.settle(full, Outcome::Answered);
    model.pass(seconds(2));
    assert_eq!(sent(&model, 1), [other]);
    assert!(model.held.contains_key(&behind));
}
