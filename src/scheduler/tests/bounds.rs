//! How many calls are held.

use super::{super::model::End, *};

#[test]
fn a_full_queue_refuses_and_says_which() {
    let tier = rate("tier", 1, 1000, AgeFrom::Answer);
    let mut judge = Judge::with_bounds(Bounds { per_bucket: 2, total: 3 });
    for _ in 0..4 {
        judge.arrive(&[bucket(&tier, "a")], Class::Normal, 1, PATIENT);
    }
    assert_eq!(judge.ended, [(4, End::Refused)], "one in flight, two held");
    for _ in 0..3 {
        judge.arrive(&[bucket(&tier, "b")], Class::Normal, 1, PATIENT);
    }
    assert_eq!(judge.ended, [(4, End::Refused), (7, End::Refused)], "three held in all");
}
