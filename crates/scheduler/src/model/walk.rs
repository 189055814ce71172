//! A random walk: what can happen to a scheduler, in any order, each step checked by the model.

use std::{collections::BTreeMap, time::Duration};

use limits::{AgeFrom, BucketKey, Class, Dimension, Weight};
use proptest::prelude::*;

use super::{Keeper, Model, at_once, bucket, gate, in_bursts, in_order, of, open, rate};
use crate::{Bounds, Call, Caller, Outcome, PlaceId};

/// One thing that can happen to a scheduler.
#[derive(Clone, Debug)]
pub struct Step(Happening);

/// What can happen to a scheduler.
#[derive(Clone, Debug)]
enum Happening {
    Arrive {
        buckets: Vec<usize>,
        class: Class,
        caller: u64,
        wait_ms: u64,
        again_ms: u64,
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
    /// An attempt ends, and its call may be sent again.
    EndAttempt {
        which: usize,
        outcome: Outcome,
    },
    /// An attempt ends, or has ended, and its call waits again.
    Again {
        which: usize,
        outcome: Outcome,
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
    /// Somebody joins a call that is held, or goes.
    Raise {
        which: usize,
        class: Class,
        wait_ms: u64,
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
    let order = in_order("in_order", 700);
    let bookmarks = at_once("bookmarks", 2);
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

fn step() -> impl Strategy<Value = Happening> {
    let class = prop::sample::select(Class::ALL.to_vec());
    // Hardly anything arrives paused.
    let any_bucket = prop_oneof![39 => 0..10_usize, 1 => Just(10)];
    let set = prop::collection::btree_set(any_bucket, 1..4);
    let change = (any::<usize>(), prop::collection::btree_set(0..11_usize, 0..4))
        .prop_map(|(which, to)| (which, to.into_iter().collect()));
    let place = prop::option::of(0..4_u64);
    let depth = prop::option::of(0..6_usize);
    let again = prop_oneof![3 => Just(0), 1 => 0..20_000_u64];
    let dimension = prop::sample::select(vec![Dimension::App, Dimension::Workspace]);
    let identity = prop::sample::select(vec!["a", "b", "w", "1", "2"]);
    let outcome = prop_oneof![
        6 => Just(Outcome::Answered),
        1 => Just(Outcome::Unsent),
        1 => Just(Outcome::Lost),
        1 => Just(Outcome::Refused),
    ];
    prop_oneof![
        8 => (set, class, 0..3_u64, 0..20_000_u64, again, place, depth).prop_map(
            |(buckets, class, caller, wait_ms, again_ms, place, max_depth)| {
                let buckets = buckets.into_iter().collect();
                Happening::Arrive { buckets, class, caller, wait_ms, again_ms, place, max_depth }
            },
        ),
        2 => (any::<usize>(), 0..20_000_u64)
            .prop_map(|(which, wait_ms)| Happening::Return { which, wait_ms }),
        3 => any::<usize>().prop_map(|which| Happening::Begin { which }),
        6 => (any::<usize>(), outcome.clone()).prop_map(|(which, outcome)| Happening::Settle { which, outcome }),
        1 => (any::<usize>(), outcome.clone()).prop_map(|(which, outcome)| Happening::EndAttempt { which, outcome }),
        1 => (any::<usize>(), outcome).prop_map(|(which, outcome)| Happening::Again { which, outcome }),
        1 => (any::<usize>(), 1..3000_u64).prop_map(|(which, ms)| {
            Happening::Replay { which, retry_after: Duration::from_millis(ms) }
        }),
        1 => any::<usize>().prop_map(|which| Happening::Cancel { which }),
        1 => (prop::sample::select(vec![0, 1, 2, 3, 4, 7, 8, 9_usize]), 1..2000_u64).prop_map(|(bucket, ms)| Happening::Freeze { bucket, ms }),
        6 => (0..500_u64).prop_map(|ms| Happening::Pass { ms }),
        1 => any::<bool>().prop_map(|shorter| Happening::Restart { shorter }),
        1 => prop::collection::vec(change, 1..6).prop_map(|changes| Happening::Rebucket { changes }),
        2 => (any::<usize>(), prop::sample::select(Class::ALL.to_vec()), 0..20_000_u64).prop_map(
            |(which, class, wait_ms)| Happening::Raise { which, class, wait_ms },
        ),
        1 => (dimension, identity.clone(), identity).prop_map(|(of, from, to)| {
            Happening::Rename { of, from, to }
        }),
    ]
}

fn take(model: &mut Model, all: &mut [BucketKey], step: Happening) {
    let pick = |count: usize, which: usize| (count > 0).then(|| which % count.max(1));
    match step {
        Happening::Arrive { buckets, class, caller, wait_ms, again_ms, place, max_depth } => {
            let buckets: Vec<_> = buckets.into_iter().map(|i| all[i].clone()).collect();
            let deadline = model.now + Duration::from_millis(wait_ms);
            model.offer(&buckets, |call| {
                call.class = class;
                call.caller = Caller {
                    weight: Weight::new(
                        (1 + u8::try_from(caller).unwrap() * 3).try_into().unwrap(),
                    ),
                    ..of(caller)
                };
                call.deadline = deadline;
                call.max_depth = max_depth;
                call.again = Duration::from_millis(again_ms);
                call.place = place.map(PlaceId::of);
            });
        }
        Happening::Return { which, wait_ms } => {
            if let Some(nth) = pick(model.away.len(), which) {
                let call = model.away.swap_remove(nth);
                let deadline = model.now + Duration::from_millis(wait_ms);
                model.offer(&call.buckets.clone(), |new| *new = Call { deadline, ..call });
            }
        }
        Happening::Begin { which } => {
            if let Some(nth) = pick(model.in_flight.len(), which) {
                let number = *model.in_flight.keys().nth(nth).unwrap();
                model.begins(number);
            }
        }
        Happening::Settle { which, outcome } => {
            if let Some(nth) = pick(model.in_flight.len(), which) {
                let number = *model.in_flight.keys().nth(nth).unwrap();
                if outcome == Outcome::Refused {
                    model.refuse(number, Duration::from_millis(700));
                }
                model.settle(number, outcome);
            }
        }
        Happening::Replay { which, retry_after } => {
            if let Some(nth) = pick(model.in_flight.len(), which) {
                let number = *model.in_flight.keys().nth(nth).unwrap();
                model.replay(number, retry_after);
            }
        }
        Happening::EndAttempt { which, outcome } => {
            if let Some(nth) = pick(model.in_flight.len(), which) {
                let number = *model.in_flight.keys().nth(nth).unwrap();
                model.end_attempt(number, outcome);
            }
        }
        Happening::Again { which, outcome } => {
            if let Some(nth) = pick(model.in_flight.len(), which) {
                let number = *model.in_flight.keys().nth(nth).unwrap();
                model.again(number, outcome);
            }
        }
        Happening::Cancel { which } => {
            if let Some(nth) = pick(model.held.len(), which) {
                let number = *model.held.keys().nth(nth).unwrap();
                model.cancel(number);
            }
        }
        Happening::Freeze { bucket, ms } => {
            model.freeze(&all[bucket], model.now + Duration::from_millis(ms));
        }
        Happening::Pass { ms } => model.pass(Duration::from_millis(ms)),
        Happening::Restart { shorter } => model.restart(all, shorter),
        Happening::Rebucket { changes } => {
            let held: Vec<_> = model.held.keys().copied().collect();
            let mut by_call = BTreeMap::new();
            for (which, to) in changes {
                if let Some(nth) = pick(held.len(), which) {
                    by_call.insert(held[nth], to.into_iter().map(|i| all[i].clone()).collect());
                }
            }
            model.rebucket(by_call.into_iter().collect());
        }
        Happening::Raise { which, class, wait_ms } => {
            let deadline = model.now + Duration::from_millis(wait_ms);
            let all: Vec<u64> = model.held.keys().chain(model.in_flight.keys()).copied().collect();
            match pick(all.len(), which).map(|nth| all[nth]) {
                Some(number) if model.held.contains_key(&number) => {
                    model.raise(number, class, deadline);
                }
                Some(number) => model.allow_until(number, deadline),
                None => {}
            }
        }
        Happening::Rename { of, from, to } => {
            if from != to && !model.is_former(&[of], to) {
                model.rename(all, &[of], from, to);
            }
        }
    }
}

/// Some things, one after the other.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step().prop_map(Step), 1..120)
}

/// The queue is wide, as a rule, or narrow.
pub fn bounds() -> impl Strategy<Value = Bounds> {
    prop_oneof![Just(WIDE), narrow()]
}

/// A queue that is full after a few calls.
pub(crate) fn narrow() -> impl Strategy<Value = Bounds> {
    (1..12_usize, 1..30_usize).prop_map(|(per_bucket, total)| Bounds { per_bucket, total })
}

/// A queue that is never full.
pub(crate) const WIDE: Bounds = Bounds { per_bucket: 1_000_000, total: 1_000_000 };

/// Lets all of it happen to a scheduler, and checks each step by the model. What the scheduler
/// notes goes to `keeper`, which its successors ask after a restart.
///
/// # Panics
/// If the scheduler does what it must not.
pub fn walk(bounds: Bounds, steps: Vec<Step>, keeper: Box<dyn Keeper>) {
    let mut all = buckets();
    let mut model = Model { keeper, ..Model::with_bounds(bounds) };
    for Step(step) in steps {
        take(&mut model, &mut all, step);
    }
    model.wind_up();
}
