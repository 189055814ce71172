//! Bytes from strangers: whoever reads them comes to an end, without a panic, and to what a second reader
//! comes to.
//!
//! Each target is a function of bytes that asserts what has to hold. It is given what is in
//! `tests/fuzz/TARGET/` as it is, then what [mutations](mutate) make of that. What was found once stays
//! there, under the name of what broke. `scripts/fuzz` lets them run for as long as one likes.

#![expect(clippy::print_stdout, reason = "it says how far it came")]
#![expect(clippy::disallowed_methods, reason = "how long it runs is asked for by a variable")]

mod mutate;
mod targets;

use std::{collections::BTreeMap, env, fs, path::PathBuf, time::Duration};

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use tokio::time::Instant;

use self::mutate::mutated;

/// A target that takes so long for one input takes as long as whoever sends it likes.
const LONG: Duration = Duration::from_secs(10);
/// How many inputs are tried between two looks at the clock.
const ROUND: u32 = 64;

/// The inputs that are kept of a target, by their names.
fn corpus(target: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(target);
    let files =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    files
        .map(|file| file.unwrap().path())
        .map(|path| (name(&path), fs::read(path).unwrap()))
        .collect()
}

fn within_time(run: fn(&[u8]), input: &[u8]) {
    let begun = Instant::now();
    run(input);
    let took = Instant::now().duration_since(begun);
    assert!(took < LONG, "it took {took:?}");
}

/// Tries so many inputs, or for as many seconds as `FUZZ_SECONDS` says.
fn fuzz(target: &str, run: fn(&[u8]), short: u32) {
    let corpus = corpus(target);
    for (name, input) in &corpus {
        println!("{target}: {name}");
        within_time(run, input);
    }
    let seconds = env::var("FUZZ_SECONDS").ok().map(|it| it.parse().unwrap());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    let inputs = corpus.into_values().collect();
    let strategy = mutated(inputs);
    let cases = if seconds.is_some() { ROUND } else { short };
    let mut tried = 0;
    loop {
        // What is found is told as a file, which is read by people.
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        let failed = TestRunner::new(config).run(&strategy, |input| {
            let panicked = std::panic::catch_unwind(|| within_time(run, &input));
            panicked.map_err(|_| TestCaseError::fail("see the panic above"))
        });
        if let Err(TestError::Fail(_, input)) = failed {
            let file =
                env::temp_dir().join(format!("slackwater-fuzz-{target}-{}", std::process::id()));
            fs::write(&file, &input).unwrap();
            panic!(
                "{target}: {} broke it, which is in {}; keep it in tests/fuzz/{target}/",
                input.escape_ascii(),
                file.display()
            );
        }
        tried += cases;
        if Instant::now() >= end {
            break;
        }
    }
    println!("{target}: {tried} inputs");
}

#[test]
fn arguments() {
    fuzz("arguments", targets::arguments, 2_000);
}

#[test]
fn multipart() {
    fuzz("multipart", targets::multipart, 2_000);
}

#[test]
fn lane() {
    fuzz("lane", targets::lane, 4_000);
}

#[test]
fn retry_after() {
    fuzz("retry_after", targets::retry_after, 4_000);
}

#[test]
fn answer() {
    fuzz("answer", targets::answer, 100);
}

#[test]
fn configuration() {
    fuzz("configuration", targets::configuration, 40);
}

#[test]
fn state_file() {
    fuzz("state_file", targets::state_file, 300);
}
