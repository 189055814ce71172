//! A call that needs several buckets has its turn, too, and holds up no more than it must.

use super::*;

/// Red when only the long window is looked at for the end of what a claim blocks.
#[test]
fn a_claim_lets_others_go_as_soon_as_the_window_of_bursts_has_another_slot() {
    let tier = in_bursts(&rate("tier", 6, 900, AgeFrom::Answer), 2);
    let order = at_once("in_order", 1, AgeFrom::Send);
    let mut judge = Judge::new();
    flood(&mut judge, &[bucket(&order, "c")], 1, 1);
    for wait in [100, 0] {
        let number = flood(&mut judge, &[bucket(&tier, "w")], 1, 1)[0];
        judge.settle(number, Outcome::Answered);
        judge.pass(millis(wait));
    }
    flood(&mut judge, &[bucket(&tier, "w"), bucket(&order, "c")], 1, 1);
    judge.pass(millis(221));
    let other = flood(&mut judge, &[bucket(&tier, "w")], 2, 1)[0];
    assert!(judge.held.contains_key(&other), "the one free slot is kept");
    judge.pass(millis(99));
    assert!(judge.in_flight.contains_key(&other), "there are two");
}
