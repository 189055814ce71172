//! What is used while the store is not heard.

use super::*;

fn tier(quota: u32) -> BucketKey {
    bucket(&rate("tier", quota, 59_980, AgeFrom::Answer), "w")
}

fn flood(one: &mut One, key: &BucketKey, calls: u32) {
    for _ in 0..calls {
        one.arrive(slice::from_ref(key), Class::Normal, 1);
    }
}

/// So many calls come, and the store, which has heard of none before, grants slots to some.
fn holds(one: &mut One, key: &BucketKey, calls: u32, granted: u64) {
    flood(one, key, calls);
    one.told(key, 0, 6, 0);
    one.told(key, granted, 6, 0);
}

/// Red when what has aged is given back to a store that is not heard.
#[test]
fn what_is_held_is_used_again() {
    let (mut one, tier) = (One::of(2), tier(6));
    holds(&mut one, &tier, 5, 2);
    assert_eq!(one.permits.len(), 2);
    one.link(Link::Alone);
    one.answer();
    one.answer();
    one.pass(seconds(60));
    assert_eq!(one.permits.len(), 2, "two of them, again");
    one.link(Link::Connected { replicas: 2, hot: Vec::new() });
    one.answer();
    one.answer();
    one.pass(seconds(60));
    assert_eq!((one.permits.len(), one.asked(&tier).returned), (0, 2));
}

/// Red when a replica has a part of what others have used, or none of what nobody has.
#[test]
fn of_a_cold_bucket_each_has_its_part() {
    for (hot, quota, goes) in [(false, 7, 3), (true, 7, 0), (false, 1, 0)] {
        let (mut one, tier) = (One::of(2), tier(quota));
        let hot = if hot { vec![tier.clone()] } else { Vec::new() };
        one.link(Link::Connected { replicas: 2, hot });
        one.link(Link::Alone);
        flood(&mut one, &tier, 5);
        assert_eq!(one.permits.len(), goes, "{quota}");
        one.link(Link::Connected { replicas: 2, hot: Vec::new() });
        let ask = one.asks.last().unwrap();
        assert_eq!(ask.taken, u64::try_from(goes).unwrap(), "it is told what was taken");
    }
}

/// Red when a bucket counts as cold of which others held more than a part when it was heard last.
#[test]
fn a_bucket_is_hot_by_what_was_heard_of_it() {
    for (used, goes) in [(3, 3), (4, 0)] {
        let (mut one, tier) = (One::of(3), tier(9));
        flood(&mut one, &tier, 4);
        one.told(&tier, 0, used, 0);
        one.link(Link::Alone);
        assert_eq!(one.permits.len(), goes, "{used}");
    }
}

/// Red when a limit of which bursts are tolerated stands still.
#[test]
fn a_limit_that_tolerates_bursts_goes_on_at_its_pace() {
    let limit = rate("posts", 1, 980, AgeFrom::Send);
    let limits::Rule::Rate(rate) = limit.rule else { unreachable!() };
    let rule = limits::Rule::Rate(limits::Rate { tolerates: 5.try_into().ok(), ..rate });
    let posts = bucket(&limits::Limit { rule, ..limits::Limit::clone(&limit) }.into(), "c");
    let mut one = One::of(3);
    one.link(Link::Connected { replicas: 3, hot: vec![posts.clone()] });
    one.link(Link::Alone);
    flood(&mut one, &posts, 3);
    assert_eq!(one.permits.len(), 1);
    one.pass(seconds(1));
    assert_eq!(one.permits.len(), 2);
    one.link(Link::LeaseOver);
    one.pass(seconds(1));
    assert_eq!(one.permits.len(), 3);
}

