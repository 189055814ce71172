//! A record has all that a learner knows: another one goes on from it as if it were the same.

use std::time::Duration;

use super::{
    Alone, Learner, Pace, Play, Shape,
    stage::{Client, PERIOD},
};
use crate::Instant;

/// One whose learner is written down, and read, at each answer.
struct Written(Alone, Pace);

impl Client for Written {
    fn go(&mut self, now: Instant) -> Vec<u64> {
        self.0.go(now)
    }

    fn wake(&mut self, now: Instant) -> Option<Instant> {
        self.0.wake(now)
    }

    fn answered(&mut self, now: Instant, call: u64, refused: Option<Duration>) {
        self.0.answered(now, call, refused);
        if let Some(learner) = &self.0.learner {
            let text = learner.record(now);
            assert!(text.len() <= 256, "{text}");
            let read = Learner::of_record(&text, (now, Duration::ZERO), self.1, 0);
            self.0.learner = Some(read.expect(&text));
        }
    }

    fn pace(&mut self, now: Instant) -> Pace {
        self.0.pace(now)
    }

    fn surprises(&self) -> u32 {
        self.0.surprises()
    }
}

/// Red when anything of it is not written, or read as something else.
#[test]
fn another_one_goes_on_from_a_record() {
    for (quota, percent) in [(1, 50), (20, 50), (20, 70), (50, 70), (50, 130)] {
        for shape in [Shape::Sliding, Shape::Clock, Shape::Bucket(3)] {
            let play = Play { windows: 80, ..Play::new(quota, percent, shape) };
            let documented = Pace { quota, period: PERIOD };
            let counts = play.run(&mut Alone::new(quota, None));
            let written = play.run(&mut Written(Alone::new(quota, None), documented));
            assert_eq!(format!("{counts:?}"), format!("{written:?}"), "{play:?}");
        }
    }
}

/// Red when a record may have a pace above the ceiling, or be one of another limit.
#[test]
fn a_record_is_of_one_limit_and_not_above_the_ceiling() {
    let play = Play { windows: 20, ..Play::new(20, 200, Shape::Sliding) };
    let mut client = Alone::new(20, Some(40));
    play.run(&mut client);
    let learner = client.learner.unwrap();
    assert!(learner.pace().quota > 20);
    let text = learner.record(Instant::ZERO);
    let reads = |text: &str, quota: u32, most: u32| {
        let now = (Instant::ZERO, Duration::ZERO);
        Learner::of_record(text, now, Pace { quota, period: PERIOD }, most).is_some()
    };
    assert!(reads(&text, 20, 40));
    assert!(!reads(&text, 20, 0) && !reads(&text, 20, 21), "it is above the ceiling");
    assert!(!reads(&text, 19, 40), "it is of another limit");
    let (format, rest) = text.split_once(',').unwrap();
    assert_eq!(format, "1");
    for odd in [String::new(), "1".into(), format!("2,{rest}"), format!("{text},1"), "-".into()] {
        assert!(!reads(&odd, 20, 40), "{odd}");
    }
}
