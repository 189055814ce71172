//! What the log says of a limit that was learnt.

use scheduler::{Learnt, Lesson};

/// When so many others have learnt the same, the configuration is wrong.
const SEVERAL: usize = 3;

/// Tells of a bucket that has learnt a slower pace.
pub(super) fn tell(lesson: &Lesson) {
    let Lesson { bucket, learnt, alike } = lesson;
    let Learnt { documented, quota, period, bursts, .. } = learnt;
    tracing::info!(
        limit = %bucket.limit.name,
        bucket = %bucket.values,
        configured = documented,
        quota,
        seconds = period.as_secs(),
        bursts,
        "Slack accepts fewer calls than configured: its bucket keeps to that"
    );
    if *alike >= SEVERAL {
        tracing::warn!(
            limit = %bucket.limit.name,
            configured = documented,
            quota,
            buckets = alike + 1,
            "several buckets of one limit have learnt a lower quota: Slack may have changed it; \
             `slackwater limits --learnt` has it as a configuration"
        );
    }
}
