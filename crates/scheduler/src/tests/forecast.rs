//! When a call is told to come back.

use super::{
    super::{Instant, Share, bucket::Bucket, call::Slot, model::End, table::Id},
    *,
};

#[test]
fn who_would_wait_too_long_is_told_at_once_when_to_come_back() {
    let tier = rate("tier", 2, 60_000, AgeFrom::Answer);
    let mut model = Model::new();
    for _ in 0..2 {
        let number = model.arrive(&[bucket(&tier, "w")], Class::Normal, 1, seconds(8));
        model.settle(number, Outcome::Answered);
    }
    model.arrive(&[bucket(&tier, "w")], Class::Normal, 1, seconds(8));
    assert_eq!(model.ended.last(), Some(&(3, End::Refused)));
    let held = model.arrive(&[bucket(&tier, "w")], Class::Normal, 1, seconds(61));
    assert!(model.held.contains_key(&held));
    model.freeze(&bucket(&tier, "w"), Instant::ZERO + seconds(300));
    model.pass(seconds(61));
    assert_eq!(model.ended.last(), Some(&(held, End::Expired)));
}

/// Red when whoever would be late behind everybody is sent away.
#[test]
fn who_is_in_time_by_its_turn_is_held() {
    let tier = [bucket(&rate("tier", 1, 9_980, AgeFrom::Answer), "w")];
    let mut model = Model::new();
    flood(&mut model, &tier, 2, 20);
    let held = model.arrive(&tier, Class::Normal, 1, seconds(30));
    assert!(model.held.contains_key(&held), "{:?}", model.refusals);
}

/// After how long a call that cannot wait is told to come back, where one goes in ten seconds
/// and so many of each class and caller wait: callers 2 and above.
fn told(waiting: &[(Class, u64, u8, u32)], class: Class) -> Duration {
    let (mut model, tier) = busy();
    for &(class, caller, times, calls) in waiting {
        for _ in 0..calls {
            model.offer(&tier, |call| {
                call.class = class;
                call.caller = Caller { weight: weight(times), ..of(caller) };
            });
        }
    }
    sent_away(&mut model, &tier, class)
}

/// One call in ten seconds, and one of a caller that does not come again has just been answered.
fn busy() -> (Model, [BucketKey; 1]) {
    let tier = [bucket(&rate("tier", 1, 9_980, AgeFrom::Answer), "w")];
    let mut model = Model::new();
    let number = flood(&mut model, &tier, 7, 1)[0];
    model.settle(number, Outcome::Answered);
    (model, tier)
}

/// After how long a call of caller 1 that cannot wait is told to come back.
fn sent_away(model: &mut Model, tier: &[BucketKey], class: Class) -> Duration {
    let number = model.arrive(tier, class, 1, Duration::ZERO);
    model.refusals[&number].retry_at.since(model.now)
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

/// Red when a caller that has had its turn, and does not wait, is taken for one of those who do.
#[test]
fn a_forecast_counts_the_others_for_a_caller_that_comes_again() {
    let tier = [bucket(&rate("tier", 1, 9_980, AgeFrom::Answer), "w")];
    let mut model = Model::new();
    flood(&mut model, &tier, 1, 1);
    flood(&mut model, &tier, 2, 3);
    let again = flood(&mut model, &tier, 1, 1)[0];
    for _ in 0..2 {
        model.settle(*model.in_flight.keys().next().unwrap(), Outcome::Answered);
        model.pass(seconds(10));
    }
    assert!(sent(&model, 0).contains(&again), "it has had its turn");
    model.settle(again, Outcome::Answered);
    assert_eq!(sent_away(&mut model, &tier, Class::Normal), seconds(20), "behind one");
}

/// Red when classes do not count, and when a flood of urgent calls counts without its floors.
#[test]
fn a_forecast_knows_that_classes_go_first_and_how_far() {
    let of = |class, calls| (class, 2, 1, calls);
    assert_eq!(told(&[of(Class::Normal, 20)], Class::Interactive), seconds(10));
    assert_eq!(told(&[of(Class::Interactive, 2)], Class::Normal), seconds(30));
    assert_eq!(told(&[of(Class::Interactive, 20)], Class::Normal), seconds(40));
    assert_eq!(told(&[of(Class::Interactive, 20)], Class::Background), seconds(100));
    let own = (Class::Normal, 1, 1, 1);
    assert_eq!(
        told(&[of(Class::Interactive, 20), own], Class::Normal),
        seconds(80),
        "three for each"
    );
}

/// Red when the pace of background calls, or their share, does not count.
#[test]
fn a_forecast_for_a_background_call_knows_its_pace() {
    let tier = [bucket(&rate("tier", 20, 59_980, AgeFrom::Answer), "w")];
    let mut model = Model::new();
    for _ in 0..6 {
        model.arrive(&tier, Class::Background, 1, PATIENT);
    }
    assert_eq!(sent_away(&mut model, &tier, Class::Background), seconds(24), "15 a minute");
}

/// Red when calls that have left still count for those of a lower class.
#[test]
fn a_forecast_does_not_count_who_is_gone() {
    let (mut model, tier) = busy();
    let urgent = [(); 3].map(|()| model.arrive(&tier, Class::Interactive, 2, PATIENT));
    urgent[..2].iter().for_each(|number| model.cancel(*number));
    assert_eq!(sent_away(&mut model, &tier, Class::Normal), seconds(20), "behind one");
}

proptest! {
    /// Who is in time by the latest forecast is so by its own: nobody is held, or sent away, who
    /// would not be if everybody were looked at.
    ///
    /// Red where the latest one leaves out another class, slots that age longer than a period, the
    /// second window, or a freeze.
    #[test]
    fn no_forecast_is_later_than_the_latest(
        bursts in any::<bool>(),
        steps in prop::collection::vec((0..7_u8, 0..3_usize, 0..4_u64, 0..900_u64), 0..80),
    ) {
        let limit = rate("limit", 6, 900, AgeFrom::Answer);
        let limit = if bursts { in_bursts(&limit, 2) } else { limit };
        let mut bucket = Bucket::new(bucket(&limit, "w"), Share::default());
        let mut now = Instant::ZERO + seconds(1);
        let mut taken = Vec::new();
        for (step, class, caller, ms) in steps {
            let class = Class::ALL[class];
            let comer = Caller { weight: weight(1 + u8::try_from(caller).unwrap()), ..of(caller) };
            match step {
                0 | 1 => bucket.join(class, comer),
                2 => bucket.queue.charge(class, comer),
                3 => {
                    bucket.take(now, class);
                    taken.push((now, class));
                }
                4 => {
                    let outcome = if ms < 300 { Outcome::Lost } else { Outcome::Answered };
                    if let Some((at, class)) = taken.pop() {
                        let slot = Slot { bucket: Id::default(), taken: at, kept: false };
                        bucket.settle(slot, now, class, outcome);
                    }
                }
                5 if ms < 100 => bucket.freeze(now + millis(ms * 10)),
                _ => now = now + millis(ms),
            }
            for class in Class::ALL {
                let latest = bucket.latest(now, class);
                for caller in (0..4).map(of) {
                    for own in 0..=bucket.queue.waiting_of(class, caller.id) {
                        let ahead = bucket.queue.ahead_of(class, caller, own);
                        let forecast = bucket.forecast(now, class, ahead);
                        prop_assert!(forecast <= latest, "{forecast:?} of {latest:?}");
                    }
                }
            }
        }
    }
}
