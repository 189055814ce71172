//! Whatever happens to schedulers that share their limits.

use super::*;

#[derive(Clone, Debug)]
enum Happening {
    Arrive { at: usize, buckets: Vec<usize>, class: Class, caller: u64 },
    Settle { which: usize, outcome: Outcome },
    EndAttempt { which: usize, outcome: Outcome },
    Again { which: usize },
    Refuse { which: usize, ms: u64 },
    Thaw { at: usize, bucket: usize },
    Cancel { at: usize, which: usize },
    Pass { ms: u64 },
    Fault(Fault),
}

/// What can go wrong.
#[derive(Clone, Debug)]
enum Fault {
    /// Of a hundred messages, so many are lost, and so many come twice; all are late by so many
    /// milliseconds at most.
    Net {
        lost: u64,
        doubled: u64,
        delay: u64,
    },
    /// These schedulers are cut off from the store.
    Cut {
        which: u8,
    },
    Stop {
        at: usize,
    },
    GoOn {
        at: usize,
    },
    Kill {
        at: usize,
    },
    Leave {
        at: usize,
    },
    Restart {
        at: usize,
    },
    Comes,
    Flush,
    Copy,
    FallBack,
}

/// The network is bad: with a delay of eleven milliseconds an answer comes just in time.
fn bad_net(delay: u64) -> BoxedStrategy<Fault> {
    (0..20_u64, 0..50_u64, 0..delay)
        .prop_map(|(lost, doubled, delay)| Fault::Net { lost, doubled, delay })
        .boxed()
}

/// So are schedulers.
fn bad_schedulers() -> BoxedStrategy<Fault> {
    prop_oneof![
        2 => bad_net(40),
        2 => any::<u8>().prop_map(|which| Fault::Cut { which }),
        2 => Just(Fault::Cut { which: 0 }),
        2 => (0..4_usize).prop_map(|at| Fault::Stop { at }),
        3 => (0..4_usize).prop_map(|at| Fault::GoOn { at }),
        1 => (0..4_usize).prop_map(|at| Fault::Kill { at }),
        1 => (0..4_usize).prop_map(|at| Fault::Leave { at }),
        2 => (0..4_usize).prop_map(|at| Fault::Restart { at }),
        1 => Just(Fault::Comes),
    ]
    .boxed()
}

/// The first scheduler is cut off, or not any more.
fn cut() -> BoxedStrategy<Fault> {
    (0..2_u8).prop_map(|which| Fault::Cut { which }).boxed()
}

/// So is the store.
fn bad_store() -> BoxedStrategy<Fault> {
    prop_oneof![
        2 => bad_net(40),
        2 => any::<u8>().prop_map(|which| Fault::Cut { which }),
        2 => Just(Fault::Cut { which: 0 }),
        1 => (0..4_usize).prop_map(|at| Fault::Stop { at }),
        2 => (0..4_usize).prop_map(|at| Fault::GoOn { at }),
        2 => Just(Fault::Flush),
        1 => Just(Fault::Copy),
        1 => Just(Fault::FallBack),
        1 => (0..4_usize).prop_map(|at| Fault::Restart { at }),
    ]
    .boxed()
}

fn happening() -> impl Strategy<Value = Happening> {
    let class = prop::sample::select(Class::ALL.to_vec());
    let set = prop::collection::btree_set(0..8_usize, 1..4);
    let outcome = prop_oneof![
        6 => Just(Outcome::Answered),
        1 => Just(Outcome::Unsent),
        1 => Just(Outcome::Refused),
    ];
    let ends = prop::sample::select(vec![Outcome::Unsent, Outcome::Refused]);
    prop_oneof![
        8 => (0..4_usize, set, class, 0..3_u64).prop_map(|(at, buckets, class, caller)| {
            Happening::Arrive { at, buckets: buckets.into_iter().collect(), class, caller }
        }),
        6 => (any::<usize>(), outcome)
            .prop_map(|(which, outcome)| Happening::Settle { which, outcome }),
        2 => (any::<usize>(), ends)
            .prop_map(|(which, outcome)| Happening::EndAttempt { which, outcome }),
        2 => any::<usize>().prop_map(|which| Happening::Again { which }),
        2 => (any::<usize>(), 1..500_u64).prop_map(|(which, ms)| Happening::Refuse { which, ms }),
        1 => (0..4_usize, 0..8_usize).prop_map(|(at, bucket)| Happening::Thaw { at, bucket }),
        1 => (0..4_usize, any::<usize>()).prop_map(|(at, which)| Happening::Cancel { at, which }),
        6 => (0..200_u64).prop_map(|ms| Happening::Pass { ms }),
    ]
}

