//! What outlives the process: a file of what was granted, answered, frozen and learnt.
//!
//! Slack's windows go on when the proxy is started again, so with `state_file` its own do, too.
//! The promise is that no window is overrun, whenever the process is killed. It rests on one rule:
//! **a grant is in the file before its call is sent.**
//!
//! # The way of a grant
//!
//! The [scheduler] [notes](scheduler::Note) what happens. The shell around
//! it hands the notes to a [`Store`], and a call with its permit waits until a thread of its own has
//! [written](writer) them, with one `write` for all that [came at about the same time](mailbox). That they are in the page
//! cache is enough: what was written survives `kill -9`. The thread is there because a write may
//! block on a slow disk, and the calls' thread must never. An answer need not be in the file: a
//! call without one is taken to be answered a second after the process has started again. (It is later
//! than its end: what was on the way to Slack then is counted there a moment later.)
//!
//! # The file
//!
//! [Lines](record) of JSON, each with its checksum. What a reader makes of them is the [`Ledger`];
//! the writer keeps the same ledger beside the file, so that it can at any time write a short file
//! that says the same: it does so when the file has grown to a few times that, in a file beside it
//! that then takes its [place](file). So the file is bounded by what is alive.
//!
//! # Time
//!
//! The times in it are those of the clock that runs from the machine's start and that nobody sets.
//! They hold as long as the machine runs, which its boot id tells. Over a reboot the wall clock
//! tells how much time has passed.
//!
//! # Whose it was
//!
//! Where limits are shared with other replicas, the file also says by which [names] their store knows the
//! process that wrote it. The next one tells the store what that process used, and that its names have
//! ended, if it is certain that it has and that the file knows all.
//!
//! # When it cannot be trusted
//!
//! After a [doubt](Doubt) every limit counts as just used up. A line is unreadable; the wall clock
//! went back; the machine went down without the process having ended (then the page cache was lost,
//! and nobody knows what was in it); there was something that could not be written.

mod clock;
mod disk;
mod file;
mod ledger;
mod mailbox;
mod metrics;
mod names;
mod record;
mod writer;

#[cfg(test)]
mod tests;

pub use self::{
    clock::{ClockReading, unix_millis, wall_clock},
    disk::{About, Disk, Machine},
    file::OpenError,
    ledger::{Doubt, Ledger},
    mailbox::Store,
    metrics::StoreMetrics,
    writer::{Kept, Opened, Turns, open, open_on},
};
