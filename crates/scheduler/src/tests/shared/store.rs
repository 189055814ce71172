//! What the store says of buckets that others than its members may use.

use super::*;
use crate::model::store::{Asked, Beat, Beaten, Name, Step, Stepped, Store, Times};

const TIMES: Times = Times { forget: 1_500, flight: 1_000, stale: 300, longest: 1_000 };
const EPOCH: u64 = 7;

/// A store, and what time it is there.
struct Kept {
    store: Store,
    now: u64,
    /// Its life.
    epoch: u64,
    /// Of the last ask.
    number: u64,
    /// What is given back in each ask.
    returned: u64,
    /// If who asks leaves: for how long so many of its slots still count.
    left: Option<Vec<(u32, u64)>>,
}

// === impl Kept ===

impl Kept {
    /// Two members have told all that they hold, which is nothing.
    fn warm() -> Self {
        let mut kept = Self {
            store: Store::default(),
            now: 1_000,
            epoch: EPOCH,
            number: 0,
            returned: 0,
            left: None,
        };
        // They have not heard of its life yet.
        kept.says(1, 0);
        kept.says(2, 0);
        kept.beats(&[1, 2], 400);
        kept
    }

    /// A member says that it is here. Returns whether the store is cold, and the hot buckets.
    fn beat(&mut self, name: Name) -> (bool, Vec<String>) {
        self.says(name, self.epoch)
    }

    fn says(&mut self, name: Name, epoch: u64) -> (bool, Vec<String>) {
        let (new_epoch, others, ended) = (self.epoch, Vec::new(), Vec::new());
        let beat = Beat { name, epoch, new_epoch, told_all: true, others, ended };
        match self.store.beat(self.now, TIMES, beat) {
            Beaten::Member { cold, hot, .. } => (cold.is_some(), hot),
            Beaten::Gone => panic!("it is a member"),
        }
    }

    /// A member has taken over from another one.
    fn takes_over(&mut self, name: Name, told_all: bool, from: Name) {
        let (others, ended) = (Vec::new(), vec![from]);
        let beat = Beat { name, epoch: EPOCH, new_epoch: EPOCH, told_all, others, ended };
        assert_ne!(self.store.beat(self.now, TIMES, beat), Beaten::Gone);
    }

    /// So many milliseconds pass, in which only these are heard.
    fn beats(&mut self, names: &[Name], ms: u64) {
        for _ in 0..ms / 100 {
            self.now += 100;
            for name in names {
                self.beat(*name);
            }
        }
    }

    /// A member has taken so many of four slots, and wants so many. Returns how many it was granted.
    fn asks(&mut self, name: Name, taken: u64, wants: u32, period: u64) -> u64 {
        self.asks_in(format!("tier{period}"), (4, period), name, taken, wants).0
    }

    /// A member has taken so many slots of the limit that it has been given, and wants so many. Returns how
    /// many it has been granted, and what other limit another member has been given.
    fn asks_of(
        &mut self,
        limit: (u32, u64),
        name: Name,
        taken: u64,
        wants: u32,
    ) -> (u64, Option<(u32, u64)>) {
        self.asks_in("tier".to_owned(), limit, name, taken, wants)
    }

    fn asks_in(
        &mut self,
        bucket: String,
        (quota, period): (u32, u64),
        name: Name,
        taken: u64,
        wants: u32,
    ) -> (u64, Option<(u32, u64)>) {
        self.number += 1;
        let asked = Asked {
            bucket,
            life: 1,
            number: self.number,
            seen: 0,
            taken,
            returned: self.returned,
            wants: [0, wants, 0],
            callers: 1,
            quota,
            period,
            spacing: None,
            people: false,
            left: self.left.clone(),
        };
        let leaves = self.left.is_some();
        let step = Step { name, epoch: self.epoch, asks: vec![asked], leaves };
        match self.store.step(self.now, TIMES, step, &mut Vec::new()) {
            Stepped::Told(told) => {
                (told[0].granted, told[0].other.filter(|it| *it != (quota, period)))
            }
            stepped => panic!("{stepped:?}"),
        }
    }
}

