//! What refusals teach: the whole scheduler against servers whose limit is not the documented one.

use std::collections::BTreeMap;

use super::{
    super::{
        Enqueued, Event, KeptLesson, Learning, Learnt, Lesson, Memory, Permit, Policy, Scheduler,
        Share,
        learn::{
            Pace,
            tests::{
                figures,
                server::Shape,
                stage::{Client, Count, Mood, Others, PERIOD, Play},
            },
        },
        teach::MEMORY,
    },
    *,
};

/// A flood through a whole scheduler: there are always calls that wait.
struct Whole {
    scheduler: Scheduler,
    key: BucketKey,
    class: Class,
    in_flight: BTreeMap<u64, Permit>,
    /// Calls that go, and have not been told yet.
    gone: Vec<u64>,
    wake: Option<Instant>,
    surprises: u32,
    next: u64,
}

// === impl Whole ===

impl Whole {
    fn new(quota: u32, learning: Learning) -> Self {
        let limit = per(
            &rate("tier", quota, 60_000, AgeFrom::Answer),
            &[Dimension::Workspace, Dimension::Method],
        );
        Self {
            scheduler: scheduler(learning),
            key: bucket(&limit, "T/m"),
            class: Class::Normal,
            in_flight: BTreeMap::new(),
            gone: Vec::new(),
            wake: None,
            surprises: 0,
            next: 0,
        }
    }

    fn goes(&mut self, permit: Permit) {
        self.next += 1;
        self.in_flight.insert(self.next, permit);
        self.gone.push(self.next);
    }

    fn poll(&mut self, now: Instant) {
        while self.scheduler.held() < 150 {
            let call = Call {
                buckets: vec![self.key.clone()],
                class: self.class,
                caller: of(1),
                deadline: Instant::FAR,
                max_depth: None,
                place: None,
                again: Duration::ZERO,
            };
            match self.scheduler.enqueue(now, &call) {
                Enqueued::Granted(permit) => self.goes(permit),
                Enqueued::Held(_) => {}
                Enqueued::Refused(refusal) => panic!("{refusal:?}"),
            }
        }
        let mut events = Vec::new();
        self.wake = self.scheduler.poll(now, &mut events);
        for event in events {
            match event {
                Event::Granted { permit, .. } => self.goes(permit),
                Event::Expired { .. } => panic!("none has a deadline"),
            }
        }
    }
}

impl Client for Whole {
    fn go(&mut self, now: Instant) -> Vec<u64> {
        self.poll(now);
        std::mem::take(&mut self.gone)
    }

    fn wake(&mut self, _: Instant) -> Option<Instant> {
        self.wake
    }

    fn answered(&mut self, now: Instant, call: u64, refused: Option<Duration>) {
        let permit = self.in_flight.remove(&call).unwrap();
        self.scheduler.answered(now, &permit);
        let Some(retry_after) = refused else {
            return self.scheduler.settle(now, permit, Outcome::Answered);
        };
        let refused = self.scheduler.refused(now, &permit, retry_after);
        self.surprises += u32::from(refused.surprise);
        match self.scheduler.replay(now, permit, Outcome::Refused, &[]) {
            Enqueued::Granted(permit) => self.goes(permit),
            Enqueued::Held(_) => {}
            Enqueued::Refused(refusal) => panic!("{refusal:?}"),
        }
    }

    fn pace(&mut self, now: Instant) -> Pace {
        let state = self.scheduler.buckets(now).find(|state| state.key == self.key).unwrap();
        let period = state.learnt.map_or(PERIOD, |learnt| learnt.period);
        Pace { quota: state.quota, period }
    }

    fn surprises(&self) -> u32 {
        self.surprises
    }
}

fn scheduler(learning: Learning) -> Scheduler {
    let bounds = Bounds { per_bucket: 1_000_000, total: 1_000_000 };
    Scheduler::new(Policy { bounds, background: Share::default(), learning })
}

/// Every true limit in every shape, at the longest distance or at any.
fn plays() -> Vec<Play> {
    let all = crate::learn::tests::plays().into_iter().enumerate();
    let some = all.filter(|(n, play)| {
        let far = play.delay == if n % 2 == 0 { (200, 200) } else { (2, 200) };
        far && play.seed == 1 && play.quota != 50
    });
    some.map(|(_, play)| Play { windows: 150, ..play }).collect()
}

