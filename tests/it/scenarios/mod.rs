//! How the scheduler behaves under load: scenarios as data, with a band for each number.
//!
//! Each file of `tests/scenarios` is a test. It is a discrete-event simulation of clients, the
//! real scheduler and a strict server; hours of traffic take seconds, and a seed repeats them.
//! Inside out: `text` and `file` are the format, `world` what is in it, `arrivals` and `server`
//! who calls and who answers, `driver` runs it, `record`, `measures` and `bands` judge it.

mod arrivals;
mod bands;
mod chance;
mod driver;
mod file;
mod measures;
mod record;
mod server;
mod text;
mod world;

use std::{collections::BTreeSet, fs, path::PathBuf};

/// One test for each file. Those that await something are run with `--ignored`.
macro_rules! scenarios {
    ($($name:ident $(ignore $what:literal)?;)+) => {
        const LISTED: &[&str] = &[$(stringify!($name)),+];

        $(
            #[test]
            $(#[ignore = $what])?
            fn $name() {
                let (table, holds) = run(stringify!($name));
                println!("{table}");
                assert!(holds, "a number is out of its band\n{table}");
            }
        )+
    };
}

scenarios! {
    absent;
    absent_background;
    ageing;
    ageing_a_second;
    ageing_burst;
    ageing_from_the_send;
    ageing_needs_the_answer;
    background_floor;
    background_share;
    background_share_small;
    busy_channel;
    channels;
    come_back;
    come_back_in_turn;
    flooder;
    held_up_elsewhere;
    herd;
    incident;
    made_up_lanes;
    mass_hang_up;
    nobody_comes;
    order;
    patience;
    people;
    people_learnt;
    people_of_few;
    poller;
    poller_of_many;
    refusal_app;
    refusal_hidden_limit;
    refusal_penalty;
    refusal_workspace;
    retry_loop;
    starvation;
    starvation_of_a_click;
    town;
    weights;
    workspaces;
}

/// A scenario that nobody runs shows nothing.
#[test]
fn every_file_is_listed() {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let files: BTreeSet<_> =
        files.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(files, LISTED.iter().map(ToString::to_string).collect());
}

#[test]
fn a_mistake_is_told_with_its_file_and_key() {
    let text = fs::read_to_string(folder().join("weights.yaml")).unwrap();
    let told = |was: &str, is: &str| file::parse("f.yaml", &text.replace(was, is)).err().unwrap();
    let error = told("limit: 50", "limits: 50");
    assert!(error.starts_with("f.yaml: limits.tier: unknown field `limits`"), "{error}");
    let error = told("weight: 3", "weight: 0");
    assert!(error.starts_with("f.yaml: callers.heavy.weight"), "{error}");
    let error = told("of: light", "of: lite");
    assert_eq!(error, "f.yaml: bands[2].of: no caller is called `lite`");
    let error = told("# A", "A");
    assert!(error.starts_with("f.yaml: it begins with a comment"), "{error}");
}

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "scenarios"].iter().collect()
}

/// Runs a file; what was measured, as a table, and whether all of it is in its band.
fn run(name: &str) -> (String, bool) {
    let path = folder().join(format!("{name}.yaml"));
    let variants = file::read(&path).unwrap_or_else(|error| panic!("{error}"));
    let findings: Vec<_> = variants.iter().flat_map(bands::findings).collect();
    let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
    (format!("{name}.yaml\n{}", lines.join("\n")), findings.iter().all(bands::Finding::holds))
}
