//! Limits that schedulers learn together: several of them, each with a part of the calls, against servers
//! whose limit is not the documented one.

use std::collections::BTreeMap;

use super::*;
use crate::{
    Learning,
    learn::{
        Pace,
        tests::{
            figures,
            server::Shape,
            stage::{Client, PERIOD, Play},
        },
    },
    model::store::Times,
};

/// A flood over several schedulers: there are always calls that wait.
struct Fleet {
    world: World,
    key: BucketKey,
    /// How many of them have a flood. The others have a call now and then.
    floods: usize,
    sent: BTreeMap<u64, Instant>,
    /// When the last surprise was.
    surprised: Instant,
    surprises: u32,
    cleared: Instant,
}

/// The real ones.
const REAL: Times = Times { forget: 30_000, flight: 60_000, stale: 3_000, longest: 60_000 };

/// So long they have been there when the play begins.
const BEFORE: Duration = Duration::from_secs(6);

// === impl Fleet ===

impl Fleet {
    fn new(replicas: usize, floods: usize, quota: u32, learning: Learning) -> Self {
        let limit = per(
            &rate("tier", quota, 60_000, AgeFrom::Answer),
            &[Dimension::Workspace, Dimension::Method],
        );
        let key = bucket(&limit, "T/m");
        let net = Net { delay: 2, ..Net::of(7) };
        let world = World::that_learns(replicas, vec![key.clone()], net, REAL, learning);
        let mut new = Self {
            world,
            key,
            floods,
            sent: BTreeMap::new(),
            surprised: Instant::ZERO,
            surprises: 0,
            cleared: Instant::ZERO,
        };
        new.world.pass(seconds(5));
        new
    }

    fn until(&mut self, now: Instant) {
        let now = now + BEFORE;
        self.world.pass(now.since(self.world.now));
        if now.since(self.cleared) > PERIOD {
            self.world.forget(self.cleared);
            self.cleared = now;
        }
    }

    fn fill(&mut self) {
        for at in 0..self.world.replicas.len() {
            let few = if at < self.floods { 40 } else { 1 };
            while self.world.replicas[at].held.len() < few {
                let call =
                    Shared { buckets: vec![self.key.clone()], class: Class::Normal, caller: 1 };
                let before = self.world.replicas[at].held.len();
                self.world.arrive(at, call);
                if self.world.replicas[at].held.len() == before {
                    break;
                }
            }
        }
    }

    fn quotas(&mut self) -> Vec<Option<u32>> {
        let all = 0..self.world.replicas.len();
        all.map(|at| self.learnt(at).map(|it| it.quota)).collect()
    }

    /// The operator lets one of them forget.
    fn forget(&mut self, at: usize) {
        let now = self.world.now;
        assert_eq!(self.world.replicas[at].scheduler.forget(now, |_| true), 1);
    }

    fn learnt(&mut self, at: usize) -> Option<crate::Learnt> {
        let now = self.world.now;
        let all = &mut self.world.replicas[at].scheduler;
        all.buckets(now).find(|state| state.key == self.key)?.learnt
    }
}

impl Client for Fleet {
    fn go(&mut self, now: Instant) -> Vec<u64> {
        self.until(now);
        self.fill();
        let gone = self.world.gone();
        self.sent.extend(gone.iter().map(|number| (*number, now)));
        gone
    }

    fn wake(&mut self, now: Instant) -> Option<Instant> {
        let next = self.world.next()?.since(Instant::ZERO + BEFORE);
        Some((Instant::ZERO + next).max(now))
    }

    fn answered(&mut self, now: Instant, call: u64, refused: Option<Duration>) {
        self.until(now);
        let sent = self.sent.remove(&call).unwrap();
        match refused {
            None => self.world.settle(call, Outcome::Answered),
            Some(pause) => {
                if sent >= self.surprised {
                    self.surprises += 1;
                    self.surprised = now;
                }
                self.world.refuse(call, pause);
            }
        }
    }

    fn pace(&mut self, _: Instant) -> Pace {
        let documented = match self.key.limit.rule {
            limits::Rule::Rate(rate) => Pace { quota: rate.limit.get(), period: rate.per },
            _ => panic!("it has a rate"),
        };
        let learnt = self.learnt(0);
        learnt.map_or(documented, |it| Pace { quota: it.quota, period: it.period })
    }

    fn surprises(&self) -> u32 {
        self.surprises
    }
}