/// Red when more than a part is used after the lease, more than is held, or nothing for ever.
#[test]
fn after_the_lease_a_part_is_used() {
    for (granted, first, then) in [(5, 3, 3), (1, 1, 3)] {
        let (mut one, tier) = (One::of(2), tier(6));
        holds(&mut one, &tier, 20, granted);
        one.link(Link::Alone);
        one.link(Link::LeaseOver);
        for _ in 0..granted {
            one.answer();
        }
        one.pass(seconds(60));
        assert_eq!(one.permits.len(), first, "a part of six, and what is held");
        (0..first).for_each(|_| one.answer());
        one.pass(seconds(59));
        assert_eq!(one.permits.len(), 0);
        one.pass(seconds(1));
        assert_eq!(one.permits.len(), then, "a period, and a call's time");
    }
}

/// Red when time passes first, and what has aged meanwhile is used as if the lease still held.
#[test]
fn who_was_suspended_for_long_has_no_lease_when_it_goes_on() {
    let (mut one, tier) = (One::of(2), tier(6));
    holds(&mut one, &tier, 20, 5);
    one.link(Link::Alone);
    (0..5).for_each(|_| one.answer());
    one.now = one.now + seconds(100);
    one.link(Link::LeaseOver);
    assert_eq!(one.permits.len(), 3);
}

/// Red when a slot that was collected under a lease is used after it.
#[test]
fn what_was_collected_is_given_up_with_the_lease() {
    let (mut one, slow) = (One::of(3), tier(1));
    let quick = bucket(&rate("quick", 3, 980, AgeFrom::Answer), "w");
    one.arrive(&[slow.clone(), quick.clone()], Class::Normal, 1);
    one.told(&slow, 1, 1, 0);
    one.link(Link::Connected { replicas: 3, hot: vec![quick.clone()] });
    one.link(Link::Alone);
    one.link(Link::LeaseOver);
    one.pass(seconds(62));
    assert!(one.permits.is_empty(), "there is a part of the quick one, and none of the slow one");
    one.arrive(slice::from_ref(&quick), Class::Normal, 1);
    assert_eq!(one.permits.len(), 1);
}

/// Red when an unknown store makes a replica the only one, or the number of replicas is not used.
#[test]
fn who_has_never_heard_the_store_has_its_part_of_those_that_are_named() {
    for (replicas, goes) in [(None, 0), (Some(3), 2)] {
        let (mut one, tier) = (One::unheard(replicas), tier(7));
        flood(&mut one, &tier, 5);
        assert_eq!(one.permits.len(), goes);
        assert!(one.asks.is_empty(), "there is nobody to ask");
        one.link(Link::NewEpoch(EPOCH));
        assert_eq!(one.asks.last().map(|ask| ask.taken), u64::try_from(goes).ok());
        assert_eq!(one.scheduler.has_told_all(SHARD), goes == 0);
        one.told(&tier, 0, 2, 0);
        assert!(one.scheduler.has_told_all(SHARD));
    }
}

/// Red when who comes back by another name claims what it held, or forgets what it uses.
#[test]
fn who_was_forgotten_takes_only_what_it_uses() {
    let (mut one, tier) = (One::of(2), tier(6));
    holds(&mut one, &tier, 4, 2);
    let before = one.asked(&tier).life;
    one.link(Link::Forgotten);
    assert_eq!(one.asks.last().map(|ask| ask.life), Some(before), "it is nobody");
    one.link(Link::NewEpoch(EPOCH));
    let Ask { life, seen, taken, returned, .. } = *one.asked(&tier);
    assert!(life > before);
    assert_eq!((seen, taken, returned), (0, 2, 0));
}

/// Red when idle slots outlive a lease that is over into another life of the store.
#[test]
fn a_new_life_of_the_store_is_told_what_is_used() {
    let (mut one, tier) = (One::of(2), tier(6));
    holds(&mut one, &tier, 2, 2);
    one.answer();
    one.link(Link::Alone);
    one.pass(seconds(60));
    one.link(Link::LeaseOver);
    one.link(Link::NewEpoch(Epoch(8)));
    let Ask { epoch, seen, taken, returned, .. } = *one.asked(&tier);
    assert_eq!((epoch, seen, taken, returned), (Epoch(8), 2, 0, 1));
}

