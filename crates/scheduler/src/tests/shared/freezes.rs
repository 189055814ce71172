//! What Slack refuses one scheduler, all know.

use super::*;
use crate::{Notice, Noticed, Prober, Shut, Standing};

/// A scheduler and what it tells the others of freezes.
struct Freezing {
    one: One,
    version: u64,
}

// === impl Freezing ===

impl Freezing {
    /// It is heard, and nothing is closed.
    fn new() -> Self {
        let mut new = Self { one: One::of(2), version: 0 };
        assert_eq!(new.tells(&[], &[]), []);
        new
    }

    /// It tells what there is to tell, and is answered: which claims are granted, and how buckets stand.
    fn tells(&mut self, granted: &[bool], standings: &[(&BucketKey, Option<Shut>)]) -> Vec<Notice> {
        let mut notices = Vec::new();
        let batch = self.one.scheduler.notices(self.one.now, &mut notices);
        let standings = standings.iter().map(|(bucket, shut)| self.stands(bucket, *shut));
        let standings = standings.collect();
        let answer = Noticed {
            batch,
            epoch: EPOCH,
            version: 100,
            granted: granted.to_vec(),
            standings,
            all: None,
            learnt: Vec::new(),
            all_learnt: None,
        };
        self.one.scheduler.noticed(self.one.now, answer);
        self.one.look();
        notices
    }

    /// The others tell how a bucket stands.
    fn hears(&mut self, bucket: &BucketKey, shut: Option<Shut>) {
        self.version += 1;
        let standing = self.stands(bucket, shut);
        self.one.scheduler.stands_now(self.one.now, EPOCH, standing);
        self.one.look();
    }

    fn stands(&self, bucket: &BucketKey, shut: Option<Shut>) -> Standing {
        Standing { bucket: bucket.clone(), version: self.version, shut }
    }

    fn sent(&self) -> usize {
        self.one.permits.len()
    }
}

fn shut(left: u64, prober: Prober) -> Shut {
    Shut { left: seconds(left), prober }
}

fn whole() -> BucketKey {
    bucket(&open("whole", &[Dimension::App]), "A")
}

/// Red when a freeze of others holds nobody up, when it ends without a turn, when a turn lets two go, and
/// when a call that has passed is not told of.
#[test]
fn a_freeze_of_others_is_kept_and_one_call_goes_when_it_is_its_turn() {
    let (mut freezing, whole) = (Freezing::new(), whole());
    freezing.hears(&whole, Some(shut(30, Prober::Nobody)));
    for caller in 0..3 {
        freezing.one.arrive(std::slice::from_ref(&whole), Class::Normal, caller);
    }
    freezing.one.pass(seconds(29));
    assert_eq!((freezing.sent(), freezing.one.scheduler.has_notices()), (0, false));
    freezing.one.pass(seconds(2));
    assert_eq!(freezing.sent(), 0, "it is not its turn");
    let claimed = freezing.tells(&[false], &[(&whole, Some(shut(0, Prober::Another)))]);
    assert_eq!(claimed, [Notice::Claimed(vec![whole.clone()])]);
    assert_eq!(freezing.sent(), 0, "it is another one's");
    freezing.hears(&whole, Some(shut(0, Prober::Nobody)));
    freezing.version += 1;
    let claimed = freezing.tells(&[true], &[(&whole, Some(shut(0, Prober::Own)))]);
    assert_eq!(claimed, [Notice::Claimed(vec![whole.clone()])]);
    assert_eq!(freezing.sent(), 1, "one call probes");
    freezing.one.answer();
    freezing.version += 1;
    assert_eq!(freezing.tells(&[], &[(&whole, None)]), [Notice::Passed(whole)]);
    assert_eq!(freezing.sent(), 2, "the others follow");
}

/// Red when a freeze is not told, and when a shorter one of others ends it.
#[test]
fn a_freeze_is_told_and_of_two_the_later_end_holds() {
    let mut freezing = Freezing::new();
    let (tier, now) = (bucket(&rate("tier", 5, 60_000, AgeFrom::Answer), "A/T"), freezing.one.now);
    freezing.one.scheduler.freeze(now, tier.clone(), now + seconds(60));
    // It is not here yet what the store makes of that.
    freezing.hears(&tier, Some(shut(5, Prober::Nobody)));
    freezing.version += 1;
    // What a period is longer by here.
    let kept = seconds(60) + millis(20);
    let told = freezing.tells(&[], &[(&tier, Some(shut(60, Prober::Nobody)))]);
    assert_eq!(told, [Notice::Closed { bucket: tier.clone(), left: seconds(60), kept }]);
    let until = |freezing: &mut Freezing| {
        let now = freezing.one.now;
        freezing.one.scheduler.buckets(now).next().unwrap().frozen_until.map(|at| at.since(now))
    };
    assert_eq!(until(&mut freezing), Some(seconds(60)));
    freezing.hears(&tier, Some(shut(90, Prober::Nobody)));
    assert_eq!(until(&mut freezing), Some(seconds(90)));
    let thawed = freezing.one.scheduler.thaw(freezing.one.now, |_| true);
    assert_eq!((thawed, until(&mut freezing)), (vec![tier.clone()], None));
    let told = freezing.tells(&[], &[(&tier, Some(shut(0, Prober::Nobody)))]);
    assert_eq!(told, [Notice::Thawed { bucket: tier, kept }]);
}

