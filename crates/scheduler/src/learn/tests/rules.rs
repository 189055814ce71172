//! The rules one by one, and what holds whatever a server does.

use proptest::prelude::*;

use super::*;

const PERIOD: Duration = Duration::from_secs(60);

fn documented(quota: u32) -> Pace {
    Pace { quota, period: PERIOD }
}

fn surprise(accepted: u32) -> Surprise {
    let since_last = Some(Duration::from_secs(60));
    Surprise { accepted, refused: 2, since_last, retry_after: Duration::from_secs(30), hint: None }
}

/// A learner, and the time.
struct Taught {
    learner: Learner,
    now: Instant,
}

// === impl Taught ===

impl Taught {
    fn new(quota: u32) -> Self {
        let now = Instant::ZERO + Duration::from_secs(1000);
        Self { learner: Learner::new(documented(quota), 0), now }
    }

    fn quota(&self) -> u32 {
        self.learner.pace().quota
    }

    fn surprised(&mut self, surprise: Surprise) {
        self.now = self.now + Duration::from_millis(100);
        self.learner.surprised(self.now, surprise);
    }

    /// A period passes that is full and clean.
    fn full_period(&mut self) {
        let Pace { quota, period } = self.learner.pace();
        let begun = self.learner.counted.period.map_or(0, |period| period.accepted);
        (begun..quota).for_each(|_| self.accepted());
        self.now = self.now + period;
        self.accepted();
    }

    fn accepted(&mut self) {
        self.learner.accepted(self.now, self.now, None);
    }
}

#[test]
fn a_surprise_cuts_to_what_was_accepted_but_no_more_than_half() {
    for (accepted, quota) in [(0, 20), (1, 10), (9, 10), (14, 14), (19, 19), (25, 19)] {
        let mut taught = Taught::new(20);
        taught.surprised(surprise(accepted));
        assert_eq!(taught.quota(), quota, "{accepted} accepted");
    }
}

/// Red when a server that closes a method once is taken for a limit, and when it is not the second
/// time.
#[test]
fn a_single_refusal_far_below_the_quota_is_a_whim_at_first() {
    let mut taught = Taught::new(100);
    taught.surprised(Surprise { refused: 1, ..surprise(60) });
    assert_eq!(taught.quota(), 100);
    assert_eq!(taught.learner.spacing(), Duration::ZERO);
    taught.accepted();
    taught.surprised(Surprise { refused: 1, ..surprise(50) });
    assert_eq!(taught.quota(), 60);
}

/// Red when calls are kept apart for ever where few call.
#[test]
fn light_traffic_is_not_kept_apart_for_ever() {
    let mut taught = Taught::new(20);
    taught.surprised(surprise(15));
    for _ in 0..12 {
        taught.accepted();
        taught.now = taught.now + PERIOD;
    }
    assert_eq!(taught.learner.spacing(), Duration::ZERO);
}

/// Red when the first refusal overtakes the answers of its flight.
#[test]
fn what_the_flight_still_brings_counts() {
    let mut taught = Taught::new(20);
    let sent = taught.now;
    taught.surprised(surprise(3));
    assert_eq!(taught.quota(), 10);
    for _ in 0..11 {
        taught.learner.accepted(taught.now, sent, None);
    }
    assert_eq!(taught.quota(), 14);
}

#[test]
fn others_hint_at_a_lower_start() {
    for (hint, quota) in [(2, 2), (10, 10), (15, 14)] {
        let mut taught = Taught::new(20);
        taught.surprised(Surprise { hint: Some(hint), ..surprise(14) });
        assert_eq!(taught.quota(), quota);
        (0..4).for_each(|_| taught.full_period());
        assert!((13..=15).contains(&taught.quota()), "it is no verdict: {}", taught.quota());
    }
}

#[test]
fn one_call_a_period_is_stretched_to_what_the_server_says() {
    let mut taught = Taught::new(1);
    taught.surprised(surprise(0));
    assert_eq!(taught.learner.pace(), Pace { quota: 1, period: Duration::from_secs(90) });
    taught.full_period();
    taught.surprised(surprise(0));
    assert!(taught.learner.pace().period > Duration::from_secs(90));
}

/// Red when each refusal of a server that refuses everything cuts.
#[test]
fn nothing_is_learnt_where_nothing_is_accepted() {
    let mut taught = Taught::new(20);
    taught.surprised(surprise(14));
    for _ in 0..100 {
        taught.surprised(surprise(5));
    }
    assert_eq!(taught.quota(), 14);
}

#[test]
fn a_limit_that_is_refused_again_is_seldom_tried() {
    let mut taught = Taught::new(20);
    taught.surprised(surprise(14));
    let tried = |taught: &mut Taught| {
        (1..100).find(|_| {
            taught.full_period();
            taught.quota() == 15
        })
    };
    assert_eq!(tried(&mut taught), Some(4));
    taught.accepted();
    taught.surprised(surprise(14));
    assert_eq!(taught.quota(), 14);
    assert_eq!(tried(&mut taught), Some(18), "one of 250 calls");
    taught.full_period();
    assert_eq!(taught.quota(), 20, "it is not refused any more");
    taught.full_period();
    assert_eq!(taught.quota(), 20);
}

