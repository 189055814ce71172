//! What holds whatever happens, and each part of the behaviour in a module of its own.

mod bounds;
mod claims;
mod evidence;
mod forecast;
mod order;
mod places;
mod rebucket;
mod refusals;
mod relimit;
mod rename;
mod room;
mod slots;
mod standing;

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::{
    Bounds, BucketKey, Call, Caller, Class, Instant, Outcome, PlaceId, Weight,
    model::{Judge, PATIENT, at_once, bucket, gate, in_bursts, of, open, per, rate},
};
use crate::slack::{AgeFrom, Dimension};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn weight(weight: u8) -> Weight {
    Weight::new(weight.try_into().unwrap())
}

/// So many normal calls of one caller arrive.
fn flood(judge: &mut Judge, buckets: &[BucketKey], caller: u64, calls: u32) -> Vec<u64> {
    (0..calls).map(|_| judge.arrive(buckets, Class::Normal, caller, PATIENT)).collect()
}

/// The calls that went after the first `skip`, in order.
fn sent(judge: &Judge, skip: usize) -> Vec<u64> {
    judge.sent.iter().skip(skip).map(|(_, number)| *number).collect()
}

/// What can happen to a scheduler.
#[derive(Clone, Debug)]
enum Step {
    Arrive {
        buckets: Vec<usize>,
        class: Class,
        caller: u64,
        wait_ms: u64,
        place: Option<u64>,
        max_depth: Option<usize>,
    },
    /// A call that was sent away returns.
    Return {
        which: usize,
        wait_ms: u64,
    },
    /// An answer begins.
    Begin {
        which: usize,
    },
    Settle {
        which: usize,
        outcome: Outcome,
    },
    Replay {
        which: usize,
        retry_after: Duration,
    },
    Cancel {
        which: usize,
    },
    Freeze {
        bucket: usize,
        ms: u64,
    },
    Pass {
        ms: u64,
    },
    /// The process is killed and started again.
    Restart {
        shorter: bool,
    },
    /// Held calls count against other buckets.
    Rebucket {
        changes: Vec<(usize, Vec<usize>)>,
    },
    /// What counted for one counts for another.
    Rename {
        of: Dimension,
        from: &'static str,
        to: &'static str,
    },
}

