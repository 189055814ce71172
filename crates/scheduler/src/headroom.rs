//! Headroom: how many calls the tightest limit of a call still admits, and when it admits one more.

use limits::BucketKey;

use super::{Instant, Permit, Scheduler, call_group::BucketId};

/// What the tightest bucket of a call has left, the call itself counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headroom {
    /// Which.
    pub bucket: BucketKey,
    /// Slots that are free; none while it is closed.
    pub left: u32,
    /// When there is one more, if no call goes until then and none in flight is answered
    /// later than now.
    pub more_at: Instant,
}

/// What a bucket with a rate has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) slots: u32,
    pub(super) quota: u32,
    pub(super) more_at: Instant,
}

// === impl Left ===

impl Left {
    /// Whether it is tighter than the other: a lower share of its quota is left, or as much
    /// for longer.
    pub(super) fn is_tighter(self, than: Self) -> bool {
        let share = |one: Self, of: Self| u64::from(one.slots) * u64::from(of.quota);
        let (own, other) = (share(self, than), share(than, self));
        own < other || (own == other && self.more_at > than.more_at)
    }
}

// === impl Scheduler ===

impl Scheduler {
    /// The headroom of a granted call: what the tightest of its buckets has left. Limits on calls
    /// in flight and open ones have no quota to report; `None` where a call has no others.
    pub fn headroom(&mut self, now: Instant, permit: &Permit) -> Option<Headroom> {
        // Calls whose time has come go first, or their slots would be reported as free.
        self.advance(now);
        let granted = self.granted.get(permit.index)?;
        let mut tightest: Option<(BucketId, Left)> = None;
        for slot in &granted.slots {
            if let Some(left) = self.buckets[slot.bucket].left(now)
                && tightest.is_none_or(|(_, than)| left.is_tighter(than))
            {
                tightest = Some((slot.bucket, left));
            }
        }
        let (id, Left { slots, more_at, .. }) = tightest?;
        Some(Headroom { bucket: self.buckets[id].key.clone(), left: slots, more_at })
    }
}