/// Red when the store does not say that it grants nothing.
#[test]
fn it_says_that_it_is_cold() {
    let mut kept = Kept {
        store: Store::default(),
        now: 1_000,
        epoch: EPOCH,
        number: 0,
        returned: 0,
        left: None,
    };
    assert!(kept.says(1, 0).0);
    kept.beats(&[1], 400);
    assert!(!kept.beat(1).0);
}

/// Red when the longest period of all limits counts for each, or who is not heard any more is waited for in
/// one bucket no longer than in another.
#[test]
fn who_is_not_heard_keeps_others_from_a_bucket_for_as_long_as_its_calls_may_count() {
    let mut kept = Kept {
        store: Store::default(),
        now: 1_000,
        epoch: EPOCH,
        number: 0,
        returned: 0,
        left: None,
    };
    let beat = Beat {
        name: 2,
        epoch: 0,
        new_epoch: EPOCH,
        told_all: true,
        others: vec![1],
        ended: Vec::new(),
    };
    kept.store.beat(kept.now, TIMES, beat);
    let ends = TIMES.forget + TIMES.flight;
    kept.beats(&[2], ends + 100);
    assert_eq!((kept.asks(2, 0, 1, 100), kept.asks(2, 0, 1, 300)), (0, 0), "they may still count");
    kept.beats(&[2], 100);
    assert_eq!((kept.asks(2, 0, 1, 100), kept.asks(2, 0, 1, 300)), (1, 0));
    kept.beats(&[2], 200);
    assert_eq!((kept.asks(2, 0, 1, 300), kept.asks(2, 0, 1, 1_000)), (1, 0));
    kept.beats(&[2], TIMES.longest - 400);
    assert!(kept.beat(2).0);
    kept.beats(&[2], 200);
    assert!(!kept.beat(2).0, "nobody is waited for");
}

/// Red when a member that has told nothing is given up, because slots are missed that an older copy knows of:
/// it may hold more since.
#[test]
fn who_has_told_nothing_stays_a_member_though_its_slots_are_missed() {
    let mut kept = Kept::warm();
    kept.asks(1, 4, 0, 100);
    kept.store.restart();
    kept.epoch += 1;
    kept.says(2, EPOCH);
    kept.beats(&[2], TIMES.forget + 200);
    assert_eq!(kept.asks(2, 0, 1, 100), 0);
    kept.beats(&[2], 100);
    assert_eq!((kept.asks(2, 0, 1, 1_000), kept.asks(2, 0, 1, 100)), (0, 0));
    kept.beats(&[2], TIMES.flight);
    assert_eq!((kept.asks(2, 0, 1, 1_000), kept.asks(2, 0, 1, 100)), (0, 1));
    kept.beats(&[2], TIMES.longest);
    assert_eq!(kept.asks(2, 0, 1, 1_000), 1);
}

/// Red when a slot that was granted in an earlier life, and not heard of, is granted again: others may have it
/// by now.
#[test]
fn what_an_older_copy_granted_and_nobody_heard_of_is_granted_no_more() {
    let mut kept = Kept::warm();
    assert_eq!(kept.asks(1, 0, 1, 1_000), 1);
    kept.store.restart();
    kept.epoch += 1;
    kept.says(1, EPOCH);
    assert_eq!(kept.asks(1, 0, 1, 1_000), 0);
    kept.beats(&[1, 2], 400);
    kept.now += 1;
    assert_eq!(kept.asks(1, 0, 1, 1_000), 1, "it is granted anew");
}

/// Red when the part of the only member comes on top of what a forgotten one may still use.
#[test]
fn what_a_forgotten_member_may_use_makes_a_bucket_hot() {
    let mut kept = Kept::warm();
    let (slow, quick) = (1_000, 200);
    for period in [slow, quick] {
        kept.asks(1, 2, 0, period);
    }
    assert_eq!(kept.beat(2).1.len(), 0, "it is half of the quota");
    kept.beats(&[2], TIMES.forget);
    assert_eq!(kept.beat(2).1.len(), 0, "the other one is a member");
    kept.beats(&[2], 100);
    let mut passed = 0;
    for (period, hot) in [(quick, 2), (slow, 1)] {
        let until = 2 * (period + TIMES.flight);
        kept.beats(&[2], until - 100 - passed);
        assert_eq!(kept.beat(2).1.len(), hot);
        kept.beats(&[2], 100);
        assert_eq!(kept.beat(2).1.len(), hot - 1, "nothing of it is in use any more");
        passed = until;
    }
}