fn plays(windows: usize) -> Vec<Play> {
    let mut plays = Vec::new();
    for (quota, percent) in [(20, 50), (20, 70), (50, 70)] {
        for shape in [Shape::Sliding, Shape::Fixed, Shape::Bucket(quota * percent / 100)] {
            plays.push(Play { windows, ..Play::new(quota, percent, shape) });
        }
    }
    plays
}

fn together(replicas: usize, floods: usize, plays: &[Play]) {
    figures::hold(plays, |play| {
        play.run(&mut Fleet::new(replicas, floods, play.quota, Learning::default()))
    });
}

/// Red with each of: what the others had counted is not added; a record that is not the store's any more takes its
/// place.
#[test]
fn three_find_the_true_limit_together() {
    together(3, 3, &plays(60));
}

/// The load of one is not that of the others.
#[test]
fn three_find_the_true_limit_by_the_load_of_one() {
    together(3, 1, &plays(60));
}

#[test]
fn ten_find_the_true_limit_together() {
    let all = [Shape::Sliding, Shape::Fixed, Shape::Bucket(25)];
    let plays = all.map(|shape| Play { windows: 60, ..Play::new(50, 50, shape) });
    together(10, 10, &plays);
}

/// Red when a limit that is as documented is learnt, or exceeded, and when anything of it is told.
#[test]
fn a_limit_that_is_as_documented_teaches_nothing() {
    let play = Play { windows: 3, ..Play::new(20, 100, Shape::Sliding) };
    let mut fleet = Fleet::new(3, 3, 20, Learning::default());
    let counts = play.run(&mut fleet);
    assert!(counts.iter().all(|count| count.refused == 0));
    assert!((0..3).all(|at| fleet.learnt(at).is_none()));
    assert_eq!(fleet.world.closed.learnt(), 0);
    assert!(!fleet.world.store.is_spaced(&fleet.key.to_string()));
}

/// One that does not learn, by its configuration or as it is of an earlier build, and two that do. The others
/// keep to less than is true, as it does not tell what it had accepted.
#[test]
fn one_that_does_not_learn_is_beside_others_that_do() {
    let mut fleet = Fleet::new(3, 3, 20, Learning::default());
    fleet.world.does_not_learn(0);
    let play = Play { windows: 40, ..Play::new(20, 50, Shape::Sliding) };
    let counts = play.run(&mut fleet);
    assert_eq!(fleet.quotas()[0], None);
    assert!(fleet.quotas()[1].is_some_and(|quota| quota <= 10), "{:?}", fleet.quotas());
    let refused: u32 = counts[1..].iter().map(|count| count.refused).sum();
    assert!(refused <= 4 && counts.iter().all(|count| count.accepted >= 9), "{counts:?}");
}

/// A server that refuses bursts: all of them together are as far apart as its tokens come. Red when each of them
/// keeps only its own calls apart.
#[test]
fn three_find_together_that_bursts_are_refused() {
    let all = [(20, 100), (20, 70), (50, 100)];
    let play =
        |(quota, percent)| Play { windows: 60, ..Play::new(quota, percent, Shape::Bucket(3)) };
    together(3, 3, &all.map(play));
}

/// Red when a higher limit is found by nobody, or exceeds the ceiling.
#[test]
fn with_leave_three_find_a_higher_limit_together() {
    let learning = Learning { down: true, up: Some(150) };
    let play = Play { windows: 40, ..Play::new(20, 200, Shape::Sliding) };
    let mut fleet = Fleet::new(3, 3, 20, learning);
    fleet.world.allows = |quota| quota as usize / 2;
    let counts = play.run(&mut fleet);
    assert_eq!(fleet.quotas(), [Some(30); 3]);
    assert!(counts[30..].iter().all(|count| count.accepted >= 29), "{counts:?}");
}

fn taught(replicas: usize, windows: usize) -> Fleet {
    let play = Play { windows, ..Play::new(20, 50, Shape::Sliding) };
    let mut fleet = Fleet::new(replicas, 1, 20, Learning::default());
    play.run(&mut fleet);
    fleet
}

/// Red when only those know of it who have calls of the bucket, when it is forgotten at one of them only, and
/// when the store keeps calls apart all the same.
#[test]
fn what_one_learns_all_keep_to_and_all_forget() {
    let mut fleet = taught(3, 2);
    assert_eq!(fleet.quotas(), [Some(10); 3]);
    assert!(fleet.learnt(1).unwrap().spacing > seconds(2));
    fleet.world.gone();
    fleet.forget(2);
    fleet.world.pass(seconds(2));
    assert_eq!(fleet.quotas(), [None; 3]);
    assert_eq!(fleet.world.closed.learnt(), 0);
    // Another one would go in six seconds.
    assert!(fleet.world.gone().len() > 3, "calls go at once");
}

