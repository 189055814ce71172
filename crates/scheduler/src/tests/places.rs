//! Who is sent away keeps its place.

use super::{super::Instant, *};

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

/// The second of two that are alike cannot be told from the first one that comes again. Red when
/// each leaves a place.
#[test]
fn two_calls_that_are_alike_have_one_place() {
    let (mut model, tier) = busy(WIDE);
    let waits = [1, 1].map(|place| sent_away(&mut model, &tier, place));
    assert_eq!(waits, [10, 10].map(seconds));
    assert_eq!(model.scheduler.places(), 1);
    assert_eq!(sent_away(&mut model, &tier, 2), seconds(20), "behind one");
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

/// Otherwise to ask often would pay. Red when who is early and waits is as old as it was, and when
/// it leaves its place though it waits.
#[test]
fn who_comes_back_early_and_waits_counts_as_new() {
    let (mut model, tier) = busy(WIDE);
    sent_away(&mut model, &tier, 1);
    let other = flood(&mut model, &tier, 1, 1)[0];
    model.pass(millis(9_999));
    let early = comes_back(&mut model, &tier, 1);
    assert_eq!(model.scheduler.places(), 0);
    model.pass_answering(seconds(30));
    assert_eq!(sent(&model, 1), [other, early]);
}

/// A call whose client comes back by itself: waits so long, and so long again.
fn waits_twice(model: &mut Model, tier: &[BucketKey], wait: Duration, again: Duration) -> u64 {
    let deadline = model.now + wait;
    model.offer(tier, |call| {
        (call.deadline, call.again) = (deadline, again);
        call.place = Some(PlaceId::of(1));
    })
}

/// Red when it is sent away at once, and when it is held though both waits are too short.
#[test]
fn who_can_wait_twice_is_held_till_its_deadline() {
    let (mut model, tier) = busy(WIDE);
    let number = waits_twice(&mut model, &tier, seconds(5), seconds(4));
    assert_eq!(model.refusals[&number].retry_at.since(model.now), seconds(10));
    let number = waits_twice(&mut model, &tier, seconds(5), seconds(5));
    model.pass_answering(millis(4_999));
    assert!(model.held.contains_key(&number));
    model.pass_answering(millis(1));
    assert_eq!(model.refusals[&number].retry_at.since(model.now), seconds(5), "its turn");
}

/// Red when it counts as new, or is as old as it was where it comes too early for that.
#[test]
fn who_waits_again_keeps_its_place() {
    for (comes_in, is_first) in [(2_999, false), (3_000, true), (4_900, true)] {
        let (mut model, tier) = busy(WIDE);
        waits_twice(&mut model, &tier, seconds(5), seconds(5));
        let later = flood(&mut model, &tier, 1, 2);
        model.pass_answering(seconds(5) + millis(comes_in));
        let back = waits_twice(&mut model, &tier, seconds(60), seconds(2));
        model.pass_answering(seconds(60));
        let expected =
            if is_first { [back, later[0], later[1]] } else { [later[0], later[1], back] };
        assert_eq!(sent(&model, 1), expected, "{comes_in} ms");
    }
}

/// Red when places have no bound.
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
    let order = bucket(&in_order("in_order", 5_000), "c");
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

/// A call of that caller and class that cannot wait is sent away.
fn leaves_a_place(model: &mut Model, tier: &[BucketKey], class: Class, caller: u64, place: u64) {
    let deadline = model.now;
    let number = model.offer(tier, |call| {
        call.class = class;
        call.caller = of(caller);
        call.deadline = deadline;
        call.place = Some(PlaceId::of(place));
    });
    assert!(model.refusals.contains_key(&number));
}

/// Whether a call that cannot wait goes.
fn goes(model: &mut Model, tier: &[BucketKey], caller: u64) -> bool {
    let number = model.arrive(tier, Class::Normal, caller, Duration::ZERO);
    model.in_flight.contains_key(&number)
}

/// One caller that does not come again, and many: either way. Red when the forecast that decides
/// counts places.
#[test]
fn nobody_is_sent_away_for_those_who_are_not_here() {
    for class in [Class::Normal, Class::Background] {
        for others in [1, 100] {
            let tier = [bucket(&rate("tier", 20, 59_980, AgeFrom::Answer), "w")];
            let mut model = Model::new();
            for number in flood(&mut model, &tier, 1_000, 20) {
                model.settle(number, Outcome::Answered);
            }
            for place in 0..100 {
                leaves_a_place(&mut model, &tier, class, 1 + place % others, place);
            }
            // Two windows; background calls, which have their share, take twice as long.
            let (calls, wait) = match class {
                Class::Background => (30, seconds(180)),
                _ => (40, seconds(121)),
            };
            for _ in 0..calls {
                model.arrive(&tier, class, 2_000, wait);
            }
            assert_eq!(model.held.len(), calls, "{class:?} beside {others}");
            model.pass_answering(wait);
            assert_eq!(model.sent.len(), 20 + calls, "{class:?} beside {others}");
        }
    }
}

/// Red when places count as calls in one of the bounds.
#[test]
fn places_take_nothing_of_the_queue() {
    for bounds in [Bounds { per_bucket: 20, ..WIDE }, Bounds { total: 20, ..WIDE }] {
        let (mut model, tier) = busy(bounds);
        for lane in 0..100 {
            leaves_a_place(&mut model, &tier, Class::Normal, lane, lane);
        }
        assert_eq!(model.scheduler.places(), 20, "{bounds:?}");
        for _ in 0..2 {
            let held = model.offer(&tier, |call| call.max_depth = Some(2));
            assert!(model.held.contains_key(&held), "{bounds:?}: {:?}", model.refusals.get(&held));
        }
    }
}

/// Red when the first places are dropped, or those that come last.
#[test]
fn of_too_many_places_those_with_the_latest_times_are_dropped() {
    for bounds in [Bounds { per_bucket: 10, ..WIDE }, Bounds { total: 10, ..WIDE }] {
        let (mut model, tier) = busy(bounds);
        for place in 0..20 {
            leaves_a_place(&mut model, &tier, Class::Normal, 2, place);
        }
        // The second one's turn is before the third one of the other.
        for place in [100, 101] {
            leaves_a_place(&mut model, &tier, Class::Normal, 3, place);
        }
        let kept = |place: &u64| model.scheduler.has_place(PlaceId::of(*place));
        let kept: Vec<_> = (0..200).filter(kept).collect();
        assert_eq!(kept, [0, 1, 2, 3, 4, 5, 6, 7, 100, 101], "{bounds:?}");
    }
}

/// Red when each early return leaves a place, or the one that it has waits longer each time.
#[test]
fn a_call_that_is_tried_in_a_loop_has_one_place() {
    let (mut model, tier) = busy(WIDE);
    for n in 0..50 {
        let deadline = model.now;
        let again = model.offer(&tier, |call| {
            call.deadline = deadline;
            call.place = Some(PlaceId::of(1));
        });
        let wait = model.refusals[&again].retry_at.since(model.now);
        assert_eq!(wait, millis(10_000 - n * 100));
        model.pass(millis(100));
    }
    assert_eq!(model.scheduler.places(), 1);
    assert_eq!(sent_away(&mut model, &tier, 2), seconds(15), "behind one");
}

/// Red when a call that is sent away early is as one that is new.
#[test]
fn who_comes_back_early_and_must_go_again_is_as_old_as_it_was() {
    let (mut model, tier) = busy(WIDE);
    sent_away(&mut model, &tier, 1);
    let later = flood(&mut model, &tier, 1, 2);
    model.pass(seconds(5));
    model.freeze(&tier[0], model.now + seconds(10));
    let wait = sent_away(&mut model, &tier, 1);
    model.pass_answering(wait);
    let back = comes_back(&mut model, &tier, 1);
    model.pass_answering(seconds(30));
    assert_eq!(sent(&model, 1), [later[0], back, later[1]]);
}

/// Red when no slot is kept for a place that is due, when it is kept for ever, when all are, and
/// when those of other classes count.
#[test]
fn who_asks_all_the_time_leaves_a_slot_to_who_comes_when_it_was_told() {
    let tier = [bucket(&rate("tier", 2, 9_980, AgeFrom::Answer), "w")];
    for comes in [true, false] {
        let mut model = Model::new();
        for number in flood(&mut model, &tier, 1, 2) {
            model.settle(number, Outcome::Answered);
        }
        leaves_a_place(&mut model, &tier, Class::Normal, 2, 1);
        // This one is due, too, but nothing is kept for a class below.
        leaves_a_place(&mut model, &tier, Class::Background, 4, 2);
        model.pass(seconds(10));
        assert!(goes(&mut model, &tier, 3), "one slot is not kept");
        for _ in 0..19 {
            assert!(!goes(&mut model, &tier, 3));
            model.pass(millis(10));
        }
        if comes {
            let back = model.offer(&tier, |call| {
                call.caller = of(2);
                call.place = Some(PlaceId::of(1));
            });
            assert!(model.in_flight.contains_key(&back));
        }
        model.pass(millis(10));
        assert_eq!(goes(&mut model, &tier, 3), !comes, "a fiftieth of the period is over");
    }
}

/// Red when who can wait is sent away, and when it waits for longer than the moment.
#[test]
fn who_gives_way_and_can_wait_goes_as_soon_as_the_moment_is_over() {
    let (mut model, tier) = busy(WIDE);
    leaves_a_place(&mut model, &tier, Class::Normal, 2, 1);
    model.pass(seconds(10));
    let late = model.arrive(&tier, Class::Normal, 3, millis(199));
    assert_eq!(model.refusals[&late].retry_at.since(model.now), seconds(10), "behind the other");
    let waits = model.arrive(&tier, Class::Normal, 3, millis(200));
    model.pass(millis(199));
    assert!(model.held.contains_key(&waits));
    model.pass(millis(1));
    assert!(model.in_flight.contains_key(&waits));
}

/// Red when every call gives way.
#[test]
fn who_has_waited_or_is_more_urgent_does_not_give_way() {
    for urgent in [true, false] {
        let (mut model, tier) = busy(WIDE);
        leaves_a_place(&mut model, &tier, Class::Normal, 2, 1);
        let class = if urgent { Class::Interactive } else { Class::Normal };
        let comes = |model: &mut Model| model.arrive(&tier, class, 3, PATIENT);
        let number = if urgent {
            model.pass(seconds(10));
            comes(&mut model)
        } else {
            let number = comes(&mut model);
            model.pass(seconds(10));
            number
        };
        assert!(model.in_flight.contains_key(&number), "urgent: {urgent}");
    }
}

/// Red when the turns of others do not count by their tags.
#[test]
fn who_is_sent_away_is_told_by_the_turns_that_each_has() {
    let (mut model, tier) = busy(WIDE);
    for place in 0..50 {
        leaves_a_place(&mut model, &tier, Class::Normal, 2, place);
    }
    let mut told = |caller, place| {
        let number = model.offer(&tier, |call| {
            call.caller = of(caller);
            call.deadline = Instant::ZERO;
            call.place = Some(PlaceId::of(place));
        });
        model.refusals[&number].retry_at.since(model.now)
    };
    assert_eq!(told(3, 100), seconds(20), "behind the first one of the other");
    assert_eq!(told(3, 101), seconds(40), "behind two, and its own");
    assert_eq!(told(2, 102), seconds(530), "behind fifty, and two");
}

/// Red when who gives way does not look at the next slot.
#[test]
fn who_gives_way_goes_before_the_moment_is_over_if_there_is_another_slot() {
    let tier = [bucket(&rate("tier", 2, 9_980, AgeFrom::Answer), "w")];
    let mut model = Model::new();
    for number in flood(&mut model, &tier, 1, 2) {
        model.settle(number, Outcome::Answered);
        model.pass(millis(100));
    }
    leaves_a_place(&mut model, &tier, Class::Normal, 2, 1);
    model.pass(millis(9_850));
    let gives_way = model.arrive(&tier, Class::Normal, 3, PATIENT);
    model.pass(millis(49));
    assert!(model.held.contains_key(&gives_way));
    model.pass(millis(1));
    assert!(model.in_flight.contains_key(&gives_way));
}