/// Red with each of: no learner; a quota that is learnt and not kept to; no spacing; no base to
/// fall back to; trials after four periods for ever.
#[test]
fn a_flood_finds_the_true_limit_and_keeps_to_it() {
    figures::hold(&plays(), |play| play.run(&mut Whole::new(play.quota, Learning::default())));
}

fn accepted(counts: &[Count], from: usize, to: usize) -> u32 {
    counts[from..to].iter().map(|count| count.accepted).sum()
}

#[test]
fn servers_of_every_mood_are_used_again_when_it_is_over() {
    for mood in [Mood::Shut(10, 30), Mood::Random(5, 30), Mood::Flaps(30), Mood::Silent] {
        let others =
            (mood == Mood::Silent).then_some(Others { percent: 30, until: 30, random: false });
        let play = Play { mood, others, windows: 100, ..Play::new(20, 100, Shape::Sliding) };
        let counts = play.run(&mut Whole::new(20, Learning::default()));
        assert!(accepted(&counts, 90, 100) >= 196, "{mood:?}");
        assert!(counts[1..].iter().all(|count| count.pace >= 1000), "{mood:?}");
    }
}

/// Red when a background flood alone never fills its bucket.
#[test]
fn a_background_flood_finds_the_limit_again() {
    let mood = Mood::Random(50, 2);
    let play = Play { mood, windows: 60, ..Play::new(20, 100, Shape::Sliding) };
    let mut whole = Whole { class: Class::Background, ..Whole::new(20, Learning::default()) };
    let counts = play.run(&mut whole);
    assert!(accepted(&counts, 50, 60) >= 145, "three quarters of twenty a window");
}

/// Red when a bucket that is used up is not given a learner, or one that may try more is over.
#[test]
fn with_leave_the_ceiling_is_reached_and_nothing_beyond() {
    for (percent, reached) in [(70, 14), (130, 26), (300, 40)] {
        let play = Play { windows: 60, ..Play::new(20, percent, Shape::Sliding) };
        let counts = play.run(&mut Whole::new(20, Learning { down: true, up: Some(200) }));
        assert!(accepted(&counts, 50, 60) * 100 >= reached * 980, "{percent} %");
        assert!(counts.iter().all(|count| count.most <= 40_000));
    }
}

/// Red when lessons are learnt that nobody has asked for.
#[test]
fn nothing_is_learnt_where_that_is_off() {
    let play = Play { windows: 5, ..Play::new(20, 50, Shape::Sliding) };
    let mut whole = Whole::new(20, Learning::OFF);
    play.run(&mut whole);
    let now = Instant::ZERO + PERIOD * 5;
    assert!(whole.scheduler.buckets(now).all(|bucket| bucket.learnt.is_none()));
}

fn tier(workspace: &str) -> BucketKey {
    use Dimension::{Method, Workspace};
    bucket(&per(&rate("tier", 20, 60_000, AgeFrom::Answer), &[Workspace, Method]), workspace)
}

/// Twenty calls go at once, of which so many are accepted, the first.
fn taught(model: &mut Model, key: &BucketKey, accepted: usize) {
    let calls = flood(model, std::slice::from_ref(key), 1, 20);
    model.pass(millis(100));
    for (n, call) in calls.into_iter().enumerate() {
        if n < accepted {
            model.settle(call, Outcome::Answered);
        } else {
            if n == accepted {
                model.refuse(call, seconds(60));
            }
            model.settle(call, Outcome::Refused);
        }
    }
}

fn quota(model: &mut Model, key: &BucketKey) -> Option<u32> {
    let mut states = model.scheduler.buckets(model.now);
    states.find(|state| state.key == *key).map(|state| state.quota)
}

/// Red when slots of refused calls count as accepted.
#[test]
fn refused_calls_were_not_accepted() {
    let mut model = Model::new();
    let key = [tier("T/m")];
    let calls = flood(&mut model, &key, 1, 5);
    model.pass(millis(100));
    model.settle(calls[0], Outcome::Answered);
    model.settle(calls[1], Outcome::Answered);
    model.refuse(calls[2], seconds(1));
    calls[2..].iter().for_each(|call| model.settle(*call, Outcome::Refused));
    assert_eq!(quota(&mut model, &key[0]), Some(10), "half");
    for _ in 0..3 {
        model.pass(seconds(7));
        let call = flood(&mut model, &key, 1, 1)[0];
        model.settle(call, Outcome::Answered);
    }
    model.pass(seconds(7));
    let call = flood(&mut model, &key, 1, 1)[0];
    model.refuse(call, seconds(1));
    assert_eq!(quota(&mut model, &key[0]), Some(5), "two and three");
}