/// Red when slots are used again that were taken under a new name: the store grants them to others when
/// those of the old name have aged.
#[test]
fn what_was_taken_under_a_new_name_is_not_used_again() {
    for is_told in [false, true] {
        let (mut one, tier) = (One::of(2), tier(6));
        holds(&mut one, &tier, 4, 2);
        one.link(Link::Forgotten);
        one.link(Link::NewEpoch(EPOCH));
        one.link(Link::Connected { replicas: 2, hot: vec![tier.clone()] });
        if is_told {
            one.told(&tier, 0, 6, 0);
        }
        one.link(Link::Alone);
        one.answer();
        one.answer();
        one.pass(seconds(60));
        assert_eq!(one.permits.len(), 0);
    }
}

/// Red when slots are used again of which a store that grants has not heard in its life.
#[test]
fn what_was_granted_in_an_earlier_life_is_not_used_again_untold() {
    let (mut one, tier) = (One::of(2), tier(6));
    holds(&mut one, &tier, 4, 2);
    one.link(Link::NewEpoch(Epoch(8)));
    one.link(Link::Connected { replicas: 2, hot: vec![tier.clone()] });
    one.link(Link::Alone);
    one.answer();
    one.answer();
    one.pass(seconds(60));
    assert_eq!(one.permits.len(), 0);
}

/// Red when a slot is used again that was taken after the last ask that was answered.
#[test]
fn what_was_taken_since_the_last_answer_is_not_used_again() {
    let (mut one, tier) = (One::of(2), tier(6));
    one.arrive(slice::from_ref(&tier), Class::Normal, 1);
    one.told(&tier, 1, 1, 0);
    let call = Call {
        buckets: vec![tier.clone()],
        class: Class::Normal,
        caller: of(1),
        deadline: one.now + PATIENT,
        max_depth: None,
        place: None,
        again: Duration::ZERO,
    };
    let (permit, _) = one.scheduler.bypass(one.now, &call);
    one.permits.push(permit);
    one.look();
    assert_eq!(one.asked(&tier).taken, 1);
    one.link(Link::Connected { replicas: 2, hot: vec![tier.clone()] });
    one.link(Link::Alone);
    one.answer();
    one.answer();
    flood(&mut one, &tier, 5);
    one.pass(seconds(60));
    assert_eq!(one.permits.len(), 1, "of two");
}

/// Red when a part is used by what a store says that has lost its memory, or less is used after the lease
/// than the part of before.
#[test]
fn by_a_store_that_is_cold_no_part_is_used() {
    let (mut one, tier) = (One::of(2), tier(6));
    one.link(Link::NewEpoch(Epoch(8)));
    one.link(COLD);
    one.link(Link::Alone);
    flood(&mut one, &tier, 5);
    assert_eq!(one.permits.len(), 0, "it may be in use by those whom the store has not heard");
    one.link(Link::LeaseOver);
    one.pass(seconds(120));
    assert_eq!(one.permits.len(), 3, "as many as there were before");
}

/// Red when what is held is not used again after a store that grants nothing was heard.
#[test]
fn without_a_store_that_was_cold_what_is_held_is_used_again() {
    let (mut one, tier) = (One::of(2), tier(6));
    holds(&mut one, &tier, 5, 2);
    one.link(Link::NewEpoch(Epoch(8)));
    one.link(COLD);
    one.link(Link::Alone);
    one.answer();
    one.answer();
    one.pass(seconds(60));
    assert_eq!(one.permits.len(), 2);
}

/// Red when those that the store does not hear for a while leave a larger part to the others.
#[test]
fn there_are_at_least_as_many_as_are_named() {
    for (heard, goes) in [(1, 2), (3, 2), (6, 1)] {
        let (mut one, tier) = (One::unheard(Some(3)), tier(6));
        one.link(Link::NewEpoch(EPOCH));
        one.link(Link::Connected { replicas: heard, hot: Vec::new() });
        one.link(Link::Alone);
        flood(&mut one, &tier, 7);
        assert_eq!(one.permits.len(), goes, "{heard}");
    }
}

