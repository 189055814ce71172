//! What a slot counts, and for how long.

use super::*;

#[test]
fn a_bucket_with_room_sends_at_once_and_then_at_the_pace_of_its_window() {
    let tier = rate("tier", 20, 60_000, AgeFrom::Answer);
    let mut judge = Judge::new();
    for _ in 0..45 {
        judge.arrive(&[bucket(&tier, "w")], Class::Normal, 1, PATIENT);
    }
    let mut sent = Vec::new();
    for _ in 0..150 {
        sent.push(judge.in_flight.len());
        for number in judge.in_flight.keys().copied().collect::<Vec<_>>() {
            judge.settle(number, Outcome::Answered);
        }
        judge.pass(seconds(1));
    }
    let bursts: Vec<_> = sent.into_iter().enumerate().filter(|(_, sent)| *sent > 0).collect();
    assert_eq!(bursts, [(0, 20), (61, 20), (122, 5)]);
    judge.wind_up();
}
