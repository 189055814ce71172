//! Buckets that get another name.

use super::*;

const TEAM: [Dimension; 2] = [Dimension::App, Dimension::Workspace];

/// A limit's buckets of a token that is counted by itself, of the workspace that it turns out to be of, and
/// of another method there.
fn two() -> [BucketKey; 2] {
    use Dimension::{App, Method, Workspace};
    let tier = rate("tier", 4, 1_000, AgeFrom::Answer);
    let tier = per(&tier, &[App, Workspace, Method]);
    [bucket(&tier, "~t/~t/list"), bucket(&tier, "A1/T1/list")]
}

/// So many replicas, which know of each other, have these buckets.
fn world(replicas: usize, buckets: [&BucketKey; 2]) -> World {
    let mut world = World::new(replicas, buckets.map(Clone::clone).to_vec(), Net::of(1));
    world.patience = None;
    world.pass(seconds(1));
    world
}

fn learns(world: &mut World, at: usize) {
    let now = world.now;
    world.replicas[at].scheduler.rename(now, Scope::of(&TEAM), "~t/~t", "A1/T1");
}

fn arrive(world: &mut World, at: usize, bucket: &BucketKey, count: usize) {
    for _ in 0..count {
        let call = Shared { buckets: vec![bucket.clone()], class: Class::Normal, caller: 1 };
        world.arrive(at, call);
    }
}

fn answer(world: &mut World) {
    let flying = world.flying();
    for call in flying {
        world.settle(call, Outcome::Answered);
    }
}

fn used(world: &World, bucket: &BucketKey) -> u32 {
    world.store.used(world.now.as_nanos() / 1_000_000, &bucket.to_string())
}

/// Those who learn later whose calls they are use slots under the old name. Red when what they use is
/// granted under the new one, when nothing is used there, and when what is held under the old name is
/// never given back.
#[test]
fn until_all_have_learnt_it_no_more_is_used_than_was_held() {
    let [token, team] = two();
    let mut world = world(2, [&token, &team]);
    for at in [0, 1] {
        arrive(&mut world, at, &token, 2);
        world.pass(millis(50));
    }
    assert_eq!((world.flying().len(), used(&world, &token)), (4, 4));
    arrive(&mut world, 0, &token, 1);
    world.pass(millis(50));
    learns(&mut world, 0);
    world.pass(millis(400));
    assert_eq!((world.flying().len(), used(&world, &team)), (4, 2), "it would be the fifth");
    answer(&mut world);
    arrive(&mut world, 1, &token, 4);
    world.pass(millis(1_150));
    assert_eq!(world.flying().len(), 3, "the one that waited, and as many as the other held");
    assert_eq!((used(&world, &token), used(&world, &team)), (4, 1));
    learns(&mut world, 1);
    world.pass(millis(400));
    assert_eq!((used(&world, &token), used(&world, &team)), (0, 4));
    assert_eq!(world.flying().len(), 4, "all of the limit is used again");
    world.wind_up();
}

/// Red when who held nothing under the old name uses what others use there, and when it waits for ever.
#[test]
fn who_held_nothing_waits_for_those_who_do() {
    let [token, team] = two();
    let mut world = world(2, [&token, &team]);
    arrive(&mut world, 1, &token, 4);
    world.pass(millis(50));
    arrive(&mut world, 0, &token, 1);
    world.pass(millis(50));
    learns(&mut world, 0);
    answer(&mut world);
    world.pass(millis(900));
    assert_eq!(world.flying().len(), 0);
    world.pass(millis(400));
    assert_eq!(world.flying().len(), 1, "all of the other one's have aged");
    world.wind_up();
}

/// The same where the other name is in use already.
#[test]
fn of_two_that_become_one_the_one_is_given_back() {
    let [token, team] = two();
    let mut world = world(1, [&token, &team]);
    arrive(&mut world, 0, &token, 2);
    arrive(&mut world, 0, &team, 1);
    world.pass(millis(50));
    assert_eq!((used(&world, &token), used(&world, &team)), (2, 1));
    learns(&mut world, 0);
    world.pass(millis(400));
    assert_eq!((used(&world, &token), used(&world, &team)), (0, 3));
    answer(&mut world);
    world.pass(millis(1_100));
    assert_eq!((used(&world, &token), used(&world, &team)), (0, 0));
    world.wind_up();
}

/// A token whose identity is never learnt elsewhere. Red when what is held under the old name is kept, or
/// nothing more is used, for ever.
#[test]
fn when_nothing_of_it_counts_any_more_it_is_given_back() {
    let [token, team] = two();
    let mut world = world(2, [&token, &team]);
    for at in [0, 1] {
        arrive(&mut world, at, &token, 2);
        world.pass(millis(50));
    }
    learns(&mut world, 0);
    answer(&mut world);
    for _ in 0..3 {
        world.pass(millis(600));
        arrive(&mut world, 1, &token, 1);
        answer(&mut world);
    }
    assert_eq!(used(&world, &token), 4, "the other one uses two of them");
    world.pass(millis(500));
    assert!(used(&world, &token) <= 2);
    world.wind_up();
}