/// One in six is a fault, and one in thirty a longer time.
fn happening_with(fault: BoxedStrategy<Fault>) -> impl Strategy<Value = Happening> {
    prop_oneof![
        24 => happening(),
        5 => fault.prop_map(Happening::Fault),
        1 => (0..4_000_u64).prop_map(|ms| Happening::Pass { ms }),
    ]
}

fn take(world: &mut World, step: Happening) {
    let pick = |count: usize, which: usize| (count > 0).then(|| which % count.max(1));
    match step {
        Happening::Arrive { at, buckets, class, caller } => {
            let buckets: Vec<_> = buckets.into_iter().map(|i| world.all[i].clone()).collect();
            let at = at % world.replicas.len();
            world.arrive(at, Shared { buckets, class, caller });
        }
        Happening::Settle { which, outcome } => {
            let flying = world.flying();
            if let Some(nth) = pick(flying.len(), which) {
                world.settle(flying[nth], outcome);
            }
        }
        Happening::EndAttempt { which, outcome } => {
            let flying = world.flying();
            if let Some(nth) = pick(flying.len(), which) {
                world.end_attempt(flying[nth], outcome);
            }
        }
        Happening::Again { which } => world.again(which),
        Happening::Refuse { which, ms } => {
            let flying = world.flying();
            if let Some(nth) = pick(flying.len(), which) {
                world.refuse(flying[nth], millis(ms));
            }
        }
        Happening::Thaw { at, bucket } => world.thaw(at % world.replicas.len(), bucket),
        Happening::Cancel { at, which } => {
            let at = at % world.replicas.len();
            let held: Vec<_> = world.replicas[at].held.keys().copied().collect();
            if let Some(nth) = pick(held.len(), which).filter(|_| world.replicas[at].is_on()) {
                world.cancel(at, held[nth]);
            }
        }
        Happening::Pass { ms } => world.pass(millis(ms)),
        Happening::Fault(fault) => happens(world, &fault),
    }
}

fn happens(world: &mut World, fault: &Fault) {
    world.goes_wrong();
    let at = |at: usize| at % world.replicas.len();
    match *fault {
        Fault::Net { lost, doubled, delay } => {
            world.net = Net { lost, doubled, delay, ..world.net };
        }
        Fault::Cut { which } => world.net.cut = which,
        Fault::Stop { at: which } => world.stop(at(which), false),
        Fault::GoOn { at: which } => world.go_on(at(which)),
        // One of them lives.
        Fault::Kill { at: 0 } | Fault::Leave { at: 0 } => {}
        Fault::Kill { at: which } => world.stop(at(which), true),
        Fault::Leave { at: which } if which % world.replicas.len() == 0 => {}
        Fault::Leave { at: which } => world.leave(at(which)),
        Fault::Restart { .. } if !world.store_knows_all() => {}
        Fault::Restart { at: which } => world.restart(at(which)),
        Fault::Comes if world.replicas.len() < 6 => {
            world.comes();
        }
        Fault::Comes => {}
        Fault::Flush | Fault::FallBack if !world.all_are_known() => {}
        Fault::Flush => {
            world.store.flush();
            world.closed.flush();
        }
        Fault::Copy => world.copy = Some(world.store.clone()),
        Fault::FallBack => {
            if let Some(copy) = world.copy.take() {
                world.store = copy;
                world.store.restart();
                world.closed.restart();
            }
        }
    }
}

fn cases(cases: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: if config.cases == 256 { cases } else { config.cases }, ..config }
}

fn walk(mut world: World, steps: Vec<Happening>) {
    world.pass(seconds(1));
    for step in steps {
        take(&mut world, step);
    }
    world.wind_up();
}

