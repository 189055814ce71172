//! The three numbers: what is said, and when.

use super::*;

fn tier() -> BucketKey {
    bucket(&rate("tier", 4, 59_980, AgeFrom::Answer), "w")
}

/// Red when a slot is gained before it is heard of, given back late, or used again.
#[test]
fn a_slot_is_asked_for_used_and_given_back_when_it_has_aged() {
    let (mut one, tier) = (One::of(2), tier());
    one.arrive(slice::from_ref(&tier), Class::Normal, 1);
    assert!(one.permits.is_empty(), "nothing is held");
    let Ask { seen, taken, returned, wants, callers, quota, .. } = *one.asked(&tier);
    assert_eq!((seen, taken, returned, wants, callers, quota), (0, 0, 0, [0, 1, 0], 1, 4));
    one.told(&tier, 1, 1, 0);
    assert_eq!(one.permits.len(), 1);
    one.arrive(slice::from_ref(&tier), Class::Normal, 1);
    assert_eq!(one.asked(&tier).wants, [0, 1, 0]);
    one.told(&tier, 1, 4, 0);
    one.answer();
    let asks = one.asks.len();
    one.pass(seconds(59));
    assert_eq!(one.asks.len(), asks, "nothing has changed");
    one.pass(seconds(1));
    assert!(one.permits.is_empty(), "what has aged is given back, though a call waits");
    let Ask { seen, returned, wants, .. } = *one.asked(&tier);
    assert_eq!((seen, returned, wants), (1, 1, [0, 1, 0]));
    one.arrive(slice::from_ref(&tier), Class::Normal, 1);
    assert!(one.permits.is_empty(), "nor does one that comes after that have it");
}

/// Red when each change is said at once, or what is said is not asked for again after a loss.
#[test]
fn one_ask_of_a_bucket_is_on_its_way() {
    let (mut one, tier) = (One::of(2), tier());
    for _ in 0..3 {
        one.arrive(slice::from_ref(&tier), Class::Normal, 1);
    }
    assert_eq!((one.asks.len(), one.asked(&tier).wants), (1, [0, 1, 0]));
    one.told(&tier, 0, 4, 0);
    assert_eq!((one.asks.len(), one.asked(&tier).wants), (2, [0, 3, 0]));
    one.link(Link::Alone);
    assert_eq!(one.asks.len(), 2, "nobody hears it");
    one.link(Link::Connected { replicas: 2, hot: vec![tier.clone()] });
    assert_eq!((one.asks.len(), one.asked(&tier).wants), (3, [0, 3, 0]));
}

/// Red when who waits does not ask again with a beat, or who does not wait does.
#[test]
fn whoever_waits_asks_with_each_beat() {
    let (mut one, tier) = (One::of(2), tier());
    let ticket = one.arrive(slice::from_ref(&tier), Class::Normal, 1).unwrap();
    one.told(&tier, 0, 4, 0);
    let beat = || Link::Connected { replicas: 2, hot: Vec::new() };
    one.link(beat());
    assert_eq!(one.asks.len(), 2);
    one.told(&tier, 0, 4, 0);
    one.scheduler.cancel(one.now, ticket);
    one.look();
    assert_eq!((one.asks.len(), one.asked(&tier).wants), (3, [0; 3]), "that it waits no more");
    one.told(&tier, 1, 4, 0);
    assert_eq!((one.asks.len(), one.asked(&tier).returned), (4, 1), "it came too late");
    one.told(&tier, 1, 3, 0);
    one.link(beat());
    assert_eq!(one.asks.len(), 4);
    assert_eq!(one.scheduler.buckets(one.now).count(), 0, "nothing is left of it");
}

/// Red when what was meant for another life of a bucket, or of the store, counts.
#[test]
fn what_was_said_in_another_life_is_ignored() {
    let (mut one, tier) = (One::of(2), tier());
    one.arrive(slice::from_ref(&tier), Class::Normal, 1);
    let life = one.asked(&tier).life;
    for (epoch, life) in [(Epoch(6), life), (EPOCH, life + 1)] {
        let told = Told { epoch, life, granted: 1, answer: None };
        one.scheduler.leased(one.now, &tier, told);
        one.look();
        assert!(one.permits.is_empty());
    }
    let told = Told { epoch: EPOCH, life, granted: 1, answer: None };
    one.scheduler.leased(one.now, &tier, told);
    one.look();
    assert_eq!(one.permits.len(), 1);
}

/// Red when a call that is only watched is not told of.
#[test]
fn what_is_used_without_asking_is_taken() {
    let (mut one, tier) = (One::of(2), tier());
    let (buckets, caller) = (vec![tier.clone()], of(1));
    let (deadline, class) = (one.now + PATIENT, Class::Normal);
    let call = Call {
        buckets,
        class,
        caller,
        deadline,
        max_depth: None,
        place: None,
        again: Duration::ZERO,
    };
    let (permit, would_be_refused) = one.scheduler.bypass(one.now, &call);
    one.permits.push(permit);
    one.look();
    assert!(!would_be_refused, "nobody else is known to have used it up");
    let Ask { seen, taken, returned, .. } = *one.asked(&tier);
    assert_eq!((seen, taken, returned), (0, 1, 0));
}

/// Red when what was said of a bucket under its old name counts under the new one.
#[test]
fn what_is_used_is_taken_under_a_new_name() {
    for is_used in [false, true] {
        let (mut one, tier) = (One::of(2), tier());
        let renamed = bucket(&tier.limit, "v");
        one.arrive(slice::from_ref(&tier), Class::Normal, 1);
        one.told(&tier, 1, 1, 0);
        if is_used {
            one.arrive(slice::from_ref(&renamed), Class::Normal, 1);
            one.told(&renamed, 1, 2, 0);
        }
        let life = one.asked(&tier).life;
        one.scheduler.rename(one.now, Scope::of(&[Dimension::Workspace]), "w", "v");
        one.look();
        let Ask { taken, seen, returned, .. } = *one.asked(&renamed);
        let of_before = u64::from(is_used);
        assert_eq!((seen, taken, returned), (of_before, 1, 0));
        let told = Told { epoch: EPOCH, life, granted: 2, answer: None };
        one.scheduler.leased(one.now, &tier, told);
        one.arrive(slice::from_ref(&renamed), Class::Normal, 1);
        assert_eq!(one.permits.len(), 1 + usize::from(is_used), "that was another bucket's");
    }
}
