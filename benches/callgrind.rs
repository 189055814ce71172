//! Counts instructions by valgrind's callgrind: in user space, and the same on a busy machine.

use std::{fs, io, process::Command};

/// What there is to do where there is no valgrind.
pub(crate) const HINT: &str =
    "instructions are counted by valgrind (Debian: apt-get install valgrind)";

/// A command to which a program and its arguments are added. What it counts is written to the file `out` when
/// the program ends, and can be read there with `callgrind_annotate`, too.
pub(crate) fn callgrind(out: &str, options: &[&str]) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet"]).args(options);
    command.arg(format!("--callgrind-out-file={out}"));
    command
}

/// How many instructions a program has taken that has ended.
pub(crate) fn counted(out: &str) -> io::Result<u64> {
    let report = fs::read_to_string(out)?;
    let total = report.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    let total = total.and_then(|total| total.trim().parse().ok());
    total.ok_or_else(|| io::Error::other("callgrind has not written how much it has counted"))
}
