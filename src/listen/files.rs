//! How many files may be open: every connection is one, and so is every one to an upstream.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets the process open as many files as it is allowed to: it starts with 1,024 nearly
/// everywhere, for the sake of programs that use `select`, and with the connections of a
/// thousand held calls none would be left to send one on.
pub fn open_as_many_as_allowed() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, files = limit.current, "the limit on open files stays as it is");
    }
}
