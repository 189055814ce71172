//! What is learnt of servers of every shape and mood, in virtual time.

mod alone;
pub(crate) mod figures;
mod record;
mod rules;
pub(crate) mod server;
pub(crate) mod stage;

use self::{
    alone::Alone,
    server::Shape,
    stage::{Count, Mood, Others, Play},
};
use super::*;

/// Every true limit, in every shape, at every distance.
pub(crate) fn plays() -> Vec<Play> {
    let mut plays = Vec::new();
    for quota in [1, 20, 50, 100] {
        for percent in [50, 70, 90, 100, 130, 200] {
            let limit = Play::new(quota, percent, Shape::Sliding).limit().0;
            let mut shapes = vec![Shape::Sliding, Shape::Fixed, Shape::Clock, Shape::Bucket(limit)];
            if quota > 1 {
                shapes.extend([Shape::Bucket(limit / 4), Shape::Bucket(3)]);
            }
            for shape in shapes {
                for (delay, seeds) in [((2, 2), 1), ((50, 50), 1), ((200, 200), 1), ((2, 200), 3)] {
                    plays.extend((1..=seeds).map(|seed| Play {
                        delay,
                        seed,
                        ..Play::new(quota, percent, shape)
                    }));
                }
            }
        }
    }
    plays
}

/// Red with each of: answers of the flight that are not added; trials after four periods for ever.
#[test]
fn a_true_limit_is_found_and_kept() {
    figures::hold(&plays(), |play| play.run(&mut Alone::new(play.quota, None)));
}

/// What was counted from one window to another: calls accepted a window, refused, and the slowest
/// and fastest pace at the end of a window, in thousandths.
fn between(counts: &[Count], from: usize, to: usize) -> (f64, u32, u64, u64) {
    let counts = &counts[from..to];
    let accepted: u32 = counts.iter().map(|count| count.accepted).sum();
    let refused = counts.iter().map(|count| count.refused).sum();
    let paces = || counts.iter().map(|count| count.pace);
    let windows = f64::from(u32::try_from(counts.len()).unwrap());
    (f64::from(accepted) / windows, refused, paces().min().unwrap(), paces().max().unwrap())
}

/// For how many windows in a row nothing was accepted.
fn longest_pause(counts: &[Count]) -> usize {
    let busy = |run: &[Count]| run.iter().all(|count| count.accepted == 0);
    (1..counts.len()).take_while(|length| counts.windows(*length).any(busy)).count()
}

fn of(mood: Mood, quota: u32, percent: u32) -> Vec<Count> {
    let play = Play { mood, ..Play::new(quota, percent, Shape::Sliding) };
    play.run(&mut Alone::new(quota, None))
}

/// Red when a refusal is a lesson though nothing has been accepted since the one before.
#[test]
fn a_server_that_refused_everything_is_used_as_before_when_it_is_back() {
    for quota in [1, 20, 100] {
        let counts = of(Mood::Shut(10, 30), quota, 100);
        let (accepted, refused, ..) = between(&counts, 45, 55);
        assert!(accepted >= f64::from(quota) * 0.98, "{accepted} of {quota}");
        assert_eq!(refused, 0);
        assert!(longest_pause(&counts) <= 21, "it asks again while the server is shut");
    }
}

#[test]
fn a_server_that_refuses_at_random_is_not_given_up() {
    for (quota, least, recovered) in [(1, 0.4, 320), (20, 2.0, 70), (50, 2.0, 70), (100, 2.0, 80)] {
        for seed in 1..=5 {
            let mood = Mood::Random(5, 50);
            let play = Play { mood, seed, windows: 400, ..Play::new(quota, 100, Shape::Sliding) };
            let counts = play.run(&mut Alone::new(quota, None));
            let (accepted, ..) = between(&counts, 10, 50);
            assert!(accepted >= least, "{quota}, {seed}: {accepted} a window while it does");
            assert!(longest_pause(&counts) <= 8, "{quota}, {seed}: somebody waits");
            let (accepted, ..) = between(&counts, recovered, 400);
            assert!(accepted >= f64::from(quota) * 0.97, "{quota}, {seed}: {accepted} after it");
        }
    }
}

/// Red when what was refused once is never tried again.
#[test]
fn a_limit_that_flaps_is_taken_for_the_lower_one() {
    for quota in [20, 50, 100] {
        let counts = of(Mood::Flaps(180), quota, 100);
        let (accepted, refused, ..) = between(&counts, 10, 180);
        assert!(accepted >= f64::from(quota) * 0.48, "{accepted} of {quota}");
        assert!(f64::from(refused) < accepted * 170.0 * 0.005, "{refused} refused");
        assert!(longest_pause(&counts) <= 1, "somebody waits");
        let (accepted, ..) = between(&counts, 225, 250);
        assert!(accepted >= f64::from(quota) * 0.97, "{accepted} of {quota} after it");
    }
}

#[test]
fn a_server_that_names_no_pause_is_understood() {
    for (quota, percent) in [(1, 50), (1, 70), (1, 90), (20, 50), (20, 90), (100, 70)] {
        let possible = Play::new(quota, percent, Shape::Sliding).possible();
        let counts = of(Mood::Silent, quota, percent);
        let (accepted, refused, ..) = between(&counts, 50, 250);
        assert!(accepted >= possible * 0.8, "{accepted} of {possible}");
        assert!(f64::from(refused) <= accepted * 200.0 * 0.01, "{refused} refused");
        assert!(longest_pause(&counts) <= 3, "somebody waits");
    }
}