/// Red when more than the documented quota is tried although no operator has allowed it.
#[test]
fn nothing_above_what_is_documented_is_tried() {
    let mut taught = Taught::new(20);
    taught.surprised(surprise(14));
    for _ in 0..100 {
        taught.full_period();
        assert!(taught.quota() <= 20, "{}", taught.quota());
    }
    assert_eq!(taught.quota(), 20);
}

#[test]
fn calls_are_evenly_spaced_until_a_period_was_full() {
    let mut taught = Taught::new(20);
    taught.surprised(surprise(15));
    assert_eq!(taught.learner.spacing(), Duration::from_secs(4));
    taught.full_period();
    assert_eq!(taught.learner.spacing(), Duration::ZERO);
}

/// Red when spaced calls that pass where a burst was refused tell nothing.
#[test]
fn a_server_that_refuses_bursts_is_met_with_space() {
    let mut taught = Taught::new(20);
    taught.surprised(surprise(3));
    for _ in 0..5 {
        taught.full_period();
    }
    assert_eq!(taught.quota(), 20);
    assert_eq!(taught.learner.spacing(), Duration::from_secs(3));
    for _ in 0..4 {
        taught.full_period();
    }
    assert_eq!(taught.learner.spacing(), Duration::from_millis(1500));
    for _ in 0..4 {
        taught.full_period();
    }
    assert_eq!(taught.learner.spacing(), Duration::from_millis(1500), "no call was closer");
    for _ in 0..4 {
        for _ in 0..20 {
            taught.learner.sent(taught.learner.spacing());
        }
        taught.full_period();
    }
    assert_eq!(taught.learner.spacing(), Duration::ZERO);
    assert!(taught.learner.is_over());
}

/// Red when a period that was not full grows the quota.
#[test]
fn a_period_that_was_not_full_proves_nothing() {
    let mut taught = Taught::new(20);
    taught.surprised(surprise(14));
    for _ in 0..100 {
        (0..12).for_each(|_| taught.accepted());
        taught.now = taught.now + PERIOD;
    }
    assert_eq!(taught.quota(), 14);
    for _ in 0..5 {
        (0..10).for_each(|_| {
            taught.learner.accepted(taught.now, taught.now, Some(10));
        });
        taught.now = taught.now + PERIOD;
    }
    assert!(taught.quota() > 14, "background calls alone can fill no more than their share");
}

#[derive(Clone, Debug)]
enum Step {
    Surprise(u32, u64, Option<u32>),
    Accepted(bool, u32),
    Sent(u64),
    Pass(u64),
    Full(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..120_u32, 0..200_000_u64, prop::option::of(0..100_u32))
            .prop_map(|(accepted, retry, hint)| Step::Surprise(accepted, retry, hint)),
        4 => (any::<bool>(), 0..60_u32).prop_map(|(late, times)| Step::Accepted(late, times)),
        1 => (0..5000_u64).prop_map(Step::Sent),
        2 => (0..100_000_u64).prop_map(Step::Pass),
        2 => (1..20_u8).prop_map(Step::Full),
    ]
}

proptest! {
    /// Red when a quota of one is halved, when a period grows without end, or when a pace climbs
    /// above what may be tried.
    #[test]
    fn a_pace_is_within_reason_and_comes_back(
        quota in 1..100_u32,
        more in 0..3_u32,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut taught = Taught::new(quota);
        taught.learner = Learner::new(documented(quota), quota * more);
        let most = quota * more.max(1);
        for step in steps {
            match step {
                Step::Surprise(accepted, retry, hint) => {
                    let retry_after = Duration::from_millis(retry);
                    taught.surprised(Surprise { retry_after, hint, ..surprise(accepted) });
                }
                Step::Accepted(late, times) => for _ in 0..times {
                    let before = Duration::from_millis(if late { 150 } else { 0 });
                    taught.learner.accepted(taught.now, taught.now.before(before), None);
                },
                Step::Sent(after) => taught.learner.sent(Duration::from_millis(after)),
                Step::Pass(ms) => taught.now = taught.now + Duration::from_millis(ms),
                Step::Full(periods) => (0..periods).for_each(|_| taught.full_period()),
            }
            let pace = taught.learner.pace();
            prop_assert!((1..=most).contains(&pace.quota), "{pace:?}");
            prop_assert!((PERIOD..=PERIOD * 64).contains(&pace.period), "{pace:?}");
            prop_assert!(pace.quota == 1 || pace.period == PERIOD, "{pace:?}");
            prop_assert!(taught.learner.spacing() <= pace.gap());
        }
        for _ in 0..1500 {
            taught.full_period();
        }
        prop_assert_eq!(taught.learner.pace(), documented(most));
    }
}