/// Red when what has aged is given back to a store that grants nothing, used again after it was told of
/// nothing, or kept when it grants again.
#[test]
fn while_the_store_is_cold_what_is_held_is_used_again() {
    let (mut one, tier) = (One::of(2), tier(6));
    holds(&mut one, &tier, 7, 2);
    one.link(Link::NewEpoch(Epoch(8)));
    one.link(COLD);
    for _ in 0..2 {
        one.answer();
        one.answer();
        one.pass(seconds(60));
        assert_eq!(one.permits.len(), 2, "two of them, again");
        assert_eq!(one.asked(&tier).returned, 0);
        one.link(COLD);
    }
    one.answer();
    one.link(Link::Connected { replicas: 2, hot: vec![tier.clone()] });
    one.answer();
    one.pass(seconds(60));
    assert_eq!((one.permits.len(), one.scheduler.held()), (0, 1), "others may have them now");
}

/// Red when what is idle of a lease that is over is kept in a new life of the store.
#[test]
fn what_was_idle_under_a_lease_that_is_over_is_given_back_to_a_cold_store() {
    let (mut one, tier) = (One::of(2), tier(6));
    holds(&mut one, &tier, 2, 2);
    one.answer();
    one.link(Link::Alone);
    one.pass(seconds(60));
    one.link(Link::LeaseOver);
    one.link(Link::NewEpoch(Epoch(8)));
    one.link(COLD);
    assert_eq!(one.asked(&tier).returned, 1);
    flood(&mut one, &tier, 3);
    assert_eq!(one.permits.len(), 1, "the one that is in use");
}

/// Red when slots are used again that were in use when the lease was over: they may be others' by now.
#[test]
fn what_was_in_use_after_the_lease_is_not_used_again() {
    let (mut one, tier) = (One::of(2), tier(6));
    holds(&mut one, &tier, 7, 2);
    one.link(Link::LeaseOver);
    one.link(Link::NewEpoch(EPOCH));
    one.link(Link::Connected { replicas: 2, hot: vec![tier.clone()] });
    one.told(&tier, 2, 6, 0);
    one.link(Link::Alone);
    one.answer();
    one.answer();
    one.pass(seconds(60));
    assert_eq!(one.permits.len(), 0);
}

/// Red when a store that waits for somebody keeps others from all limits, or by what it says a part is used.
#[test]
fn a_store_may_be_cold_for_slow_limits_only() {
    let (mut one, slow) = (One::of(2), tier(6));
    let quick = bucket(&rate("quick", 6, 980, AgeFrom::Answer), "w");
    for key in [&slow, &quick] {
        holds(&mut one, key, 4, 2);
    }
    let returned = |one: &One| [&slow, &quick].map(|key| one.asked(key).returned);
    one.link(Link::NewEpoch(EPOCH));
    one.link(COLD);
    // They have two calls that wait, and then none.
    for key in [&slow, &quick] {
        one.told(key, 2, 6, 0);
    }
    (0..4).for_each(|_| one.answer());
    one.pass(seconds(60));
    for key in [&slow, &quick] {
        one.told(key, 2, 6, 0);
        one.told(key, 2, 6, 0);
    }
    assert_eq!((one.permits.len(), returned(&one)), (4, [0, 0]), "they are used again");
    (0..4).for_each(|_| one.answer());
    one.link(Link::Cold { from: seconds(2), apart: None });
    one.pass(seconds(60));
    assert_eq!((one.permits.len(), returned(&one)), (0, [0, 2]));
    assert!(one.scheduler.is_cold(SHARD));
    one.link(Link::Cold { from: seconds(61), apart: None });
    assert_eq!(returned(&one), [2, 2]);
    assert!(!one.scheduler.is_cold(SHARD), "nothing is used of such a limit");
    one.link(Link::Alone);
    flood(&mut one, &bucket(&rate("other", 6, 980, AgeFrom::Answer), "w"), 1);
    assert_eq!(one.permits.len(), 0, "it may be in use by those whom the store has not heard");
}