/// The same for schedulers that learn. No limit is ever higher than documented; when all is well again, all
/// believe the same, and what is forgotten at one is forgotten at all.
fn walk_and_learn(mut world: World, steps: Vec<Happening>) {
    world.pass(seconds(1));
    for step in steps {
        take(&mut world, step);
        lessons(&mut world).iter().flatten().for_each(|(key, learnt)| {
            let is_lower = learnt.quota <= learnt.documented && learnt.period >= learnt.per;
            assert!(is_lower, "{key}: {learnt:?}");
        });
    }
    world.net = Net { random: world.net.random, ..Net::default() };
    (0..world.replicas.len()).for_each(|at| world.go_on(at));
    for at in (0..world.replicas.len()).filter(|at| world.replicas[*at].is_on()).collect::<Vec<_>>()
    {
        let held: Vec<_> = world.replicas[at].held.keys().copied().collect();
        for number in held {
            // One may have gone when another one left.
            if world.replicas[at].held.contains_key(&number) {
                world.cancel(at, number);
            }
        }
    }
    world.flying().into_iter().for_each(|number| world.settle(number, Outcome::Answered));
    if world.first_on().is_none() {
        world.comes();
    }
    world.pass(seconds(3));
    let all = lessons(&mut world);
    for other in &all {
        assert_eq!(*other, all[0], "all know the same");
    }
    assert_eq!(world.closed.learnt(), all[0].len(), "and so does the store");
    let (now, first) = (world.now, world.first_on().unwrap());
    world.replicas[first].scheduler.forget(now, |_| true);
    world.pass(seconds(2));
    assert!(lessons(&mut world).iter().all(Vec::is_empty), "all have forgotten");
    assert_eq!(world.closed.learnt(), 0, "so has the store");
    world.wind_up();
}

/// What each of them has learnt; not since when, which one that came later does not know.
fn lessons(world: &mut World) -> Vec<Vec<(String, crate::Learnt)>> {
    let now = world.now;
    let on = world.replicas.iter_mut().filter(|replica| replica.is_on());
    let lessons = on.map(|replica| {
        let all = replica.scheduler.buckets(now);
        let learnt = all.filter_map(|it| Some((it.key.to_string(), it.learnt?)));
        let mut learnt: Vec<_> = learnt.map(|(key, learnt)| (key, as_told(learnt))).collect();
        learnt.sort_by(|(one, _), (other, _)| one.cmp(other));
        learnt
    });
    lessons.collect()
}

/// Records have times in microseconds.
fn as_told(learnt: crate::Learnt) -> crate::Learnt {
    let whole = |time: Duration| Duration::from_micros(u64::try_from(time.as_micros()).unwrap());
    let (period, spacing) = (whole(learnt.period), whole(learnt.spacing));
    crate::Learnt { since: None, period, spacing, ..learnt }
}

/// So many that none has a part of any quota: whatever is used was granted.
const MANY: u32 = 100;

/// So many that each has a part of the wider ones.
const REPLICAS: usize = 2;

fn learning(replicas: usize, random: u64) -> World {
    let learning = crate::Learning::default();
    World::that_learns(replicas, limits(), Net::of(random), crate::model::replicas::TIMES, learning)
}

/// After so long nobody is waited for any more: a lease, a period, a flight and some beats, twice. Whoever was
/// cut off until then comes from another life of the store, and names those that it has forgotten since.
const AGED: Duration = Duration::from_secs(9);