/// A few buckets of every kind, so that random calls meet in them.
fn buckets() -> Vec<BucketKey> {
    let method = rate("method", 3, 600, AgeFrom::Answer);
    let app = rate("app", 5, 1000, AgeFrom::Answer);
    let channel = rate("channel", 1, 100, AgeFrom::Send);
    let order = at_once("in_order", 1, AgeFrom::Send);
    let bookmarks = at_once("bookmarks", 2, AgeFrom::Answer);
    let single = rate("single", 1, 300, AgeFrom::Answer);
    let bursts = in_bursts(&rate("bursts", 6, 900, AgeFrom::Answer), 2);
    let whole = open("whole", &[Dimension::App]);
    vec![
        bucket(&method, "a"),
        bucket(&method, "b"),
        bucket(&app, "a"),
        bucket(&channel, "1"),
        bucket(&channel, "2"),
        bucket(&order, "1"),
        bucket(&bookmarks, "w"),
        bucket(&single, "w"),
        bucket(&bursts, "w"),
        bucket(&whole, "w"),
        bucket(&gate("paused"), "x"),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let class = prop::sample::select(Class::ALL.to_vec());
    // Hardly anything arrives paused.
    let any_bucket = prop_oneof![39 => 0..10_usize, 1 => Just(10)];
    let set = prop::collection::btree_set(any_bucket, 1..4);
    let change = (any::<usize>(), prop::collection::btree_set(0..11_usize, 0..4))
        .prop_map(|(which, to)| (which, to.into_iter().collect()));
    let place = prop::option::of(0..4_u64);
    let depth = prop::option::of(0..6_usize);
    let identity = prop::sample::select(vec![Dimension::App, Dimension::Workspace]);
    let owner = prop::sample::select(vec!["a", "b", "w", "1", "2"]);
    let outcome = prop_oneof![
        6 => Just(Outcome::Answered),
        1 => Just(Outcome::Unsent),
        1 => Just(Outcome::Lost),
        1 => Just(Outcome::Refused),
    ];
    prop_oneof![
        8 => (set, class, 0..3_u64, 0..20_000_u64, place, depth).prop_map(
            |(buckets, class, caller, wait_ms, place, max_depth)| {
                let buckets = buckets.into_iter().collect();
                Step::Arrive { buckets, class, caller, wait_ms, place, max_depth }
            },
        ),
        2 => (any::<usize>(), 0..20_000_u64)
            .prop_map(|(which, wait_ms)| Step::Return { which, wait_ms }),
        3 => any::<usize>().prop_map(|which| Step::Begin { which }),
        6 => (any::<usize>(), outcome).prop_map(|(which, outcome)| Step::Settle { which, outcome }),
        1 => (any::<usize>(), 1..3000_u64).prop_map(|(which, ms)| {
            Step::Replay { which, retry_after: millis(ms) }
        }),
        1 => any::<usize>().prop_map(|which| Step::Cancel { which }),
        1 => (prop::sample::select(vec![0, 1, 2, 3, 4, 7, 8, 9_usize]), 1..2000_u64).prop_map(|(bucket, ms)| Step::Freeze { bucket, ms }),
        6 => (0..500_u64).prop_map(|ms| Step::Pass { ms }),
        1 => any::<bool>().prop_map(|shorter| Step::Restart { shorter }),
        1 => prop::collection::vec(change, 1..6).prop_map(|changes| Step::Rebucket { changes }),
        1 => (identity, owner.clone(), owner).prop_map(|(of, from, to)| {
            Step::Rename { of, from, to }
        }),
    ]
}

fn take(judge: &mut Judge, all: &mut [BucketKey], step: Step) {
    let pick = |count: usize, which: usize| (count > 0).then(|| which % count.max(1));
    match step {
        Step::Arrive { buckets, class, caller, wait_ms, place, max_depth } => {
            let buckets: Vec<_> = buckets.into_iter().map(|i| all[i].clone()).collect();
            let deadline = judge.now + millis(wait_ms);
            judge.offer(&buckets, |call| {
                call.class = class;
                call.caller =
                    Caller { weight: weight(1 + u8::try_from(caller).unwrap() * 3), ..of(caller) };
                call.deadline = deadline;
                call.max_depth = max_depth;
                call.place = place.map(PlaceId::of);
            });
        }
        Step::Return { which, wait_ms } => {
            if let Some(nth) = pick(judge.away.len(), which) {
                let call = judge.away.swap_remove(nth);
                let deadline = judge.now + millis(wait_ms);
                judge.offer(&call.buckets.clone(), |new| *new = Call { deadline, ..call });
            }
        }
        Step::Begin { which } => {
            if let Some(nth) = pick(judge.in_flight.len(), which) {
                let number = *judge.in_flight.keys().nth(nth).unwrap();
                judge.begins(number);
            }
        }
        Step::Settle { which, outcome } => {
            if let Some(nth) = pick(judge.in_flight.len(), which) {
                let number = *judge.in_flight.keys().nth(nth).unwrap();
                if outcome == Outcome::Refused {
                    judge.refuse(number, millis(700));
                }
                judge.settle(number, outcome);
            }
        }
        Step::Replay { which, retry_after } => {
            if let Some(nth) = pick(judge.in_flight.len(), which) {
                let number = *judge.in_flight.keys().nth(nth).unwrap();
                judge.replay(number, retry_after);
            }
        }
        Step::Cancel { which } => {
            if let Some(nth) = pick(judge.held.len(), which) {
                let number = *judge.held.keys().nth(nth).unwrap();
                judge.cancel(number);
            }
        }
        Step::Freeze { bucket, ms } => {
            judge.freeze(&all[bucket], judge.now + millis(ms));
        }
        Step::Pass { ms } => judge.pass(millis(ms)),
        Step::Restart { shorter } => judge.restart(all, shorter),
        Step::Rebucket { changes } => {
            let held: Vec<_> = judge.held.keys().copied().collect();
            let mut by_call = BTreeMap::new();
            for (which, to) in changes {
                if let Some(nth) = pick(held.len(), which) {
                    by_call.insert(held[nth], to.into_iter().map(|i| all[i].clone()).collect());
                }
            }
            judge.rebucket(by_call.into_iter().collect());
        }
        Step::Rename { of, from, to } => {
            if from != to && !judge.is_former(&[of], to) {
                judge.rename(all, &[of], from, to);
            }
        }
    }
}

/// The queue is wide, as a rule, or narrow.
fn bounds() -> impl Strategy<Value = Bounds> {
    prop_oneof![
        Just(Bounds { per_bucket: 1_000_000, total: 1_000_000 }),
        (1..12_usize, 1..30_usize).prop_map(|(per_bucket, total)| Bounds { per_bucket, total }),
    ]
}

/// Two million steps, unless proptest's environment variable asks for another number of cases.
fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    let cases = if config.cases == 256 { 40_000 } else { config.cases };
    ProptestConfig { cases, ..config }
}

proptest! {
    #![proptest_config(config())]

    /// No bucket ever grants more than N in any period, nobody waits for nothing, nobody is
    /// overtaken in its own line, each call ends exactly once, a place is kept for its time,
    /// no queue grows beyond its bound, and nothing is left behind.
    ///
    /// Red with each of: slots that age from the send, or from the end of a long answer; slots refunded
    /// when the client hangs up after the send; a cell that is not moved on when another bucket blocks
    /// it; a replay that queues at the end; no grain; no share for background; a second window that is
    /// not looked at; places that never expire; buckets that are never dropped; of two buckets that
    /// become one, slots of the fuller one alone; permits that are not told; calls that change their
    /// buckets and keep a slot of one that they have no more, take a second one of one of which they
    /// kept it, or stand behind those that came later; over a restart, no slot for what has no answer,
    /// renames or freezes that are not kept.
    #[test]
    fn whatever_happens_the_limits_hold(
        bounds in bounds(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut all = buckets();
        let mut judge = Judge::with_bounds(bounds);
        for step in steps {
            take(&mut judge, &mut all, step);
        }
        judge.wind_up();
    }
}
