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
    let bookmarks = [bucket(&at_once("bookmarks", 1, AgeFrom::Answer), "w")];
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
    let order = [bucket(&at_once("in_order", 1, AgeFrom::Send), "c")];
    let mut model = Model::new();
    let lost = flood(&mut model, &order, 1, 1)[0];
    let next = flood(&mut model, &order, 1, 1)[0];
    model.settle(lost, Outcome::Lost);
    assert!(model.in_flight.contains_key(&next));
}
