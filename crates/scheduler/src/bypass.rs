//! Calls that bypass their limits: they go at once, and their limits are watched but not kept.
//!
//! They take their slots as all others do, even where none is free, so a window holds what was
//! really sent. Calls that keep to the limit wait until fewer slots are taken than its quota.

use limits::{Class, Rule};

use super::{
    BlockReason, Call, Instant, Permit, Scheduler, Ticket, call::Held, call_group::BucketId,
    hold::is_held,
};

impl Scheduler {
    /// A call arrives and goes at once. Returns whether one of its limits had no slot free for it,
    /// or was closed.
    pub fn bypass(&mut self, now: Instant, call: &Call) -> (Permit, bool) {
        self.advance(now);
        let buckets = self.resolve(now, &call.buckets);
        if call.class == Class::Interactive {
            for &id in &buckets {
                self.buckets[id].expect_people(now);
            }
        }
        let would_be_refused = buckets.iter().any(|&id| self.would_refuse(now, id, call.class));
        let sequence = self.next_sequence();
        let held = Held::new(sequence, call.class, call.caller, call.deadline);
        self.charge(&buckets, call.class, call.caller);
        let permit = self.grant(now, &buckets, held);
        self.run(now);
        (permit, would_be_refused)
    }

    /// A held call goes now, whatever its limits. A ticket whose call is no longer held is ignored.
    pub fn bypass_held(&mut self, now: Instant, ticket: Ticket) {
        self.advance(now);
        if is_held(&self.held, ticket) {
            self.let_go(now, ticket.index);
            self.run(now);
        }
    }

    /// Whether Slack would refuse one call more, as far as is known.
    fn would_refuse(&mut self, now: Instant, id: BucketId, class: Class) -> bool {
        let bucket = &mut self.buckets[id];
        let is_rate = matches!(bucket.key.limit.rule, Rule::Rate(_));
        bucket.blocked(now, class, None).is_some_and(|block| match block.reason {
            BlockReason::Frozen | BlockReason::Probing => true,
            BlockReason::Full => is_rate,
            BlockReason::Shared => is_rate && bucket.used_by_all() >= bucket.quota(),
            BlockReason::Spaced
            | BlockReason::Reserved
            | BlockReason::Claimed
            | BlockReason::Turn
            | BlockReason::Paused
            | BlockReason::InFlight => false,
        })
    }
}