/// Red when who was cut off meanwhile goes on with it.
#[test]
fn who_was_cut_off_forgets_what_was_forgotten() {
    let mut fleet = taught(3, 3);
    fleet.world.net.cut = 1;
    fleet.world.pass(seconds(1));
    fleet.forget(2);
    fleet.world.pass(seconds(5));
    assert_eq!(fleet.quotas(), [Some(10), None, None]);
    fleet.world.net.cut = 0;
    fleet.world.pass(seconds(5));
    assert_eq!(fleet.quotas(), [None; 3]);
}

/// Red when the store does not remember that.
#[test]
fn a_state_file_does_not_bring_back_what_was_forgotten() {
    let mut fleet = taught(3, 3);
    fleet.world.stop(1, true);
    fleet.world.pass(seconds(1));
    fleet.forget(2);
    fleet.world.pass(seconds(5));
    fleet.world.restart(1);
    fleet.world.pass(seconds(5));
    assert_eq!(fleet.quotas(), [None; 3]);
    assert_eq!(fleet.world.closed.learnt(), 0);
}

/// Red when a state file says nothing to the others.
#[test]
fn a_state_file_tells_all_what_it_has() {
    let mut fleet = taught(1, 3);
    fleet.world.stop(0, true);
    fleet.world.closed.flush();
    fleet.world.pass(seconds(5));
    let late = fleet.world.comes();
    fleet.world.restart(0);
    fleet.world.pass(seconds(5));
    assert_eq!(fleet.learnt(0).map(|it| it.quota), Some(10));
    assert_eq!(fleet.learnt(late).map(|it| it.quota), Some(10));
}

/// Red when a record of before is newer than what is said now.
#[test]
fn what_is_forgotten_while_the_store_is_emptied_is_forgotten() {
    let mut fleet = taught(3, 3);
    fleet.world.closed.flush();
    fleet.forget(2);
    fleet.world.pass(seconds(5));
    assert_eq!(fleet.quotas(), [None; 3]);
}

/// Red when one that comes later does not hear of it before its first call.
#[test]
fn one_that_comes_later_keeps_to_it() {
    let mut fleet = taught(3, 3);
    let late = fleet.world.comes();
    fleet.world.pass(seconds(2));
    assert_eq!(fleet.learnt(late).map(|it| it.quota), Some(10));
}

/// Red when what was learnt is lost with the store's memory.
#[test]
fn a_store_that_has_lost_its_memory_is_told_what_was_learnt() {
    let mut fleet = taught(3, 3);
    fleet.world.closed.flush();
    fleet.world.pass(seconds(5));
    assert_eq!(fleet.world.closed.learnt(), 1);
    assert_eq!((0..3).filter_map(|at| fleet.learnt(at)).count(), 3);
}

/// Twenty calls of a bucket go at one of them, of which so many are accepted, the first.
fn refused(world: &mut World, at: usize, key: &BucketKey, accepted: usize) {
    for _ in 0..20 {
        let call = Shared { buckets: vec![key.clone()], class: Class::Normal, caller: 1 };
        world.arrive(at, call);
    }
    world.pass(millis(100));
    let gone = world.gone();
    assert_eq!(gone.len(), 20);
    for (nth, number) in gone.into_iter().enumerate() {
        if nth < accepted {
            world.settle(number, Outcome::Answered);
        } else {
            world.refuse(number, seconds(20));
        }
    }
    world.pass(millis(100));
}

/// Red when what others have learnt is no hint.
#[test]
fn what_three_have_learnt_of_three_buckets_is_a_hint_for_the_fourth() {
    let limit =
        per(&rate("tier", 20, 60_000, AgeFrom::Answer), &[Dimension::Workspace, Dimension::Method]);
    let all = ["A/m", "B/m", "C/m", "D/m"].map(|values| bucket(&limit, values));
    let net = Net { delay: 2, ..Net::of(7) };
    let mut world = World::that_learns(3, all.to_vec(), net, REAL, Learning::default());
    world.pass(BEFORE);
    for (at, key) in all[..3].iter().enumerate() {
        refused(&mut world, at, key, 8);
    }
    refused(&mut world, 0, &all[3], 17);
    let now = world.now;
    for replica in &mut world.replicas {
        let learnt = replica.scheduler.buckets(now).filter_map(|it| Some(it.learnt?.quota));
        let mut learnt: Vec<_> = learnt.collect();
        learnt.sort_unstable();
        // By how much one surprise cuts at most, and then what the others have learnt.
        assert_eq!(learnt, [10, 10, 10, 10]);
    }
}
