//! Calls that need several shared buckets.

use super::*;

fn slow() -> BucketKey {
    bucket(&rate("slow", 2, 59_980, AgeFrom::Answer), "w")
}

fn quick() -> BucketKey {
    bucket(&rate("quick", 1, 980, AgeFrom::Answer), "w")
}

fn order() -> BucketKey {
    bucket(&in_order("in_order", 5_000), "c/1")
}

/// Red when a call wants a slot in all of its buckets, or in the quickest first, or when what it
/// has collected is given back.
#[test]
fn a_call_wants_one_slot_after_the_other_the_slowest_first() {
    let (mut one, slow, quick) = (One::of(2), slow(), quick());
    one.arrive(&[quick.clone(), slow.clone()], Class::Normal, 1);
    assert_eq!((one.asks.len(), one.asked(&slow).wants), (1, [0, 1, 0]));
    one.told(&slow, 1, 1, 0);
    assert_eq!(one.asked(&slow).returned, 0, "it is kept");
    assert_eq!(one.asked(&quick).wants, [0, 1, 0]);
    one.told(&quick, 1, 1, 0);
    assert_eq!(one.permits.len(), 1);
}

/// Red when a slot is kept for a call that is gone.
#[test]
fn what_a_call_has_collected_is_given_back_when_it_leaves() {
    let (mut one, slow, quick) = (One::of(2), slow(), quick());
    let ticket = one.arrive(&[quick.clone(), slow.clone()], Class::Normal, 1).unwrap();
    one.told(&slow, 1, 1, 0);
    one.scheduler.cancel(one.now, ticket);
    one.look();
    assert_eq!(one.asked(&slow).returned, 1);
}

/// Red when each call of a group wants a slot, though only one can go.
#[test]
fn posts_in_order_want_one_slot_at_a_time() {
    let (mut one, slow, order) = (One::of(2), slow(), order());
    for _ in 0..5 {
        one.arrive(&[slow.clone(), order.clone()], Class::Normal, 1);
    }
    one.told(&slow, 0, 1, 0);
    assert_eq!(one.asked(&slow).wants, [0, 1, 0]);
    one.told(&slow, 1, 2, 0);
    let asks = one.asks.len();
    assert_eq!((one.permits.len(), one.asks[asks - 1].wants), (1, [0; 3]), "none until its answer");
    one.told(&slow, 1, 2, 0);
    one.answer();
    assert_eq!(one.asked(&slow).wants, [0, 1, 0], "the next one");
}

/// Red when a later post of the same caller collects beside the first one.
#[test]
fn who_collects_keeps_its_place_among_posts() {
    let (mut one, slow, quick, order) = (One::of(2), slow(), quick(), order());
    let all = [slow.clone(), quick.clone(), order];
    one.arrive(&all, Class::Normal, 1);
    one.told(&slow, 1, 1, 0);
    let asks = one.asks.len();
    one.arrive(&all, Class::Normal, 1);
    assert_eq!(one.asks.len(), asks, "it waits for the first one");
    assert_eq!(one.asked(&quick).wants, [0, 1, 0]);
}

/// Red when slots are kept through a freeze, of a bucket that is waited for, kept, or open.
#[test]
fn what_was_collected_is_given_back_in_a_freeze() {
    let whole = bucket(&open("whole", &[Dimension::App]), "w");
    for frozen in [slow(), quick(), whole.clone()] {
        let (mut one, slow, quick) = (One::of(2), slow(), quick());
        one.arrive(&[quick.clone(), slow.clone(), whole.clone()], Class::Normal, 1);
        one.told(&slow, 1, 1, 0);
        one.told(&quick, 0, 1, 0);
        one.scheduler.freeze(one.now, frozen.clone(), one.now + seconds(30));
        one.look();
        assert_eq!(one.asked(&slow).returned, 1, "{frozen}");
        one.told(&slow, 1, 0, 0);
        one.told(&quick, 0, 1, 0);
        let asks = one.asks.len();
        one.pass(seconds(29));
        assert_eq!(one.asks.len(), asks, "it wants nothing until then");
        one.pass(seconds(2));
        assert_eq!(one.asks.last().map(|ask| ask.wants), Some([0, 1, 0]), "{frozen}");
    }
}

/// Red when a call keeps a slot that it may use without the store only: the store grants it to others.
#[test]
fn what_is_used_without_the_store_is_not_collected() {
    let tier = bucket(&rate("tier", 300, 59_980, AgeFrom::Answer), "w");
    let limit = rate("posts", 1, 980, AgeFrom::Send);
    let limits::Rule::Rate(rate) = limit.rule else { unreachable!() };
    let rule = limits::Rule::Rate(limits::Rate { tolerates: 5.try_into().ok(), ..rate });
    let posts = bucket(&limits::Limit { rule, ..limits::Limit::clone(&limit) }.into(), "c");
    for slow in [slow(), posts] {
        let mut one = One::of(2);
        let needs = [slow.clone(), tier.clone()];
        let hot = vec![tier.clone()];
        one.link(Link::Connected { replicas: 2, hot: hot.clone() });
        one.link(Link::Alone);
        one.arrive(&needs, Class::Normal, 1);
        assert_eq!(one.permits.len(), 0, "of the other one it holds nothing");
        one.link(Link::Connected { replicas: 2, hot });
        one.told(&tier, 1, 1, 0);
        assert_eq!((one.asked(&slow).taken, one.asked(&slow).wants), (0, [0, 1, 0]), "{slow}");
        one.told(&slow, 1, 1, 0);
        one.told(&tier, 1, 0, 0);
        one.told(&tier, 2, 1, 0);
        assert_eq!(one.permits.len(), 1);
    }
}

/// A call of twenty a minute and one a second, beside floods of each at other replicas. Red when
/// what is collected is given back, or all is asked for together.
#[test]
fn a_call_of_two_flooded_limits_is_served_among_replicas() {
    let slow = bucket(&rate("slow", 20, 6_000, AgeFrom::Answer), "w");
    let quick = bucket(&rate("quick", 1, 100, AgeFrom::Answer), "w");
    let mut world = World::new(3, vec![slow.clone(), quick.clone()], Net::of(1));
    world.pass(seconds(1));
    let needs = [vec![slow.clone(), quick.clone()], vec![slow], vec![quick]];
    for (at, buckets) in needs.iter().enumerate() {
        for _ in 0..400 {
            let buckets = buckets.clone();
            world.arrive(at, Shared { buckets, class: Class::Normal, caller: 1 });
        }
    }
    let waited = |world: &World| world.replicas[0].held.len();
    let before = waited(&world);
    for _ in 0..3_000 {
        world.pass(millis(10));
        let flying = world.flying();
        for number in flying {
            world.settle(number, Outcome::Answered);
        }
    }
    let served = before - waited(&world);
    assert!(served >= 45, "{served} of the fifty that are its part of the slow one");
}
