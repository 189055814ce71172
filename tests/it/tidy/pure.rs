//! What decides by its arguments alone: no clock, no task, no socket, no lock, no file.
//!
//! The compiler keeps the standard library from the limits and the scheduler. These need it, for its
//! collections, and are read here.

use super::{
    files, read,
    source::{paths, shipped},
};

/// Pure, all that is in it.
const PURE: [&str; 29] = [
    "crates/config/src",
    "crates/fake-slack/src/faults.rs",
    "crates/fake-slack/src/judge.rs",
    "crates/fake-slack/src/window.rs",
    "crates/slack/src",
    "crates/tools/src/demo/page.rs",
    "crates/tools/src/drain/already.rs",
    "crates/tools/src/drain/call.rs",
    "crates/tools/src/drain/entry.rs",
    "crates/tools/src/drain/pace.rs",
    "crates/tools/src/drain/page.rs",
    "crates/tools/src/export/answer.rs",
    "crates/tools/src/export/page.rs",
    "crates/tools/src/export/request.rs",
    "crates/tools/src/export/shape.rs",
    "crates/tools/src/plan/before.rs",
    "crates/tools/src/plan/estimate.rs",
    "crates/tools/src/plan/job.rs",
    "crates/tools/src/plan/page.rs",
    "crates/tools/src/plan/record.rs",
    "crates/tools/src/plan/simulate.rs",
    "crates/tools/src/plan/straight.rs",
    "crates/tools/src/plan/whose.rs",
    "crates/tools/src/through/verdict.rs",
    "crates/yaml/src",
    "src/cli/status/page.rs",
    "src/pauses.rs",
    "src/state/ledger.rs",
    "src/state/record.rs",
];

/// The one place that reads files and the environment for the configuration.
const READS: &str = "crates/config/src/load.rs";

/// What would give it a clock, a task, a socket, a lock or a file: a path, or what stands below it.
const IMPURE: [&str; 24] = [
    "axum",
    "hyper",
    "rustix",
    "rustls_native_certs",
    "std::env",
    "std::fs",
    "std::io::stdin",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::os",
    "std::process",
    "std::sync::Barrier",
    "std::sync::Condvar",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "std::sync::mpsc",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
    "tokio_util",
    "tracing_subscriber",
];

/// Whether a path is the other, or stands below it.
fn is_in(path: &str, impure: &str) -> bool {
    path.strip_prefix(impure).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[test]
fn what_is_pure_has_no_clock_no_task_no_socket_no_lock_no_file() {
    let mut wrong = Vec::new();
    for path in PURE.iter().flat_map(|at| files(at, ".rs")) {
        let name = path.to_string_lossy();
        if name.contains("/tests") || name == READS {
            continue;
        }
        for used in paths(&shipped(&read(&path))) {
            if IMPURE.iter().any(|impure| is_in(&used, impure)) {
                wrong.push(format!("{name} is pure and uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
