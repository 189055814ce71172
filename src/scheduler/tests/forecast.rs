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

/// After how long a call that cannot wait is told to come back, where one goes in ten seconds
/// and so many of each class and caller wait: callers 2 and above.
fn told(waiting: &[(Class, u64, u8, u32)], class: Class) -> Duration {
    let tier = [bucket(&rate("tier", 1, 9_980, AgeFrom::Answer), "w")];
    let mut judge = Judge::new();
    let number = flood(&mut judge, &tier, 7, 1)[0];
    judge.settle(number, Outcome::Answered);
    for &(class, caller, times, calls) in waiting {
        for _ in 0..calls {
            judge.offer(&tier, |call| {
                call.class = class;
                call.caller = Caller { weight: weight(times), ..of(caller) };
            });
        }
    }
    let now = judge.now;
    let number = judge.arrive(&tier, class, 1, Duration::ZERO);
    judge.refusals[&number].retry_at.since(now)
}

/// Red when a caller's own calls do not count.
#[test]
fn a_forecast_counts_the_caller_s_own_calls() {
    assert_eq!(told(&[], Class::Normal), seconds(10));
    assert_eq!(told(&[(Class::Normal, 1, 1, 3)], Class::Normal), seconds(40));
}

/// Red when all others count, when none do, and when their weights do not.
#[test]
fn a_forecast_counts_the_turns_that_others_have_until_then() {
    let normal = |caller, weight, calls| (Class::Normal, caller, weight, calls);
    let behind_two = |other| told(&[normal(1, 1, 2), other], Class::Normal);
    assert_eq!(behind_two(normal(2, 1, 1)), seconds(40), "it has but one");
    assert_eq!(behind_two(normal(2, 1, 20)), seconds(60), "one turn for each, and the last");
    assert_eq!(behind_two(normal(2, 3, 20)), seconds(100), "three turns for each, and the last");
}

/// Red when classes do not count, and when a flood of urgent calls counts without its floors.
#[test]
fn a_forecast_knows_that_classes_go_first_and_how_far() {
    let of = |class, calls| (class, 2, 1, calls);
    assert_eq!(told(&[of(Class::Normal, 20)], Class::Interactive), seconds(10));
    assert_eq!(told(&[of(Class::Interactive, 2)], Class::Normal), seconds(30));
    assert_eq!(told(&[of(Class::Interactive, 20)], Class::Normal), seconds(40));
    assert_eq!(told(&[of(Class::Interactive, 20)], Class::Background), seconds(100));
}
