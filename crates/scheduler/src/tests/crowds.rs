//! The bound on buckets, and what stays true beyond it.

use std::collections::HashMap;

use limits::Share;

use super::{
    super::{Enqueued, Outcome, Policy, Scheduler},
    *,
};
use crate::crowds::CROWDS;

const BEGIN: Instant = Instant::from_nanos(1 << 40);
const MOST: usize = 10;

fn scheduler() -> Scheduler {
    let bounds = Bounds { per_bucket: 1000, total: 1000 };
    let policy = Policy { bounds, background: Share::default(), learning: crate::Learning::OFF };
    let mut scheduler = Scheduler::new(policy);
    scheduler.bound_buckets(MOST);
    scheduler
}

/// Whether a call of that name goes at once.
fn goes(scheduler: &mut Scheduler, now: Instant, name: &BucketKey) -> bool {
    let call = Call {
        buckets: vec![name.clone()],
        class: Class::Normal,
        caller: Caller { id: super::super::CallerId(1), weight: Weight::ONE },
        deadline: now,
        max_depth: None,
        place: None,
        again: Duration::ZERO,
    };
    match scheduler.enqueue(now, &call) {
        Enqueued::Granted(permit) => {
            scheduler.settle(now, permit, Outcome::Answered);
            true
        }
        Enqueued::Held(ticket) => {
            scheduler.cancel(now, ticket);
            false
        }
        Enqueued::Refused(_) => false,
    }
}

fn names(count: usize) -> Vec<BucketKey> {
    let limit = rate("made_up", 2, 60_000, AgeFrom::Answer);
    (0..count).map(|n| bucket(&limit, &format!("name-{n}"))).collect()
}

/// Red when there is no bound, when what is shared is not counted, and when a name that has a bucket shares
/// one.
#[test]
fn made_up_names_share_buckets() {
    let mut scheduler = scheduler();
    let names = names(20_000);
    let own = &names[..MOST];
    assert!(own.iter().all(|name| goes(&mut scheduler, BEGIN, name)));
    let went = names[MOST..].iter().filter(|name| goes(&mut scheduler, BEGIN, name)).count();
    assert_eq!(went, 2 * CROWDS as usize, "each crowd has the slots of one name");
    let buckets = scheduler.buckets(BEGIN).count();
    assert_eq!(buckets, MOST + CROWDS as usize);
    assert!(own.iter().all(|name| goes(&mut scheduler, BEGIN, name)), "they do not notice");
}

/// What stands for a long name is a name like any other. Red when it is taken for a crowd, of which there are
/// no more than there may be anyway.
#[test]
fn long_names_share_buckets_too() {
    let mut scheduler = scheduler();
    let limit = rate("made_up", 2, 60_000, AgeFrom::Answer);
    for n in 0..5_000 {
        goes(&mut scheduler, BEGIN, &bucket(&limit, &format!("~{n:016x}")));
    }
    assert!(scheduler.buckets(BEGIN).count() <= MOST + CROWDS as usize);
}

/// Red when a name leaves its crowd as soon as there is room for it.
#[test]
fn no_name_has_more_than_its_slots_when_there_is_room_again() {
    let mut scheduler = scheduler();
    let names = names(3000);
    let mut granted: HashMap<usize, Vec<Instant>> = HashMap::new();
    for second in 0..200 {
        let now = BEGIN + seconds(second);
        // A flood comes when all buckets are there. They go before its crowds do, so there is room then.
        let who = match second {
            0 => 0..MOST,
            30..33 => MOST..names.len(),
            33.. => MOST..3 * MOST,
            _ => 0..0,
        };
        for number in who {
            if goes(&mut scheduler, now, &names[number]) {
                granted.entry(number).or_default().push(now);
            }
        }
    }
    for (number, times) in granted {
        for three in times.windows(3) {
            assert!(three[2].since(three[0]) >= seconds(60), "{number}: {three:?}");
        }
    }
    // Nobody has come for a while.
    let later = BEGIN + seconds(1000);
    assert!(names[..MOST].iter().all(|name| goes(&mut scheduler, later, name)));
    assert!(scheduler.buckets(later).all(|bucket| !bucket.key.values.as_str().starts_with('~')));
}
