//! How many files may be open: every connection is one, and so is every one to an upstream.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

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