/// Red when a bucket is dropped that has learnt something, and when it is kept for ever.
#[test]
fn what_is_learnt_is_kept_for_a_day() {
    let mut model = Model::new();
    let key = tier("T/m");
    taught(&mut model, &key, 12);
    assert_eq!(quota(&mut model, &key), Some(12));
    model.pass(seconds(23 * 3600));
    assert_eq!(quota(&mut model, &key), Some(12));
    model.pass(seconds(3600));
    assert_eq!(quota(&mut model, &key), None);
}

/// Red when the quota of the bucket that stays is the higher one.
#[test]
fn of_two_buckets_that_become_one_the_slower_pace_is_kept() {
    for (one, other) in [("T", "U"), ("U", "T")] {
        let mut model = Model::new();
        taught(&mut model, &tier("T/m"), 12);
        flood(&mut model, &[tier("U/m")], 1, 1);
        model.scheduler.rename(model.now, limits::Scope::of(&[Dimension::Workspace]), one, other);
        assert_eq!(quota(&mut model, &tier(&format!("{other}/m"))), Some(12), "{one}");
        let mut states = model.scheduler.buckets(model.now);
        assert!(states.any(|state| state.learnt.is_some()), "it knows that it is a lower one");
    }
}

/// Red when a renamed bucket forgets.
#[test]
fn a_renamed_bucket_keeps_what_it_has_learnt() {
    let mut model = Model::new();
    taught(&mut model, &tier("T/m"), 12);
    model.scheduler.rename(model.now, limits::Scope::of(&[Dimension::Workspace]), "T", "V");
    assert_eq!(quota(&mut model, &tier("V/m")), Some(12));
}

/// Red when what was learnt of the old limit is kept under the new one, or is lost with another
/// share for background calls.
#[test]
fn a_limit_that_the_operator_corrects_is_learnt_anew() {
    let mut model = Model::new();
    let key = tier("T/m");
    taught(&mut model, &key, 12);
    let bounds = Bounds { per_bucket: 1000, total: 1000 };
    let policy =
        Policy { bounds, background: Share::new(0.5).unwrap(), learning: Learning::default() };
    model.scheduler.relimit(model.now, policy, [&key.limit].into_iter());
    assert_eq!(quota(&mut model, &key), Some(12));
    let corrected =
        per(&rate("tier", 15, 60_000, AgeFrom::Answer), &[Dimension::Workspace, Dimension::Method]);
    model.scheduler.relimit(model.now, policy, [&corrected].into_iter());
    assert_eq!(quota(&mut model, &key), Some(15));
}

/// Red when what was learnt is kept where nothing is to be learnt.
#[test]
fn who_learns_no_more_forgets() {
    let mut model = Model::new();
    let key = tier("T/m");
    taught(&mut model, &key, 12);
    let bounds = Bounds { per_bucket: 1000, total: 1000 };
    let policy = Policy { bounds, background: Share::default(), learning: Learning::OFF };
    model.scheduler.relimit(model.now, policy, [].into_iter());
    assert_eq!(quota(&mut model, &key), Some(20));
}

/// Red when all are asked, or two.
#[test]
fn three_workspaces_hint_at_what_the_fourth_will_learn() {
    let mut model = Model::new();
    let mut lessons = Vec::new();
    for (workspace, method, accepted, learnt, alike) in [
        ("T1", "m", 11, 11, 0),
        ("T2", "m", 12, 12, 1),
        ("T3", "n", 13, 13, 0),
        ("T4", "m", 10, 10, 2),
        ("T5", "m", 15, 11, 3),
        ("T6", "n", 15, 15, 1),
    ] {
        let key = tier(&format!("{workspace}/{method}"));
        taught(&mut model, &key, accepted);
        assert_eq!(quota(&mut model, &key), Some(learnt), "{workspace}");
        model.scheduler.lessons(&mut lessons);
        let Lesson { bucket, learnt: told, alike: others } = lessons.pop().unwrap();
        assert_eq!((bucket, told.quota, others), (key, learnt, alike));
        model.pass(seconds(11));
    }
}

