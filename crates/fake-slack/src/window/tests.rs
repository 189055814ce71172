//! The shapes against cases worked out by hand, and against their definitions by brute force.

use proptest::prelude::*;

use super::*;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

/// Offers a call at each instant, takes those that find room, and tells which.
fn offer(window: &mut Window, at: &[u64]) -> Vec<bool> {
    at.iter()
        .map(|at| {
            let room = window.look(ms(*at)).wait.is_zero();
            if room {
                window.take(ms(*at));
            }
            room
        })
        .collect()
}

const YES: bool = true;
const NO: bool = false;

#[test]
fn a_sliding_window_frees_each_slot_a_period_after_its_call() {
    let mut window = Window::new(Model::Sliding { limit: n(2), per: ms(1_000) });
    // At 1000 the call of 0 is a whole period old; that of 600 lasts until 1600.
    let at = [0, 600, 700, 999, 1_000, 1_001, 1_599, 1_600];
    assert_eq!(offer(&mut window, &at), [YES, YES, NO, NO, YES, NO, NO, YES]);
    assert_eq!(window.look(ms(1_700)), Look { used: 2, wait: ms(300) });
}

#[test]
fn a_fixed_window_opens_with_its_first_call() {
    let mut window = Window::new(Model::Fixed { limit: n(2), per: ms(1_000) });
    // [300, 1300) holds two; two more fit at once right after it.
    let at = [300, 1_200, 1_299, 1_300, 1_301, 1_302, 2_299, 2_300];
    assert_eq!(offer(&mut window, &at), [YES, YES, NO, YES, YES, NO, NO, YES]);
    let mut later = Window::new(Model::Fixed { limit: n(1), per: ms(1_000) });
    assert_eq!(offer(&mut later, &[0, 2_700, 3_000, 3_699, 3_700]), [YES, YES, NO, NO, YES]);
}

#[test]
fn a_clocks_window_opens_with_the_clock() {
    let model = Model::FixedClock { limit: n(2), per: ms(1_000), offset: ms(300) };
    let mut window = Window::new(model);
    // Edges at 700, 1700, 2700.
    let at = [600, 690, 699, 700, 701, 702, 1_699, 1_700, 2_700];
    assert_eq!(offer(&mut window, &at), [YES, YES, NO, YES, YES, NO, NO, YES, YES]);
    window.take(ms(2_800));
    assert_eq!(window.look(ms(2_900)), Look { used: 2, wait: ms(800) });
}

#[test]
fn a_bucket_refills_evenly_up_to_its_capacity() {
    let model = Model::Bucket { capacity: n(3), limit: n(2), per: ms(1_000) };
    let mut window = Window::new(model);
    // A token every 500 ms.
    let at = [0, 0, 0, 0, 499, 500, 501, 1_500, 1_500, 1_500];
    assert_eq!(offer(&mut window, &at), [YES, YES, YES, NO, NO, YES, NO, YES, YES, NO]);
    assert_eq!(window.look(ms(1_600)), Look { used: 3, wait: ms(400) });
    assert_eq!(window.look(ms(60_000)), Look { used: 0, wait: ms(0) });
}

#[test]
fn a_bucket_does_not_drift_where_the_refill_is_no_whole_number() {
    let model = Model::Bucket { capacity: n(2), limit: n(3), per: ms(1_000) };
    let mut window = Window::new(model);
    let mut now = Duration::ZERO;
    for _ in 0..3_000 {
        now += window.look(now).wait;
        window.take(now);
    }
    // 2,998 tokens of a third of a second each, rounded up to a nanosecond once.
    assert_eq!(now.as_nanos(), 999_333_333_334);
}

