//! How many files may be open: every connection is one, and so is every one to an upstream.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What may be done with so many files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Connections of operators.
    pub operators: usize,
    /// Connections of clients.
    pub connections: usize,
    /// Calls in flight.
    pub in_flight: usize,
}

/// Files that the process has open by itself: its output, listeners, timers, state file, and connections to
/// a store of shared limits.
const OWN: usize = 24;
/// Connections of operators at once, if so many files may be open.
const OPERATORS: usize = 64;

/// Lets the process open as many files as it is allowed to: it starts with 1,024 nearly
/// everywhere, for the sake of programs that use `select`, and with the connections of a
/// thousand held calls none would be left to send one on. Tells how many it may open now.
pub fn open_as_many_as_allowed() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, files = limit.current, "the limit on open files stays as it is");
    }
    let files = getrlimit(Resource::Nofile).current;
    files.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX))
}

/// Shares files out. A sixteenth is for operators. Of those that are not the process's own either, three
/// quarters are for clients. Half of the rest is for calls in flight: as many again may be connections
/// that are kept for the next calls, or are being made, for which a name is looked up.
pub fn shares(files: usize) -> Shares {
    let operators = OPERATORS.min(files / 16);
    let free = files.saturating_sub(OWN + operators).max(8);
    let upstream = free / 4;
    Shares { operators, connections: free - upstream, in_flight: (upstream / 2).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passing_call_has_both_of_its_files() {
        for files in [0, 32, 64, 256, 1024, 1 << 20, usize::MAX] {
            let Shares { operators, connections, in_flight } = shares(files);
            assert!(connections >= 1 && in_flight >= 1);
            let all = operators + connections + 2 * in_flight + OWN;
            assert!(files < 64 || all <= files, "{files}");
        }
        assert_eq!(shares(64), Shares { operators: 4, connections: 27, in_flight: 4 });
        assert_eq!(shares(1024), Shares { operators: 64, connections: 702, in_flight: 117 });
    }
}
