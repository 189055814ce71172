//! When a call is told to come back.

use super::{
    super::{Instant, model::End},
    *,
};

#[test]
fn who_would_wait_too_long_is_told_at_once_when_to_come_back() {
    let tier = rate("tier", 2, 60_000, AgeFrom::Answer);
    let mut judge = Judge::new();
    for _ in 0..2 {
        let number = judge.arrive(&[bucket(&tier, "w")], Class::Normal, 1, seconds(8));
        judge.settle(number, Outcome::Answered);
    }
    judge.arrive(&[bucket(&tier, "w")], Class::Normal, 1, seconds(8));
    assert_eq!(judge.ended.last(), Some(&(3, End::Refused)));
    let held = judge.arrive(&[bucket(&tier, "w")], Class::Normal, 1, seconds(61));
    assert!(judge.held.contains_key(&held));
    judge.freeze(&bucket(&tier, "w"), Instant::ZERO + seconds(300));
    judge.pass(seconds(61));
    assert_eq!(judge.ended.last(), Some(&(held, End::Expired)));
}