proptest! {
    #![proptest_config(cases(500))]

    /// Over a store that is always heard, all schedulers together never exceed a limit, nobody
    /// waits for slots that are free, whoever waits has its turn, and all slots are given back.
    #[test]
    fn together_they_never_exceed_a_limit(
        replicas in 2..5_usize,
        random in any::<u64>(),
        steps in prop::collection::vec(happening(), 1..100),
    ) {
        let mut world = World::new(replicas, limits(), Net::of(random));
        world.all_hear = true;
        walk(world, steps);
    }

    /// The same where messages are lost, doubled, late and overtaken. Whoever waits is told within
    /// a few beats.
    #[test]
    fn the_same_over_a_bad_network(
        replicas in 2..5_usize,
        random in any::<u64>(),
        steps in prop::collection::vec(happening_with(bad_net(12)), 1..100),
    ) {
        let mut world = World::new(replicas, limits(), Net::of(random));
        world.told_to_be = Some(MANY);
        world.patience = Some(seconds(2));
        walk(world, steps);
    }

    /// The same where schedulers are cut off, stop, die and come.
    #[test]
    fn the_same_where_schedulers_fail(
        replicas in 2..5_usize,
        random in any::<u64>(),
        steps in prop::collection::vec(happening_with(bad_schedulers()), 1..100),
    ) {
        let mut world = World::new(replicas, limits(), Net::of(random));
        (world.told_to_be, world.patience) = (Some(MANY), Some(AGED));
        world.gives_back = false;
        walk(world, steps);
    }

    /// The same where the store is emptied, or falls back to an older copy.
    #[test]
    fn the_same_where_the_store_fails(
        replicas in 2..5_usize,
        random in any::<u64>(),
        steps in prop::collection::vec(happening_with(bad_store()), 1..100),
    ) {
        let mut world = World::new(replicas, limits(), Net::of(random));
        (world.told_to_be, world.patience) = (Some(MANY), Some(AGED));
        world.gives_back = false;
        walk(world, steps);
    }

    /// Those that learn exceed no limit either where schedulers fail, and agree in the end. Red when the
    /// record of a scheduler takes the place of another one's, and when one that was away brings back
    /// what was forgotten.
    #[test]
    fn those_that_learn_agree_where_schedulers_fail(
        replicas in 2..5_usize,
        random in any::<u64>(),
        steps in prop::collection::vec(happening_with(bad_schedulers()), 1..100),
    ) {
        let mut world = learning(replicas, random);
        world.told_to_be = Some(MANY);
        world.gives_back = false;
        walk_and_learn(world, steps);
    }

    /// The same where the store is emptied, or falls back to an older copy.
    #[test]
    fn those_that_learn_agree_where_the_store_fails(
        replicas in 2..5_usize,
        random in any::<u64>(),
        steps in prop::collection::vec(happening_with(bad_store()), 1..100),
    ) {
        let mut world = learning(replicas, random);
        world.told_to_be = Some(MANY);
        world.gives_back = false;
        walk_and_learn(world, steps);
    }

    /// While the store is away for all, each goes on with what it holds, and with its part of what
    /// was cold at the last beat: together no more than the limit, however long it lasts. After less
    /// than three beats the store may grant what it has not heard was used; so it lasts longer. Red when
    /// a bucket is cold of which more than a part is used.
    #[test]
    fn an_outage_for_all_exceeds_no_limit(
        replicas in 2..5_usize,
        random in any::<u64>(),
        before in prop::collection::vec(happening(), 0..40),
        away in prop::collection::vec(happening(), 1..60),
        longer in prop::sample::select(vec![400, 1_000, 5_000_u64]),
    ) {
        let mut world = World::new(replicas, limits(), Net::of(random));
        world.pass(seconds(1));
        for step in before {
            take(&mut world, step);
        }
        // They hear of all that is used, and want no more.
        for at in 0..replicas {
            let held: Vec<_> = world.replicas[at].held.keys().copied().collect();
            for number in held {
                // One may have gone when another one left.
                if world.replicas[at].held.contains_key(&number) {
                    world.cancel(at, number);
                }
            }
        }
        world.pass(millis(150));
        (world.net.cut, world.patience, world.gives_back) = (u8::MAX, None, false);
        for step in away {
            take(&mut world, step);
        }
        world.pass(millis(longer));
        world.wind_up();
    }
    /// One that is cut off, again and again and for any time, goes on with its part of what was quiet. The
    /// others may use all of that, so a limit is exceeded by one part and no more. Red when a part of any
    /// bucket is used beside what is held.
    #[test]
    fn who_is_cut_off_exceeds_no_limit_by_more_than_its_part(
        random in any::<u64>(),
        steps in prop::collection::vec(happening_with(cut()), 1..100),
    ) {
        let mut world = World::new(REPLICAS, limits(), Net::of(random));
        (world.patience, world.gives_back) = (Some(AGED), false);
        world.told_to_be = u32::try_from(REPLICAS).ok();
        world.allows = |quota| quota as usize / REPLICAS;
        walk(world, steps);
    }
}
