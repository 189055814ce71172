//! Why a call was shed, and what can be done so that others like it are not, in a sentence.

use crate::{
    call::record::Record,
    queue::{Shed, ShedReason, whole_seconds},
};

const LONGER: &str = "let its client wait longer: raise its time-out, and state it in the base \
                      URL with a lane, as in /@NAME;class=background;max-wait=5m/api/";
const BOUNDED: &str = "no client may wait longer for this method (max_wait): make fewer such \
                       calls at once, or give them class=interactive";
const QUEUE_FULL: &str = "make fewer calls at once, or raise queue.max_depth, queue.max_total or \
                          the caller's max_depth, whichever bound it has met";
const MEMORY: &str =
    "make fewer or smaller calls at once, or raise queue.max_bytes and queue.max_total";
const IN_FLIGHT: &str = "find out why its server is slow (/status, in_flight), or raise \
                         queue.max_in_flight and the limit on open files";

/// The cure for calls that go nowhere.
pub(super) const BASE_URL: &str = "let the base URL of the Slack client end with /api/, as in \
                                   http://HOST:PORT/api/";

/// The cure for calls that are shed for that reason; nothing where it is somebody's will.
pub(super) fn cure(reason: ShedReason, record: &Record) -> Option<&'static str> {
    match reason {
        ShedReason::Deadline if is_bounded(record) => Some(BOUNDED),
        ShedReason::Deadline => Some(LONGER),
        ShedReason::QueueFull => Some(QUEUE_FULL),
        ShedReason::Memory => Some(MEMORY),
        ShedReason::InFlight => Some(IN_FLIGHT),
        ShedReason::Paused | ShedReason::Disabled | ShedReason::Draining | ShedReason::Upstream => {
            None
        }
    }
}

/// What the caller of a shed call is told, in the form that Slack's own messages have.
pub(super) fn message(shed: &Shed, record: &Record) -> String {
    let why = match shed.reason {
        ShedReason::Deadline => would_wait(shed, record),
        ShedReason::QueueFull => {
            let seconds = shed.retry_after_seconds();
            format!("as many calls are held as may be, and there is room in {seconds} s")
        }
        ShedReason::Memory => {
            let when = shed.bucket.as_ref().map(|_| shed.retry_after_seconds());
            let when = when.map(|seconds| format!(", and there is room in {seconds} s"));
            let held = "the bodies of held calls take all the memory that they may";
            format!("{held}{}", when.unwrap_or_default())
        }
        ShedReason::Paused => {
            "the operator of slackwater has paused its method, its caller or its workspace".into()
        }
        ShedReason::Disabled => {
            "the operator of slackwater has disabled its method or its caller".into()
        }
        ShedReason::InFlight => {
            "as many calls are in flight as may be, and none of them has ended in time".into()
        }
        ShedReason::Draining => "slackwater is stopping; call again".into(),
        ShedReason::Upstream => "Slack has refused it before".into(),
    };
    // An attempt that failed may have been done.
    let again = if record.attempts() > 0 { " again" } else { "" };
    match cure(shed.reason, record) {
        Some(cure) => format!("[ERROR] slackwater: not sent{again}: {why}; {cure}"),
        None => format!("[ERROR] slackwater: not sent{again}: {why}"),
    }
}

fn would_wait(shed: &Shed, record: &Record) -> String {
    let seconds = whole_seconds(record.wait() + shed.retry_after);
    let limit = shed.bucket.as_ref().map(|bucket| format!(" for {}", bucket.limit.name));
    let limit = limit.unwrap_or_default();
    let waits = record.client_waits().unwrap_or_default().as_secs_f64();
    format!("it would have waited {seconds} s{limit}, and its client waits {waits} s")
}

/// Whether a longer time-out changes nothing, because the method allows no longer wait.
fn is_bounded(record: &Record) -> bool {
    let method = record.labels().and_then(|labels| labels.method.as_ref());
    let bound = method.and_then(|method| method.max_wait);
    bound.zip(record.client_waits()).is_some_and(|(bound, waits)| waits >= bound)
}