/// Red when a trial that is refused without a pause is a lesson for ever.
#[test]
fn what_a_server_that_names_no_pause_gives_back_is_used() {
    for quota in [20, 50, 100] {
        let others = Some(Others { percent: 30, until: 150, random: false });
        let mood = Mood::Silent;
        let play = Play { mood, others, ..Play::new(quota, 100, Shape::Sliding) };
        let counts = play.run(&mut Alone::new(quota, None));
        let (accepted, ..) = between(&counts, 175, 250);
        assert!(accepted >= f64::from(quota) * 0.98, "{accepted} of {quota}");
        assert!(longest_pause(&counts) <= 1, "somebody waits");
    }
}

/// Red when trials are made after four periods for ever.
#[test]
fn what_others_leave_is_found_and_does_not_swing() {
    for quota in [20, 50, 100] {
        for shape in [Shape::Sliding, Shape::Fixed, Shape::Clock] {
            let others = Some(Others { percent: 30, until: 150, random: false });
            let play = Play { others, ..Play::new(quota, 100, shape) };
            let counts = play.run(&mut Alone::new(quota, None));
            let (accepted, refused, ..) = between(&counts, 20, 150);
            let left = f64::from(quota) * 0.7;
            assert!((left * 0.97..left * 1.03).contains(&accepted), "{accepted} of {left}");
            assert!(f64::from(refused) < accepted * 130.0 * 0.005, "{refused} refused");
            for (window, count) in counts.iter().enumerate().take(150).skip(20) {
                let part = f64::from(count.accepted) / left;
                assert!((0.85..1.15).contains(&part), "{part} in {window}, {play:?}");
            }
        }
    }
}

/// How many periods after others have stopped the whole quota is used again, wherever between two
/// trials they do.
///
/// Red when trials wait for longer after each that a server had let pass for a while, and when what
/// passes a trial is climbed from step by step.
#[test]
fn what_others_give_up_is_used_within_ten_periods() {
    for (quota, most, mean) in [(20, 19, 11), (50, 10, 7), (100, 10, 7)] {
        for shape in [Shape::Sliding, Shape::Fixed, Shape::Clock, Shape::Bucket(quota)] {
            let periods = (100..120).map(|until| {
                let others = Some(Others { percent: 30, until, random: false });
                let play = Play { others, windows: 160, ..Play::new(quota, 100, shape) };
                let counts = play.run(&mut Alone::new(quota, None));
                let all = u64::from(quota) * 1000;
                let last = counts.iter().rposition(|count| count.pace < all).unwrap();
                (last + 1).saturating_sub(until)
            });
            let periods: Vec<_> = periods.collect();
            let worst = *periods.iter().max().unwrap();
            assert!(worst <= most, "{worst} of {quota}, {shape:?}");
            assert!(periods.iter().sum::<usize>() <= mean * periods.len(), "{quota}, {shape:?}");
        }
    }
}

#[test]
fn random_calls_of_others_leave_less_but_steadily() {
    for quota in [20, 50, 100] {
        let others = Some(Others { percent: 30, until: 150, random: true });
        let play = Play { others, ..Play::new(quota, 100, Shape::Sliding) };
        let counts = play.run(&mut Alone::new(quota, None));
        let (accepted, refused, ..) = between(&counts, 30, 150);
        assert!(accepted >= f64::from(quota) * 0.5, "{accepted} of {quota}");
        assert!(f64::from(refused) < accepted * 120.0 * 0.01, "{refused} refused");
        let (_, _, least, _) = between(&counts, 190, 250);
        assert_eq!(least, u64::from(quota) * 1000, "they are gone");
    }
}

/// Red when the documented quota is a floor for what is tried, and not a ceiling.
#[test]
fn with_leave_more_than_documented_is_tried_up_to_the_ceiling() {
    for (percent, reached) in [(70, 70), (100, 100), (130, 130), (200, 200), (300, 200)] {
        for quota in [20, 100] {
            let play = Play::new(quota, percent, Shape::Sliding);
            let counts = play.run(&mut Alone::new(quota, Some(quota * 2)));
            let (accepted, refused, _, most) = between(&counts, 50, 250);
            let possible = f64::from(quota * reached / 100);
            assert!(accepted >= possible * 0.98, "{accepted} of {possible}");
            assert!(f64::from(refused) < accepted * 200.0 * 0.005, "{refused} refused");
            assert!(most <= u64::from(quota) * 2000, "{most}");
        }
    }
}

/// A server that refuses a burst of the whole quota once, and then no more.
///
/// Red when spacing stays for ever.
#[test]
fn spacing_that_is_needless_is_given_up() {
    let mut alone = Alone::new(20, None);
    let play = Play { mood: Mood::Random(100, 0), ..Play::new(20, 100, Shape::Bucket(20)) };
    play.run(&mut alone);
    assert!(alone.learner.is_none(), "{:?}", alone.learner);
}