/// Red when it waits for a turn that nobody can give, and when what was closed meanwhile is not told.
#[test]
fn whoever_is_not_heard_probes_by_itself() {
    let (mut freezing, whole) = (Freezing::new(), whole());
    freezing.hears(&whole, Some(shut(30, Prober::Nobody)));
    freezing.one.arrive(std::slice::from_ref(&whole), Class::Normal, 1);
    freezing.one.pass(seconds(31));
    freezing.one.scheduler.notices_nobody(freezing.one.now);
    freezing.one.look();
    assert_eq!(freezing.sent(), 1);
    let now = freezing.one.now;
    freezing.one.scheduler.freeze(now, whole.clone(), now + seconds(10));
    assert!(!freezing.one.scheduler.has_notices());
    assert_eq!(freezing.tells(&[], &[]), []);
    let told = freezing.tells(&[], &[]);
    assert!(matches!(&told[..], [Notice::Closed { bucket, .. }] if *bucket == whole), "{told:?}");
}

/// Red when a turn that no call uses is kept.
#[test]
fn a_turn_that_no_call_uses_is_given_up() {
    let (mut freezing, whole) = (Freezing::new(), whole());
    freezing.hears(&whole, Some(shut(1, Prober::Nobody)));
    let ticket = freezing.one.arrive(std::slice::from_ref(&whole), Class::Normal, 1).unwrap();
    freezing.one.pass(seconds(1));
    let mut notices = Vec::new();
    let batch = freezing.one.scheduler.notices(freezing.one.now, &mut notices);
    assert_eq!(notices, [Notice::Claimed(vec![whole.clone()])]);
    // Its client is gone before the answer is here.
    freezing.one.scheduler.cancel(freezing.one.now, ticket);
    let standings = vec![freezing.stands(&whole, Some(shut(0, Prober::Own)))];
    let answer = Noticed {
        batch,
        epoch: EPOCH,
        version: 9,
        granted: vec![true],
        standings,
        all: None,
        learnt: Vec::new(),
        all_learnt: None,
    };
    freezing.one.scheduler.noticed(freezing.one.now, answer);
    freezing.one.pass(seconds(1));
    assert_eq!(freezing.tells(&[], &[]), [Notice::GivenUp(whole)]);
}

/// Red when a freeze of a name that has no bucket of its own is ended by the list of all that tells of it, and
/// when its end waits for a turn that the store does not know.
#[test]
fn a_freeze_of_a_name_holds_the_bucket_that_it_shares() {
    for is_listed in [true, false] {
        let (mut freezing, whole) = (Freezing::new(), whole());
        freezing.one.scheduler.bound_buckets(0);
        let closed = Some(shut(30, Prober::Nobody));
        if is_listed {
            freezing.version += 1;
            let all = Some(vec![freezing.stands(&whole, closed)]);
            let (epoch, now) = (EPOCH, freezing.one.now);
            let batch = freezing.one.scheduler.notices(now, &mut Vec::new());
            let answer = Noticed {
                batch,
                epoch,
                version: 100,
                granted: Vec::new(),
                standings: Vec::new(),
                all,
                learnt: Vec::new(),
                all_learnt: None,
            };
            freezing.one.scheduler.noticed(now, answer);
        } else {
            freezing.hears(&whole, closed);
        }
        freezing.one.arrive(std::slice::from_ref(&whole), Class::Normal, 1);
        freezing.one.pass(seconds(29));
        assert_eq!(freezing.sent(), 0, "{is_listed}");
        freezing.one.pass(seconds(2));
        assert_eq!((freezing.sent(), freezing.one.scheduler.has_notices()), (1, false));
    }
}

/// Red when the store forgets a bucket that somebody probes, and when another replica does.
#[test]
fn a_bucket_is_half_open_for_as_long_as_a_call_tries_it() {
    let method = bucket(&open("method", &[Dimension::App, Dimension::Method]), "A/m");
    for waits in [true, false] {
        let mut world = World::new(2, vec![whole(), method.clone()], Net::of(1));
        let call = |buckets| Shared { buckets, class: Class::Normal, caller: 1 };
        world.pass(seconds(1));
        let now = world.now;
        for (replica, bucket) in world.replicas.iter_mut().zip([whole(), method.clone()]) {
            replica.scheduler.freeze(now, bucket, now + seconds(1));
        }
        // Nearly so long ago that it matters no more.
        world.pass(millis(10_800));
        world.arrive(0, call(vec![whole()]));
        world.pass(millis(50));
        assert_eq!(world.flying().len(), 1, "it tries");
        if waits {
            // The other turn is free, and so it claims both again soon.
            world.arrive(1, call(vec![method.clone(), whole()]));
        }
        world.pass(millis(400));
        if !waits {
            world.arrive(1, call(vec![whole()]));
        }
        world.pass(millis(400));
        assert_eq!(world.flying().len(), 1, "no other one does, if it waits: {waits}");
        world.settle(world.flying()[0], Outcome::Answered);
        world.pass(millis(250));
        assert_eq!(world.flying().len(), 1, "the other one follows");
        world.wind_up();
    }
}
