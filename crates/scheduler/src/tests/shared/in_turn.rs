//! Calls in order that need slots on lease.

use super::*;

fn tier(name: &str) -> BucketKey {
    bucket(&rate(name, 2, 59_980, AgeFrom::Answer), "w")
}

fn quick() -> BucketKey {
    bucket(&rate("quick", 1, 980, AgeFrom::Answer), "w")
}

/// Given up after five seconds.
fn order() -> BucketKey {
    bucket(&in_order("in_order", 5_000), "c/1")
}

/// Red when a call wants a slot that it cannot use because another one is before it, and where
/// nobody looks when that has gone.
#[test]
fn who_waits_for_an_older_call_wants_nothing() {
    let [update, delete] = ["update", "delete"].map(tier);
    let mut one = One::of(2);
    one.arrive(&[update.clone(), order()], Class::Background, 1);
    one.arrive(&[delete.clone(), order()], Class::Interactive, 1);
    assert_eq!((one.asks.len(), one.asked(&update).wants), (1, [0, 0, 1]));
    one.told(&update, 1, 1, 0);
    assert_eq!((one.permits.len(), one.asks_of(&delete)), (1, 0), "until it is answered");
    one.answer();
    assert_eq!(one.asked(&delete).wants, [1, 0, 0]);
    one.told(&delete, 1, 1, 0);
    assert_eq!(one.permits.len(), 1);
}

/// Red when the slot of the order is taken while others are collected: its patience is that of a
/// call that is on its way.
#[test]
fn who_collects_for_long_is_not_given_up() {
    let (mut one, slow, quick) = (One::of(2), tier("slow"), quick());
    let all = [slow.clone(), quick.clone(), order()];
    one.arrive(&all, Class::Normal, 1);
    one.told(&slow, 1, 1, 0);
    one.arrive(&[order()], Class::Interactive, 1);
    one.pass(seconds(20));
    assert!(one.permits.is_empty(), "the second one waits for the first");
    one.told(&quick, 1, 1, 0);
    assert_eq!(one.permits.len(), 1);
    one.pass(millis(4_999));
    assert_eq!(one.permits.len(), 1);
    one.pass(millis(1));
    assert_eq!(one.permits.len(), 2);
}

/// Red when a younger call keeps what the older one needs, goes before it, or still wants what it
/// cannot use.
#[test]
fn an_older_call_that_comes_back_collects_first() {
    let slow = bucket(&rate("slow", 1, 59_980, AgeFrom::Answer), "w");
    let quick = bucket(&rate("quick", 2, 980, AgeFrom::Answer), "w");
    let (mut one, order) = (One::of(2), order());
    one.arrive(&[quick.clone(), order.clone()], Class::Normal, 1);
    one.told(&quick, 1, 1, 0);
    one.arrive(&[slow.clone(), quick.clone(), order.clone()], Class::Normal, 1);
    // The first one is given up, and the second one collects.
    one.pass(seconds(6));
    one.told(&slow, 1, 1, 0);
    assert_eq!((one.asked(&slow).returned, one.asked(&quick).wants), (0, [0, 1, 0]));
    let given_up = one.permits.remove(0);
    one.replay(given_up, Outcome::Lost);
    assert_eq!(one.asked(&slow).returned, 1, "what the second one has collected");
    one.told(&slow, 1, 0, 0);
    assert_eq!(one.asked(&slow).wants, [0; 3]);
    one.told(&quick, 2, 2, 0);
    assert_eq!(one.permits.len(), 1);
    one.answer();
    assert_eq!(one.asked(&slow).wants, [0, 1, 0], "the second one, from the start");
}