/// Red when nothing is forgotten, or the one that was used last.
#[test]
fn so_many_buckets_remember_and_no_more() {
    let mut model = Model::new();
    for n in 0..=MEMORY {
        let key = tier(&format!("T{n}/m"));
        let call = model.arrive(std::slice::from_ref(&key), Class::Normal, 1, PATIENT);
        model.settle(call, Outcome::Answered);
        let call = model.arrive(&[key], Class::Normal, 1, PATIENT);
        model.refuse(call, seconds(1));
        model.settle(call, Outcome::Refused);
        model.pass(seconds(11));
    }
    let learnt: Vec<_> =
        model.scheduler.buckets(model.now).filter(|b| b.learnt.is_some()).collect();
    assert_eq!(learnt.len(), MEMORY);
    assert!(learnt.iter().all(|state| state.key != tier("T0/m")));
}

/// Red when calls after a surprise go as close together as before.
#[test]
fn after_a_surprise_calls_are_kept_apart() {
    let mut model = Model::new();
    let key = tier("T/m");
    taught(&mut model, &key, 10);
    flood(&mut model, std::slice::from_ref(&key), 1, 20);
    let before = model.sent.len();
    model.pass_answering(seconds(120));
    let went: Vec<_> = model.sent[before..].iter().map(|(at, _)| *at).collect();
    assert_eq!(went.len(), 10);
    assert!(went.windows(2).all(|two| two[1].since(two[0]) >= seconds(6)), "{went:?}");
}

/// Red when what was learnt is not noted, not restored, or restored of another limit.
#[test]
fn a_successor_knows_what_was_learnt() {
    let mut model = Model::new();
    let key = tier("T/m");
    taught(&mut model, &key, 12);
    let before = state(&mut model, &key);
    model.restart(std::slice::from_ref(&key), false);
    let after = state(&mut model, &key);
    assert_eq!((after.documented, after.quota), (20, 12));
    assert_eq!((after.refused, after.since), (before.refused, before.since));
    let lesson = KeptLesson {
        documented: 20,
        per: seconds(60),
        quota: 12,
        period: seconds(60),
        refused: Some(13),
        bursts: false,
        since: None,
    };
    for (documented, kept) in [(20, Some(12)), (21, None)] {
        let memory =
            Memory { learnt: Some(KeptLesson { documented, ..lesson }), ..Memory::default() };
        let mut other = Model::new();
        other.scheduler.restore(other.now, key.clone(), &memory);
        assert_eq!(quota(&mut other, &key), kept, "of {documented}");
    }
}

/// Red when the buckets forget that were not named, or those that were tell their successor nothing.
#[test]
fn what_was_learnt_is_forgotten_on_request() {
    let mut model = Model::new();
    let keys = [tier("T/m"), tier("T/n")];
    for key in &keys {
        taught(&mut model, key, 12);
        model.pass(seconds(11));
    }
    assert_eq!(model.scheduler.forget(model.now, |bucket| *bucket == keys[0]), 1);
    model.pass(seconds(1));
    assert_eq!((quota(&mut model, &keys[0]), quota(&mut model, &keys[1])), (Some(20), Some(12)));
    model.restart(&keys, false);
    assert_ne!(quota(&mut model, &keys[0]), Some(12));
    assert_eq!(quota(&mut model, &keys[1]), Some(12));
}

fn state(model: &mut Model, key: &BucketKey) -> Learnt {
    let mut states = model.scheduler.buckets(model.now);
    states.find(|state| state.key == *key).unwrap().learnt.unwrap()
}

/// Red when a replica takes its part for the whole.
#[test]
fn one_of_several_replicas_learns_the_whole_limit_from_its_part() {
    let mut model = Model::new();
    let split = limits::Split::new(4.try_into().unwrap(), 0, limits::Split::MARGIN).unwrap();
    model.scheduler.split(model.now, split, seconds(1_800_000_000));
    let key = tier("T/m");
    let calls = flood(&mut model, std::slice::from_ref(&key), 1, 5);
    model.pass(millis(100));
    for call in &calls[..3] {
        model.settle(*call, Outcome::Answered);
    }
    model.refuse(calls[3], seconds(60));
    calls[3..].iter().for_each(|call| model.settle(*call, Outcome::Refused));
    let state = model.scheduler.buckets(model.now).find(|state| state.key == key).unwrap();
    let learnt = state.learnt.unwrap();
    assert_eq!((learnt.quota, state.quota), (12, 3));
    assert!(learnt.spacing >= seconds(20), "{learnt:?}");
}
