//! What counted for one identity counts for another.

use std::slice;

use limits::Scope;

use super::{
    super::{Enqueued, Scheduler},
    *,
};

const TEAM: [Dimension; 2] = [Dimension::App, Dimension::Workspace];

/// A limit's buckets of a token that is counted by itself, and of the app and workspace that it
/// turns out to be of.
fn two(quota: u32) -> [BucketKey; 2] {
    use Dimension::{App, Method, Workspace};
    let tier = rate("tier", quota, 60_000, AgeFrom::Answer);
    let tier = per(&tier, &[App, Workspace, Method]);
    [bucket(&tier, "~t/~t/list"), bucket(&tier, "A1/T1/list")]
}

/// The token's identity is learnt.
fn learn(model: &mut Model, all: &mut [BucketKey]) {
    model.rename(all, &TEAM, "~t/~t", "A1/T1");
}

/// Red when the fuller window counts, and not both, and when permits are not told of it.
#[test]
fn of_two_buckets_that_become_one_all_slots_count() {
    let mut all = two(4);
    let mut model = Model::new();
    let before: Vec<_> =
        all.clone().into_iter().flat_map(|key| flood(&mut model, &[key], 1, 3)).collect();
    assert_eq!(model.in_flight.len(), 6);
    learn(&mut model, &mut all);
    let after = flood(&mut model, &all[1..], 1, 2);
    for number in before {
        model.settle(number, Outcome::Answered);
        model.pass(seconds(1));
    }
    model.pass(seconds(56));
    assert!(sent(&model, 6).is_empty(), "two slots have aged, and four are taken");
    model.pass(seconds(1));
    assert_eq!(sent(&model, 6), [after[0]]);
    model.wind_up();
}

/// Red when call groups are not joined, and when those who come over stand behind.
#[test]
fn who_waits_for_either_stands_in_one_line_by_age() {
    let mut all = two(1);
    let mut model = Model::new();
    let first = [flood(&mut model, &all[..1], 1, 1), flood(&mut model, &all[1..], 1, 1)].concat();
    let waiting: Vec<_> =
        (0..6).map(|n| model.arrive(&all[n % 2..=n % 2], Class::Normal, 1, PATIENT)).collect();
    learn(&mut model, &mut all);
    for number in first {
        model.settle(number, Outcome::Answered);
    }
    model.pass_answering(seconds(600));
    assert_eq!(sent(&model, 2), waiting);
}

/// Red when turns are forgotten.
#[test]
fn a_caller_stays_as_far_ahead_as_it_was() {
    let mut all = two(1);
    let mut model = Model::new();
    flood(&mut model, &all[..1], 1, 1);
    flood(&mut model, &all[1..], 9, 1);
    // Whoever had the last slot of a line is one turn ahead in it.
    flood(&mut model, &all[..1], 1, 3);
    let others = [flood(&mut model, &all[..1], 3, 1), flood(&mut model, &all[1..], 2, 1)].concat();
    learn(&mut model, &mut all);
    model.pass_answering(seconds(300));
    let turns = sent(&model, 2);
    assert!(others.iter().all(|other| turns[..2].contains(other)), "{turns:?}");
}

/// Red when the bucket forgets the name it had.
#[test]
fn a_call_under_the_old_name_counts_under_the_new_one() {
    let call = |key: &BucketKey| Call {
        buckets: vec![key.clone()],
        class: Class::Normal,
        caller: of(1),
        deadline: Instant::FAR,
        max_depth: None,
        place: None,
        again: Duration::ZERO,
    };
    for known in [false, true] {
        let mut scheduler = Model::new().scheduler;
        let [old, new] = two(2);
        let count = |scheduler: &mut Scheduler| scheduler.buckets(Instant::ZERO).count();
        let go = |scheduler: &mut Scheduler, key: &BucketKey| {
            matches!(scheduler.enqueue(Instant::ZERO, &call(key)), Enqueued::Granted(_))
        };
        assert!(go(&mut scheduler, &old));
        assert!(!known || go(&mut scheduler, &new));
        scheduler.rename(Instant::ZERO, Scope::of(&TEAM), "~t/~t", "A1/T1");
        assert_eq!(count(&mut scheduler), 1);
        assert_eq!(go(&mut scheduler, &old), !known, "known: {known}");
        assert!(!go(&mut scheduler, &new));
        assert_eq!(count(&mut scheduler), 1);
    }
}

