//! Gates that let calls pass, one by one: what they lead to has room for a few.
//!
//! How much room there is, the driver knows, because it is no slot: it is free when a connection is, and
//! neither ages nor outlives the process. So a call that goes through a gate takes a pass, and the driver
//! hands out new ones as there is room. A gate that never had any is a pause.

use limits::BucketKey;

use super::{BlockReason, Instant, Scheduler, bucket::Bucket};

// === impl Bucket ===

impl Bucket {
    /// Why nobody passes this gate now, if so.
    pub(super) fn closed(&self) -> Option<BlockReason> {
        match self.passes() {
            None => Some(BlockReason::Paused),
            Some(0) => Some(BlockReason::InFlight),
            Some(_) => None,
        }
    }

    /// A call goes through this gate, or past it.
    pub(super) fn pass(&mut self) {
        if let Some(passes) = self.passes() {
            self.rare().passes = Some(passes.saturating_sub(1));
        }
    }
}

// === impl Scheduler ===

impl Scheduler {
    /// From now on so many calls may pass a gate. It remembers that for the next call, and as long as
    /// calls are held before it. Whether some may have gone, so that the driver has to poll.
    pub fn let_pass(&mut self, now: Instant, gate: &BucketKey, calls: u32) -> bool {
        for id in self.resolve(now, core::slice::from_ref(gate)) {
            let bucket = &mut self.buckets[id];
            let before = bucket.passes();
            if before == Some(calls) {
                return false;
            }
            bucket.rare().passes = Some(calls);
            // A gate that nobody needs yet would be dropped.
            if bucket.is_wanted() && before.is_none_or(|before| calls > before) {
                self.touch(id);
                self.run(now);
                return true;
            }
        }
        false
    }
}
