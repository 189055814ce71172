//! A week of a fleet in an hour: ten replicas with the real scheduler share the limits of a thousand
//! workspaces over a store in memory, in virtual time. The seed draws the traffic and what goes wrong.
//!
//! Whatever it draws: no limit is exceeded by more than docs/replicas.md says, nobody who waits stands still
//! while slots are free, calls in order keep it, what Slack has closed stays closed and is tried by one call of
//! all, every call ends by its deadline, the limits are used, and nothing is left in memory.
//!
//! What goes wrong is in [`faults`]. Not part of it are: a store that answers what it never does, since answers are
//! values here and no bytes; configurations that change without a restart; more than two versions;
//! tokens whose identity is learnt late; fixed parts.
//!
//! ```text
//! cargo test -p slackwater-scheduler --features model --test fleet -- --nocapture     as in each run of all tests
//! SLACKWATER_SEEDS=1 SLACKWATER_HOURS=168 cargo test --release -p slackwater-scheduler --features model --test fleet
//! ```

#![expect(clippy::disallowed_methods, reason = "the seeds are asked for by a variable")]
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]
#![expect(clippy::print_stdout, reason = "it says how far it is, and what it has seen")]

extern crate slackwater_scheduler as scheduler;

mod catalogue;
mod chance;
mod faults;
mod judge;
mod process;
mod traffic;
mod world;

use std::{env, ops::Range, time::Duration};

use self::{
    faults::Fault,
    traffic::Size,
    world::{Event, World},
};

/// The seeds of each run of all tests, and the hours of each.
const ALWAYS: (Range<u64>, u64) = (0..4, 1);

/// More workspaces are for longer runs.
const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn whatever_happens_to_a_fleet_its_limits_hold() {
    let seeds = env::var("SLACKWATER_SEEDS").map_or(ALWAYS.0, |text| seeds(&text));
    let hours = env::var("SLACKWATER_HOURS").map_or(ALWAYS.1, |text| text.parse().unwrap());
    for seed in seeds {
        let (world, wrong) = run(seed, Duration::from_secs(hours * 3600));
        report(seed, hours, &world);
        assert!(wrong.is_none(), "{}\nplay it again with {}", wrong.unwrap(), again(seed, hours));
    }
}

fn again(seed: u64, hours: u64) -> String {
    format!(
        "SLACKWATER_SEEDS={seed} SLACKWATER_HOURS={hours} cargo test --release -p slackwater-scheduler \
         --features model --test fleet"
    )
}

/// A seed that fails would be of no use if it did not fail again.
#[test]
fn a_seed_plays_the_same_hours_each_time() {
    let [first, again] = [(); 2].map(|()| run(5, Duration::from_secs(1_200)).0.counts);
    assert_eq!(first, again);
}

/// `7`, or `0..1000`.
fn seeds(text: &str) -> Range<u64> {
    let (first, end) = text.split_once("..").unwrap_or((text, ""));
    let first = first.parse().unwrap();
    first..if end.is_empty() { first + 1 } else { end.parse().unwrap() }
}

fn run(seed: u64, time: Duration) -> (World, Option<String>) {
    let workspaces = if time > DAY { 1_000 } else { 100 };
    let size = Size { workspaces, rate: 25.0, floods: Duration::from_secs(240) };
    // With so many replicas nobody has a part of a limit: then none is exceeded at all.
    let replicas = if seed.is_multiple_of(2) { 1_000 } else { 10 };
    let servers = if seed % 4 < 2 { 1 } else { 2 };
    let mut world = World::new(seed, size, time, replicas, servers);
    world.after(Duration::from_secs(400), Event::Fault(Fault::Hour));
    let wrong = world.runs().err();
    (world, wrong)
}

fn report(seed: u64, hours: u64, world: &World) {
    let judge = &world.judge;
    println!("seed {seed}, {hours} h: {:?}", world.counts);
    println!("  exceeded {:?}, probes {}", judge.exceeded, judge.probes);
    let mut shares: Vec<_> = judge.shares.iter().collect();
    shares.sort_by(|one, other| one.0.cmp(other.0));
    for (limit, share) in shares {
        println!("  {limit}: {:.3} of {:.0}", share.used / share.could, share.could);
    }
}