/// Red when who holds a little of a quiet bucket may use no more than that, or a part beside it.
#[test]
fn of_a_quiet_bucket_who_holds_a_little_has_a_part_too() {
    for (used, goes) in [(1, 3), (3, 3), (4, 1)] {
        let (mut one, tier) = (One::of(2), tier(6));
        one.arrive(slice::from_ref(&tier), Class::Normal, 1);
        one.told(&tier, 1, used, 0);
        one.link(Link::Alone);
        flood(&mut one, &tier, 9);
        assert_eq!(one.permits.len(), goes, "{used}");
    }
}

/// Red when a quiet bot stands still after the lease, what others may use is used too, or a part after a
/// suspension.
#[test]
fn of_a_quiet_bucket_the_part_is_used_when_the_lease_is_over_too() {
    for (hot, noticed, goes) in [(false, true, 3), (true, true, 0), (false, false, 0)] {
        let (mut one, tier) = (One::of(2), tier(7));
        let hot = if hot { vec![tier.clone()] } else { Vec::new() };
        one.link(Link::Connected { replicas: 2, hot });
        if noticed {
            one.link(Link::Alone);
        }
        one.pass(seconds(30));
        one.link(Link::LeaseOver);
        // What was on its way in a suspension is late then.
        one.link(Link::Alone);
        flood(&mut one, &tier, 5);
        assert_eq!(one.permits.len(), goes);
        one.pass(seconds(120));
        assert_eq!(one.permits.len(), 3, "a period, and a call's time");
    }
}

/// The store grants nothing, because of others that it does not hear.
fn apart(replicas: u32) -> Link {
    Link::Cold { from: Duration::ZERO, apart: Some(replicas) }
}

/// Red when more than the part is used beside others that the store does not hear, and when the part is used as
/// long as they may use what they held.
#[test]
fn beside_others_that_the_store_does_not_hear_each_has_its_part() {
    for (held, at_first) in [(5, 3), (2, 2), (0, 0)] {
        let (mut one, tier) = (One::of(1), tier(6));
        if held > 0 {
            holds(&mut one, &tier, held, held.into());
        }
        one.link(apart(2));
        flood(&mut one, &tier, 20);
        assert_eq!(one.permits.len(), held as usize, "{held}");
        answers(&mut one);
        one.pass(seconds(60));
        assert_eq!(one.permits.len(), at_first, "{held}: of what it holds, no more than its part");
        answers(&mut one);
        // It hears of that with each beat, and the store may be lost for a moment.
        one.link(apart(2));
        one.link(Link::Alone);
        one.link(apart(2));
        one.pass(LEASE);
        one.pass(seconds(59));
        assert_eq!(one.permits.len(), at_first, "{held}: not longer than it has to");
        answers(&mut one);
        one.pass(seconds(61));
        assert_eq!(one.permits.len(), 3, "{held}: its part");
        answers(&mut one);
        // More come, and then all go.
        one.link(apart(3));
        one.pass(seconds(60));
        assert_eq!(one.permits.len(), 2, "{held}: of three");
        one.link(Link::Connected { replicas: 1, hot: Vec::new() });
        one.told(&tier, 6 + u64::from(held), 6, 0);
        assert!(one.permits.len() > 2, "{held}: the store grants slots again");
    }
}

/// Red when a slot of the whole limit is kept, to be used when the others use their parts.
#[test]
fn what_was_collected_is_given_up_beside_others_that_the_store_does_not_hear() {
    let mut one = One::of(1);
    let (slow, quick) = (tier(1), bucket(&rate("quick", 2, 980, AgeFrom::Answer), "c"));
    one.arrive(&[slow.clone(), quick.clone()], Class::Normal, 1);
    one.told(&slow, 1, 1, 0);
    one.link(apart(2));
    one.pass(LEASE + FLIGHT + seconds(2));
    assert!(one.permits.is_empty(), "there is a part of the quick one, and none of the slow one");
    flood(&mut one, &quick, 1);
    assert_eq!(one.permits.len(), 1);
}

/// All calls that went are answered.
fn answers(one: &mut One) {
    for _ in 0..one.permits.len() {
        one.answer();
    }
}