/// Red when a call that is sent again keeps slots on lease, or gives up its turn.
#[test]
fn a_call_between_two_attempts_keeps_its_turn_and_nothing_else() {
    for (outcome, returned) in [(Outcome::Unsent, 1), (Outcome::Refused, 0)] {
        let at_work = bucket(&at_once("at_work", 2), "w");
        let (mut one, tier, order) = (One::of(2), tier("tier"), order());
        let all = [tier.clone(), at_work.clone(), order.clone()];
        one.arrive(&all, Class::Normal, 1);
        one.told(&tier, 1, 1, 0);
        one.told(&at_work, 1, 1, 0);
        one.arrive(slice::from_ref(&order), Class::Normal, 1);
        one.scheduler.end_attempt(one.now, &one.permits[0], outcome);
        one.look();
        one.pass(seconds(20));
        assert_eq!(one.permits.len(), 1, "the next one waits");
        assert_eq!((one.asked(&tier).returned, one.asked(&at_work).returned), (returned, 1));
        one.told(&at_work, 1, 0, 0);
        one.told(&tier, 1, 1 - u32::try_from(returned).unwrap(), 0);
        let permit = one.permits.remove(0);
        one.replay(permit, outcome);
        assert_eq!((one.asked(&tier).wants, one.asked(&at_work).wants), ([0, 1, 0], [0; 3]));
        one.told(&tier, 2, 2, 0);
        one.told(&at_work, 2, 1, 0);
        assert_eq!(one.permits.len(), 1, "it goes, and has a few seconds again");
        one.pass(millis(4_999));
        assert_eq!(one.permits.len(), 1);
        one.pass(millis(1));
        assert_eq!(one.permits.len(), 2);
    }
}

/// Red when a call that keeps its turn, and leaves, keeps what it has collected, or its turn.
#[test]
fn who_is_sent_again_and_leaves_gives_back_all() {
    let (mut one, tier, quick, order) = (One::of(2), tier("tier"), quick(), order());
    one.arrive(&[tier.clone(), quick.clone(), order.clone()], Class::Normal, 1);
    one.told(&tier, 1, 1, 0);
    one.told(&quick, 1, 1, 0);
    let permit = one.permits.remove(0);
    let Some(ticket) = one.replay(permit, Outcome::Unsent) else { panic!("it is held") };
    one.told(&tier, 2, 1, 0);
    one.arrive(slice::from_ref(&order), Class::Normal, 1);
    assert!(one.permits.is_empty(), "it collects again, and it is its turn");
    one.scheduler.cancel(one.now, ticket);
    one.look();
    assert_eq!((one.permits.len(), one.asked(&tier).returned), (1, 2));
}

/// Callers do not take turns within an order. Red when the call whose turn it is by its caller
/// gives the slot back that the older one could use.
#[test]
fn of_several_callers_in_one_order_the_oldest_call_goes_first() {
    let (mut one, tier, order) = (One::of(2), tier("tier"), order());
    let all = [tier.clone(), order];
    one.arrive(slice::from_ref(&tier), Class::Normal, 2);
    let first = one.arrive(&all, Class::Normal, 2).unwrap();
    // The other caller is next: this one has had a turn.
    one.told(&tier, 1, 1, 0);
    let second = one.arrive(&all, Class::Normal, 1).unwrap();
    one.told(&tier, 2, 2, 0);
    assert_eq!((one.permits.len(), one.asked(&tier).returned), (2, 0));
    assert!(one.scheduler.waits_for(one.now, first).is_none(), "it is gone");
    assert!(one.scheduler.waits_for(one.now, second).is_some());
}

/// Red when nobody looks at an order into which an older call comes.
#[test]
fn an_older_call_that_joins_an_order_collects_first() {
    let (mut one, slow, quick, order) = (One::of(2), tier("slow"), quick(), order());
    let first = one.arrive(slice::from_ref(&quick), Class::Normal, 1).unwrap();
    one.arrive(&[slow.clone(), quick.clone(), order.clone()], Class::Normal, 1);
    one.told(&slow, 1, 1, 0);
    assert_eq!(one.asked(&slow).returned, 0);
    one.scheduler.rebucket(one.now, vec![(first, vec![quick, order])]);
    one.look();
    assert_eq!((one.asked(&slow).returned, one.asked(&slow).wants), (1, [0; 3]));
}