/// Red when slots are kept from others for a member that has ended, and when it comes back.
#[test]
fn what_a_member_used_that_has_ended_is_what_another_one_tells() {
    let mut kept = Kept::warm();
    kept.asks(1, 4, 0, 5_000);
    kept.says(3, 0);
    kept.asks(3, 1, 0, 5_000);
    kept.asks(2, 0, 4, 5_000);
    kept.takes_over(3, false, 1);
    kept.asks(2, 0, 4, 5_000);
    assert_eq!(kept.store.used(kept.now, "tier5000"), 5, "it may have used more");
    kept.takes_over(3, true, 1);
    kept.asks(2, 0, 4, 5_000);
    assert_eq!(kept.store.used(kept.now, "tier5000"), 4, "others are granted three");
    for epoch in [0, EPOCH] {
        let (others, ended) = (Vec::new(), Vec::new());
        let beat = Beat { name: 1, epoch, new_epoch: 8, told_all: true, others, ended };
        assert_eq!(kept.store.beat(kept.now, TIMES, beat), Beaten::Gone);
    }
}

/// The same where it was forgotten before.
#[test]
fn what_is_kept_for_a_member_that_has_ended_is_free() {
    let mut kept = Kept::warm();
    kept.asks(1, 4, 0, 5_000);
    kept.beats(&[2], TIMES.forget + 100);
    kept.asks(2, 0, 1, 5_000);
    assert_eq!(kept.store.used(kept.now, "tier5000"), 4, "nobody is granted any");
    kept.says(3, 0);
    kept.asks(3, 1, 0, 5_000);
    assert_eq!(kept.store.used(kept.now, "tier5000"), 5);
    kept.takes_over(3, true, 1);
    kept.asks(2, 0, 1, 5_000);
    assert_eq!(kept.store.used(kept.now, "tier5000"), 2);
}

/// A store that was emptied does not wait for a member that has ended, whoever names it. Red when it
/// does.
#[test]
fn nobody_waits_for_a_member_that_has_ended() {
    let mut kept = Kept::warm();
    kept.store.flush();
    kept.says(2, 0);
    kept.takes_over(2, true, 1);
    let beat = Beat {
        name: 3,
        epoch: 0,
        new_epoch: 8,
        told_all: false,
        others: vec![1, 2],
        ended: Vec::new(),
    };
    kept.store.beat(kept.now, TIMES, beat);
    kept.beats(&[2, 3], 400);
    assert!(!kept.beat(2).0, "it grants slots");
}

/// Red when slots that are kept for nobody are not counted.
#[test]
fn orphans_make_a_bucket_hot() {
    let mut kept = Kept::warm();
    let period = 5_000;
    kept.asks(1, 4, 0, period);
    kept.beats(&[2], TIMES.forget + 100);
    kept.asks(2, 0, 1, period);
    kept.beats(&[2], period + TIMES.flight - 100);
    assert_eq!(kept.beat(2).1.len(), 1, "all of the quota is the part of the only member");
    kept.beats(&[2], 100);
    assert_eq!(kept.beat(2).1.len(), 0);
}

/// Red when slots of who is gone are free before they have aged, because who asks has a limit with a shorter
/// period, or one whose slots end with the answer.
#[test]
fn slots_of_who_is_gone_are_kept_as_long_as_they_age() {
    let long = 100_000;
    for period in [0, 100] {
        for leaves in [false, true] {
            let mut kept = Kept::warm();
            if leaves {
                kept.left = Some(vec![(4, long)]);
                kept.asks_of((4, period), 1, 4, 0);
                kept.left = None;
            } else {
                kept.asks_of((4, long - TIMES.flight), 1, 4, 0);
                kept.beats(&[2], TIMES.forget + 100);
            }
            let used = |kept: &mut Kept| {
                kept.asks_of((4, period), 2, 0, 1);
                kept.store.used(kept.now, "tier")
            };
            assert_eq!(used(&mut kept), 4);
            kept.beats(&[2], long - 100);
            assert_eq!(used(&mut kept), 4, "{period} {leaves}");
            kept.beats(&[2], 100);
            assert_eq!(used(&mut kept), 1, "{period} {leaves}");
        }
    }
}

