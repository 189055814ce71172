//! Schedulers that leave the others.

use super::*;
use crate::Farewell;

fn leaves(one: &mut One) -> Vec<Farewell> {
    let mut farewells = Vec::new();
    one.scheduler.leave(one.now, &mut farewells);
    farewells
}

/// Red when a slot that ages is given back at once, when one that is in flight is forgotten, and when
/// what is idle is kept.
#[test]
fn it_says_for_how_long_each_slot_still_counts() {
    let wide = bucket(&rate("wide", 6, 1_000, AgeFrom::Answer), "w");
    let mut one = One::of(2);
    for _ in 0..3 {
        one.arrive(slice::from_ref(&wide), Class::Normal, 1);
    }
    one.told(&wide, 3, 3, 0);
    assert_eq!(one.permits.len(), 3);
    one.answer();
    one.pass(millis(300));
    one.answer();
    let farewells = leaves(&mut one);
    let [Farewell { ask, left }] = &farewells[..] else { panic!("{farewells:?}") };
    assert_eq!((&ask.bucket, ask.wants, ask.quota), (&wide, [0; 3], 6));
    let period = seconds(1) + millis(20);
    let aging = [(1, millis(720)), (1, period)];
    assert_eq!(left[..2], aging);
    assert_eq!(left[2..], [(1, FLIGHT + period)]);
}

/// Red when a slot is used after all were said to be free.
#[test]
fn it_uses_nothing_any_more() {
    let wide = bucket(&rate("wide", 6, 1_000, AgeFrom::Answer), "w");
    let other = bucket(&rate("other", 6, 1_000, AgeFrom::Answer), "w");
    let mut one = One::of(2);
    one.arrive(slice::from_ref(&wide), Class::Normal, 1);
    one.arrive(slice::from_ref(&wide), Class::Normal, 1);
    let farewells = leaves(&mut one);
    assert_eq!(farewells[0].left, [], "nothing was granted yet");
    one.told(&wide, 2, 2, 0);
    one.link(Link::Connected { replicas: 1, hot: Vec::new() });
    one.link(Link::Alone);
    for bucket in [&wide, &other] {
        one.arrive(slice::from_ref(bucket), Class::Interactive, 1);
    }
    one.pass(seconds(600));
    assert_eq!(one.permits.len(), 0);
    assert_eq!(leaves(&mut one), []);
}

/// Red when the store is told a time for each of many slots, and when one is said to count shorter
/// than it does.
#[test]
fn of_many_slots_few_times_are_said() {
    let large = bucket(&rate("large", 500, 60_000, AgeFrom::Send), "w");
    let mut one = One::of(2);
    for at in 1..=500 {
        one.arrive(slice::from_ref(&large), Class::Normal, 1);
        one.told(&large, at, u32::try_from(at).unwrap(), 0);
        one.pass(millis(97));
    }
    assert_eq!(one.permits.len(), 500);
    let ends: Vec<_> = (1..=500_u32).map(|at| millis(60_020 - 97 * u64::from(at))).collect();
    let farewells = leaves(&mut one);
    let left = &farewells[0].left;
    assert!(left.len() <= 65, "{}", left.len());
    let said: Vec<_> = left.iter().flat_map(|(slots, left)| (0..*slots).map(|_| *left)).collect();
    assert_eq!(said.len(), 500);
    let more = |(said, end): (&Duration, &Duration)| *said >= *end && *said <= *end + seconds(1);
    assert!(said.iter().zip(ends.iter().rev()).all(more), "{left:?}");
}

/// What one has used the others have slot by slot, each as soon as it has aged. Red when they wait
/// until it is forgotten.
#[test]
fn others_have_each_slot_when_it_has_aged() {
    let wide = bucket(&rate("wide", 6, 1_000, AgeFrom::Answer), "w");
    let mut world = World::new(2, vec![wide.clone()], Net::of(1));
    world.pass(seconds(1));
    let arrive = |world: &mut World, at: usize| {
        let call = Shared { buckets: vec![wide.clone()], class: Class::Normal, caller: 1 };
        world.arrive(at, call);
    };
    for _ in 0..6 {
        arrive(&mut world, 0);
        world.pass(millis(50));
        let flying = world.flying();
        for call in flying {
            world.settle(call, Outcome::Answered);
        }
    }
    world.leave(0);
    (0..6).for_each(|_| arrive(&mut world, 1));
    let mut went = Vec::new();
    for _ in 0..30 {
        world.pass(millis(50));
        went.push(world.flying().len());
    }
    // The first was answered 300 ms ago.
    assert_eq!((went[13], went[16], went[20]), (0, 2, 6), "{went:?}");
}
