//! What can be done so that calls like one that was shed are not shed again, in a sentence.

use crate::{call::record::Record, queue::ShedReason};

const LONGER: &str = "let its client wait longer: raise its time-out, and state it in the base \
                      URL with a lane, as in /@NAME;class=background;max-wait=5m/api/";
const BOUNDED: &str = "no client may wait longer for this method (max_wait): make fewer such \
                       calls at once, or give them class=interactive";
const QUEUE_FULL: &str = "make fewer calls at once, or raise queue.max_depth, queue.max_total or \
                          the caller's max_depth, whichever bound it has met";
const MEMORY: &str = "send fewer or smaller bodies at once, or raise queue.max_bytes";

/// The cure for calls that are shed for that reason; nothing where it is somebody's will.
pub(super) fn cure(reason: ShedReason, record: &Record) -> Option<&'static str> {
    match reason {
        ShedReason::Deadline if is_bounded(record) => Some(BOUNDED),
        ShedReason::Deadline => Some(LONGER),
        ShedReason::QueueFull => Some(QUEUE_FULL),
        ShedReason::Memory => Some(MEMORY),
        ShedReason::Paused | ShedReason::Disabled | ShedReason::Draining | ShedReason::Upstream => {
            None
        }
    }
}

/// Whether a longer time-out changes nothing, because the method allows no longer wait.
fn is_bounded(record: &Record) -> bool {
    let method = record.labels().and_then(|labels| labels.method.as_ref());
    let bound = method.and_then(|method| method.max_wait);
    bound.zip(record.client_waits()).is_some_and(|(bound, waits)| waits >= bound)
}