/// Red when a clock that is set back keeps slots of who is gone for longer than they age.
#[test]
fn slots_of_who_is_gone_are_not_kept_for_longer_than_they_age() {
    let mut kept = Kept::warm();
    kept.beats(&[1, 2], 60_000);
    kept.asks(1, 4, 0, 100);
    kept.beats(&[2], TIMES.forget + 100);
    kept.asks(2, 0, 1, 100);
    kept.now -= 50_000;
    kept.beat(2);
    kept.asks(2, 0, 1, 100);
    kept.beats(&[2], 100 + TIMES.flight - 100);
    assert_eq!(kept.store.used(kept.now, "tier100"), 4);
    kept.beats(&[2], 100);
    assert_eq!(kept.asks(2, 0, 1, 100), 1);
}

/// Red when a store that is emptied does not wait for who was forgotten a moment ago, and may still use
/// what it held.
#[test]
fn a_store_that_is_emptied_waits_for_who_was_forgotten_lately() {
    let wide = bucket(&rate("wide", 6, 1_000, AgeFrom::Answer), "w");
    let mut world = World::new(2, vec![wide.clone()], Net::of(1));
    (world.patience, world.gives_back) = (None, false);
    world.pass(seconds(1));
    let arrive = |world: &mut World, at: usize| {
        for _ in 0..6 {
            let call = Shared { buckets: vec![wide.clone()], class: Class::Normal, caller: 1 };
            world.arrive(at, call);
        }
    };
    let answer = |world: &mut World| {
        let flying = world.flying();
        for call in flying {
            world.settle(call, Outcome::Answered);
        }
    };
    arrive(&mut world, 0);
    world.pass(millis(50));
    answer(&mut world);
    world.net.cut = 1;
    world.pass(millis(1_350));
    arrive(&mut world, 0);
    assert_eq!(world.flying().len(), 6, "it has not heard the store for a while");
    world.pass(millis(300));
    let members = world.replicas[1].others.iter().filter(|(_, gone)| gone.is_none()).count();
    assert_eq!(members, 1, "it is forgotten");
    world.store.flush();
    arrive(&mut world, 1);
    world.pass(millis(6_000));
    assert!(
        world.flying().len() + world.replicas[1].held.len() < 6,
        "it is granted something then"
    );
    world.net.cut = 0;
    world.wind_up();
}

/// Red when whoever has been given a larger quota fills it beside one with a smaller one.
#[test]
fn of_two_quotas_the_smaller_one_holds() {
    let (small, large) = ((2, 1_000), (4, 1_000));
    let mut kept = Kept::warm();
    assert_eq!(kept.asks_of(large, 1, 2, 2), (2, None), "it is alone");
    assert_eq!(kept.asks_of(small, 2, 0, 1), (0, Some(large)));
    let mut kept = Kept::warm();
    assert_eq!(kept.asks_of(small, 2, 1, 0), (0, None));
    assert_eq!(kept.asks_of(large, 1, 0, 4), (1, Some(small)));
    // The other one is given the new limit, too.
    assert_eq!(kept.asks_of(large, 2, 1, 0), (0, None));
    assert_eq!(kept.asks_of(large, 1, 0, 4), (3, None));
}

/// Red when a slot that ages sooner is granted as often as others expect of their own.
#[test]
fn of_two_periods_each_sees_no_more_than_it_allows() {
    let (short, long) = ((4, 1_000), (4, 1_500));
    let mut kept = Kept::warm();
    kept.asks_of(long, 1, 1, 0);
    // In 1.5 s each slot may be used twice.
    assert_eq!(kept.asks_of(short, 2, 0, 4), (1, Some(long)));
}

/// Red when a replica has a slot that ages sooner than the only one that another limit allows.
#[test]
fn a_slot_that_would_age_too_soon_is_not_granted() {
    let (short, long) = ((1, 1_000), (1, 60_000));
    let mut kept = Kept::warm();
    kept.asks_of(long, 1, 1, 0);
    assert_eq!(kept.asks_of(short, 2, 0, 1), (0, Some(long)));
    kept.returned = 1;
    assert_eq!(kept.asks_of(long, 1, 1, 1), (1, Some(short)), "it is not its turn");
    assert_eq!(kept.store.used(kept.now, "tier"), 1);
}
