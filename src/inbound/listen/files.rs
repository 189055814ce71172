//! How many files may be open: every connection is one, and so is every one to an upstream.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What may be done with so many files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Connections of clients.
    pub connections: usize,
    /// Calls in flight.
    pub in_flight: usize,
}

/// Files that the process has open by itself: its output, listeners, timers, state file, and connections of
/// operators.
const OWN: usize = 24;

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

/// Shares files out. Of those that are not the process's own, three quarters are for clients. Half of the
/// rest is for calls in flight: as many again may be connections that are kept for the next calls, or are
/// being made, for which a name is looked up.
pub fn shares(files: usize) -> Shares {
    let free = files.saturating_sub(OWN).max(8);
    let upstream = free / 4;
    Shares { connections: free - upstream, in_flight: (upstream / 2).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passing_call_has_both_of_its_files() {
        for files in [0, 32, 64, 256, 1024, 1 << 20, usize::MAX] {
            let Shares { connections, in_flight } = shares(files);
            assert!(connections >= 1 && in_flight >= 1);
            assert!(files < 64 || connections + 2 * in_flight + OWN <= files, "{files}");
        }
        assert_eq!(shares(64), Shares { connections: 30, in_flight: 5 });
        assert_eq!(shares(1024), Shares { connections: 750, in_flight: 125 });
    }
}
