//! When calls may go at the earliest where others wait, too.

use super::*;

fn refused_until(one: &mut One, key: &BucketKey, wait: Duration) -> Option<Duration> {
    let call = Call {
        buckets: vec![key.clone()],
        class: Class::Normal,
        caller: of(2),
        deadline: one.now + wait,
        max_depth: None,
        place: None,
        again: Duration::ZERO,
    };
    match one.scheduler.enqueue(one.now, &call) {
        Enqueued::Refused(refusal) => Some(refusal.retry_at.since(one.now)),
        Enqueued::Granted(_) | Enqueued::Held(_) => None,
    }
}

/// Red when the pace of the limit is taken for the scheduler's own, or those who wait elsewhere
/// are not counted.
#[test]
fn all_who_wait_have_their_turns() {
    for (others, least) in [(0, 0), (1, 40), (3, 80)] {
        let mut one = One::of(2);
        let tier = bucket(&rate("tier", 6, 59_980, AgeFrom::Answer), "w");
        one.arrive(slice::from_ref(&tier), Class::Normal, 1);
        one.told(&tier, 0, 6, others);
        let until = refused_until(&mut one, &tier, Duration::ZERO);
        // One is before it, so it has the second turn of each of those that wait.
        assert_eq!(until, Some(seconds(least)), "{others}");
    }
}

/// Red when no slots held is a division by nothing.
#[test]
fn a_bucket_of_which_nothing_is_held_has_room_for_people_and_a_forecast() {
    let mut one = One::of(2);
    let tier = bucket(&rate("tier", 6, 59_980, AgeFrom::Answer), "w");
    one.arrive(slice::from_ref(&tier), Class::Interactive, 1);
    one.told(&tier, 0, 6, 2);
    one.link(Link::Alone);
    for class in Class::ALL {
        one.arrive(slice::from_ref(&tier), class, 1);
    }
    assert!(one.permits.is_empty());
    assert!(refused_until(&mut one, &tier, seconds(1)).is_none(), "when is not known");
    one.link(Link::LeaseOver);
    assert!(refused_until(&mut one, &tier, Duration::ZERO).is_some());
}

/// Red when who waits for the others' slots is said to wait for its own.
#[test]
fn why_it_waits_is_told() {
    let mut one = One::of(2);
    let tier = bucket(&rate("tier", 2, 59_980, AgeFrom::Answer), "w");
    let ticket = one.arrive(slice::from_ref(&tier), Class::Normal, 1).unwrap();
    one.told(&tier, 0, 2, 1);
    let (_, block) = one.scheduler.waits_for(one.now, ticket).unwrap();
    assert_eq!((block.reason, block.until), (BlockReason::Shared, None));
    let state: Vec<_> = one.scheduler.buckets(one.now).collect();
    assert_eq!((state[0].used, state[0].quota, state[0].held), (2, 2, Some(0)));
}

/// Red when a refusal is laid to the bucket of which this one has used most.
#[test]
fn what_others_use_counts_where_slack_refuses() {
    let mut one = One::of(2);
    let wide = bucket(&rate("wide", 4, 59_980, AgeFrom::Answer), "w");
    let narrow = bucket(&rate("narrow", 2, 29_980, AgeFrom::Answer), "w");
    one.arrive(slice::from_ref(&narrow), Class::Normal, 1);
    one.told(&narrow, 1, 1, 0);
    one.arrive(&[wide.clone(), narrow.clone()], Class::Normal, 1);
    one.told(&wide, 1, 4, 0);
    one.told(&narrow, 2, 2, 0);
    let permit = one.permits.remove(1);
    let headroom = one.scheduler.headroom(one.now, &permit).unwrap();
    assert_eq!((headroom.bucket.to_string().as_str(), headroom.left), ("wide:w", 0));
    let refused = one.scheduler.refused(one.now, &permit, seconds(3));
    assert_eq!(refused.freezes[0].bucket, wide);
    one.permits.push(permit);
}
