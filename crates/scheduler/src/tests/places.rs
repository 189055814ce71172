//! Who is sent away keeps its place.

use super::*;

/// One call in ten seconds, and one has just been answered.
fn busy(bounds: Bounds) -> (Model, [BucketKey; 1]) {
    let tier = [bucket(&rate("tier", 1, 9_980, AgeFrom::Answer), "w")];
    let mut model = Model::with_bounds(bounds);
    let number = flood(&mut model, &tier, 1, 1)[0];
    model.settle(number, Outcome::Answered);
    (model, tier)
}

const WIDE: Bounds = Bounds { per_bucket: 1000, total: 1000 };

/// A call that cannot wait is sent away: tells after how long it is to come back.
fn sent_away(model: &mut Model, tier: &[BucketKey], place: u64) -> Duration {
    let deadline = model.now + seconds(1);
    let number = model.offer(tier, |call| {
        call.deadline = deadline;
        call.place = Some(PlaceId::of(place));
    });
    model.refusals[&number].retry_at.since(model.now)
}

/// It comes back, and can wait.
fn comes_back(model: &mut Model, tier: &[BucketKey], place: u64) -> u64 {
    model.offer(tier, |call| call.place = Some(PlaceId::of(place)))
}

/// Red when a call that returns is like a new one.
#[test]
fn who_comes_back_at_its_time_is_before_those_of_its_caller_that_came_later() {
    let (mut model, tier) = busy(WIDE);
    let wait = sent_away(&mut model, &tier, 1);
    let later = flood(&mut model, &tier, 1, 3);
    model.pass_answering(wait);
    let back = comes_back(&mut model, &tier, 1);
    model.pass_answering(seconds(60));
    assert_eq!(sent(&model, 1), [later[0], back, later[1], later[2]]);
}

/// Red when places do not count.
#[test]
fn each_that_is_sent_away_is_told_a_later_time() {
    let (mut model, tier) = busy(WIDE);
    let waits = [1, 2, 3, 4].map(|place| sent_away(&mut model, &tier, place));
    assert_eq!(waits, [10, 20, 30, 40].map(seconds));
}

/// Red when places never expire, and when they end with their time.
#[test]
fn a_place_that_nobody_claims_is_gone_a_little_after_its_time() {
    for (before, late) in [(0, seconds(2)), (3, seconds(4))] {
        let (mut model, tier) = busy(WIDE);
        flood(&mut model, &tier, 1, before);
        let wait = sent_away(&mut model, &tier, 1);
        model.pass_answering(wait + late.saturating_sub(millis(1)));
        assert_eq!(model.scheduler.places(), 1);
        model.pass_answering(millis(1));
        assert_eq!(model.scheduler.places(), 0, "{late:?} after its time");
    }
}

/// Red when the second place replaces the first.
#[test]
fn two_calls_that_are_alike_have_two_places() {
    let (mut model, tier) = busy(WIDE);
    let waits = [1, 1].map(|place| sent_away(&mut model, &tier, place));
    assert_eq!(waits, [10, 20].map(seconds));
    model.pass(seconds(10));
    let first = comes_back(&mut model, &tier, 1);
    model.pass_answering(seconds(10));
    let second = comes_back(&mut model, &tier, 1);
    assert_eq!(sent(&model, 1), [first, second]);
    assert_eq!(model.scheduler.places(), 0, "each took its own");
}

/// Red when none of those before it is taken to have gone, or all, or those that came later count.
#[test]
fn who_comes_back_and_must_go_again_is_told_by_its_turn() {
    let (mut model, tier) = busy(WIDE);
    flood(&mut model, &tier, 1, 5);
    assert_eq!(sent_away(&mut model, &tier, 1), seconds(60), "behind five");
    model.pass_answering(seconds(20));
    assert_eq!(model.held.len(), 3, "two have gone");
    model.freeze(&tier[0], model.now + seconds(140));
    flood(&mut model, &tier, 1, 2);
    model.pass(seconds(40));
    assert_eq!(sent_away(&mut model, &tier, 1), seconds(100 + 30), "a freeze, and three");
}

/// Otherwise to ask often would pay. Red when a place is taken at any time.
#[test]
fn who_comes_back_early_does_not_take_its_place() {
    let (mut model, tier) = busy(WIDE);
    sent_away(&mut model, &tier, 1);
    let other = flood(&mut model, &tier, 1, 1)[0];
    model.pass(millis(9_999));
    let early = comes_back(&mut model, &tier, 1);
    assert_eq!(model.scheduler.places(), 1);
    model.pass_answering(seconds(30));
    assert_eq!(sent(&model, 1), [other, early]);
}

/// Red when a place is kept in a full queue.
#[test]
fn no_more_places_are_kept_than_the_queue_has() {
    for bounds in [Bounds { per_bucket: 2, ..WIDE }, Bounds { total: 2, ..WIDE }] {
        let (mut model, tier) = busy(bounds);
        for place in 1..=4 {
            sent_away(&mut model, &tier, place);
        }
        assert_eq!(model.scheduler.places(), 2, "{bounds:?}");
    }
}

/// Red when a call that waited in vain leaves no place.
#[test]
fn who_waited_in_vain_keeps_its_place_too() {
    let (mut model, tier) = busy(WIDE);
    let deadline = model.now + seconds(15);
    let vain = model.offer(&tier, |call| {
        call.deadline = deadline;
        call.place = Some(PlaceId::of(1));
    });
    let later = flood(&mut model, &tier, 1, 2);
    model.freeze(&tier[0], deadline + seconds(5));
    model.pass(seconds(20));
    assert_eq!(model.refusals[&vain].retry_at, deadline + seconds(5));
    model.pass_answering(seconds(0));
    let back = comes_back(&mut model, &tier, 1);
    model.pass_answering(seconds(60));
    assert_eq!(sent(&model, 1), [later[0], back, later[1]]);
}

/// It asks for all of its limits again. Red when the place is only one in the lines of those
/// that it had no slot of.
#[test]
fn a_replayed_post_that_is_sent_away_finds_its_place() {
    let tier = [bucket(&rate("tier", 1, 9_980, AgeFrom::Answer), "w")];
    let order = bucket(&at_once("in_order", 1, AgeFrom::Send), "c");
    for waits in [0, 15] {
        let both = [tier[0].clone(), order.clone()];
        let mut model = Model::new();
        let deadline = model.now + seconds(waits);
        let post = model.offer(&both, |call| {
            call.deadline = deadline;
            call.place = Some(PlaceId::of(1));
        });
        model.replay(post, seconds(4));
        model.freeze(&tier[0], deadline + seconds(5));
        model.pass(seconds(waits));
        let due = model.refusals[&post].retry_at;
        model.pass(due.since(model.now));
        assert_eq!(model.scheduler.places(), 1, "sent away after {waits} s");
        comes_back(&mut model, &both, 1);
        assert_eq!(model.scheduler.places(), 0, "it has taken it");
    }
}
