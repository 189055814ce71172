//! Tries cases: all, or those that are named. See the crate's documentation.

use std::{process::ExitCode, thread};

use slackwater_lease_model::{
    case::Case,
    cases,
    rules::{Mutation, Rules},
};
use stateright::{Checker, Model};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match cases(&args) {
        Some(cases) if cases.iter().all(tries) => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
        None => ExitCode::from(2),
    }
}

/// The cases that are named, in the sizes that are given; `None` if there is none.
fn cases(args: &[String]) -> Option<Vec<Case>> {
    let sizes = args.iter().filter_map(|arg| arg.split_once('='));
    let wanted: Vec<_> = args.iter().filter(|arg| !arg.contains('=')).collect();
    let named = |name: &str| wanted.iter().any(|arg| *arg == name);
    let broken = Mutation::ALL.into_iter().filter(|mutation| named(&format!("{mutation:?}")));
    let broken = broken.map(|mutation| cases::for_rule(mutation).broken(mutation));
    let all = cases::all().into_iter().filter(|case| wanted.is_empty() || named(case.name));
    let mut all: Vec<_> = all.chain(broken).collect();
    for (what, size) in sizes {
        let size = size.parse().ok()?;
        for case in &mut all {
            let Rules { period, flight, lease, stale, .. } = &mut case.rules;
            let to = match what {
                "asks" => &mut case.asks,
                "beats" => &mut case.beats,
                "doubled" => &mut case.doubled,
                "faults" => &mut case.faults.count,
                "period" => period,
                "flight" => flight,
                "lease" => lease,
                "stale" => stale,
                _ => return None,
            };
            *to = size;
        }
    }
    (!all.is_empty()).then_some(all)
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn tries(case: &Case) -> bool {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let checker = case.clone().checker().threads(threads).spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    let Case { name, about, asks, beats, doubled, .. } = case;
    println!("{name}: {about}: asks {asks}, beats {beats}, doubled {doubled}");
    println!("  {states} states, {depth} steps deep");
    let found = checker.discoveries();
    for (property, path) in &found {
        println!("  BROKEN: {property}");
        for action in path.clone().into_actions() {
            println!("    {action:?}");
        }
    }
    found.is_empty()
}