/// Red where a bucket forgets a name too early, or keeps all of them.
#[test]
fn a_bucket_answers_to_its_last_four_names() {
    use Dimension::{App, Workspace};
    let tier = per(&rate("tier", 9, 60_000, AgeFrom::Answer), &[App, Workspace]);
    let mut scheduler = Model::new().scheduler;
    let buckets_with = |scheduler: &mut Scheduler, name: u32| {
        let key = bucket(&tier, &format!("A1/T{name}"));
        scheduler.freeze(Instant::ZERO, key, Instant::ZERO);
        scheduler.buckets(Instant::ZERO).count()
    };
    assert_eq!(buckets_with(&mut scheduler, 0), 1);
    for name in 0..5 {
        let (from, to) = (format!("A1/T{name}"), format!("A1/T{}", name + 1));
        scheduler.rename(Instant::ZERO, Scope::of(&[App, Workspace]), &from, &to);
    }
    assert_eq!([5, 4, 3, 2, 1].map(|name| buckets_with(&mut scheduler, name)), [1; 5]);
    assert_eq!(buckets_with(&mut scheduler, 0), 2);
}

/// Red when two posts of one caller go at once, and when a replay does not find its bucket.
#[test]
fn posts_stay_in_order() {
    use Dimension::{App, Caller, Channel, Workspace};
    let order = per(&in_order("order", 5_000), &[App, Workspace, Channel, Caller]);
    let posts = rate("posts", 100, 1000, AgeFrom::Answer);
    let keys =
        |identity: &str| [bucket(&order, &format!("{identity}/c/1")), bucket(&posts, "everybody")];
    let (old, new) = (keys("~t/~t"), keys("A1/T1"));
    let mut model = Model::new();
    let calls: Vec<_> = [&old, &new, &old, &new]
        .into_iter()
        .map(|keys| model.arrive(keys, Class::Normal, 1, PATIENT))
        .collect();
    let mut all = [old, new].concat();
    learn(&mut model, &mut all);
    model.replay(calls[0], seconds(1));
    model.settle(calls[1], Outcome::Answered);
    model.pass_answering(seconds(10));
    assert_eq!(sent(&model, 2), [calls[0], calls[2], calls[3]]);
    model.wind_up();
}

/// Red when only one of the two knows that people are about, and how far ahead of the pace it is.
#[test]
fn slots_are_reserved_for_people_who_were_seen_in_either() {
    for seen in 0..2 {
        let mut all = two(20);
        let mut model = Model::new();
        model.pass(seconds(1000));
        flood(&mut model, slice::from_ref(&all[1 - seen]), 1, 1);
        model.arrive(slice::from_ref(&all[seen]), Class::Interactive, 9, PATIENT);
        flood(&mut model, slice::from_ref(&all[seen]), 1, 30);
        assert_eq!(model.in_flight.len(), 11, "half of a window, and one in the other");
        learn(&mut model, &mut all);
        model.pass(seconds(25));
        assert_eq!(model.in_flight.len(), 11, "nine slot times ahead, as before");
        model.pass(seconds(3));
        assert_eq!(model.in_flight.len(), 12);
    }
}

/// Red when only what background calls have of one of the two counts.
#[test]
fn background_has_its_share_of_what_two_become_once() {
    let mut all = two(8);
    let mut model = Model::new();
    for key in all.clone() {
        for _ in 0..6 {
            model.arrive(slice::from_ref(&key), Class::Background, 1, PATIENT);
        }
    }
    model.pass(seconds(21));
    assert_eq!(model.in_flight.len(), 6, "one in ten seconds, in each");
    learn(&mut model, &mut all);
    model.pass(seconds(300));
    assert_eq!(model.in_flight.len(), 6, "three quarters of the window");
}

/// Red when the earlier pause counts.
#[test]
fn the_later_pause_holds() {
    for at in [0, 1] {
        let mut all = two(2);
        let mut model = Model::new();
        for (key, pause) in all.clone().iter().zip([10 + 20 * at, 30 - 20 * at]) {
            model.freeze(key, model.now + seconds(pause));
        }
        learn(&mut model, &mut all);
        let call = model.arrive(&all[..1], Class::Normal, 1, PATIENT);
        model.pass(millis(29_999));
        assert!(sent(&model, 0).is_empty());
        model.pass(millis(1));
        assert_eq!(sent(&model, 0), [call]);
    }
}

/// Red when a name that comes back is taken for another bucket's.
#[test]
fn a_circle_of_names_ends_where_it_began() {
    let mut all = two(2);
    let mut model = Model::new();
    let call = model.arrive(&all[1..], Class::Normal, 1, PATIENT);
    for (from, to) in [("A1/T1", "A1/T1"), ("A1/T1", "B/T"), ("B/T", "C/T"), ("C/T", "A1/T1")] {
        model.rename(&mut all, &TEAM, from, to);
    }
    model.rename(&mut all, &TEAM, "nobody/knows", "A1/T1");
    model.rename(&mut all, &[Dimension::App], "A1", "A2");
    model.rename(&mut all, &TEAM, "A1", "A2");
    let states: Vec<_> = model.scheduler.buckets(model.now).collect();
    assert_eq!(states.iter().map(|state| &state.key).collect::<Vec<_>>(), [&all[1]]);
    assert_eq!(states[0].used, 1);
    model.settle(call, Outcome::Answered);
    model.wind_up();
}