#[test]
fn a_call_that_is_counted_without_room_makes_no_debt() {
    let models = [
        Model::Sliding { limit: n(2), per: ms(1_000) },
        Model::Fixed { limit: n(2), per: ms(1_000) },
        Model::FixedClock { limit: n(2), per: ms(1_000), offset: ms(0) },
        Model::Bucket { capacity: n(2), limit: n(2), per: ms(1_000) },
    ];
    for model in models {
        let mut window = Window::new(model);
        for _ in 0..100 {
            window.take(ms(10));
        }
        assert!(!window.look(ms(11)).wait.is_zero(), "{model:?}");
        assert!(window.look(ms(1_010)).wait.is_zero(), "{model:?}");
        assert!(window.is_idle(ms(1_010)), "{model:?}");
    }
}

/// Figures, and the gaps between calls: bursts, trickles, and pauses of more than a period.
fn traffic() -> impl Strategy<Value = (u32, u64, Vec<u64>)> {
    (1_u32..8, 1_u64..500).prop_flat_map(|(limit, per)| {
        let gap = prop_oneof![4 => Just(0), 4 => 0..=per / 2, 2 => 0..=per * 2];
        (Just(limit), Just(per), prop::collection::vec(gap, 1..200))
    })
}

/// Runs the traffic and checks each verdict: a call passes exactly if `fits` says that it
/// could join those that passed before.
fn judges_like(
    model: Model,
    gaps: &[u64],
    fits: impl Fn(&[u64], u64) -> bool,
) -> Result<(), TestCaseError> {
    let mut window = Window::new(model);
    let mut passed = Vec::new();
    let mut now = 0;
    for gap in gaps {
        now += gap;
        let look = window.look(ms(now));
        prop_assert_eq!(look.wait.is_zero(), fits(&passed, now), "at {} after {:?}", now, passed);
        if look.wait.is_zero() {
            window.take(ms(now));
            passed.push(now);
        } else {
            // The wait is exact: not a nanosecond less, and then there is room.
            let then = ms(now) + look.wait;
            prop_assert!(window.look(then).wait.is_zero());
            prop_assert!(!window.look(then.saturating_sub(Duration::from_nanos(1))).wait.is_zero());
        }
        prop_assert!(window.look(ms(now)).used <= window.limit());
    }
    Ok(())
}

proptest! {
    #[test]
    fn sliding_allows_no_more_than_the_limit_in_any_period((limit, per, gaps) in traffic()) {
        judges_like(Model::Sliding { limit: n(limit), per: ms(per) }, &gaps, |passed, now| {
            passed.iter().filter(|at| **at + per > now).count() < limit as usize
        })?;
    }

    #[test]
    fn fixed_allows_no_more_than_the_limit_between_openings((limit, per, gaps) in traffic()) {
        judges_like(Model::Fixed { limit: n(limit), per: ms(per) }, &gaps, |passed, now| {
            // The windows, from the first call on.
            let (mut opened, mut count) = (None, 0);
            for at in passed {
                if opened.is_none_or(|opened| *at >= opened + per) {
                    (opened, count) = (Some(*at), 0);
                }
                count += 1;
            }
            count < limit || opened.is_none_or(|opened| now >= opened + per)
        })?;
    }

    #[test]
    fn a_clock_allows_no_more_than_the_limit_between_its_edges(
        (limit, per, gaps) in traffic(),
        offset in 0_u64..500,
    ) {
        let offset = offset % per;
        let model = Model::FixedClock { limit: n(limit), per: ms(per), offset: ms(offset) };
        judges_like(model, &gaps, |passed, now| {
            let window = |at: u64| (at + offset) / per;
            passed.iter().filter(|at| window(**at) == window(now)).count() < limit as usize
        })?;
    }

    #[test]
    fn a_bucket_allows_no_more_than_its_capacity_and_what_it_gained(
        (limit, per, gaps) in traffic(),
        capacity in 1_u32..8,
    ) {
        let model = Model::Bucket { capacity: n(capacity), limit: n(limit), per: ms(per) };
        judges_like(model, &gaps, |passed, now| {
            // From each earlier call on: those since, this one too, against capacity and gain,
            // times the period so that nothing is rounded.
            (0..passed.len()).all(|first| {
                let calls = (passed.len() - first + 1) as u64;
                calls * per <= u64::from(capacity) * per + (now - passed[first]) * u64::from(limit)
            })
        })?;
    }
}
