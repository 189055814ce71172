//! Slots are reserved for people, and for nobody when no people are about.

use super::*;

/// Twenty calls a minute, the clock's grain included: one in three seconds.
fn tier() -> [BucketKey; 1] {
    [bucket(&rate("tier", 20, 59_980, AgeFrom::Answer), "w")]
}

/// A model at a late time, so that nothing starts with the clock.
fn later() -> Model {
    let mut model = Model::new();
    model.pass(seconds(1000));
    model
}

/// A person's call comes and is answered.
fn click(model: &mut Model, buckets: &[BucketKey]) -> u64 {
    let number = model.arrive(buckets, Class::Interactive, 9, PATIENT);
    if model.in_flight.contains_key(&number) {
        model.settle(number, Outcome::Answered);
    }
    number
}

/// The times between the sends from the `nth` on.
fn gaps(model: &Model, nth: usize) -> Vec<Duration> {
    model.sent[nth..].windows(2).map(|pair| pair[1].0.since(pair[0].0)).collect()
}

/// Red without the share, and without spacing.
#[test]
fn background_calls_take_their_share_of_a_window_at_an_even_pace() {
    for (quota, share) in [(2, 1), (4, 3), (20, 15)] {
        let tier = [bucket(&rate("tier", quota, 59_980, AgeFrom::Answer), "w")];
        let mut model = later();
        for _ in 0..60 {
            model.arrive(&tier, Class::Background, 1, PATIENT);
        }
        model.pass_answering(seconds(300));
        assert!(model.sent.len() > 4);
        let pace = seconds(60) / share;
        assert!(gaps(&model, 0).iter().all(|gap| *gap == pace), "{share}: {:?}", gaps(&model, 0));
    }
}

/// Red when a share of nothing is nothing.
#[test]
fn a_window_of_one_slot_is_open_to_background_calls() {
    let tier = [bucket(&rate("tier", 1, 980, AgeFrom::Answer), "w")];
    let mut model = later();
    for _ in 0..5 {
        model.arrive(&tier, Class::Background, 1, PATIENT);
    }
    model.pass_answering(seconds(10));
    assert_eq!(gaps(&model, 0), [seconds(1); 4]);
}

/// Red without floors, and when a floor waits for the pace.
#[test]
fn one_in_ten_is_background_s_under_a_flood_even_where_it_comes_in_bursts() {
    let mut model = later();
    let drain: Vec<_> =
        (0..40).map(|_| model.arrive(&tier(), Class::Background, 1, PATIENT)).collect();
    for _ in 0..200 {
        model.arrive(&tier(), Class::Interactive, 2, PATIENT);
    }
    model.pass_answering(seconds(400));
    let bursts = sent(&model, 20);
    for ten in bursts[..100].windows(10) {
        assert!(ten.iter().any(|number| drain.contains(number)), "{ten:?}");
    }
}

/// Red when a floor that is due goes beyond the share.
#[test]
fn a_floor_takes_no_more_than_the_share() {
    let tier = [bucket(&rate("tier", 4, 980, AgeFrom::Answer), "w")];
    let mut model = Model::new();
    let drain = [(); 4].map(|()| model.arrive(&tier, Class::Background, 1, PATIENT));
    model.pass(seconds(1));
    assert_eq!(model.in_flight.len(), 3, "none of them is answered");
    let clicks = [(); 20].map(|()| model.arrive(&tier, Class::Interactive, 2, PATIENT));
    for click in clicks {
        model.settle(click, Outcome::Answered);
        model.pass(seconds(1));
        assert!(model.held.contains_key(&drain[3]), "after {click}");
    }
    model.pass(seconds(1));
    assert!(model.held.contains_key(&drain[3]), "nor when the clicks are over");
}

/// Red without the half, and without the pace.
#[test]
fn normal_calls_take_half_of_a_window_at_once_where_people_are_and_then_keep_its_pace() {
    let mut model = later();
    click(&mut model, &tier());
    flood(&mut model, &tier(), 1, 60);
    model.pass_answering(seconds(120));
    let gaps = gaps(&model, 0);
    assert_eq!(gaps[..9], [Duration::ZERO; 9], "ten at once, the click one of them");
    assert_eq!(gaps[9], seconds(27), "the ten are nine slot times ahead of the pace");
    assert_eq!(gaps[10..19], [seconds(3); 9], "until the window is full");
}

/// Red when people are expected for ever, or not at all.
#[test]
fn people_are_expected_for_ten_periods() {
    for (after, at_once) in [(millis(599_799), 10), (millis(599_800), 20)] {
        let mut model = later();
        click(&mut model, &tier());
        model.pass(after);
        flood(&mut model, &tier(), 1, 30);
        assert_eq!(model.in_flight.len(), at_once, "{after:?} after a click");
    }
}

/// Red without the pace.
#[test]
fn a_bunched_window_becomes_even_again_when_people_come() {
    let mut model = later();
    flood(&mut model, &tier(), 1, 150);
    assert_eq!(model.in_flight.len(), 20, "nobody is about");
    model.pass_answering(seconds(1));
    click(&mut model, &tier());
    model.pass_answering(seconds(300));
    let gaps = gaps(&model, 50);
    assert!(gaps.len() > 30);
    // A call that the full window made late by one slot time does not delay the next.
    assert!(gaps.iter().all(|gap| *gap <= seconds(6)), "{gaps:?}");
}

/// Red without the half, and without the pace.
#[test]
fn a_click_under_a_flood_waits_for_one_slot_time_at_most() {
    let mut model = later();
    click(&mut model, &tier());
    flood(&mut model, &tier(), 1, 150);
    let mut clicks = Vec::new();
    for _ in 0..25 {
        model.pass_answering(seconds(10));
        clicks.push((model.now, click(&mut model, &tier())));
    }
    model.pass_answering(seconds(60));
    for (came, number) in clicks {
        let (went, _) = model.sent.iter().find(|(_, sent)| *sent == number).unwrap();
        assert!(went.since(came) <= seconds(3), "{number} waited {:?}", went.since(came));
    }
}
